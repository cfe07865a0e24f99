"""Factors and what they make of interval energy. Not the interval energy itself."""
