"""Where masks come from, how far they reach, and what a masked step repeats."""
