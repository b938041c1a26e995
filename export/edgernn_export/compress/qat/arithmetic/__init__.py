"""NUMERICS.md on tensors of any of the back-ends of Keras: forward exact, with gradients."""
