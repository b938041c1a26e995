"""Write the section "Native backend" of speed.md from benchmarks/results/native_step.json.

Type: python -m benchmarks.native.report
"""

from __future__ import annotations

import argparse
import json
import math
import re
import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

RESULTS: Final = Path(__file__).parents[1] / "results" / "native_step.json"
PAGE: Final = Path(__file__).parents[2] / "docs" / "results" / "speed.md"
#: How many times faster than the fastest other program the native backend should be.
SPEED_AIMS: Final = {"GRU-32/8": 20.0, "GRU-128/64": 5.0}
#: How many times the weight-read time a step inside `run` should take at most.
READ_AIMS: Final = {"GRU-128/64": 2.0}
#: Ways of the native backend -> how the tables call them.
WAYS: Final = {"bind": "`bind()`", "step": "`step`", "run": "`run`", "run_codes": "`run_codes`"}
COMPARED: Final = ("bind", "step", "run")
READING: Final = ("run", "run_codes")
_NATIVE: Final = "native"
_READ: Final = "weight read"
_HEADING: Final = "## Native backend: `python -m benchmarks.native_step`"
_SECTION: Final = re.compile(r"^## Native backend.*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)
_WAYS_TEXT: Final = (
    "µs per step. *`bind()`* is a call of what `Session.bind` returned, with the reading already "
    "in its array; *`step`* is `Session.step(x)`; *`run`* and *`run_codes`* are per step inside "
    "these functions on 1,000 readings. The first three take and give float64 in physical units, "
    "`run_codes` integer codes: it is the C loop alone."
)
_OTHERS_TEXT: Final = (
    "The same of networks with other layers, which run operation by operation, and of one that is "
    "no chain ([instructions.md](instructions.md) has their sizes):"
)
_COMPARISON_TEXT: Final = (
    "How many times longer the fastest other program takes, in whatever numbers it computes. The "
    "first row of a network allows TFLite a private call on views of the runtime's memory, which "
    "the public `invoke` refuses; the second only public calls. Aims: {aims}."
)
_PEERS_TEXT: Final = (
    "All of them, µs per step, the fastest in bold. `w8a8` is the integer model measured above, "
    "*int8, converter* what TFLite's converter makes of the float step (int8 states too), *views* "
    "the private call."
)
_READ_TEXT: Final = (
    "No step that reads all weights is faster than reading them. The limit is a C loop over as "
    "many bytes with the widest loads, in the same rounds; the columns say how many times longer "
    "a native step takes. Aim: {aims} in `run`."
)
#: A figure of the results: network, program, form, way, isa, median and p10 in nanoseconds.
Figure = dict[str, Any]


def section(record: dict[str, Any]) -> str:
    """The section as Markdown."""
    others = _others(record)
    blocks: list[Iterable[str]] = [
        [_HEADING],
        _wrapped(_setting(record)),
        _wrapped(_WAYS_TEXT),
        _times(record, _networks(record)),
        *([_wrapped(_OTHERS_TEXT), _times(record, others)] if others else []),
        _wrapped(_COMPARISON_TEXT.format(aims=_aims("at least", SPEED_AIMS))),
        _comparison(record),
        _wrapped(_PEERS_TEXT),
        _peers(record),
        _wrapped(_READ_TEXT.format(aims=_aims("at most", READ_AIMS))),
        _weight_read(record),
        ["Every instruction set of this processor, µs per step in `run`; all give the same bits:"],
        _instruction_sets(record),
    ]
    return "\n\n".join("\n".join(block) for block in blocks) + "\n"


def fastest_peer(record: dict[str, Any], network: str, *, public: bool = False) -> Figure:
    """The fastest way of any other program through a network, whatever its numbers.

    Args:
        record: the results.
        network: its name.
        public: only ways that need no private call.
    """
    allowed = (f for f in _peer_figures(record, network) if not (public and _is_private(f)))
    return min(allowed, key=lambda figure: figure["median"])


def native_figure(
    record: dict[str, Any], network: str, form: str, way: str, isa: str | None = None
) -> Figure:
    """A figure of the native backend; of the instruction set it chooses unless one is named."""
    for figure in record["nanoseconds"]:
        key = (figure["network"], figure["program"], figure["form"], figure["way"])
        # The chosen instruction set is recorded first.
        if key == (network, _NATIVE, form, way) and isa in (None, figure["isa"]):
            found: Figure = figure
            return found
    raise KeyError(f"results: expected native {form} {way} of {network}, got none.")


def times_the_read(record: dict[str, Any], network: str, form: str, way: str) -> float:
    """Time of a native step over the time to read the weights."""
    step: float = native_figure(record, network, form, way)["median"]
    return step / _read_ns(record, network)


def _setting(record: dict[str, Any]) -> str:
    machine = record["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    pinned = "one thread on one core" if record["pinned"] else "one thread"
    isa = native_figure(record, _networks(record)[0], "w8a8", "run")["isa"]
    return (
        "Written by `python -m benchmarks.native.report` from "
        f"`benchmarks/results/native_step.json`. {machine['processor']} "
        f"({machine['architecture']}, {machine['system']}), {pinned}; the native backend chose "
        f"`{isa}`. Python {machine['python']}, {versions}; C loop by {machine['compiler']}. Median "
        f"of {record['rounds']} rounds in which all contenders take turns, after each gave the "
        "right numbers: integer forms the reference's codes, float forms those of the float64 "
        "model (int8 of the converter: within 10 % RMS)."
    )


def _times(record: dict[str, Any], networks: Iterable[str]) -> Iterator[str]:
    yield _row(["network", "precision", *WAYS.values()])
    yield "|---" * (len(WAYS) + 2) + "|"
    for network in networks:
        for form in _native_forms(record):
            times = (native_figure(record, network, form, way)["median"] for way in WAYS)
            yield _row([network, f"`{form}`", *map(_us, times)])


def _comparison(record: dict[str, Any]) -> Iterator[str]:
    compared = [(form, way) for form in _native_forms(record) for way in COMPARED]
    heads = (f"`{form}` {WAYS[way]}" for form, way in compared)
    yield _row(["network", "fastest peer", "its µs", *heads])
    yield "|---" * (len(compared) + 3) + "|"
    for network in _networks(record):
        for public in (False, True):
            peer = fastest_peer(record, network, public=public)
            name = f"{peer['program']}, {peer['form']}, {peer['way']}"
            cells = [network, name, _us(peer["median"])]
            for form, way in compared:
                ratio = peer["median"] / native_figure(record, network, form, way)["median"]
                low = " (below the aim)" if ratio < SPEED_AIMS.get(network, 0.0) else ""
                cells.append(f"{ratio:.1f}×{low}")
            yield _row(cells)


def _peers(record: dict[str, Any]) -> Iterator[str]:
    networks = _networks(record)
    yield _row(["program", "numbers", "way", *networks])
    yield "|---" * (len(networks) + 3) + "|"
    fastest = [fastest_peer(record, network) for network in networks]
    columns = [_peer_figures(record, network) for network in networks]
    for same in zip(*columns, strict=True):
        cells = [_us(figure["median"]) for figure in same]
        marked = (
            f"**{cell}**" if figure is best else cell
            for cell, figure, best in zip(cells, same, fastest, strict=True)
        )
        yield _row([same[0]["program"], same[0]["form"], same[0]["way"], *marked])


def _weight_read(record: dict[str, Any]) -> Iterator[str]:
    read = [(form, way) for form in _native_forms(record) for way in READING]
    heads = (f"`{form}` {WAYS[way]}" for form, way in read)
    yield _row(["network", "weights, bytes", "reading them, µs", *heads])
    yield "|---" * (len(read) + 3) + "|"
    for network in _networks(record):
        cells = [f"{record['weight_bytes'][network]:,}", _us(_read_ns(record, network))]
        for form, way in read:
            ratio = times_the_read(record, network, form, way)
            high = " (above the aim)" if ratio > READ_AIMS.get(network, math.inf) else ""
            cells.append(f"{ratio:.2f}×{high}")
        yield _row([network, *cells])


def _instruction_sets(record: dict[str, Any]) -> Iterator[str]:
    networks, forms = _networks(record), _native_forms(record)
    native = [f for f in record["nanoseconds"] if f["program"] == _NATIVE]
    yield _row(["instruction set", "precision", *networks])
    yield "|---" * (len(networks) + 2) + "|"
    for isa in dict.fromkeys(figure["isa"] for figure in native):
        for form in forms:
            times = (native_figure(record, n, form, "run", isa)["median"] for n in networks)
            yield _row([f"`{isa}`", f"`{form}`", *map(_us, times)])


def _networks(record: dict[str, Any]) -> list[str]:
    return list(record["weight_bytes"])


def _others(record: dict[str, Any]) -> list[str]:
    """Networks that the native backend alone runs."""
    named = dict.fromkeys(figure["network"] for figure in record["nanoseconds"])
    return [network for network in named if network not in record["weight_bytes"]]


def _native_forms(record: dict[str, Any]) -> list[str]:
    native = (f["form"] for f in record["nanoseconds"] if f["program"] == _NATIVE)
    return list(dict.fromkeys(native))


def _peer_figures(record: dict[str, Any], network: str) -> list[Figure]:
    return [
        figure
        for figure in record["nanoseconds"]
        if figure["network"] == network and figure["program"] not in (_NATIVE, _READ)
    ]


def _is_private(figure: Figure) -> bool:
    """Whether this way uses a call that is not public (`stock_steps.ViewStep`)."""
    return str(figure["way"]).startswith("views")


def _read_ns(record: dict[str, Any], network: str) -> float:
    (ns,) = (
        figure["median"]
        for figure in record["nanoseconds"]
        if (figure["network"], figure["program"]) == (network, _READ)
    )
    return float(ns)


def _us(ns: float) -> str:
    """Nanoseconds in microseconds, about three digits."""
    us = ns / 1000
    return f"{us:.{3 if us < 1 else 2 if us < 10 else 1}f}"


def _aims(relation: str, aims: dict[str, float]) -> str:
    return ", ".join(f"{relation} {aim:g}× at {network}" for network, aim in aims.items())


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, 118, break_long_words=False, break_on_hyphens=False)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def page_with(section_text: str, page: str) -> str:
    """The page with its section replaced, or added at the end."""
    if not _SECTION.search(page):
        return f"{page.rstrip()}\n\n{section_text}"
    following = _SECTION.sub(lambda _: section_text + "\n", page)
    return following.rstrip() + "\n"


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; 0 when written, 1 when ``--check`` finds an outdated page."""
    parser = argparse.ArgumentParser(description="Write the native part of docs/results/speed.md.")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--out", type=Path, default=PAGE)
    parser.add_argument("--check", action="store_true", help="compare only, write nothing")
    args = parser.parse_args(argv)
    old = args.out.read_text(encoding="utf-8")
    new = page_with(section(json.loads(args.results.read_text(encoding="utf-8"))), old)
    if args.check:
        if new == old:
            return 0
        print(
            f"{args.out.name}: expected the text made from {args.results.name}, got another. "
            "Run without --check."
        )
        return 1
    args.out.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
