"""Simulated devices that publish by themselves."""
