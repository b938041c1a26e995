"""A step as operations: which there are, what layers become, where their values lie."""
