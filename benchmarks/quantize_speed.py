"""How long quantizing takes, and how much memory.

    python -m benchmarks.quantize_speed
    python -m benchmarks.quantize_speed --against ../older-checkout

Every network is quantized in a separate process, from float weights in memory: no Keras. With
another checkout, both take turns. The figures are wall seconds of `quantize`, processor seconds
(more than wall seconds where BLAS uses several cores), and the most memory the whole process held.
"""

from __future__ import annotations

import sys
from typing import Final

from benchmarks.checkouts import before_and_after, compare, parser, same, times_faster
from benchmarks.pages.markdown import store

#: Name, cell, inputs, units, layers, streams, steps of each, precision.
CASES: Final = (
    ("LSTM-32/4", "lstm", "4", "32", "1", "1", "20000", "w8a8"),
    ("GRU-128/8", "gru_after", "8", "128", "1", "1", "100000", "w8a8"),
    ("GRU-128/8, reset before", "gru_before", "8", "128", "1", "1", "100000", "w8a16"),
    ("GRU-128/8, 4 bits", "gru_after", "8", "128", "1", "1", "100000", "w4a8"),
    ("3×LSTM-256/8", "lstm", "8", "256", "3", "1", "100000", "w8a8"),
    ("LSTM-32/4, windows of 60", "lstm", "4", "32", "1", "20000", "60", "w8a8"),
)
PROGRAM: Final = """
import hashlib, json, resource, sys, time
from edgernn_export import quantize
try:
    from tests.support.models.float import float_model, stream
except ModuleNotFoundError:  # A checkout from before there were rooms.
    from tests.float_models import float_model, stream
_, cell, inputs, units, layers, streams, steps, precision = sys.argv[1:]
inputs, streams, steps = int(inputs), int(streams), int(steps)
model = float_model(cell, inputs=inputs, units=int(units), stack=int(layers), outputs=1)
readings = stream(streams * steps, inputs).reshape(streams, steps, inputs)
wall, processor = time.perf_counter(), time.process_time()
made = quantize(model, readings, precision, progress=False)
wall, processor = time.perf_counter() - wall, time.process_time() - processor
unit = 1 if sys.platform == "darwin" else 1024
peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
digest = hashlib.sha256()
for layer in made.layers:
    for affine in layer.affines.values():
        for term in affine.terms:
            digest.update(term.weights.tobytes())
print(json.dumps({"wall_s": wall, "processor_s": processor, "peak_gb": peak_bytes / 1e9,
                  "weights": digest.hexdigest()}))
"""


def main(argv: list[str] | None = None) -> int:
    """Measure and print the table."""
    args = parser(__doc__ or "").parse_args(argv)
    found = compare(PROGRAM, CASES, args)
    cases = [case for case in CASES if args.only is None or args.only in case[0]]
    print("| network | steps | precision | wall, s | | processor, s | memory, GB | same weights |")
    print("|---|---|---|---|---|---|---|---|")
    for case, sides in zip(cases, found, strict=True):
        name, _, _, _, _, streams, steps, precision = case
        print(
            f"| {name} | {int(streams) * int(steps):,} | `{precision}` "
            f"| {before_and_after(sides, 'wall_s', 1)} | {times_faster(sides, 'wall_s')} "
            f"| {before_and_after(sides, 'processor_s', 1)} "
            f"| {before_and_after(sides, 'peak_gb', 2)} | {same(sides, 'weights')} |"
        )
    if args.out:
        rows = [
            {
                "network": name,
                "steps": int(streams) * int(steps),
                "precision": precision,
                "processor_s": sides[-1]["processor_s"],
                "peak_gb": sides[-1]["peak_gb"],
            }
            for (name, *_, streams, steps, precision), sides in zip(cases, found, strict=True)
        ]
        store(args.out, {"rows": rows})
    return 0


if __name__ == "__main__":
    sys.exit(main())
