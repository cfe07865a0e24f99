"""Simulated machines behind an OPC UA server."""
