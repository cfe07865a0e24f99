"""What regimes ask for, made from one statement: forms and their fields. Not the figures themselves (see `accounts`)."""
