"""Plans while the aggregator runs: what is known of a facility is gathered, planned, put on record and sent. Not the planning itself (`flexibility`)."""
