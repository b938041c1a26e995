"""Recipes whose model is a set of programs: an encoder, and a decoder that writes tokens."""
