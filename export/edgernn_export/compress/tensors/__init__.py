"""One name for the functions of tensors that Keras and PyTorch call each in their own way."""
