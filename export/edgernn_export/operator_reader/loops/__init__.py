"""Loops over steps: which cell the operators of one step are."""
