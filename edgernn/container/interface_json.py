"""The interface as JSON: the metadata inside .tflite and .onnx files.

Scales and offsets are written twice: as hexadecimal strings, which lose no bit, and as decimal
numbers for programs that read the metadata without edgernn. A file where they differ is refused.
"""

from __future__ import annotations

import json
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgernn.adapt.adaptation import check_adaptation
from edgernn.container import strict_json
from edgernn.container.codec import (
    CHANNELS,
    Members,
    from_object,
    from_parts,
    integer,
    plain_reals,
    reals,
    to_object,
)
from edgernn.container.extensions import (
    EXTENSIONS,
    SURROUNDINGS,
    extensions,
    is_extended,
    read_extensions,
    read_surroundings,
    surroundings,
    with_mask,
)
from edgernn.container.strict_json import Node
from edgernn.errors import FormatError, ModelError
from edgernn.model.border.channels import check_surroundings
from edgernn.model.border.symbols import check_symbols
from edgernn.model.formats import (
    FRACTION_BITS,
    INT16_MAX,
    INT16_MIN,
    MAX_VOCABULARY,
    MAX_WIDTH,
    Precision,
    QFormat,
)
from edgernn.model.interface import (
    MAX_PORTS,
    MAX_RATE_READINGS,
    MAX_WINDOW_STEPS,
    Golden,
    InputSpec,
    Interface,
    OutputSpec,
    Port,
    Rate,
    Window,
)
from edgernn.model.layer_record import StateSpec

#: Version 2 is version 1 with a window: a reader of version 1 would stream such a model endlessly.
#: Version 3 is version 2 with ports and with states that do not begin with zeros or that are input
#: codes, and the window of an endless stream is null. The first version that holds an interface is
#: written. Version 4 is version 3 with tokens, version 5 is version 4 with a rate. Version 6 is
#: version 5 with a preparation or decisions, and its rate may be null. Version 7 is version 6 with
#: what else `EXTENSIONS` names, and members that are null in version 6 are absent.
INTERFACE_VERSIONS: Final = (1, 2, 3, 4, 5, 6, 7)
_MAX_GOLDEN_STEPS: Final = 4_096

_INPUT: Final[Members] = {**CHANNELS, "scale": reals, "offset": reals}
_OUTPUT: Final[Members] = {**CHANNELS, "scale": reals, "softmax": Node.flag}
#: Ports of an input and of an output, in .edgernn files too.
INPUT_PORT: Final[Members] = {"name": Node.text, "width": integer(1, MAX_WIDTH)}
OUTPUT_PORT: Final[Members] = {**INPUT_PORT, "softmax": Node.flag}
_STATE: Final[Members] = {
    "name": Node.text,
    "units": integer(1, MAX_WIDTH),
    "frac_bits": integer(FRACTION_BITS.start, FRACTION_BITS.stop - 1),
}
#: What a state has beside, where it is input codes or does not begin with zeros.
_ROWS: Final = ("codes", "start")
#: A window, in .edgernn files too.
WINDOW: Final[Members] = {
    "steps": integer(1, MAX_WINDOW_STEPS),
    "hop": integer(1, MAX_WINDOW_STEPS),
}


def _start(node: Node) -> tuple[int, ...]:
    """Reads input codes, one per channel, or none."""
    return tuple(code.integer(INT16_MIN, INT16_MAX) for code in node.items(0, MAX_WIDTH))


#: A rate, in .edgernn files too.
RATE: Final[Members] = {
    "readings": integer(1, MAX_RATE_READINGS),
    "first": integer(1, MAX_RATE_READINGS),
    "latency": integer(0, MAX_RATE_READINGS),
    "start": _start,
}


def dumps(interface: Interface) -> str:
    """Canonical JSON of an interface: same interface, same text."""
    return json.dumps(to_record(interface), sort_keys=True, separators=(",", ":"), allow_nan=False)


