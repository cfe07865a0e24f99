"""The gateway itself, read as if it were a meter."""
