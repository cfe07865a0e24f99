"""Where readings are kept, behind one protocol. Not where figures are computed."""
