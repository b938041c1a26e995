"""Weights without the framework that trained them: files of tensors, and what each tensor is."""
