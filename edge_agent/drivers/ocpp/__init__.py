"""OCPP 1.6, 2.0.1 and 2.1 from the side of the central system. Not the piles (see `device_sim`)."""
