"""One measurement in a separate process, in this checkout and, for comparison, in another one."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from tqdm import tqdm

HERE: Final = Path(__file__).resolve().parents[1]
#: What a program that is measured prints: figures by name.
Figures = dict[str, Any]


def parser(description: str) -> argparse.ArgumentParser:
    """Options of a benchmark that compares checkouts."""
    made = argparse.ArgumentParser(description=description.splitlines()[0])
    made.add_argument("--against", type=Path, help="checkout to compare with, taking turns")
    made.add_argument("--rounds", type=int, default=3, help="turns of each checkout (default 3)")
    made.add_argument("--only", help="cases whose name has this text")
    made.add_argument("--out", type=Path, help="write this checkout's figures here, as JSON")
    return made


def figures(program: str, checkout: Path, arguments: Sequence[str], threads: int | None) -> Figures:
    """What a program prints as JSON, with the packages of a checkout."""
    roots = [str(checkout / part) for part in ("", "export", "firmware_sim")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(roots), "PYTHONWARNINGS": "ignore"}
    if threads is not None:
        environment |= {"OMP_NUM_THREADS": str(threads), "OPENBLAS_NUM_THREADS": str(threads)}
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=checkout,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    made: Figures = json.loads(done.stdout)
    return made


def compare(
    program: str,
    cases: Sequence[Sequence[str]],
    args: argparse.Namespace,
    threads: int | None = None,
) -> list[list[Figures]]:
    """Median figures of every case: those of the other checkout, if one is given, and of this one.

    Args:
        program: Python code; takes a case as arguments and prints figures.
        cases: arguments, the name first.
        args: parsed options of `parser`.
        threads: of BLAS; None leaves it alone.
    """
    checkouts = [HERE] if args.against is None else [args.against.resolve(), HERE]
    wanted = [case for case in cases if args.only is None or args.only in case[0]]
    turns = [(case, side) for case in wanted for side in checkouts] * args.rounds
    seen: dict[tuple[str, Path], list[Figures]] = {}
    for case, side in tqdm(turns, leave=False, disable=None):
        seen.setdefault((case[0], side), []).append(figures(program, side, case, threads))
    return [[_medians(seen[case[0], side]) for side in checkouts] for case in wanted]


def _medians(found: list[Figures]) -> Figures:
    first = found[0]
    return {
        name: value if isinstance(value, str) else statistics.median(one[name] for one in found)
        for name, value in first.items()
    }


def before_and_after(sides: list[Figures], name: str, digits: int) -> str:
    """A figure of both checkouts, or of the only one."""
    return " → ".join(f"{side[name]:.{digits}f}" for side in sides)


def times_faster(sides: list[Figures], name: str) -> str:
    """How many times less this checkout takes than the other one."""
    return f"{sides[0][name] / sides[-1][name]:.1f}×" if len(sides) > 1 else "–"


def same(sides: list[Figures], name: str) -> str:
    """Whether both checkouts made the same bytes."""
    return "–" if len(sides) < 2 else "yes" if sides[0][name] == sides[1][name] else "no"
