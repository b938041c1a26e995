"""Where 4 bits by default are not what serves best: kernels that keep 8, files that would grow."""
