"""The NumPy reference of NUMERICS.md: one file per section."""
