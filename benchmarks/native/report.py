"""The section "Native back-end" of docs/results/speed.md, from the figures of one run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from benchmarks.pages.markdown import paragraph

#: Ways of the native backend -> how the tables call them.
WAYS: Final = {"bind": "`bind()`", "step": "`step`", "run": "`run`", "run_codes": "`run_codes`"}
COMPARED: Final = ("bind", "step", "run")
READING: Final = ("run", "run_codes")
_NATIVE: Final = "native"
_READ: Final = "weight read"
_HEADING: Final = "## Native back-end"
_WAYS_TEXT: Final = (
    "*`bind()`* is one call of the function that `Session.bind` returns, with the reading already "
    "in its array. *`step`* is `Session.step(x)`. *`run`* and *`run_codes`* process 1,000 readings "
    "in one call; the table shows the time per step. The first three accept and return float64 "
    "values in physical units. `run_codes` works on integer codes, so it shows the C loop alone."
)
_OTHERS_TEXT: Final = (
    "Networks with other layers, which run as single operations, and a branched network "
    "([instructions per step](instructions.md) lists their sizes):"
)
_COMPARISON_TEXT: Final = (
    "How many times longer the fastest other runtime takes for the same network, in any number "
    "format it supports. TFLite's public `invoke` refuses to run while the program holds views of "
    "the runtime's memory. The first row of each network therefore allows a private call that "
    "works on such views; the second row uses public calls only."
)
_PEERS_TEXT: Final = (
    "Every runtime, µs per step, with the fastest in bold. `w8a8` is the same integer model as "
    "above. *int8, converter* is the float step quantized by TFLite's own converter, with int8 "
    "states. *views* is the private call."
)
_READ_TEXT: Final = (
    "A step that uses every weight cannot be faster than reading the weights from memory. The "
    "lower bound here is a C loop that reads as many bytes with the widest loads, measured in the "
    "same rounds. The last columns show how many times longer a native step takes."
)
#: A figure of the results: network, program, form, way, isa, median and p10 in nanoseconds.
Figure = dict[str, Any]


def section(record: dict[str, Any]) -> str:
    """The section as Markdown."""
    others = _others(record)
    blocks: list[Iterable[str]] = [
        [_HEADING],
        [paragraph(_setting(record))],
        ["### Latency"],
        [paragraph(_WAYS_TEXT)],
        _times(record, _networks(record)),
        *([[paragraph(_OTHERS_TEXT)], _times(record, others)] if others else []),
        ["### Compared with other runtimes"],
        [paragraph(_COMPARISON_TEXT)],
        _comparison(record),
        [paragraph(_PEERS_TEXT)],
        _peers(record),
        ["### Compared with reading the weights"],
        [paragraph(_READ_TEXT)],
        _weight_read(record),
        ["### By instruction set"],
        ["µs per step in `run`. All instruction sets give the same bits."],
        _instruction_sets(record),
    ]
    return "\n\n".join("\n".join(block) for block in blocks) + "\n"


def in_short(record: dict[str, Any]) -> str:
    """The main figures of the section in two sentences."""
    steps, ratios = [], []
    for network in _networks(record):
        step = native_figure(record, network, "w8a8", "step")["median"]
        steps.append(step)
        ratios.append(fastest_peer(record, network, public=True)["median"] / step)
    return (
        f"**In short.** On the native back-end, one call of `Session.step` takes "
        f"{microseconds(min(steps))} to {microseconds(max(steps))} µs for the networks below "
        f"(`w8a8`). The fastest other runtime, called through its public functions, takes "
        f"{min(ratios):.1f} to {max(ratios):.1f} times as long."
    )


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
        "µs per step, measured by `python -m benchmarks.native_step` on "
        f"{machine['processor']} ({machine['architecture']}, {machine['system']}), {pinned}. The "
        f"native back-end chose `{isa}`. Python {machine['python']}, {versions}; C loop compiled "
        f"by {machine['compiler']}. Each figure is the median of {record['rounds']} interleaved "
        "rounds. Results are checked before timing: integer forms must give the codes of the "
        "reference, and float forms the values of the float64 model (converter int8: within 10 % "
        "RMS)."
    )


def _times(record: dict[str, Any], networks: Iterable[str]) -> Iterator[str]:
    yield _row(["network", "precision", *WAYS.values()])
    yield "|---" * (len(WAYS) + 2) + "|"
    for network in networks:
        for form in _native_forms(record):
            times = (native_figure(record, network, form, way)["median"] for way in WAYS)
            yield _row([network, f"`{form}`", *map(microseconds, times)])


def _comparison(record: dict[str, Any]) -> Iterator[str]:
    compared = [(form, way) for form in _native_forms(record) for way in COMPARED]
    heads = (f"`{form}` {WAYS[way]}" for form, way in compared)
    yield _row(["network", "fastest other runtime", "its µs", *heads])
    yield "|---" * (len(compared) + 3) + "|"
    for network in _networks(record):
        for public in (False, True):
            peer = fastest_peer(record, network, public=public)
            name = f"{peer['program']}, {peer['form']}, {peer['way']}"
            cells = [network, name, microseconds(peer["median"])]
            for form, way in compared:
                ratio = peer["median"] / native_figure(record, network, form, way)["median"]
                cells.append(f"{ratio:.1f}×")
            yield _row(cells)


def _peers(record: dict[str, Any]) -> Iterator[str]:
    networks = _networks(record)
    yield _row(["program", "numbers", "way", *networks])
    yield "|---" * (len(networks) + 3) + "|"
    fastest = [fastest_peer(record, network) for network in networks]
    columns = [_peer_figures(record, network) for network in networks]
    for same in zip(*columns, strict=True):
        cells = [microseconds(figure["median"]) for figure in same]
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
        cells = [f"{record['weight_bytes'][network]:,}", microseconds(_read_ns(record, network))]
        for form, way in read:
            ratio = times_the_read(record, network, form, way)
            cells.append(f"{ratio:.2f}×")
        yield _row([network, *cells])


def _instruction_sets(record: dict[str, Any]) -> Iterator[str]:
    networks, forms = _networks(record), _native_forms(record)
    native = [f for f in record["nanoseconds"] if f["program"] == _NATIVE]
    yield _row(["instruction set", "precision", *networks])
    yield "|---" * (len(networks) + 2) + "|"
    for isa in dict.fromkeys(figure["isa"] for figure in native):
        for form in forms:
            times = (native_figure(record, n, form, "run", isa)["median"] for n in networks)
            yield _row([f"`{isa}`", f"`{form}`", *map(microseconds, times)])


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


def microseconds(ns: float) -> str:
    """Nanoseconds in microseconds, about three digits."""
    us = ns / 1000
    return f"{us:.{3 if us < 1 else 2 if us < 10 else 1}f}"


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
