"""Integer model to one TFLite file."""
