"""The parts of `benchmarks.native_step`: networks, contenders, workers and the report."""
