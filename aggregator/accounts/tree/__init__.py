"""The meter tree: own parts, the unmetered remainder, and each part's share."""
