"""`edgernn sensitivity`: find the layers of a network that tolerate 4-bit weights."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Final

from edgernn.cli.arguments import (
    add_policy_argument,
    add_table_arguments,
    network_options,
    table_options,
)
from edgernn.cli.style import is_watched, table
from edgernn.errors import EdgeRnnError
from edgernn_export.calibration.files import load_streams, refuse_unreadable
from edgernn_export.cli.arguments import (
    add_label_arguments,
    add_range_arguments,
    add_source_arguments,
    add_state_argument,
    add_stream_arguments,
    given_labels,
    given_ranges,
)
from edgernn_export.networks.front_door import read_one_stream
from edgernn_export.quantizer.program_sets.plans import OPERAND_SCALES
from edgernn_export.quantizer.report import finite_values
from edgernn_export.quantizer.sensitivity import (
    BY,
    Measured,
    Sensitivity,
    loss_db,
    scan,
)
from edgernn_export.quantizer.weight_storage import PRECISIONS, SPARSE
from edgernn_export.quantizer.weights.bits import WIDE

HELP: Final = """Find the layers, or matrices, that tolerate 4-bit weights.

Each layer in turn gets 4-bit weights while all others keep 8 bits. The command prints the
signal-to-quantization-noise ratio (SQNR) of the output against the float model, and the bytes
saved. With --max-loss-db or --max-bytes it also chooses layers for 4 bits: first the layer that
saves the most bytes per dB, then the next, measured again after each choice.
"""
EXAMPLES: Final = """examples:
  edgernn sensitivity model.keras --calibration streams.npz
  edgernn sensitivity model.keras --calibration streams.npz --metric-file test.npz \\
      --max-loss-db 3 -o model.edgernn
  edgernn sensitivity model.keras --calibration streams.npz --by matrix
  edgernn sensitivity model.keras --calibration readings.csv --max-bytes 4000 --json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_source_arguments(parser)
    parser.add_argument(
        "--metric-file", type=Path, metavar="FILE",
        help="streams to measure the error on (default: the calibration data)",
    )  # fmt: skip
    parser.add_argument(
        "--precision", choices=[n for n, (_, bits) in PRECISIONS.items() if bits == WIDE],
        default="w8a8", help="precision of the layers with 8-bit weights (default: w8a8)",
    )  # fmt: skip
    parser.add_argument(
        "--max-loss-db", type=float, metavar="DB",
        help="choose 4-bit layers up to this loss of SQNR",
    )  # fmt: skip
    parser.add_argument(
        "--max-bytes", type=int, metavar="N",
        help="choose 4-bit layers until the weights need at most N bytes on the device",
    )  # fmt: skip
    parser.add_argument(
        "--by", choices=BY, default="layer",
        help="change one layer at a time, or one matrix (input kernel or recurrent kernel) "
        "(default: layer)",
    )  # fmt: skip
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="OUT.edgernn",
        help="write the chosen model to this file",
    )
    add_state_argument(parser)
    add_range_arguments(parser)
    parser.add_argument(
        "--operand-scales", choices=OPERAND_SCALES, default="auto",
        help="one weight scale for input and state per row (common), or one each (separate); auto "
        "uses common if the loss is small (default: auto)",
    )  # fmt: skip
    parser.add_argument(
        "--sparse", choices=[c for c in SPARSE if c != "always"], default="auto",
        help="sparse storage of layers with 8-bit weights (default: auto)",
    )  # fmt: skip
    add_label_arguments(parser)
    add_stream_arguments(parser)
    add_policy_argument(parser)
    add_table_arguments(parser)


def main(args: argparse.Namespace) -> int:
    """Scan, print, write."""
    _check(args)
    options = table_options(args)
    files = [args.model, args.calibration, args.metric_file]
    refuse_unreadable(*(path for path in files if path is not None))
    labels = given_labels(args)
    float_model = read_one_stream(args.model, **network_options(args), **labels)
    names, ports = float_model.input_names, float_model.input_ports
    policy = args.on_bad_reading
    measured = args.metric_file and load_streams(args.metric_file, names, options, policy, ports)
    result, model = scan(
        float_model,
        load_streams(args.calibration, names, options, policy, ports),
        args.precision,
        streams=measured,
        max_loss_db=args.max_loss_db,
        max_bytes=args.max_bytes,
        name=args.name or (args.output.stem if args.output else args.model.stem),
        progress=is_watched(),
        stream=args.stream,
        window=args.window,
        hop=args.hop,
        on_missing=policy,
        by=args.by,
        plan={
            "method": args.range_method, "scales": args.operand_scales, "sparse": args.sparse,
            "given_ranges": given_ranges(args.input_range), "state": args.state,
        },
    )  # fmt: skip
    path = None
    if args.output and model is not None:
        args.output.parent.mkdir(parents=True, exist_ok=True)
        path = str(model.save(args.output))
    if args.json:
        print(json.dumps(finite_values(asdict(result)) | {"path": path}, allow_nan=False))
        return 0
    _show(result, args.by)
    if path and model is not None:
        print(f"{path}  {model.precision_label}  {Path(path).stat().st_size} bytes")
    return 0


def _check(args: argparse.Namespace) -> None:
    if args.output is None:
        return
    if args.output.suffix != ".edgernn":
        raise EdgeRnnError(f"--output: expected a name ending in .edgernn, got '{args.output}'.")
    if args.max_loss_db is None and args.max_bytes is None:
        raise EdgeRnnError(
            "--output: expected a limit for choosing a model, got none. "
            "Add --max-loss-db or --max-bytes."
        )


def _show(result: Sensitivity, by: str) -> None:
    """Print a table: one line per layer or matrix, then whole models."""
    wide = result.wide
    rows: list[tuple[str, ...] | None] = [_row(f"no {by}", wide, wide)]
    rows += [
        (
            cost.layer,
            f"{cost.sqnr_db:.2f}",
            f"{cost.loss_db:.2f}",
            str(wide.weights_bytes - cost.bytes_saved),
            str(cost.bytes_saved),
        )
        for cost in result.layers
    ]
    rows.append(_row(f"every {by}", result.narrow, wide))
    if result.chosen is not None:
        layers = [name for name, bits in result.chosen.bits.items() if bits != WIDE]
        rows += [None, _row(f"chosen: {', '.join(layers) or f'no {by}'}", result.chosen, wide)]
    print(f"4-bit weights, otherwise {result.precision}, over {result.steps} steps")
    titles = ("4 bits in", "output SQNR [dB]", "loss [dB]", "weights [B]", "saved [B]")
    print("\n".join(table(titles, rows, "<>>>>")))


def _row(title: str, measured: Measured, wide: Measured) -> tuple[str, ...]:
    return (
        title,
        f"{measured.sqnr_db:.2f}",
        f"{loss_db(measured, wide):.2f}",
        str(measured.weights_bytes),
        str(wide.weights_bytes - measured.weights_bytes),
    )
