"""From networks of several parts to sets of programs, over streams and over chunks."""
