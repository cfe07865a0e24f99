"""M-Bus (EN 13757-2 and -3): frames, data records, and the driver of a wired bus. Not wireless M-Bus."""
