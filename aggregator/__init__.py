"""The cloud side: stores batches, settles intervals, books emissions, shows both. Not a broker, not a field protocol."""
