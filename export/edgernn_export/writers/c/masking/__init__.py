"""Masked readings in C: which they are, and what a step does with them."""
