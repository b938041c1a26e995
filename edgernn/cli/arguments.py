"""Arguments that several commands share: the model, tables of readings, bad readings."""

from __future__ import annotations

import argparse
import difflib
import json
from importlib import resources
from pathlib import Path
from typing import Any, Final

from edgernn.cli.trained_networks import refuse_trained_network, trained_network
from edgernn.errors import EdgeRnnError
from edgernn.records.columns import split_names
from edgernn.records.dialect import DELIMITERS
from edgernn.records.opening import TableOptions
from edgernn.session.policies import OnBadReading, Policy, check_policy

#: Models inside the package, by name.
PACKAGED: Final = {"demo": "demo.edgernn"}
_MODEL_SUFFIXES: Final = (".edgernn", ".tflite", ".onnx")
_TABLE_SUFFIXES: Final = (".csv", ".tsv", ".txt", ".jsonl", ".ndjson", ".npy", ".npz", ".xz", ".gz")

#: Runtimes by the names of their distributions: the back-end of `edgernn.load`, and its runtime.
RUNTIME_NAMES: Final = {
    "tflite-runtime": ("tflite", "tflite_runtime"),
    "ai-edge-litert": ("tflite", "ai_edge_litert"),
    "onnxruntime": ("onnx", ""),
}


def runtime_list(text: str) -> tuple[str, ...]:
    """Runtimes between commas; tflite and onnx stand for all runtimes of their files."""
    found: list[str] = []
    for name in (part.strip() for part in text.split(",")):
        kinds = [runtime for runtime, (kind, _) in RUNTIME_NAMES.items() if kind == name]
        found += kinds or [name]
    return tuple(dict.fromkeys(found))


def add_model_argument(
    parser: argparse.ArgumentParser, kinds: str = ".edgernn, .tflite or .onnx file"
) -> None:
    """Accept the model as a positional argument or as `--model`."""
    parser.add_argument(
        "path", nargs="?", metavar="MODEL",
        help=f"{kinds}, or 'demo' for the packaged model (write ./demo for a file with that name)",
    )  # fmt: skip
    parser.add_argument("--model", metavar="MODEL", help="the same as MODEL")


def add_network_arguments(parser: argparse._ActionsContainer) -> None:
    """Declare what completes a trained network that is not in one file."""
    parser.add_argument(
        "--weights", type=Path, metavar="FILE.h5", help="weights for a JSON architecture"
    )
    parser.add_argument(
        "--layout", type=Path, metavar="FILE.toml",
        help="layers of a network of which a file has the weights alone (.safetensors, .pt, .npz)",
    )  # fmt: skip
    parser.add_argument(
        "--input-value", type=_input_value, action="append", metavar="NAME=VALUE",
        help="an input of an ONNX network that is the same in every call, such as sr=16000; "
        "repeatable",
    )  # fmt: skip
    parser.add_argument(
        "--input-shape", type=_input_shape, action="append", metavar="NAME=N,N,...",
        help="the shape of an input of an ONNX network whose sizes the file leaves open, such as "
        "input=1,576; ? for a size that stays open; repeatable",
    )  # fmt: skip


def _input_value(text: str) -> tuple[str, Any]:
    """An input and its value, as in ``sr=16000`` or ``scale=[1.0,2.0]``.

    Raises:
        argparse.ArgumentTypeError: the text has another form.
    """
    name, _, value = text.partition("=")
    try:
        if name:
            return name, json.loads(value)
    except (ValueError, RecursionError):
        pass
    raise argparse.ArgumentTypeError(
        f"expected a name and a number, or numbers in brackets, as in sr=16000, got {text!r:.80}"
    )


def _input_shape(text: str) -> tuple[str, tuple[int | None, ...]]:
    """An input and its shape, as in ``input=1,576`` or ``x=1,?,3``.

    Raises:
        argparse.ArgumentTypeError: the text has another form.
    """
    name, _, shape = text.partition("=")
    try:
        if name:
            return name, tuple(None if one == "?" else int(one) for one in shape.split(","))
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(
        f"expected a name and sizes, as in input=1,576, got {text!r:.80}"
    )


def network_options(args: argparse.Namespace) -> dict[str, Any]:
    """What `add_network_arguments` declares, as the readers of networks take it.

    Raises:
        EdgeRnnError: an input appears twice.
    """
    options = {"weights": args.weights, "layout": args.layout}
    for option in ("input_value", "input_shape"):
        pairs = getattr(args, option)
        told = dict(pairs or ())
        if len(told) < len(pairs or ()):
            raise EdgeRnnError(
                f"--{option.replace('_', '-')}: expected one for each input, got two. Remove one."
            )
        options[f"{option}s"] = told or None
    return options


def add_program_argument(parser: argparse.ArgumentParser, purpose: str) -> None:
    """Declare which program of a file with several programs is meant."""
    parser.add_argument("--program", metavar="NAME", default="", help=purpose)


def model_path(args: argparse.Namespace, *, networks: bool = False) -> Path:
    """The file of the model that the arguments name.

    Raises:
        EdgeRnnError: no model or two models, the packaged model is missing, or the file cannot be
            a model.
    """
    given = [value for value in (args.path, args.model) if value is not None]
    if len(given) != 1:
        raise EdgeRnnError(
            f"model: expected one model, got {' and '.join(given) or 'none'}. "
            "Pass one file, or 'demo' for the packaged model."
        )
    path = model_file(given[0])
    table = path.suffix.lower() in _TABLE_SUFFIXES and path.suffix.lower() != ".npz"
    if not (networks and path.exists() and not table and trained_network(path)):
        check_model_file(path)
    return path


