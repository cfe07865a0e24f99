"""Intervals that nobody has measured, and interval energies that cannot be."""
