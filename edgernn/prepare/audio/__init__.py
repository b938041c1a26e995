"""Log-mel energies of sound, in floating point and in integers (NUMERICS.md section 11)."""
