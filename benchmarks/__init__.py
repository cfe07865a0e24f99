"""What `make bench` measures and prints: one JSON line per figure. Not tests: nothing here passes or fails."""
