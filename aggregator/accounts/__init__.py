"""What a facility's period comes to: lines, statements, runs and reports over one ledger. Not the factors and formulas themselves (see `emissions`)."""
