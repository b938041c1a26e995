"""Payments: generated card streams."""
