"""What both sides of the wire agree on: quantities, readings, topics and batches. Not storage, not devices."""
