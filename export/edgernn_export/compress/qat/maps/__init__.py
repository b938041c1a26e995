"""Affine maps under training: weights, their integers, and the contents of their columns."""
