"""Training on streams: windows and folds cut from them, and states carried along them."""
