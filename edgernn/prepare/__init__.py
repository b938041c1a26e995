"""From what sensors send to what the model reads: declarations that a model file can hold."""
