"""The limits of a circuit, kept at this edge each second: what each asset may take now, and what holds when something is lost. Not the plan."""
