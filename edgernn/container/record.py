"""Model <-> record and tensors, what an .edgernn file carries (FORMAT.md sections 4 and 5)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgernn.container.codec import (
    CHANNELS,
    Members,
    choice,
    from_object,
    from_parts,
    integer,
    pairs,
    to_object,
)
from edgernn.container.interface_json import WINDOW
from edgernn.container.strict_json import Node
from edgernn.container.tensors import (
    NamedTensors,
    SparseBudget,
    TensorTable,
    read_weights,
    weight_tensors,
)
from edgernn.model.affine import Affine, Affine8, Affine16, Source, Term8, Term16
from edgernn.model.formats import MAX_WIDTH, Precision
from edgernn.model.integer_model import IntegerModel, Provenance
from edgernn.model.interface import InputSpec, OutputSpec, Window
from edgernn.model.layers import (
    LAYERS,
    CellActivation,
    DenseActivation,
    GateActivation,
    Layer,
)
from edgernn.model.storage import Storage

#: The version that is written; it holds every model, and a checksum.
SCHEMA_VERSION: Final = "3"
#: Versions that are read: 1 holds models of `dense8` products alone, 2 all other endless models.
SCHEMA_VERSIONS: Final = ("1", "2", SCHEMA_VERSION)

#: What a layer's record holds beside kind, name, inputs, units and affines, by kind.
OPTIONS: Final[dict[str, Members]] = {
    "simple_rnn": {"activation": choice(CellActivation), "state_exponent": Node.integer},
    "lstm": {"gate_activation": choice(GateActivation), "cell_exponent": Node.integer},
    "gru_before": {"gate_activation": choice(GateActivation)},
    "gru_after": {"gate_activation": choice(GateActivation)},
    "dense": {"activation": choice(DenseActivation), "output_scale": Node.real},
}
_LAYER: Final[Members] = {
    "name": Node.text,
    "inputs": integer(1, MAX_WIDTH),
    "units": integer(1, MAX_WIDTH),
}
_OUTPUT: Final[Members] = {**CHANNELS, "softmax": Node.flag}
_PROVENANCE: Final[Members] = {
    "float_model_sha256": Node.text,
    "calibration_sha256": Node.text,
    "seeds": pairs(Node.integer),
    "versions": pairs(Node.text),
    "settings": pairs(Node.text),
}


def unsealed_version(model: IntegerModel) -> str:
    """The version without a checksum that could hold an endless model."""
    return "1" if model.storages <= {Storage.DENSE8} else "2"


def to_record(model: IntegerModel, version: str) -> dict[str, Any]:
    """Everything of a model that is not an array, as JSON values."""
    stored = version != "1"
    window = None if model.window is None else to_object(model.window, WINDOW)
    return {
        **({"window": window} if version == SCHEMA_VERSION else {}),
        "input": to_object(model.input, CHANNELS),
        "layers": [_layer_record(layer, stored) for layer in model.layers],
        "name": model.name,
        "output": to_object(model.output, _OUTPUT),
        "precision": model.precision.value,
        "provenance": to_object(model.provenance, _PROVENANCE),
    }


def to_tensors(model: IntegerModel) -> NamedTensors:
    """All arrays of a model by tensor name, in no particular order.

    Raises:
        FormatError: more sparse tiles than a file may have.
    """
    budget = SparseBudget()
    tensors: NamedTensors = {
        # Adding +0.0 turns -0.0 into 0.0: models that compare equal get equal bytes.
        "input/offset": model.input.offset + 0.0,
        "input/scale": model.input.scale,
        "output/scale": model.output.scale,
    }
    for layer in model.layers:
        for name, affine in layer.affines.items():
            tensors.update(_affine_tensors(layer, f"{layer.name}/{name}", affine, budget))
    return tensors


def _layer_record(layer: Layer, stored: bool) -> dict[str, Any]:
    affines = {name: _affine_record(affine, stored) for name, affine in layer.affines.items()}
    fields = to_object(layer, {**_LAYER, **OPTIONS[layer.kind]})
    return {"kind": layer.kind, **fields, "affines": affines}


def _affine_record(affine: Affine, stored: bool) -> dict[str, Any]:
    record: dict[str, Any] = {"sources": [term.source.value for term in affine.terms]}
    if stored:
        record["storages"] = [term.storage.value for term in affine.terms]
    return {**record, "shift": affine.shift} if isinstance(affine, Affine8) else record


def _affine_tensors(
    layer: Layer, prefix: str, affine: Affine, budget: SparseBudget
) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    if isinstance(affine, Affine8):
        yield f"{prefix}/bias", affine.bias
    terms: tuple[Term8 | Term16, ...] = affine.terms
    for index, term in enumerate(terms):
        yield from weight_tensors(layer, f"{prefix}/{index}", term, budget)
        yield f"{prefix}/{index}/multiplier", term.multiplier
        if isinstance(term, Term16):
            yield f"{prefix}/{index}/bias", term.bias
            yield f"{prefix}/{index}/shift", term.shift


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parts:
    """What every layer is read with: the file's tensors, and how they are to be understood."""

    precision: Precision
    stored: bool
    table: TensorTable
    budget: SparseBudget


