"""Streams in Python: by the values of a state, windows, rates; and their form in bytes."""
