"""Closed periods as columns that are written once, and sums over them that are exact."""
