"""Simulated charging piles for OCPP 1.6J, 2.0.1 and 2.1: clients that connect to a central system. Nothing here shares code with the agent's side."""
