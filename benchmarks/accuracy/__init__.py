"""INT8 accuracy on real data: train, quantize, stream the test part, compare with float."""
