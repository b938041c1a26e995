"""Affine maps under training: weights, their integers, and what stands in their columns."""
