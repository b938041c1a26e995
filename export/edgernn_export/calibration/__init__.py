"""What calibration says of ranges: streams in, ranges, refusals and warnings out."""
