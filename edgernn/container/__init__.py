"""How a model lies in bytes: the .edgernn file and the metadata of the other formats."""
