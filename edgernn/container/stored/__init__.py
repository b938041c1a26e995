"""What an .edgernn file holds inside its frame: records of models, layers and sets, tensors."""
