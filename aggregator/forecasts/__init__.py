"""Short-term forecasts of load and of its emissions, with the skill that each of them has shown. Not accounting: nothing here enters a statement."""
