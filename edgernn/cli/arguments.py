"""Arguments that several commands share: the model, a table of readings, bad readings."""

from __future__ import annotations

import argparse
from importlib import resources
from pathlib import Path
from typing import Any, Final

from edgernn.errors import EdgeRnnError
from edgernn.records.columns import split_names
from edgernn.records.dialect import DELIMITERS
from edgernn.records.opening import TableOptions
from edgernn.session.policies import OnBadReading, Policy, check_policy

#: Models shipped inside the package, by name.
PACKAGED: Final = {"demo": "demo.edgernn"}


def add_model_argument(parser: argparse.ArgumentParser) -> None:
    """Accept the model as a positional path or as `--model`."""
    parser.add_argument("path", nargs="?", metavar="MODEL", help=".edgernn, .tflite or .onnx file")
    parser.add_argument("--model", metavar="MODEL", help="the same; 'demo' is the packaged model")


def add_program_argument(parser: argparse.ArgumentParser, purpose: str) -> None:
    """Declare which program of a file of several is meant."""
    parser.add_argument("--program", metavar="NAME", default="", help=purpose)


def model_path(args: argparse.Namespace) -> Path:
    """The file the arguments name.

    Raises:
        EdgeRnnError: no model or two, or a packaged model that is not there.
    """
    given = [value for value in (args.path, args.model) if value is not None]
    if len(given) != 1:
        raise EdgeRnnError(
            f"model: expected one model, got {' and '.join(given) or 'none'}. "
            "Name a file, or the packaged one with: --model demo"
        )
    if args.model not in PACKAGED:
        return Path(given[0])
    # Wheels are installed unpacked: a resource of the package is a file.
    packaged = Path(str(resources.files("edgernn"))) / "data" / PACKAGED[args.model]
    if not packaged.is_file():
        raise EdgeRnnError(
            f"model: expected the packaged model '{args.model}', "
            "got an installation without it. Install edgernn again."
        )
    return packaged


def add_table_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what can be said about a table."""
    table = parser.add_argument_group("tables", "what is left out is told by the first lines")
    table.add_argument(
        "--columns", metavar="A,B,...",
        help="columns of the model's channels, in their order, by name or by position from 1; or "
        "channel=column for those that are called otherwise",
    )  # fmt: skip
    table.add_argument(
        "--delimiter", metavar="C", help=f"between cells: {', '.join(DELIMITERS)}, or a character"
    )
    table.add_argument("--decimal", metavar="C", help="decimal mark: '.' or ','")
    table.add_argument(
        "--encoding", help="of the text (default: by its byte order mark, else utf-8)"
    )
    table.add_argument(
        "--one-stream", action="store_true",
        help="a column that seems to tell sensors apart may change: the rows are one stream",
    )  # fmt: skip


def add_policy_argument(parser: argparse.ArgumentParser) -> None:
    """Declare what bad readings of recorded streams do."""
    parser.add_argument(
        "--on-bad-reading", choices=[policy.value for policy in Policy],
        default=Policy.RAISE.value,
        help="readings without a number for every channel: stop with an error, hold the channel's "
        "last value, or leave them out (default: raise)",
    )  # fmt: skip


def on_bad_reading(text: str) -> OnBadReading:
    """A policy or a number for all channels, or by name, as in ``wind=hold,pressure=1013.0``.

    Raises:
        argparse.ArgumentTypeError: neither, or a name twice.
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
            f"expected {', '.join(policy.value for policy in Policy)} or a number, or such by name "
            f"as in wind=hold,pressure=1013.0, each name once, got {text!r:.80}"
        ) from None
    return given


def _policy(text: str) -> Any:
    """A number, or what may be a policy."""
    try:
        return float(text)
    except ValueError:
        return text.strip()


def table_options(args: argparse.Namespace, format_: str | None = None) -> TableOptions:
    """What the arguments say.

    Raises:
        EdgeRnnError: a value that is none.
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
