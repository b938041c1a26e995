"""Graphs of operators as a whole: what their conditions choose, their inputs and their outputs."""
