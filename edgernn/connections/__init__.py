"""What sources and sinks share: readings on their way in, results on their way out, options."""
