"""Several models over one stream or one chunk: their links, and the order of their passes."""