def to_record(interface: Interface) -> dict[str, Any]:
    """An interface as JSON values."""
    precision, golden = interface.precision, interface.golden
    source, sink, window = interface.input, interface.output, interface.window
    version = _version(interface)
    ported = version > 2
    record: dict[str, Any] = {
        "edgernn_interface": version,
        "name": interface.name,
        "precision": precision.value,
        "input": {
            **to_object(source, _INPUT),
            **_decimals(source, "scale", "offset"),
            "code_min": precision.input_low,
            "code_max": precision.input_high,
            "code_step": precision.input_step,
        },
        "output": {**to_object(sink, _OUTPUT), **_decimals(sink, "scale")},
        "states": [_state(spec) for spec in interface.states],
        "model_sha256": interface.model_sha256,
        "golden": golden and {"q_x": golden.q_x.tolist(), "q_y": golden.q_y.tolist()},
    }
    if ported or window is not None:
        record["window"] = window and to_object(window, WINDOW)
    if ported:
        record["input"]["ports"] = [to_object(port, INPUT_PORT) for port in source.ports]
        record["output"]["ports"] = [to_object(port, OUTPUT_PORT) for port in sink.ports]
    if version > 3:
        record["input"]["vocabulary"] = list(source.vocabulary)
    if version > 4:
        record["rate"] = interface.rate and to_object(interface.rate, RATE)
        record["kept"] = list(interface.kept)
    if version == 6:
        record |= surroundings(interface)
    return record | (extensions(interface) if version > 6 else {})


def loads(text: str | bytes) -> Interface:
    """Parse and check what `dumps` wrote.

    Raises:
        FormatError: anything else.
    """
    return from_node(strict_json.loads(text, "interface", reals=True))


def from_node(top: Node) -> Interface:
    """Check what `to_record` made.

    Raises:
        FormatError: anything else.
    """
    version = top.member("edgernn_interface").integer()
    if version not in INTERFACE_VERSIONS:
        *others, last = map(str, INTERFACE_VERSIONS)
        wanted = f"{', '.join(others)} or {last}"
        raise FormatError(
            f"interface: expected version {wanted}, got {version}. "
            "Export the model again with this version of edgernn."
        )
    try:
        interface = _read(top, version)
    except ModelError as error:
        raise FormatError(f"interface: {error} Export the model again.") from error
    if version == 3 and not _needs_version_3(interface):
        raise top.member("input").refuse(
            "several ports of the input or output, or states in rows, in version 3"
        )
    if version == 4 and not interface.input.vocabulary:
        raise top.member("input").refuse("tokens in version 4")
    return interface


def _version(interface: Interface) -> int:
    """The first version that holds an interface."""
    if is_extended(interface):
        return 7
    if interface.preparation is not None or interface.decisions is not None:
        return 6
    if interface.rate is not None:
        return 5
    if interface.input.vocabulary:
        return 4
    if _needs_version_3(interface):
        return 3
    return 1 if interface.window is None else 2


def _needs_version_3(interface: Interface) -> bool:
    rows = any(spec.codes or spec.start for spec in interface.states)
    return bool(interface.input.ports or interface.output.ports or rows)


def _state(spec: StateSpec) -> dict[str, Any]:
    plain = {"name": spec.name, "units": spec.units, "frac_bits": spec.format.frac_bits}
    if not (spec.codes or spec.start):
        return plain
    return {**plain, "codes": spec.codes, "start": list(spec.start)}


def _decimals(channels: InputSpec | OutputSpec, *names: str) -> dict[str, list[float]]:
    return {f"{name}_decimal": plain_reals(getattr(channels, name)) for name in names}


def _check_decimals(parts: dict[str, Node], channels: InputSpec | OutputSpec, *names: str) -> None:
    for name in names:
        if parts[f"{name}_decimal"].value != getattr(channels, name).tolist():
            raise parts[f"{name}_decimal"].refuse(f"the values of {name}")


def _read(top: Node, version: int) -> Interface:
    present = top.keys()
    parts = top.members(
        "edgernn_interface", "name", "precision", "input", "output", "states", "model_sha256",
        "golden", *["window"] * (version > 1), *["rate", "kept"] * (version > 4),
        *list(SURROUNDINGS) * (version == 6),
        *[name for name in EXTENSIONS if version > 6 and name in present],
    )  # fmt: skip
    precision = parts["precision"].choice(Precision)
    ported = version > 2
    source = _read_input(parts["input"], precision, ported, tokens=version > 3, real=version > 4)
    sink = _read_output(parts["output"], ported)
    windowed = version > 1 and not (ported and parts["window"].value is None)
    rated = version > 4 and not (version > 5 and parts["rate"].value is None)
    rate = Rate(**from_object(parts["rate"], RATE)) if rated else None
    around: dict[str, Any] = read_surroundings(top) if version == 6 else {}
    if version > 6:
        around = read_extensions(top)
        source, sink = with_mask(around, source, sink)
    check_surroundings(around.get("preparation"), around.get("decisions"), source, sink)
    check_symbols(around.get("symbols"), source.vocabulary)
    states = tuple(_read_state(node, ported) for node in parts["states"].items(1, 64))
    interface = Interface(
        name=parts["name"].text(),
        precision=precision,
        input=source,
        output=sink,
        states=states,
        model_sha256=parts["model_sha256"].text(),
        window=Window(**from_object(parts["window"], WINDOW)) if windowed else None,
        golden=_read_golden(
            parts["golden"], precision, source, sink.width, 1 if rate is None else rate.readings
        ),
        rate=rate,
        kept=_read_kept(parts["kept"], states) if version > 4 else (),
        **around,
    )
    check_adaptation(interface)
    return interface


