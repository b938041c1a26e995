"""What the microcontroller will do, to the bit; NUMERICS.md is the law."""
