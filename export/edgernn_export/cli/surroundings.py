"""`--preparation`, `--decisions` and `--adapt`: what a model records besides its network."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgernn.adapt.adaptation import Adaptation
from edgernn.decide.decisions import Decisions
from edgernn.errors import DeclarationError, EdgeRnnError
from edgernn.model.formats import FloatArray
from edgernn.model.interface import Port
from edgernn.prepare.preparation import Preparation
from edgernn.records.opening import TableOptions
from edgernn_export.calibration.files import holds_arrays, load_groups, load_streams
from edgernn_export.calibration.raw_tables import prepare, prepare_groups
from edgernn_export.calibration.streams import missing_policy, without_missing
from edgernn_export.cli.arguments import comma_list


def add_surroundings_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "--preparation", type=Path, metavar="FILE.toml",
        help="how raw readings become readings of the model; recorded in it",
    )  # fmt: skip
    parser.add_argument(
        "--decisions", type=Path, metavar="FILE.toml",
        help="what is decided from the outputs; recorded in the model",
    )  # fmt: skip
    parser.add_argument(
        "--adapt", type=_adaptation, metavar="SETTING=VALUE,...",
        help="record how a head learns on the device to correct the outputs: rate, leak, limit, "
        "error_limit, delay, state",
    )  # fmt: skip
    parser.add_argument(
        "--time-column", metavar="NAME",
        help="with --preparation: column of the times, ISO 8601 or seconds since 1970",
    )  # fmt: skip
    parser.add_argument(
        "--time-zone", default="UTC", metavar="ZONE",
        help="time zone of times without an offset, as in Europe/Berlin (default: UTC)",
    )  # fmt: skip
    parser.add_argument(
        "--group", metavar="COLUMN",
        help="column that separates the streams of a table, such as a device ID",
    )  # fmt: skip


def _adaptation(text: str) -> Adaptation:
    """Settings of a head, as in ``rate=0.05,delay=2``.

    Raises:
        argparse.ArgumentTypeError: the text has another form, or settings are wrong.
    """
    table: dict[str, Any] = {}
    for part in comma_list(text):
        name, equals, value = part.partition("=")
        if not (name and equals and value) or name in table:
            raise argparse.ArgumentTypeError(
                "expected settings, each once, with their values, as in rate=0.05,delay=2, got "
                f"{text!r:.80}"
            )
        try:
            table[name] = int(value) if value.isdecimal() else float(value)
        except ValueError:
            table[name] = value
    try:
        return Adaptation.from_table(table)
    except DeclarationError as error:
        raise argparse.ArgumentTypeError(" ".join(error.reasons).rstrip(".")) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What the arguments say.

    Attributes:
        preparation: how raw readings become readings of the model; None without.
        decisions: what is decided from its outputs; None without.
        adaptation: how a head learns to correct its outputs; None without.
        time_column: of raw tables; "" without.
        zone: of times without an offset.
        group: column of tables that separates streams; "" without.
    """

    preparation: Preparation | None
    decisions: Decisions | None
    adaptation: Adaptation | None
    time_column: str
    zone: str
    group: str

    @staticmethod
    def given(args: argparse.Namespace) -> Surroundings:
        """Read the files that the arguments name.

        Raises:
            DeclarationError: one of them is not valid.
            EdgeRnnError: a column of times without a preparation.
        """
        if args.time_column and not args.preparation:
            raise EdgeRnnError(
                "--time-column: expected --preparation with it, got none. Only a preparation uses "
                "times; omit --time-column."
            )
        return Surroundings(
            preparation=args.preparation and Preparation.from_file(args.preparation),
            decisions=args.decisions and Decisions.from_file(args.decisions),
            adaptation=args.adapt,
            time_column=args.time_column or "",
            zone=args.time_zone,
            group=args.group or "",
        )

    def labels(self, labels: dict[str, Any]) -> dict[str, Any]:
        """The names of channels that were given, or those of the preparation."""
        if self.preparation is None or labels.get("input_names") is not None:
            return labels
        return labels | {"input_names": self.preparation.channels}

    def loader(
        self, names: Sequence[str], options: TableOptions, policy: str, ports: Sequence[Port]
    ) -> Callable[[Path], list[FloatArray]]:
        """What reads the streams of a file: as `load_streams`, and prepares those of tables.

        Args:
            names: of the network's channels.
            options: how a table is to be read.
            policy: what missing values do.
            ports: of several inputs, their names and widths.
        """

        def load(path: Path) -> list[FloatArray]:
            preparation = self.preparation
            arrays = holds_arrays(path)
            if self.group and arrays:
                raise EdgeRnnError(
                    f"--group: expected a table with a column '{self.group}', got arrays "
                    f"('{path.name}'). Omit --group: each array of the file is a stream."
                )
            if self.group and preparation is None:
                return load_groups(path, names, self.group, options, policy)
            if preparation is None or arrays:
                return load_streams(path, names, options, policy, ports)
            how: dict[str, Any] = {
                "time_column": self.time_column, "zone": self.zone, "options": options,
            }  # fmt: skip
            if self.group:
                found = prepare_groups(preparation, path, self.group, **how)
            else:
                found = [prepare(preparation, path, **how)]
            chosen = missing_policy(policy)
            return [without_missing(x, chosen)[0] for one in found for x in one.streams]

        return load