def _read_kept(node: Node, states: tuple[StateSpec, ...]) -> tuple[str, ...]:
    kept = tuple(name.text() for name in node.items(0, len(states)))
    if kept != tuple(spec.name for spec in states if spec.name in kept):
        raise node.refuse("names of states, in their order")
    return kept


def _read_input(
    node: Node, precision: Precision, ported: bool, *, tokens: bool, real: bool
) -> InputSpec:
    codes = {
        "code_min": precision.input_low,
        "code_max": precision.input_high,
        "code_step": precision.input_step,
    }
    parts = node.members(
        *_INPUT, "scale_decimal", "offset_decimal", *codes, *["ports"] * ported,
        *["vocabulary"] * tokens,
    )  # fmt: skip
    for name, wanted in codes.items():
        parts[name].integer(wanted, wanted)
    ports = read_ports(parts["ports"], INPUT_PORT) if ported else ()
    vocabulary = read_vocabulary(parts["vocabulary"], 0 if real else 1) if tokens else ()
    spec = InputSpec(**from_parts(parts, _INPUT), ports=ports, vocabulary=vocabulary)
    _check_decimals(parts, spec, "scale", "offset")
    return spec


def _read_output(node: Node, ported: bool) -> OutputSpec:
    parts = node.members(*_OUTPUT, "scale_decimal", *["ports"] * ported)
    ports = read_ports(parts["ports"], OUTPUT_PORT) if ported else ()
    spec = OutputSpec(**from_parts(parts, _OUTPUT), ports=ports)
    _check_decimals(parts, spec, "scale")
    return spec


def read_ports(node: Node, members: Members) -> tuple[Port, ...]:
    """The ports of an input or an output: none, or several.

    Args:
        node: an array of ports.
        members: `INPUT_PORT` or `OUTPUT_PORT`.

    Raises:
        FormatError: it is not.
    """
    items = node.items(0, MAX_PORTS)
    if len(items) == 1:
        raise node.refuse("no ports or at least two")
    return tuple(Port(**from_object(item, members)) for item in items)


def read_vocabulary(node: Node, low: int = 1) -> tuple[int, ...]:
    """How many tokens each input channel tells apart, 0 of real ones.

    Args:
        node: an array of these numbers.
        low: fewest numbers.

    Raises:
        FormatError: it is no array of such numbers.
    """
    return tuple(size.integer(0, MAX_VOCABULARY) for size in node.items(low, MAX_WIDTH))


def _read_state(node: Node, ported: bool) -> StateSpec:
    rows = ported and len(node.keys()) > len(_STATE)
    parts = node.members(*_STATE, *_ROWS * rows)
    fields = from_parts(parts, _STATE)
    form = QFormat(bits=16, frac_bits=fields.pop("frac_bits"))
    if not rows:
        return StateSpec(**fields, format=form)
    codes = parts["start"].items(0, fields["units"])
    start = tuple(code.integer(INT16_MIN, INT16_MAX) for code in codes)
    spec = StateSpec(**fields, format=form, codes=parts["codes"].flag(), start=start)
    if spec.start != start or not (spec.codes or start):
        raise parts["start"].refuse(
            "codes that are not all 0, and no start for a state of input codes"
        )
    return spec


def _read_golden(
    node: Node, precision: Precision, source: InputSpec, outputs: int, readings: int
) -> Golden | None:
    if node.value is None:
        return None
    parts = node.members("q_x", "q_y")
    bounds = source.code_bounds(precision)
    low, high = int(np.min(bounds.low)), int(np.max(bounds.high))
    q_x = _read_codes(parts["q_x"], readings * source.width, low, high)
    q_y = _read_codes(parts["q_y"], outputs, -32768, 32767)
    if len(q_x) != len(q_y) or bounds.broken(q_x.reshape(-1, source.width)).any():
        raise node.refuse("as many outputs as inputs, and inputs that are codes of the precision")
    return Golden(q_x=q_x.astype(source.code_dtype(precision)), q_y=q_y.astype(np.int16))


def _read_codes(node: Node, width: int, low: int, high: int) -> npt.NDArray[np.int64]:
    rows = [
        [code.integer(low, high) for code in row.items(width, width)]
        for row in node.items(1, _MAX_GOLDEN_STEPS)
    ]
    return np.array(rows, dtype=np.int64)