def model_file(text: str) -> Path:
    """The file that a model argument names; usable as the type of an argument.

    Args:
        text: a path, or the name of a packaged model, which takes precedence over a file with the
            same name.

    Raises:
        EdgeRnnError: the packaged model is missing.
    """
    if text not in PACKAGED:
        return Path(text)
    # Wheels are installed unpacked: a resource of the package is a file.
    packaged = Path(str(resources.files("edgernn"))) / "data" / PACKAGED[text]
    if not packaged.is_file():
        raise EdgeRnnError(
            f"model: expected the packaged model '{text}', got an installation without it. "
            "Reinstall edgernn."
        )
    return packaged


def check_model_file(path: Path) -> None:
    """Refuse a file that cannot be a model; damaged model files have other errors.

    Args:
        path: a model file, or a folder with exported C sources.

    Raises:
        EdgeRnnError: no such file, a folder without sources, a trained network or a table.
    """
    if path.is_dir():
        # Packages have their sources in a folder or two of their own.
        if any(next(path.glob(pattern), None) for pattern in ("*.c", "*/*.c", "*/*/*.c")):
            return
        raise EdgeRnnError(f"model: expected a file, got the folder '{path}'.")
    if not path.exists():
        nearby = [p.name for p in path.parent.glob("*") if p.suffix in _MODEL_SUFFIXES]
        like = difflib.get_close_matches(path.name, nearby, n=1)
        hint = f" Did you mean '{path.with_name(like[0])}'?" if like else ""
        raise EdgeRnnError(f"model: expected an existing file, got '{path!s:.200}'.{hint}")
    if not path.is_file():
        return  # a pipe, whose content can be read once only
    if path.suffix.lower() in _TABLE_SUFFIXES:  # .npz files are archives too, as .keras files are
        raise EdgeRnnError(
            f"model: expected an .edgernn, .tflite or .onnx file, got '{path.name}'. "
            "Pass the model first, and readings with their own option."
        )
    refuse_trained_network(path)


def is_packaged(path: Path) -> bool:
    """Whether a file belongs to the package, so that nothing is to be written next to it."""
    return path.parent == Path(str(resources.files("edgernn"))) / "data"


def add_table_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare how a table is read."""
    table = parser.add_argument_group("table options", "detected from the first lines by default")
    table.add_argument(
        "--columns", metavar="A,B,...",
        help="columns to read, in the order of the model's channels, by name or by position "
        "(from 1); or channel=column for each column with another name",
    )  # fmt: skip
    table.add_argument(
        "--delimiter", metavar="C", help=f"delimiter: {', '.join(DELIMITERS)}, or a character"
    )
    table.add_argument("--decimal", metavar="C", help="decimal mark: '.' or ','")
    table.add_argument(
        "--encoding", help="text encoding (default: from the byte order mark, else utf-8)"
    )
    table.add_argument(
        "--one-stream", action="store_true",
        help="read all rows as one stream, even if a column that looks like a sensor ID changes",
    )  # fmt: skip


def add_policy_argument(parser: argparse.ArgumentParser) -> None:
    """Declare how bad readings of recorded streams are handled."""
    parser.add_argument(
        "--on-bad-reading", choices=[policy.value for policy in Policy],
        default=Policy.RAISE.value,
        help="readings without a number for every channel: raise an error, hold the channel's last "
        "value, or skip the reading (default: raise)",
    )  # fmt: skip


def on_bad_reading(text: str) -> OnBadReading:
    """A policy or a number for all channels, or one per channel: ``wind=hold,pressure=1013.0``.

    Raises:
        argparse.ArgumentTypeError: the text is not a value or a list of values by name, or a name
        appears twice.
    """
    try:
        parts = split_names("", text)
        if len(parts) == 1 and "=" not in text:
            given: OnBadReading = _policy(parts[0])
        else:
            pairs = [part.rpartition("=") for part in parts]
            given = {name.strip(): _policy(policy) for name, _, policy in pairs}
            if len(given) < len(parts) or "" in given:
                raise EdgeRnnError("distinct names")
        check_policy(given)
    except EdgeRnnError:
        raise argparse.ArgumentTypeError(
            f"expected {', '.join(policy.value for policy in Policy)} or a number, or one per "
            f"channel, each once, as in wind=hold,pressure=1013.0, got {text!r:.80}"
        ) from None
    return given


def _policy(text: str) -> Any:
    """A number, or the text of a policy."""
    try:
        return float(text)
    except ValueError:
        return text.strip()


def table_options(args: argparse.Namespace, format_: str | None = None) -> TableOptions:
    """How a table is read, from the arguments.

    Raises:
        EdgeRnnError: a value is invalid.
    """
    delimiter: str | None = args.delimiter
    if delimiter is not None:
        delimiter = DELIMITERS.get(delimiter, delimiter.replace("\\t", "\t"))
    return TableOptions(
        format=format_,
        delimiter=delimiter,
        decimal=args.decimal,
        encoding=args.encoding,
        columns=None if args.columns is None else split_names("--columns", args.columns),
        one_stream=args.one_stream,
    )
