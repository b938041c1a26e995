"""The interface as JSON: the metadata inside .tflite and .onnx files.

Scales and offsets are written twice: as hexadecimal strings, which lose no bit, and as decimal
numbers for programs that read the metadata without edgernn. A file where they differ is refused.
"""

from __future__ import annotations

import json
from typing import Final

import numpy as np
import numpy.typing as npt

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
from edgernn.container.strict_json import Node
from edgernn.errors import FormatError, ModelError
from edgernn.model.formats import MAX_WIDTH, Precision, QFormat
from edgernn.model.interface import (
    MAX_WINDOW_STEPS,
    Golden,
    InputSpec,
    Interface,
    OutputSpec,
    Window,
)
from edgernn.model.layer_record import StateSpec

#: Version 2 is version 1 with a window: a reader of version 1 would stream such a model endlessly.
INTERFACE_VERSIONS: Final = {False: 1, True: 2}
_MAX_GOLDEN_STEPS: Final = 4_096

_INPUT: Final[Members] = {**CHANNELS, "scale": reals, "offset": reals}
_OUTPUT: Final[Members] = {**CHANNELS, "scale": reals, "softmax": Node.flag}
_STATE: Final[Members] = {
    "name": Node.text,
    "units": integer(1, MAX_WIDTH),
    "frac_bits": integer(0, 15),
}
#: A window, in .edgernn files too.
WINDOW: Final[Members] = {
    "steps": integer(1, MAX_WINDOW_STEPS),
    "hop": integer(1, MAX_WINDOW_STEPS),
}


def dumps(interface: Interface) -> str:
    """Canonical JSON of an interface: same interface, same text."""
    precision, golden = interface.precision, interface.golden
    source, sink = interface.input, interface.output
    record = {
        "edgernn_interface": INTERFACE_VERSIONS[interface.window is not None],
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
        "states": [
            {"name": s.name, "units": s.units, "frac_bits": s.format.frac_bits}
            for s in interface.states
        ],
        "model_sha256": interface.model_sha256,
        "golden": golden and {"q_x": golden.q_x.tolist(), "q_y": golden.q_y.tolist()},
    }
    if interface.window is not None:
        record["window"] = to_object(interface.window, WINDOW)
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


def _decimals(channels: InputSpec | OutputSpec, *names: str) -> dict[str, list[float]]:
    return {f"{name}_decimal": plain_reals(getattr(channels, name)) for name in names}


def _check_decimals(parts: dict[str, Node], channels: InputSpec | OutputSpec, *names: str) -> None:
    for name in names:
        if parts[f"{name}_decimal"].value != getattr(channels, name).tolist():
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
        window=Window(**from_object(parts["window"], WINDOW)) if windowed else None,
        golden=_read_golden(parts["golden"], precision, source.width, sink.width),
    )


def _read_input(node: Node, precision: Precision) -> InputSpec:
    codes = {
        "code_min": precision.input_low,
        "code_max": precision.input_high,
        "code_step": precision.input_step,
    }
    parts = node.members(*_INPUT, "scale_decimal", "offset_decimal", *codes)
    for name, wanted in codes.items():
        parts[name].integer(wanted, wanted)
    spec = InputSpec(**from_parts(parts, _INPUT))
    _check_decimals(parts, spec, "scale", "offset")
    return spec


def _read_output(node: Node) -> OutputSpec:
    parts = node.members(*_OUTPUT, "scale_decimal")
    spec = OutputSpec(**from_parts(parts, _OUTPUT))
    _check_decimals(parts, spec, "scale")
    return spec


def _read_state(node: Node) -> StateSpec:
    fields = from_object(node, _STATE)
    form = QFormat(bits=16, frac_bits=fields.pop("frac_bits"))
    return StateSpec(**fields, format=form)


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
