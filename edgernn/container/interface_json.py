"""The interface as JSON: the metadata inside .tflite and .onnx files.

Scales and offsets are written twice: as hexadecimal strings, which lose no bit, and as decimal
numbers for programs that read the metadata without edgernn. A file where they differ is refused.
"""

from __future__ import annotations

import json
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgernn.container import strict_json
from edgernn.container.strict_json import Node
from edgernn.errors import FormatError, ModelError
from edgernn.model.formats import MAX_WIDTH, FloatArray, Precision, QFormat
from edgernn.model.interface import (
    MAX_WINDOW_STEPS,
    Golden,
    InputSpec,
    Interface,
    OutputSpec,
    Window,
)
from edgernn.model.layers import StateSpec

#: Version 2 is version 1 with a window: a reader of version 1 would stream such a model endlessly.
INTERFACE_VERSIONS: Final = {False: 1, True: 2}
_MAX_GOLDEN_STEPS: Final = 4_096


def dumps(interface: Interface) -> str:
    """Canonical JSON of an interface: same interface, same text."""
    precision, golden = interface.precision, interface.golden
    source, sink = interface.input, interface.output
    record = {
        "edgernn_interface": INTERFACE_VERSIONS[interface.window is not None],
        "name": interface.name,
        "precision": precision.value,
        "input": {
            "names": list(source.names),
            "units": list(source.units),
            **_write_reals("scale", source.scale),
            **_write_reals("offset", source.offset),
            "code_min": precision.input_low,
            "code_max": precision.input_high,
            "code_step": precision.input_step,
        },
        "output": {
            "names": list(sink.names),
            "units": list(sink.units),
            **_write_reals("scale", sink.scale),
            "softmax": sink.softmax,
        },
        "states": [
            {"name": s.name, "units": s.units, "frac_bits": s.format.frac_bits}
            for s in interface.states
        ],
        "model_sha256": interface.model_sha256,
        "golden": golden and {"q_x": golden.q_x.tolist(), "q_y": golden.q_y.tolist()},
    }
    if interface.window is not None:
        record["window"] = window_record(interface.window)
    return json.dumps(record, sort_keys=True, separators=(",", ":"), allow_nan=False)


def loads(text: str | bytes) -> Interface:
    """Parse and check what `dumps` wrote.

    Raises:
        FormatError: anything else.
    """
    top = strict_json.loads(text, "interface", reals=True)
    version = top.member("edgernn_interface").integer()
    if version not in INTERFACE_VERSIONS.values():
        wanted = " or ".join(map(str, INTERFACE_VERSIONS.values()))
        raise FormatError(
            f"interface: expected version {wanted}, got {version}. "
            "Export the model again with this version of edgernn."
        )
    try:
        return _read(top, windowed=version == INTERFACE_VERSIONS[True])
    except ModelError as error:
        raise FormatError(f"interface: {error} Export the model again.") from error


def _write_reals(name: str, values: FloatArray) -> dict[str, Any]:
    # Adding +0.0 turns -0.0 into 0.0: interfaces that compare equal get equal text.
    plain = (values + 0.0).tolist()
    return {name: [v.hex() for v in plain], f"{name}_decimal": plain}


def _read_reals(parts: dict[str, Node], name: str) -> FloatArray:
    return np.array([v.real() for v in parts[name].items(1, MAX_WIDTH)], dtype=np.float64)


def _check_decimals(parts: dict[str, Node], name: str, values: FloatArray) -> None:
    if parts[f"{name}_decimal"].value != values.tolist():
        raise parts[f"{name}_decimal"].refuse(f"the values of {name}")


def _read(top: Node, *, windowed: bool) -> Interface:
    parts = top.members(
        "edgernn_interface", "name", "precision", "input", "output", "states", "model_sha256",
        "golden", *["window"] * windowed,
    )  # fmt: skip
    precision = parts["precision"].choice(Precision)
    source, sink = _read_input(parts["input"], precision), _read_output(parts["output"])
    return Interface(
        name=parts["name"].text(),
        precision=precision,
        input=source,
        output=sink,
        states=tuple(_read_state(node) for node in parts["states"].items(low=1, high=64)),
        model_sha256=parts["model_sha256"].text(),
        window=read_window(parts["window"]) if windowed else None,
        golden=_read_golden(parts["golden"], precision, source.width, sink.width),
    )


def _read_input(node: Node, precision: Precision) -> InputSpec:
    parts = node.members(
        "names", "units", "scale", "scale_decimal", "offset", "offset_decimal",
        "code_min", "code_max", "code_step",
    )  # fmt: skip
    for name, wanted in (
        ("code_min", precision.input_low),
        ("code_max", precision.input_high),
        ("code_step", precision.input_step),
    ):
        parts[name].integer(wanted, wanted)
    spec = InputSpec(
        names=parts["names"].texts(),
        units=parts["units"].texts(),
        scale=_read_reals(parts, "scale"),
        offset=_read_reals(parts, "offset"),
    )
    _check_decimals(parts, "scale", spec.scale)
    _check_decimals(parts, "offset", spec.offset)
    return spec


def _read_output(node: Node) -> OutputSpec:
    parts = node.members("names", "units", "scale", "scale_decimal", "softmax")
    spec = OutputSpec(
        names=parts["names"].texts(),
        units=parts["units"].texts(),
        scale=_read_reals(parts, "scale"),
        softmax=parts["softmax"].flag(),
    )
    _check_decimals(parts, "scale", spec.scale)
    return spec


def window_record(window: Window) -> dict[str, int]:
    """What `read_window` reads."""
    return {"hop": window.hop, "steps": window.steps}


def read_window(node: Node) -> Window:
    """A window's record: the members ``steps`` and ``hop``.

    Raises:
        FormatError: anything else.
    """
    parts = node.members("hop", "steps")
    steps, hop = (parts[name].integer(1, MAX_WINDOW_STEPS) for name in ("steps", "hop"))
    return Window(steps=steps, hop=hop)


def _read_state(node: Node) -> StateSpec:
    parts = node.members("name", "units", "frac_bits")
    return StateSpec(
        name=parts["name"].text(),
        units=parts["units"].integer(1, MAX_WIDTH),
        format=QFormat(bits=16, frac_bits=parts["frac_bits"].integer(0, 15)),
    )


def _read_golden(node: Node, precision: Precision, inputs: int, outputs: int) -> Golden | None:
    if node.value is None:
        return None
    parts = node.members("q_x", "q_y")
    q_x = _read_codes(parts["q_x"], inputs, precision.input_low, precision.input_high)
    q_y = _read_codes(parts["q_y"], outputs, -32768, 32767)
    if len(q_x) != len(q_y) or np.any(q_x % precision.input_step):
        raise node.refuse("as many outputs as inputs, and inputs that are codes of the precision")
    return Golden(q_x=q_x.astype(precision.operand_dtype), q_y=q_y.astype(np.int16))


def _read_codes(node: Node, width: int, low: int, high: int) -> npt.NDArray[np.int64]:
    rows = [
        [code.integer(low, high) for code in row.items(width, width)]
        for row in node.items(1, _MAX_GOLDEN_STEPS)
    ]
    return np.array(rows, dtype=np.int64)
