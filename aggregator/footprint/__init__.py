"""What the program itself uses and emits, beside the savings on record."""
