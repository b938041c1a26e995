"""Subcommands of the workstation floor; `edgernn.cli` names them in its table."""
