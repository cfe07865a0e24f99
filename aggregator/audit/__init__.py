"""The audit chain: a Merkle log of committed batches, its signed checkpoints, and evidence that is checked without the aggregator."""
