"""Quantization of functions of one value: tables, exponents, separate layers."""
