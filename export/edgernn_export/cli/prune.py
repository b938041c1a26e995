"""`edgernn prune`: make a Keras model smaller or its weights sparse."""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from edgernn.cli.progress import progress
from edgernn.cli.style import bad, say
from edgernn.errors import EdgeRnnWarning, PruningError
from edgernn_export.cli.arguments import comma_list
from edgernn_export.compress.pruning.allocation import ALLOCATIONS, DEFAULT_ALLOCATION
from edgernn_export.compress.pruning.masks import PATTERNS

HELP: Final = """Make a trained Keras model smaller, or its weights sparse.

Choose one method per call:
  --units, --threshold  remove hidden units
  --inputs              remove input channels without influence
  --rank, --energy      lower the rank of a kernel
  --magnitude           set the smallest weights to zero

The result is a Keras model without an optimizer: compile it and continue training. If nothing can
be removed, the command fails and writes no file.
"""
EXAMPLES: Final = """examples:
  edgernn prune model.keras --units 50% -o smaller.keras
  edgernn prune model.keras --units 12 --layer lstm -o smaller.keras
  edgernn prune model.keras --threshold 0.001 -o smaller.keras
  edgernn prune model.keras --inputs --calibration readings.csv -o smaller.keras
  edgernn prune model.keras --energy 0.95 --layer lstm -o smaller.keras
  edgernn prune model.keras --magnitude --density 0.3 --pattern 8x4 -o sparse.keras
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """The result of one method.

    Attributes:
        model: the new keras.Model.
        record: the fields that --json prints in addition to the file.
        lines: the lines on stdout.
        advice: the next step.
        removed: number of units, channels or weights that were removed.
        cure: the fix if nothing was removed.
        warnings: problems with the removed parts.
    """

    model: Any
    record: dict[str, Any]
    lines: list[str]
    advice: str
    removed: int
    cure: str
    warnings: tuple[str, ...] = ()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("model", metavar="MODEL.keras", type=Path, help="model to load with Keras")
    parser.add_argument(
        "-o", "--output", required=True, type=Path, metavar="OUT.keras", help="file to write"
    )
    modes = parser.add_mutually_exclusive_group(required=True)
    modes.add_argument(
        "--units", type=_units, metavar="N|F%",
        help="hidden units to keep: a number, or a share such as 50%%",
    )  # fmt: skip
    modes.add_argument(
        "--threshold", type=float, metavar="NORM",
        help="remove hidden units with a group norm up to NORM; 0 removes units without influence",
    )  # fmt: skip
    modes.add_argument(
        "--inputs", action="store_true", help="remove input channels without influence"
    )
    modes.add_argument("--rank", type=int, metavar="R", help="rank of the layer's kernel")
    modes.add_argument(
        "--energy", type=float, metavar="E",
        help="lowest rank that keeps this share of the kernel's squared singular values",
    )  # fmt: skip
    modes.add_argument("--magnitude", action="store_true", help="set the smallest weights to zero")
    parser.add_argument(
        "--layer", action="append", metavar="L",
        help="name of a layer; repeatable (default: all recurrent layers)",
    )  # fmt: skip
    parser.add_argument(
        "--calibration", type=Path, metavar="FILE",
        help="with --inputs: readings; also removes channels that never change",
    )  # fmt: skip
    parser.add_argument(
        "--input-names", type=comma_list, metavar="A,B,...", help="with --inputs: channel names"
    )
    parser.add_argument(
        "--density", type=float, metavar="D", help="with --magnitude: share of weights to keep"
    )
    parser.add_argument(
        "--pattern", choices=PATTERNS, help="with --magnitude: blocks to remove (default: 8x4)"
    )
    parser.add_argument(
        "--allocation", choices=ALLOCATIONS,
        help="with --magnitude: the density applies to each matrix (its gates compete), to each "
        "gate of each matrix, or to each gate over kernel and recurrent kernel together "
        f"(default: {DEFAULT_ALLOCATION})",
    )  # fmt: skip


def _units(text: str) -> int | float:
    """A number of units, or a share in percent as a float."""
    return float(text[:-1]) / 100.0 if text.endswith("%") else int(text)


def main(args: argparse.Namespace) -> int:
    """Prune, write, report."""
    mode = _mode(args)
    if args.output.suffix != ".keras":
        raise PruningError(f"--output: expected a name ending in .keras, got '{args.output}'.")
    with progress("prune", 3) as tell:
        tell(f"load {args.model.name}")
        from edgernn_export.keras_reader.source import open_source

        model = open_source(args.model)
        before = int(model.count_params())
        tell(f"apply --{mode}")
        made = _MODES[mode](model, args)
        if not made.removed:
            raise PruningError(
                f"{args.model.name}: expected something to remove, got nothing. {made.cure}"
            )
        tell(f"write {args.output.name}")
        args.output.parent.mkdir(parents=True, exist_ok=True)
        made.model.save(args.output)
    record = {
        "path": str(args.output),
        "mode": mode,
        "parameters_before": before,
        "parameters_after": int(made.model.count_params()),
    } | made.record
    if args.json:
        print(json.dumps(record))
    else:
        print("\n".join(made.lines))
        print(f"{args.output}  {record['parameters_after']} parameters (before: {before})")
    for warning in made.warnings:
        say(f"edgernn prune: {bad('warning:', on_stderr=True)} {warning}")
    say(f"Next: {made.advice}")
    return 0


#: Options that belong to a single method, by the name of their attribute.
_OWNED: Final = {
    "calibration": "inputs",
    "input_names": "inputs",
    "density": "magnitude",
    "pattern": "magnitude",
    "allocation": "magnitude",
}


def _mode(args: argparse.Namespace) -> str:
    """The chosen method; options that it would ignore are rejected."""
    unset = (None, False)  # by identity: 0 is an answer
    mode = next(m for m in _MODES if not any(getattr(args, m) is value for value in unset))
    owned = [o for o, m in _OWNED.items() if m != mode and getattr(args, o) is not None]
    if mode == "inputs" and args.layer:
        owned.append("layer")
    if owned:
        option = owned[0].replace("_", "-")
        raise PruningError(f"--{option}: expected it without --{mode}, got both. Remove one.")
    if mode == "magnitude" and args.density is None:
        raise PruningError(
            "--density: expected a share of weights with --magnitude, got none. Add: --density 0.5"
        )
    if mode in ("rank", "energy") and len(args.layer or ()) != 1:
        raise PruningError(
            f"--layer: expected one layer with --{mode}, got {len(args.layer or ())}."
        )
    return mode


_TRAIN_ON: Final = "compile the model and continue training with model.fit"


def _remove_units(model: Any, args: argparse.Namespace) -> Pruned:
    from edgernn_export.compress.structured import norm_table, remove_units, unit_norms

    norms = unit_norms(model, args.layer)
    asked: dict[str, Any] = {"threshold": args.threshold}
    if args.units is not None:
        asked = {"fraction" if isinstance(args.units, float) else "keep": args.units}
    smaller = remove_units(model, layers=args.layer, **asked)
    after = {name: values.size for name, values in unit_norms(smaller, list(norms)).items()}
    lines = [norm_table(norms)]
    lines += [f"{name}: {norms[name].size} units, {count} kept" for name, count in after.items()]
    units = {name: {"before": norms[name].size, "after": count} for name, count in after.items()}
    return Pruned(
        model=smaller,
        record={"units": units},
        lines=lines,
        advice=_TRAIN_ON,
        removed=sum(count["before"] - count["after"] for count in units.values()),
        cure="Lower --units."
        if args.units is not None
        else "Raise --threshold: the least norm of a unit is "
        f"{min(float(values.min()) for values in norms.values()):.3g}.",
    )


def _remove_inputs(model: Any, args: argparse.Namespace) -> Pruned:
    from edgernn_export.calibration.files import load_streams
    from edgernn_export.compress.structured import remove_inputs
    from edgernn_export.keras_reader.reader import read_keras

    names = read_keras(model, input_names=args.input_names).input_names
    streams = None if args.calibration is None else load_streams(args.calibration, names)
    smaller = remove_inputs(model, streams, input_names=names)
    lines = [f"{name}: not used by any weight" for name in smaller.unread]
    lines += [f"{name}: always {value:g}" for name, value in smaller.constant.items()]
    record = {
        "kept": list(smaller.kept),
        "kept_names": list(smaller.kept_names),
        "unread": list(smaller.unread),
        "constant": smaller.constant,
    }
    stay = ",".join(smaller.kept_names)
    return Pruned(
        model=smaller.model,
        record=record,
        lines=[*lines, f"{len(smaller.kept)} of {len(names)} channels kept: {stay}"],
        advice=f"pass only these channels; quantize with --input-names {stay}",
        removed=len(names) - len(smaller.kept),
        cure="The network uses every channel"
        + (
            ". Pass readings with --calibration to find channels that never change."
            if args.calibration is None
            else ", and every channel changes."
        ),
    )


def _lower_rank(model: Any, args: argparse.Namespace) -> Pruned:
    from edgernn_export.compress.structured import factorize

    made = factorize(model, args.layer[0], rank=args.rank, energy=args.energy)
    record = {
        name: getattr(made, name) for name in ("layer", "dense", "rank", "energy")
    } | {"parameters_saved": made.parameters_saved}  # fmt: skip
    line = (
        f"{made.layer}: rank {made.rank} keeps {made.energy:.2%} of the energy and saves "
        f"{made.parameters_saved} of {made.parameters_before} weights (new layer {made.dense})"
    )
    return Pruned(
        model=made.model,
        record=record,
        lines=[line],
        advice=_TRAIN_ON,
        removed=made.parameters_saved,
        cure="",  # `factorize` refuses a rank that saves nothing
    )


def _magnitude(model: Any, args: argparse.Namespace) -> Pruned:
    from edgernn_export.compress.pruning import MagnitudePruning

    pattern, allocation = args.pattern or "8x4", args.allocation or DEFAULT_ALLOCATION
    # A schedule that ends before the first batch: all weights are pruned at its beginning.
    pruning = MagnitudePruning(
        args.density, end_step=0, pattern=pattern, allocation=allocation, layers=args.layer
    )
    pruning.set_model(model)  # type: ignore[attr-defined]  # of keras.callbacks.Callback
    before = _zeros(model, args.layer)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", EdgeRnnWarning)
        pruning.on_train_begin()
    others = "" if allocation == DEFAULT_ALLOCATION else f", allocation={allocation!r}"
    others += f", layers={args.layer}" if args.layer else ""
    return Pruned(
        model=model,
        record={
            "pattern": pattern,
            "allocation": allocation,
            "density": args.density,
            "densities": pruning.densities(),
            "warnings": [str(entry.message) for entry in caught],
        },
        lines=[pruning.report()],
        advice="compile the model and continue training with model.fit(callbacks=[MagnitudePruning("
        f"{args.density}, end_step=0, pattern={pattern!r}{others})]), which keeps the zeros",
        removed=_zeros(model, args.layer) - before,
        cure=f"At density {args.density} all {pattern} blocks that are not zero yet are kept. "
        "Lower --density, or use a finer --pattern.",
        warnings=tuple(str(entry.message) for entry in caught),
    )


def _zeros(model: Any, layers: Sequence[str] | None) -> int:
    """Number of zero weights in the pruned matrices."""
    from edgernn_export.compress.pruning.keras_matrices import find_matrices

    return sum(int((matrix.read() == 0.0).sum()) for matrix in find_matrices(model, layers))


_MODES: Final[dict[str, Callable[[Any, argparse.Namespace], Pruned]]] = {
    "units": _remove_units,
    "threshold": _remove_units,
    "inputs": _remove_inputs,
    "rank": _lower_rank,
    "energy": _lower_rank,
    "magnitude": _magnitude,
}
