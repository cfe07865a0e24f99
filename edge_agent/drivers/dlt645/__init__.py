"""DL/T 645 electricity meters. Nothing is imported here."""
