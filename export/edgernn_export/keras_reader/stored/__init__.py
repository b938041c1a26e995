"""Keras files read without Keras: their kind, their layers, their weights."""
