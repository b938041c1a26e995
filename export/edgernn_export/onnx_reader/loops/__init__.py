"""Loop and Scan: a step of a recurrent layer, and its way over the readings."""
