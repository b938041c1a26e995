"""What the templates of packages say about a model, as text."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from edgernn import __version__
from edgernn.container.memory import weight_memory
from edgernn.model.integer_model import IntegerModel
from edgernn_export.writers.c.border import (
    input_channels,
    output_channels,
    port_names,
    softmax_sentence,
)
from edgernn_export.writers.c.constants import comment_text
from edgernn_export.writers.c.rate import steps_of_an_answer
from edgernn_export.writers.c.source import carried_bytes


def package_fields(
    model: IntegerModel, prefix: str, folder: str, library: Sequence[str]
) -> dict[str, str]:
    """Text by the name that stands between two '@' in a template.

    Args:
        model: the integer model.
        prefix: of the generated files and symbols.
        folder: name of the package's folder.
        library: paths of the generated sources and headers.
    """
    release = re.match(r"\d+(\.\d+)*", __version__)
    label = comment_text(model.name)
    return {
        "prefix": prefix,
        "PREFIX": prefix.upper(),
        "folder": folder,
        # Build systems accept numbers and dots alone.
        "version": release[0] if release else "0",
        "edgernn": __version__,
        # JSON's escapes are those of YAML and of C strings: a label breaks none of them.
        "label": label,
        # The others are for Markdown.
        "label_md": _cell(model.name),
        "sha256": model.sha256,
        "sources": "\n".join(path for path in library if path.endswith(".c")),
        "inputs": str(model.input.width),
        "outputs": str(model.output.width),
        "state_bytes": str(carried_bytes(model)),
        **_stream(model, prefix),
        "weights_bytes": str(weight_memory(model.layers).total_bytes),
        "softmax": (
            f" {softmax_sentence(model.output, 'outputs')}" if model.output.softmax else ""
        ),
        "ports": _ports(model, prefix),
        **_channels(model, prefix.upper()),
    }


def _stream(model: IntegerModel, prefix: str) -> dict[str, str]:
    """How a reading is handed over, and what comes before the first."""
    call = f"{prefix}_step(&state, q_x, q_y)"
    step = f"if ({call} == 0) {{\n    return; /* no answer yet */\n}}"
    if model.window is None and model.rate is None:
        return {"step": f"{call};", "pad": "", "kind": ""}
    if model.window is None:
        return {"step": step, "pad": "", "kind": _rate(model, prefix)}
    kind = (
        f"`{prefix}_step` returns 1 where it has an answer to the last {model.window.steps} "
        f"readings, which takes {steps_of_an_answer(model)} of the network, and 0 where none is "
        f"due: in the first {model.window.steps - 1} steps after `{prefix}_init`, and in between "
        f"where the hop ({model.window.hop}) is more than 1. After `{prefix}_pad(&state, q_x)` the "
        "next step "
        "answers.\n\n"
    )
    return {"step": step, "pad": f"{prefix}_pad(&state, q_x);\n", "kind": kind}


def _rate(model: IntegerModel, prefix: str) -> str:
    """Which readings are answered, where a step of the network takes several."""
    assert model.rate is not None
    return (
        f"`{prefix}_step` returns 1 where it has an answer, and 0 where none is due: {model.rate}. "
        f"The network then takes a step of {model.rate.readings} readings at once; the other calls "
        "take next to no time.\n\n"
    )


def _ports(model: IntegerModel, prefix: str) -> str:
    """Which channels are whose, where there are several inputs or outputs."""
    macros = [
        f"`{prefix.upper()}_{side}_{name}_FIRST`"
        for side, ports in (("INPUT", model.input.ports), ("OUTPUT", model.output.ports))
        for name in port_names(ports)
    ]
    if not macros:
        return ""
    return (
        f" The first channels of inputs and outputs with a name: {', '.join(macros)}; `_WIDTH` in "
        "place of `_FIRST` is how many they have."
    )


def _channels(model: IntegerModel, upper: str) -> dict[str, str]:
    """The channels as rows of README tables, and as entries of the sketch's arrays."""
    source, sink, precision = model.input, model.output, model.precision
    sensors, input_rows, output_bits, output_rows = [], [], [], []
    sizes = source.vocabulary or (0,) * source.width
    for i, channel in enumerate(input_channels(source, precision)):
        scale, offset = float(source.scale[i]), float(source.offset[i])
        ends = (0, sizes[i] - 1) if sizes[i] else (precision.input_low, precision.input_high)
        low, high = (offset + q * scale for q in ends)
        what = f"{comment_text(source.names[i])} [{comment_text(source.units[i])}]"
        sensors.append(
            f"sensor(A{i}, {_double(low)}, {_double(high)}, {upper}_INPUT_{i}_FRAC_BITS), "
            f"/* {what} */"
        )
        names = f"{_cell(source.names[i])} | {_cell(source.units[i])}"
        input_rows.append(f"| {names} | {low:.6g} | {high:.6g} | {channel.frac_bits} |")
    for i, sunk in enumerate(output_channels(sink)):
        what = f"{comment_text(sink.names[i])} [{comment_text(sink.units[i])}]"
        output_bits.append(f"{upper}_OUTPUT_{i}_FRAC_BITS, /* {what} */")
        names = f"{_cell(sink.names[i])} | {_cell(sink.units[i])}"
        output_rows.append(f"| {names} | {sunk.frac_bits} |")
    return {
        "sensors": "\n".join(sensors),
        "output_bits": "\n".join(output_bits),
        "input_rows": "\n".join(input_rows),
        "output_rows": "\n".join(output_rows),
    }


def _double(value: float) -> str:
    """A C literal of nine digits, which neither precision can tell from the value."""
    text = f"{value:.9g}"
    return text if re.search(r"[.e]", text) else text + ".0"


def _cell(text: str) -> str:
    """Text that Markdown shows as it is, in a table too."""
    line = json.dumps(text, ensure_ascii=False)[1:-1]
    return re.sub(r"([\\`*_{}\[\]<>#|&])", r"\\\1", line)