def from_record(record: Node, tensors: NamedTensors, version: str) -> IntegerModel:
    """Build the model that a record and its tensors describe.

    Args:
        record: parsed model record.
        tensors: arrays in native byte order.
        version: of the file, one of `SCHEMA_VERSIONS`.

    Raises:
        FormatError: the record, a tensor's name, dtype or shape is not as FORMAT.md says.
        ModelError: the parts are well formed, but the model contradicts itself.
    """
    sealed = version == SCHEMA_VERSION
    top = record.members(
        "input", "layers", "name", "output", "precision", "provenance", *["window"] * sealed
    )
    precision = top["precision"].choice(Precision)
    table = TensorTable(tensors)
    parts = _Parts(precision=precision, stored=version != "1", table=table, budget=SparseBudget())
    layers = tuple(_read_layer(node, parts) for node in top["layers"].items(low=1))
    model_input, model_output = _read_input(top["input"], table), _read_output(top["output"], table)
    provenance = Provenance(**from_object(top["provenance"], _PROVENANCE))
    table.check_all_used()
    windowed = sealed and top["window"].value is not None
    return IntegerModel(
        name=top["name"].text(),
        precision=precision,
        layers=layers,
        input=model_input,
        output=model_output,
        provenance=provenance,
        window=Window(**from_object(top["window"], WINDOW)) if windowed else None,
    )


def _read_input(node: Node, table: TensorTable) -> InputSpec:
    fields = from_object(node, CHANNELS)
    width = (len(fields["names"]),)
    scale, offset = (table.take(f"input/{name}", np.float64, width) for name in ("scale", "offset"))
    return InputSpec(**fields, scale=scale, offset=offset)


def _read_output(node: Node, table: TensorTable) -> OutputSpec:
    fields = from_object(node, _OUTPUT)
    scale = table.take("output/scale", np.float64, (len(fields["names"]),))
    return OutputSpec(**fields, scale=scale)


def _read_layer(node: Node, file: _Parts) -> Layer:
    kind = node.member("kind").text()
    if kind not in LAYERS:
        raise node.member("kind").refuse(f"one of {', '.join(LAYERS)}")
    options = OPTIONS[kind]
    parts = node.members("kind", "affines", *_LAYER, *options)
    fields = from_parts(parts, _LAYER)
    widths = fields["inputs"], fields["units"]
    blocks = {affine: rows for affine, (rows, _) in LAYERS[kind].shape.items()}
    affines = {
        affine: _read_affine(part, f"{fields['name']}/{affine}", file, blocks[affine], widths)
        for affine, part in parts["affines"].members(*blocks).items()
    }
    arguments: dict[str, Any] = {**fields, **from_parts(parts, options), **affines}
    return LAYERS[kind](**arguments)


def _read_affine(
    node: Node, prefix: str, file: _Parts, blocks: int, widths: tuple[int, int]
) -> Affine:
    narrow = file.precision is Precision.W8A8
    parts = node.members("sources", *["shift"] * narrow, *["storages"] * file.stored)
    sources = [source.choice(Source) for source in parts["sources"].items(1, 2)]
    storages = [Storage.DENSE8] * len(sources)
    if file.stored:
        listed = parts["storages"].items(len(sources), len(sources))
        storages = [storage.choice(Storage) for storage in listed]
    rows = blocks * widths[1]

    def per_row(field: str) -> npt.NDArray[Any]:
        return file.table.take(f"{prefix}/{field}", np.int32, (rows,))

    def shared(index: int) -> dict[str, Any]:
        source, storage = sources[index], storages[index]
        weights = read_weights(
            file.table, f"{prefix}/{index}", storage, rows, source.parts(*widths), file.budget
        )
        multiplier = per_row(f"{index}/multiplier")
        return {
            "source": source, "storage": storage, "weights": weights, "multiplier": multiplier
        }  # fmt: skip

    count = range(len(sources))
    if narrow:
        terms8 = tuple(Term8(**shared(i)) for i in count)
        return Affine8(terms=terms8, bias=per_row("bias"), shift=parts["shift"].integer())
    terms16 = tuple(
        Term16(**shared(i), bias=per_row(f"{i}/bias"), shift=per_row(f"{i}/shift")) for i in count
    )
    return Affine16(terms=terms16)
