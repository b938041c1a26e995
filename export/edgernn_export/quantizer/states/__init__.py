"""Which layers get wide states, and the records of those that do."""
