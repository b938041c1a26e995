"""The service: sources, a model and sinks that one file configures, running unattended."""
