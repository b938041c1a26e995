"""Files of named arrays, read without the library that wrote them, and without executing them."""
