"""One file per family of Keras layers: what each contributes to the float model."""
