"""Loops over steps that an export wrote out: recurrences again."""
