"""Interval energies from meter counters: pure rules on readings. Not where readings or results are kept."""
