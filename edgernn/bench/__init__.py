"""Benchmark of a model: time per step, memory and size, on every back-end that is installed.

    from edgernn.bench import benchmark

    result = benchmark("model.edgernn", float_model="model.keras", peers=True)
    print(result.timing("native").median_us)
    result.plot("bench.png")

Importing this package loads NumPy only. Runtimes are imported in separate processes.
"""

from __future__ import annotations

from edgernn.bench.measurement import benchmark
from edgernn.bench.result import Benchmark
from edgernn.bench.verdict import BenchLimits

__all__ = ["BenchLimits", "Benchmark", "benchmark"]
