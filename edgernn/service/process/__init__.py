"""What a service tells the system that runs it: log lines, and messages to systemd."""
