"""PV, storage and vehicles: what emissions their contents carry, and what reaches a site's loads."""
