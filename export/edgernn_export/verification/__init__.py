"""Every runtime, in a process of its own, against the reference."""
