"""The wiring of a network, as JSON values and as text: the inputs of every layer and output."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from edgernn.cli.style import table
from edgernn.model.integer_model import IntegerModel
from edgernn.model.routes import MODEL_INPUT

Description = dict[str, Any]


def described_routes(model: IntegerModel) -> Iterator[list[Description]]:
    """The inputs of each layer, then those of the model's outputs, as JSON values.

    The source of a part is the name of a layer; null is the model's input.
    """
    for route in model.wiring:
        yield [
            {"source": _source(model, part.source), "start": part.start, "width": part.width}
            for part in route
        ]


def _source(model: IntegerModel, index: int) -> str | None:
    return None if index == MODEL_INPUT else model.layers[index].name


def is_chain(model: IntegerModel) -> bool:
    """Whether every layer reads the one before it, with one input and one output."""
    return not (model.routes or model.input.ports or model.output.ports)


def wiring_lines(record: Description) -> list[str]:
    """A table with the name, kind and inputs of every layer and output.

    Args:
        record: the facts about a model.
    """
    widths = {layer["name"]: layer["units"] for layer in record["layers"]}
    ports, outputs = (
        record[f"{side}_ports"] or [{"name": "", "width": len(record[f"{side}s"])}]
        for side in ("input", "output")
    )
    readings = record["stream"].get("rate", {"readings": 1})["readings"]
    rows = []
    for layer in record["layers"]:
        kind = layer["activation"] if layer["kind"] == "merge" else layer["kind"]
        rows.append((layer["name"], kind, _reads(layer["reads"], widths, ports, readings)))
    cut = _cut(record["output_reads"], (port["width"] for port in outputs))
    for port, parts in zip(outputs, cut, strict=True):
        read = _reads(parts, widths, ports, readings)
        rows.append((f"output {port['name']}".rstrip(), "", read))
    return table(("wiring", "kind", "reads"), rows, "<<<")


def _reads(
    parts: list[Description], widths: dict[str, int], ports: list[Description], readings: int
) -> str:
    """Sources, with the elements that are read unless all are."""
    return ", ".join(
        _of_input(part["start"], part["width"], ports, readings)
        if part["source"] is None
        else part["source"] + _elements(part["start"], part["width"], widths[part["source"]])
        for part in parts
    )


def _of_input(start: int, width: int, ports: list[Description], readings: int) -> str:
    """Elements of the input, by their ports.

    The readings of a step follow one another; number 1 is the oldest.
    """
    found, first = [], 0
    for number in range(1, readings + 1):
        of = f" of reading {number}" if readings > 1 else ""
        for port in ports:
            low, high = max(start - first, 0), min(start + width - first, port["width"])
            if low < high:
                name = f"input {port['name']}".rstrip()
                found.append(name + _elements(low, high - low, port["width"]) + of)
            first += port["width"]
    return ", ".join(found)


def _elements(start: int, width: int, whole: int) -> str:
    return "" if (start, width) == (0, whole) else f"[{start}:{start + width}]"


def _cut(parts: list[Description], widths: Iterable[int]) -> Iterator[list[Description]]:
    """Consecutive parts, cut into pieces of these widths."""
    rest = [dict(part) for part in parts]
    for width in widths:
        piece: list[Description] = []
        while width:
            taken = min(width, rest[0]["width"])
            piece.append({**rest[0], "width": taken})
            rest[0]["start"] += taken
            rest[0]["width"] -= taken
            width -= taken
            if not rest[0]["width"]:
                rest.pop(0)
        yield piece
