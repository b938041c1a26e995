"""`edgernn inspect`: gates over a stream, memory of units, gradients against distance."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Final

from edgernn.cli.arguments import (
    add_network_arguments,
    add_policy_argument,
    add_table_arguments,
    model_file,
    network_options,
    table_options,
)
from edgernn.errors import EdgeRnnError
from edgernn.model.integer_model import IntegerModel
from edgernn_export.calibration.files import load_streams, refuse_unreadable
from edgernn_export.inspection import gate_traces, gradients, memory
from edgernn_export.networks.front_door import read_one_stream

HELP: Final = """Look inside a recurrent network.

--gates runs the model over a recording and shows what each gate and state did: how often gates are
closed (below 0.1) and open (above 0.9). The values of an integer model are those of the reference.

--memory changes the state of each unit and measures after how many steps less than half of the
change is left.

--gradients shows how strongly the last output depends on the reading k steps before, by automatic
differentiation; with --compare, next to untrained SimpleRNN, LSTM and GRU networks of the same
width. It needs a Keras model; the others take integer models and trained networks of every format.

--memory and --gradients generate random readings unless --data names a recording.
"""
EXAMPLES: Final = """examples:
  edgernn inspect model.edgernn --gates readings.csv -o gates.png
  edgernn inspect model.keras --gates readings.csv -o gates.npz
  edgernn inspect model.edgernn --memory --steps 500 --json
  edgernn inspect model.keras --gradients --compare -o gradients.png
"""
#: Steps that are looked at by default.
_STEPS: Final = {"memory": 200, "gradients": 100}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "model", metavar="MODEL", type=inspected_model,
        help="an .edgernn file, a trained network, or 'demo' for the packaged integer model",
    )  # fmt: skip
    topics = parser.add_mutually_exclusive_group(required=True)
    topics.add_argument(
        "--gates", type=Path, metavar="FILE", help="traces of gates and states over this recording"
    )
    topics.add_argument("--memory", action="store_true", help="half-life of each unit")
    topics.add_argument(
        "--gradients", action="store_true", help="gradient of the last output against distance"
    )
    parser.add_argument(
        "--data", type=Path, metavar="FILE", help="recording for --memory and --gradients"
    )
    parser.add_argument(
        "--steps", type=int, metavar="N",
        help="longest distance in steps (default: 200 for --memory, 100 for --gradients)",
    )  # fmt: skip
    parser.add_argument(
        "--compare", action="store_true",
        help="with --gradients: add untrained SimpleRNN, LSTM and GRU networks",
    )  # fmt: skip
    add_network_arguments(parser)
    parser.add_argument(
        "-o", "--output", type=Path, metavar="OUT", help="picture (.png); of --gates also .npz"
    )
    add_policy_argument(parser)
    add_table_arguments(parser)


def inspected_model(text: str) -> Path:
    """The file that a model argument names: unlike `model_file`, of a network too."""
    return model_file(text)


def main(args: argparse.Namespace) -> int:
    """Measure, print, draw."""
    _check(args)
    given = (args.model, args.gates, args.data, args.weights, args.layout)
    refuse_unreadable(*(path for path in given if path is not None))
    found: Any
    if args.gradients:
        found = _gradients(args)
    else:
        model = _model(args)
        if args.gates is not None:
            found = gate_traces(model, _stream(args, args.gates, model))
        else:
            readings = None if args.data is None else _stream(args, args.data, model)
            found = memory(model, readings, longest=args.steps or _STEPS["memory"])
    print(found.to_json() if args.json else found.table())
    if args.output is not None:
        save = found.save if args.output.suffix.lower() == ".npz" else found.plot
        save(args.output)
    return 0


def _check(args: argparse.Namespace) -> None:
    if args.output is not None:
        kinds = (".png", ".npz") if args.gates is not None else (".png",)
        if args.output.suffix.lower() not in kinds:
            raise EdgeRnnError(
                f"--output: expected a name ending in {' or '.join(kinds)}, got '{args.output}'."
            )
    if args.compare and not args.gradients:
        raise EdgeRnnError("--compare: expected it together with --gradients, got it alone.")
    if args.gates is not None and (args.data is not None or args.steps is not None):
        raise EdgeRnnError(
            "--gates: expected no --data and no --steps, got one of them. --gates names the "
            "recording, and all of it is traced."
        )
    told = (
        ("--layout", args.layout, "a file of weights"),
        ("--input-value", args.input_value, "an ONNX network"),
        ("--input-shape", args.input_shape, "an ONNX network"),
    )
    for option, given, wanted in told:
        if given is not None and _is_integer(args.model):
            raise EdgeRnnError(
                f"{option}: expected {wanted} with it, got '{args.model.name}', which is an "
                "integer model. Remove it."
            )
    if args.weights is not None and _is_integer(args.model):
        raise EdgeRnnError(
            f"--weights: expected a JSON architecture with it, got '{args.model.name}', which has "
            "its weights. Remove it."
        )
    if args.steps is not None and args.steps < 1:
        raise EdgeRnnError(f"--steps: expected 1 or more, got {args.steps}.")


def _is_integer(path: Path) -> bool:
    return path.suffix.lower() == ".edgernn"


def _model(args: argparse.Namespace) -> Any:
    """An integer model, or a float network."""
    if not _is_integer(args.model):
        return read_one_stream(args.model, **network_options(args))
    return IntegerModel.load(args.model)


def _stream(args: argparse.Namespace, path: Path, model: Any) -> Any:
    """The one recording of a file [T, I]."""
    if isinstance(model, IntegerModel):
        names, ports = model.input.names, model.input.ports
    else:
        names, ports = model.input_names, model.input_ports
    streams = load_streams(path, names, table_options(args), args.on_bad_reading, ports)
    if len(streams) > 1:
        raise EdgeRnnError(
            f"{path.name}: expected one recording, got {len(streams)}. Save one of them in a "
            "separate file."
        )
    return streams[0]


def _gradients(args: argparse.Namespace) -> Any:
    if _is_integer(args.model):
        raise EdgeRnnError(
            f"--gradients: expected a Keras model, got '{args.model.name}'. Integers have no "
            "gradients; pass the network that it was quantized from."
        )
    from edgernn_export.keras_reader.source import open_source

    for option in ("layout", "input_value", "input_shape"):
        if getattr(args, option) is not None:
            raise EdgeRnnError(
                f"--{option.replace('_', '-')}: expected a Keras model for --gradients, got another"
                " network. Gradients are computed by Keras alone."
            )
    if args.weights is not None:
        raise EdgeRnnError(
            "--weights: expected a whole Keras model for --gradients, got separate weights. Load "
            "both in Python and save the model as one .keras file."
        )
    readings = None
    if args.data is not None:
        readings = _stream(args, args.data, read_one_stream(args.model))
    network = open_source(args.model)
    steps = args.steps or _STEPS["gradients"]
    return gradients(network, readings, steps=steps, compare=args.compare)
