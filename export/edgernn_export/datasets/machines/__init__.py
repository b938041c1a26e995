"""Readings of machines: engines that wear out, and servers with anomalies."""
