"""Runs and publications: frozen, approved, published, restated, with causes that sum to the change."""
