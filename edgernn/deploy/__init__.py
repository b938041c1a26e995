"""Bundles, packages and model updates for the devices on which `edgernn serve` runs.

It needs the standard library and NumPy, on the workstation as on the device.
"""
