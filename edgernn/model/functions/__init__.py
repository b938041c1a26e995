"""Functions of one value: their names, the formats they read and give, their tables."""
