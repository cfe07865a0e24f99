"""Plans for storage, vehicles and loads that can wait: the optimiser, its promises and its audit. Not the loop at the edge that keeps the limits."""
