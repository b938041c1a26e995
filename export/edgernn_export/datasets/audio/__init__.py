"""Recordings of speech."""
