"""The formulas of carbon accounting, each with its steps and its source. Not the factors, and not what is booked from meters."""
