"""The weights of integer rows: their steps, and how they are rounded to them."""
