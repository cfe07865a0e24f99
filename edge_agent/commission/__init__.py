"""The dry run on site: reads every row of every device live and says what looks wrong, why, and how to set it right. Nothing is stored or written."""
