"""Wattline: the one command line over edge agent, aggregator and simulators."""

__version__ = "0.1.0"
