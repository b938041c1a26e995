"""`edgernn quantize` for an encoder and a decoder, which become programs of one file."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import Any

from edgernn.container.memory import weight_memory
from edgernn.errors import EdgeRnnError
from edgernn.model.program_sets.program_set import ProgramSet
from edgernn_export.calibration.files import holds_arrays, load_arrays
from edgernn_export.cli.arguments import given_ranges
from edgernn_export.float_model.program_sets.programs import FloatPrograms
from edgernn_export.quantizer.program_sets.programs import quantize_programs

#: Options that apply to a network with a single stream, with their defaults.
_OF_ONE_STREAM = {
    "stream": "auto", "window": None, "hop": None, "report": False, "report_data": None,
    "on_bad_reading": "raise", "input_names": None, "input_units": None, "output_names": None,
    "output_units": None, "preparation": None, "decisions": None, "adapt": None,
    "time_column": None, "group": None,
}  # fmt: skip


def quantized_programs(network: FloatPrograms, args: argparse.Namespace) -> ProgramSet:
    """Quantize a network as the arguments say.

    Raises:
        EdgeRnnError: an option does not apply to programs, or calibration is not an .npz file.
    """
    given = [
        f"--{name.replace('_', '-')}"
        for name, default in _OF_ONE_STREAM.items()
        if getattr(args, name, default) != default
    ]
    if given:
        raise EdgeRnnError(
            "quantize: expected options that apply to an encoder and a decoder, got "
            f"{', '.join(given)}. Remove these; they apply to networks with a single stream."
        )
    arrays = dict(load_arrays(args.calibration)) if holds_arrays(args.calibration) else {}
    if not any(arrays):
        raise EdgeRnnError(
            f"--calibration: expected an .npz file with one array [B, T, I] per input, under the "
            f"input's name, got '{args.calibration}'. Create one with numpy.savez."
        )
    return quantize_programs(
        network,
        arrays,
        args.precision,
        range_method=args.range_method,
        input_range=given_ranges(args.input_range),
        operand_scales=args.operand_scales,
        weight_bits=args.weight_bits,
        sparse=args.sparse,
        state=args.state,
        name=args.name or args.output.stem,
    )


def write_programs(args: argparse.Namespace, made: ProgramSet, concerns: Sequence[str]) -> int:
    """Write the file and print its contents."""
    args.output.parent.mkdir(parents=True, exist_ok=True)
    path = made.save(args.output)
    record: dict[str, Any] = {
        "path": str(path),
        "bytes": path.stat().st_size,
        "name": made.name,
        "programs": [
            {"name": model.name, "precision": model.precision_label, "inputs": model.input.width,
             "outputs": model.output.width}
            for model in made.programs
        ],
        "handovers": [
            {"to": f"{one.program}.{one.state}", "from": f"{one.source}.{one.value}"}
            for one in made.handovers
        ],
        "weights_bytes": weight_memory(made.layers).total_bytes,
        "state_bytes": made.state_bytes,
        "model_sha256": made.sha256,
        "warnings": list(concerns),
    }  # fmt: skip
    if args.json:
        print(json.dumps(record))
        return 0
    for program in record["programs"]:
        print(f"{program['name']:<10} {program['inputs']} -> {program['outputs']} channels")
    for one in record["handovers"]:
        print(f"{'initial':<10} {one['to']} from {one['from']}")
    print(f"{record['path']}  {made.programs[0].precision_label}  {record['bytes']} bytes")
    return 0
