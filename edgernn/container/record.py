"""Model <-> record and tensors, what an .edgernn file carries (FORMAT.md sections 4 and 5)."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from edgernn.container.codec import CHANNELS, Members, from_object, pairs, to_object
from edgernn.container.interface_json import WINDOW
from edgernn.container.stored_layers import (
    StoredTensors,
    layer_record,
    layer_tensors,
    read_layer,
)
from edgernn.container.strict_json import Node
from edgernn.container.tensors import NamedTensors, SparseBudget, TensorTable
from edgernn.model.formats import Precision
from edgernn.model.integer_model import IntegerModel, Provenance
from edgernn.model.interface import InputSpec, OutputSpec, Window
from edgernn.model.storage import Storage

#: The version that is written; it holds every model, and a checksum.
SCHEMA_VERSION: Final = "3"
#: Versions that are read: 1 holds models of `dense8` products alone, 2 all other endless models.
SCHEMA_VERSIONS: Final = ("1", "2", SCHEMA_VERSION)

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
        "layers": [layer_record(layer, stored) for layer in model.layers],
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
        tensors.update(layer_tensors(layer, budget))
    return tensors


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
    file = StoredTensors(
        precision=precision, stored=version != "1", table=table, budget=SparseBudget()
    )
    layers = tuple(read_layer(node, file) for node in top["layers"].items(low=1))
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
