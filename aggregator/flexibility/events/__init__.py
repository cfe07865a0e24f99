"""Demand-response events and overrides: on record from notice to settlement. Not how they are planned for (see `operation`)."""
