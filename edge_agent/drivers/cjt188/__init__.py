"""CJ/T 188 water, heat, cooling and gas meters. Nothing is imported here."""
