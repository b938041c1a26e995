"""A head that learns on the device: its settings and its integer arithmetic."""
