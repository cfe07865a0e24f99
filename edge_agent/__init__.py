"""The agent on a gateway: reads devices, spools batches, delivers them. Not what the figures mean."""
