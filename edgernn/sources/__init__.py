"""Where readings come from: one file for each family of sources, one class for each kind."""
