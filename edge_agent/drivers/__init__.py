"""One module per field protocol; a table in `drivers.table` names them. Not the meters: those are TOML in `edge_agent/meters`."""
