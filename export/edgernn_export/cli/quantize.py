"""`edgernn quantize`: convert a trained network to an .edgernn file, with calibration data."""

from __future__ import annotations

import argparse
import dataclasses
import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from edgernn.cli.arguments import (
    add_policy_argument,
    add_table_arguments,
    network_options,
    table_options,
)
from edgernn.cli.progress import Tell, progress
from edgernn.cli.style import is_watched, say
from edgernn.container.memory import weight_memory
from edgernn.errors import EdgeRnnError, EdgeRnnWarning
from edgernn.model.integer_model import IntegerModel
from edgernn.model.storage import Storage
from edgernn.records.opening import TableOptions
from edgernn_export.calibration.files import header_names, refuse_unreadable
from edgernn_export.calibration.frames import is_named
from edgernn_export.cli.arguments import (
    add_label_arguments,
    add_range_arguments,
    add_source_arguments,
    add_state_argument,
    add_stream_arguments,
    given_labels,
    given_ranges,
    weight_bits,
)
from edgernn_export.cli.chunk_quantize import quantized_chunks, write_chunks
from edgernn_export.cli.program_quantize import quantized_programs, write_programs
from edgernn_export.cli.surroundings import Surroundings, add_surroundings_arguments
from edgernn_export.float_model.model import FloatModel
from edgernn_export.float_model.program_sets.chunks import FloatChunks
from edgernn_export.float_model.program_sets.programs import FloatPrograms
from edgernn_export.networks.front_door import read_network
from edgernn_export.quantizer.program_sets.plans import OPERAND_SCALES
from edgernn_export.quantizer.quantizer import quantize
from edgernn_export.quantizer.report import QuantizationReport
from edgernn_export.quantizer.weight_storage import PRECISIONS, SPARSE

HELP: Final = """Quantize a trained network to integers and write an .edgernn file.

The network is an ONNX file or one that Keras wrote; its content tells which.

A network that was trained on windows (a fixed number of readings in, one output) becomes a window
model. Any other network processes an endless stream. Change this with --stream, --window and --hop.
An encoder that passes its states to a decoder (initial_state) becomes several programs in one file.
A bidirectional network, or one with go_backwards=True, answers whole chunks of readings.

Calibration data are representative streams in physical units: .npy or .npz arrays [T, I] or
[B, T, I], or CSV or JSON lines with one reading per line, plain, .gz or .xz. For networks with
several inputs, pass an .npz file with one array per input, under the name of the input. Columns of
tables are matched by channel names (--input-names, --columns); without --input-names, the channels
are named after the columns. Delimiter, decimal mark and encoding
are detected from the first lines. Prefer long streams: the state is kept from start to end.

With --preparation, tables hold raw readings, one time per line (--time-column), and are prepared as
the device will prepare them; arrays are prepared already. The model records the preparation, and
with --decisions what is decided from its outputs. --group names the column that tells which stream
a line of a table belongs to.

Readings that a Masking layer or mask_zero masks are no steps of the network: they do not count in
ranges, and streams may be padded with them.
"""
EXAMPLES: Final = """examples:
  edgernn quantize model.keras --calibration streams.npz -o model.edgernn
  edgernn quantize model.onnx --calibration streams.npy -o model.edgernn
  edgernn quantize model.keras --calibration readings.csv --input-names temperature,humidity \\
      --precision w8a16 --report -o model.edgernn
  edgernn quantize model.keras --calibration readings.csv --input-names temperature,humidity \\
      --input-range temperature=-40:85 --report-data later.csv -o model.edgernn
  edgernn quantize model.keras --calibration streams.npz --precision w4a8 \\
      --weight-bits gru.recurrent=4,dense=8 -o model.edgernn
  edgernn quantize translator.keras --calibration sequences.npz -o translator.edgernn
  edgernn quantize architecture.json --weights weights.h5 --calibration streams.npz \\
      -o model.edgernn
  edgernn quantize weights.safetensors --layout layout.toml --calibration streams.npz \\
      -o model.edgernn
  edgernn quantize model.keras --calibration export.csv.gz --columns T,RH --decimal , \\
      --input-names temperature,humidity --on-bad-reading hold -o model.edgernn
  edgernn quantize model.keras --preparation preparation.toml --decisions decisions.toml \
      --calibration raw.csv --time-column timestamp -o model.edgernn
  edgernn quantize model.keras --calibration sequences.csv --group sequence -o model.edgernn
  edgernn quantize model.keras --calibration readings.csv --adapt rate=0.05,delay=2 \\
      -o model.edgernn
"""

