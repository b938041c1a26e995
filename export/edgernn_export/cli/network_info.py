"""`edgernn info` for trained networks: what they hold, before they are quantized."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgernn.cli.style import heading, table
from edgernn.errors import EdgeRnnError
from edgernn_export.float_model.model import FloatModel
from edgernn_export.float_model.program_sets.chunks import FloatChunks
from edgernn_export.networks.front_door import AnyNetwork, format_of, read_network

#: JSON values about a network.
_Facts = dict[str, Any]


def describe_network(path: Path, **options: Any) -> _Facts:
    """All facts about a trained network, as JSON values.

    Args:
        path: the file or folder.
        **options: as of `read_network`.

    Raises:
        EdgeRnnError: the network cannot be read; with all reasons.
    """
    network = read_network(path, **options)
    programs = [network] if isinstance(network, FloatModel) else list(network.programs)
    return {
        "file": path.name,
        "file_bytes": path.stat().st_size if path.is_file() else None,
        "format": format_of(path).name,
        "name": network.name,
        "parameters": sum(program.parameters for program in programs),
        "stream": _stream(network),
        "networks": [_one(program) for program in programs],
    }


def _one(model: FloatModel) -> _Facts:
    return {
        "name": model.name,
        "layers": [
            {
                "name": layer.name,
                "kind": layer.kind,
                "inputs": layer.inputs,
                "units": layer.units,
                "parameters": layer.parameters,
            }
            for layer in model.layers
        ],
        "inputs": _channels(model.input_names, model.input_units),
        "outputs": _channels(model.output_names, model.output_units),
        "softmax": model.final_activation == "softmax",
        "chain": not model.routes,
    }


def _channels(names: tuple[str, ...], units: tuple[str, ...]) -> list[_Facts]:
    return [{"name": name, "unit": unit} for name, unit in zip(names, units, strict=True)]


def _stream(network: AnyNetwork) -> str:
    """How the network reads its stream."""
    if isinstance(network, FloatChunks):
        most = "" if network.steps is None else f" of {network.steps} readings"
        return f"whole chunks{most}, which it reads backward too"
    if not isinstance(network, FloatModel):
        return "several streams, which pass on states"
    if network.window is not None:
        return f"windows of {network.window.steps} readings"
    return f"{network.rate or 'one output per reading'}"


def network_text(record: _Facts) -> str:
    """The facts as lines for a terminal.

    Args:
        record: of `describe_network`.
    """
    size = "" if record["file_bytes"] is None else f", {record['file_bytes']} bytes"
    lines = [
        f"{record['name']}  trained network, not quantized  {record['file']}{size}",
        f"format      {record['format']}",
        f"parameters  {record['parameters']}",
        f"stream      {record['stream']}",
    ]
    several = len(record["networks"]) > 1
    for one in record["networks"]:
        lines += ["", heading(one["name"])] if several else [""]
        rows = [
            (x["name"], x["kind"], f"{x['inputs']} -> {x['units']}", x["parameters"])
            for x in one["layers"]
        ]
        lines += table(("layer", "kind", "in -> out", "parameters"), rows, "<<<>")
        softmax = " (softmax)" * one["softmax"]
        lines += ["", f"inputs   {_listed(one['inputs'])}"]
        lines += [f"outputs  {_listed(one['outputs'])}{softmax}"]
    return "\n".join(lines)


def _listed(channels: list[_Facts]) -> str:
    return ", ".join(f"{c['name']} [{c['unit']}]" if c["unit"] else c["name"] for c in channels)


def refuse_program(program: str) -> None:
    """Refuse a program of a network that is not quantized.

    Raises:
        EdgeRnnError: one is named.
    """
    if program:
        raise EdgeRnnError(
            f"--program: expected an .edgernn file with it, got a trained network and '{program}'. "
            "Omit it: all parts of a trained network are shown."
        )
