"""Texts: characters, words and spellings."""
