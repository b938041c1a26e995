"""Operators that most formats have, under one name or another."""
