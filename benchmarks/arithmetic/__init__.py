"""Networks that ask much of integer arithmetic: long memories and activations of every kind."""
