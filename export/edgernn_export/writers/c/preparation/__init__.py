"""The optional C layers that make a model's input codes of what a device measures."""
