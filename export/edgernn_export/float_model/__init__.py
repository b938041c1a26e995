"""The trained network as float records, and its float64 run: the truth."""
