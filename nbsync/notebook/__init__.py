"""The magic, its live table, completion."""
