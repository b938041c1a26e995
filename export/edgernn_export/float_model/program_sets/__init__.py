"""Float networks of several parts, over streams and over chunks."""
