"""Pruning, quantization-aware training and distillation on real data, five seeds each."""