#: Ranges of channels by name, as arguments give them.
_Ranges = dict[str, tuple[float, float]] | None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_source_arguments(parser)
    parser.add_argument(
        "-o", "--output", required=True, type=Path, metavar="OUT.edgernn", help="file to write"
    )
    parser.add_argument(
        "--precision", choices=list(PRECISIONS), default="w8a8",
        help="bits of weights (w) and operands (a) (default: w8a8)",
    )  # fmt: skip
    parser.add_argument(
        "--weight-bits", "--layer-bits", type=weight_bits, metavar="NAME=BITS,...",
        help="weight bits, 8 or 4, of single layers or matrices; overrides --precision",
    )  # fmt: skip
    parser.add_argument(
        "--sparse", choices=SPARSE, default="auto",
        help="leave out 4x4 tiles of zeros (default: auto, if that is smaller); 4-bit weights stay "
        "dense",
    )  # fmt: skip
    add_state_argument(parser)
    add_range_arguments(parser)
    add_stream_arguments(parser)
    parser.add_argument(
        "--max-steps", type=int, metavar="T",
        help="most readings of a chunk, for bidirectional networks (default: from the network's "
        "input shape, else the longest stream of the calibration data)",
    )  # fmt: skip
    parser.add_argument(
        "--operand-scales", choices=OPERAND_SCALES, default="auto",
        help="one weight scale for input and state per row (common), or one each (separate); auto "
        "uses common if the loss is small (default: auto)",
    )  # fmt: skip
    add_label_arguments(parser)
    parser.add_argument(
        "--report", action="store_true",
        help="compare with the float model on the calibration data",
    )  # fmt: skip
    parser.add_argument(
        "--report-data", type=Path, metavar="FILE",
        help="compare on these streams instead, which calibration has not seen",
    )  # fmt: skip
    add_surroundings_arguments(parser)
    add_policy_argument(parser)
    add_table_arguments(parser)


def main(args: argparse.Namespace) -> int:
    """Quantize, write, report."""
    if args.output.suffix != ".edgernn":
        raise EdgeRnnError(f"--output: expected a name ending in .edgernn, got '{args.output}'.")
    options, ranges = table_options(args), given_ranges(args.input_range)
    files = (args.model, args.calibration, args.report_data)
    refuse_unreadable(*(file for file in files if file is not None))
    with progress("quantize", 3 + (args.report or args.report_data is not None)) as tell:
        return _quantize(args, options, ranges, tell)


def _quantize(args: argparse.Namespace, options: TableOptions, ranges: _Ranges, tell: Tell) -> int:
    tell(f"load {args.model.name}")
    surroundings = Surroundings.given(args)
    labels = surroundings.labels(given_labels(args))
    report = None
    with _kept_warnings() as concerns:
        network = read_network(args.model, **network_options(args), **labels)
        if isinstance(network, FloatPrograms):
            made = quantized_programs(network, args)
        elif isinstance(network, FloatChunks):
            made = quantized_chunks(network, args, options, ranges, tell)
        else:
            model, report = _quantized(network, args, options, ranges, surroundings, tell)
    if isinstance(network, FloatPrograms):
        tell("")
        return write_programs(args, made, concerns)
    if isinstance(network, FloatChunks):
        tell("")
        return write_chunks(args, made, concerns)
    record = _written(model, args.output) | {"warnings": concerns}
    tell("")
    if args.json:
        print(json.dumps(record | {"report": json.loads(report.to_json()) if report else None}))
        return 0
    if report:
        print(f"on {args.report_data or f'the calibration data in {args.calibration}'}:")
        print(report.table())
    endless = f"endless stream, {model.rate or 'one output per reading'}"
    print(f"stream   {model.window or endless}")
    if model.window is not None and record["endless_error"] is not None:
        share = f"{record['endless_error']:.2g} standard deviations"
        print(f"         (float outputs would change by {share} as an endless stream)")
    print(f"{record['path']}  {record['precision']}  {record['bytes']} bytes")
    if model.storages != {Storage.DENSE8}:
        memory = weight_memory(model.layers)
        now, dense = memory.stored_bytes + memory.index_bytes, memory.dense_bytes
        print(f"weights on the device: {now} bytes, {now / dense:.0%} of {dense} as dense int8")
    return 0


