"""Streams by key: one state for each sensor, machine or customer, advanced in batches."""
