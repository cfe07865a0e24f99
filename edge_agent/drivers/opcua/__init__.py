"""OPC UA: subscriptions to the variables of a server."""
