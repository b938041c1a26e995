"""The C of programs that share states: one state, and functions for each program."""
