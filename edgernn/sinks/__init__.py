"""Where results go: one file for each family of sinks, one class for each kind."""
