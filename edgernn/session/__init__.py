"""One stream of readings through one model."""
