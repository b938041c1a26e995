"""What a file is, told by its content: suffixes are habits."""