def _quantized(
    network: FloatModel,
    args: argparse.Namespace,
    options: TableOptions,
    ranges: _Ranges,
    surroundings: Surroundings,
    tell: Tell,
) -> tuple[IntegerModel, QuantizationReport | None]:
    """Quantize a network over one stream, and compare both if a report is wanted."""
    if args.max_steps is not None:
        raise EdgeRnnError(
            "--max-steps: expected a network that reads its steps backward, got "
            f"{args.model.name}, which reads forward only. Omit it; for windows, pass --window."
        )
    if surroundings.preparation is None:
        network = _named_by_header(network, args.calibration, options, ranges)
    names, ports = network.input_names, network.input_ports
    policy = args.on_bad_reading
    tell(f"read {args.calibration.name}")
    load = surroundings.loader(names, options, policy, ports)
    streams = load(args.calibration)
    compared = load(args.report_data) if args.report_data else streams
    tell("calibrate and quantize")
    model = quantize(
        network,
        streams,
        args.precision,
        range_method=args.range_method,
        input_range=ranges,
        operand_scales=args.operand_scales,
        weight_bits=args.weight_bits,
        sparse=args.sparse,
        state=args.state,
        stream=args.stream,
        window=args.window,
        hop=args.hop,
        name=args.name or args.output.stem,
        preparation=surroundings.preparation,
        decisions=surroundings.decisions,
        adaptation=surroundings.adaptation,
        progress=is_watched(),
        on_missing=policy,
    )
    if not args.report and not args.report_data:
        return model, None
    from edgernn_export.quantizer.report import quantization_report

    tell("compare with the float model")
    return model, quantization_report(network, model, compared)


def _named_by_header(
    model: FloatModel, table: Path, options: TableOptions, ranges: _Ranges
) -> FloatModel:
    """Name unnamed channels after the table's columns, so that other commands find them."""
    by_default_name = any("=" in column for column in options.columns or ()) or ranges is not None
    if is_named(model) or model.input_ports or by_default_name:
        return model
    names = header_names(table, model.input_names, options)
    if names is None or names == model.input_names:
        return model
    if not all(names) or len(set(names)) < len(names):  # names that no table could be matched by
        return model
    say(f"input names from the header of {table.name}: {', '.join(names)}")
    return dataclasses.replace(model, input_names=names)


@contextmanager
def _kept_warnings() -> Iterator[list[str]]:
    """Collect the texts of edgernn's warnings; the warnings are issued at the end."""
    concerns: list[str] = []
    caught: list[warnings.WarningMessage] = []
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", EdgeRnnWarning)
            yield concerns
    finally:
        for one in caught:
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)
            if issubclass(one.category, EdgeRnnWarning):
                concerns.append(str(one.message))


def _endless_error(model: IntegerModel) -> float | None:
    """How much an endless stream would change a window network's outputs (`StreamError.share`)."""
    share = dict(model.provenance.settings).get("endless_error")
    return None if share is None else float(share)


def _written(model: IntegerModel, output: Path) -> dict[str, Any]:
    output.parent.mkdir(parents=True, exist_ok=True)
    path = model.save(output)
    memory = weight_memory(model.layers)
    return {
        "path": str(path),
        "bytes": path.stat().st_size,
        "name": model.name,
        "precision": model.precision_label,
        "window": None if model.window is None else asdict(model.window),
        "endless_error": _endless_error(model),
        "weights_bytes": memory.total_bytes,
        "dense_weights_bytes": memory.dense_bytes,
        "model_sha256": model.sha256,
    }
