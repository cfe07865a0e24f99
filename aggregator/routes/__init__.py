"""HTTP routes, one file per thing served. Not the thing."""
