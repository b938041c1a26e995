"""Functions of one value in real numbers, in any library of arrays."""
