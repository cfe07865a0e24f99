"""What an auditor asks: lineage, samples, bills, who answers for a series."""
