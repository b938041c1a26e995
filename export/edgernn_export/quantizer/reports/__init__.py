"""What the quantization report is made of."""
