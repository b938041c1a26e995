"""What attention of an integer model looks at, as numbers and as a picture."""
