"""`edgernn quantize` for networks that read their steps backward, too: passes of one file."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from edgernn.cli.progress import Tell
from edgernn.container.memory import weight_memory
from edgernn.errors import EdgeRnnError
from edgernn.model.program_sets.program_set import ProgramSet
from edgernn.records.opening import TableOptions
from edgernn_export.calibration.files import header_names, load_streams
from edgernn_export.float_model.program_sets.chunks import FloatChunks
from edgernn_export.quantizer.program_sets.chunks import quantize_chunks
from edgernn_export.quantizer.quantizer import refuse_endless

#: Options that apply to networks over a stream alone.
_OF_A_STREAM = ("report", "report_data", "preparation", "decisions", "adapt", "group")


def quantized_chunks(
    network: FloatChunks, args: argparse.Namespace, options: TableOptions, ranges: Any, tell: Tell
) -> ProgramSet:
    """Quantize a network as the arguments say.

    Raises:
        EdgeRnnError: an option does not apply to a network that answers whole chunks.
    """
    refuse_endless(args.stream, args.window, args.hop)
    given = [f"--{name.replace('_', '-')}" for name in _OF_A_STREAM if getattr(args, name, None)]
    if given:
        raise EdgeRnnError(
            "quantize: expected options that apply to a network that answers whole chunks, got "
            f"{', '.join(given)}. Remove these; they apply to networks over a stream."
        )
    network = _named_by_header(network, args, options, ranges)
    tell(f"read {args.calibration.name}")
    names = network.programs[0].input_names
    streams = load_streams(args.calibration, names, options, args.on_bad_reading)
    tell("calibrate and quantize")
    return quantize_chunks(
        network,
        streams,
        args.precision,
        max_steps=args.max_steps,
        range_method=args.range_method,
        input_range=ranges,
        operand_scales=args.operand_scales,
        weight_bits=args.weight_bits,
        sparse=args.sparse,
        state=args.state,
        on_missing=args.on_bad_reading,
        name=args.name or args.output.stem,
    )


def _named_by_header(
    network: FloatChunks, args: argparse.Namespace, options: TableOptions, ranges: Any
) -> FloatChunks:
    """Name unnamed channels after the table's columns, so that other commands find them."""
    first = network.programs[0]
    chosen = any("=" in column for column in options.columns or ()) or ranges is not None
    if args.input_names is not None or chosen:
        return network
    names = header_names(args.calibration, first.input_names, options)
    if names is None or not all(names) or len(set(names)) < len(names):
        return network
    width = len(names)
    programs = tuple(
        replace(model, input_names=(*names, *model.input_names[width:]))
        if one.reads[0].source == "input"
        else model
        for one, model in zip(network.passes, network.programs, strict=True)
    )
    return replace(network, programs=programs)


def write_chunks(args: argparse.Namespace, made: ProgramSet, concerns: Sequence[str]) -> int:
    """Write the file and print its contents."""
    plan = made.chunk
    assert plan is not None
    args.output.parent.mkdir(parents=True, exist_ok=True)
    path = made.save(args.output)
    record: dict[str, Any] = {
        "path": str(path),
        "bytes": path.stat().st_size,
        "name": made.name,
        "precision": made.programs[0].precision_label,
        "passes": [
            {"name": model.name, "direction": one.direction.value, "inputs": model.input.width,
             "outputs": model.output.width}
            for one, model in zip(plan.passes, made.programs, strict=True)
        ],
        "min_steps": plan.min_steps,
        "max_steps": plan.max_steps,
        "sequence": plan.sequence,
        "weights_bytes": weight_memory(made.layers).total_bytes,
        "state_bytes": made.state_bytes,
        "model_sha256": made.sha256,
        "warnings": list(concerns),
    }  # fmt: skip
    if args.json:
        print(json.dumps(record))
        return 0
    print(f"chunks   {plan}, {'one output per step' if plan.sequence else 'one output'}")
    for one in record["passes"]:
        print(f"{one['name']:<10} {one['inputs']} -> {one['outputs']} channels")
    print(f"{record['path']}  {record['precision']}  {record['bytes']} bytes")
    return 0
