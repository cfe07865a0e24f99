"""Simulated electricity meters of DL/T 645."""
