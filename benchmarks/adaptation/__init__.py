"""A head that learns, on series that drift: against no adaptation and against a refitted head."""
