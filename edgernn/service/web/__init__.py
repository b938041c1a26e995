"""What a running service shows over HTTP: the live page, health and metrics."""
