"""Subcommands of this package, one file each; edgernn.cli lists them."""
