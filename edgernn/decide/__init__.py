"""From what the model answers to what is done: declarations that a model file can hold."""
