"""Integer model -> one file format each."""
