"""Smaller networks: Keras models in, Keras models out; knows no recipe."""
