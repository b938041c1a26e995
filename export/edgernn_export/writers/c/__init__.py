"""Integer model to C99 source and to packages for build systems."""
