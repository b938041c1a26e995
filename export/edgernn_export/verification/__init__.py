"""Every runtime, in a separate process, against the reference."""
