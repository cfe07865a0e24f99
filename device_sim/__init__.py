"""Simulated plants on real protocols, and the judge of what was answered. Imports nothing else of Wattline."""
