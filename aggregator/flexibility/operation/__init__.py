"""The running plan of a facility: from what is known of it now to a plan, its schedules and its record. Reads no meter and sends nothing by itself."""
