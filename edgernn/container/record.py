"""Model <-> record and tensors, what an .edgernn file carries (FORMAT.md sections 4 and 5)."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgernn.container.interface_json import read_window, window_record
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
from edgernn.model.interface import InputSpec, OutputSpec
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
OPTIONS: Final[dict[str, dict[str, type[enum.Enum] | type[int] | type[float]]]] = {
    "simple_rnn": {"activation": CellActivation, "state_exponent": int},
    "lstm": {"gate_activation": GateActivation, "cell_exponent": int},
    "gru_before": {"gate_activation": GateActivation},
    "gru_after": {"gate_activation": GateActivation},
    "dense": {"activation": DenseActivation, "output_scale": float},
}


def unsealed_version(model: IntegerModel) -> str:
    """The version without a checksum that could hold an endless model."""
    return "1" if model.storages <= {Storage.DENSE8} else "2"


def to_record(model: IntegerModel, version: str) -> dict[str, Any]:
    """Everything of a model that is not an array, as JSON values."""
    stored = version != "1"
    source, sink, origin = model.input, model.output, model.provenance
    window = None if model.window is None else window_record(model.window)
    return {
        **({"window": window} if version == SCHEMA_VERSION else {}),
        "input": {"names": list(source.names), "units": list(source.units)},
        "layers": [_layer_record(layer, stored) for layer in model.layers],
        "name": model.name,
        "output": {"names": list(sink.names), "softmax": sink.softmax, "units": list(sink.units)},
        "precision": model.precision.value,
        "provenance": {
            "calibration_sha256": origin.calibration_sha256,
            "float_model_sha256": origin.float_model_sha256,
            "seeds": [list(pair) for pair in origin.seeds],
            "settings": [list(pair) for pair in origin.settings],
            "versions": [list(pair) for pair in origin.versions],
        },
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
    options = {name: _plain(getattr(layer, name)) for name in OPTIONS[layer.kind]}
    affines = {name: _affine_record(affine, stored) for name, affine in layer.affines.items()}
    base = {"kind": layer.kind, "name": layer.name, "inputs": layer.inputs, "units": layer.units}
    return {**base, **options, "affines": affines}


def _plain(option: Any) -> Any:
    if isinstance(option, enum.Enum):
        return option.value
    return option.hex() if isinstance(option, float) else option


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


def from_parts(record: Node, tensors: NamedTensors, version: str) -> IntegerModel:
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
    provenance = _read_provenance(top["provenance"])
    table.check_all_used()
    windowed = sealed and top["window"].value is not None
    return IntegerModel(
        name=top["name"].text(),
        precision=precision,
        layers=layers,
        input=model_input,
        output=model_output,
        provenance=provenance,
        window=read_window(top["window"]) if windowed else None,
    )


def _read_input(node: Node, table: TensorTable) -> InputSpec:
    parts = node.members("names", "units")
    names = parts["names"].texts()
    return InputSpec(
        names=names,
        units=parts["units"].texts(),
        scale=table.take("input/scale", np.float64, (len(names),)),
        offset=table.take("input/offset", np.float64, (len(names),)),
    )


def _read_output(node: Node, table: TensorTable) -> OutputSpec:
    parts = node.members("names", "softmax", "units")
    names = parts["names"].texts()
    return OutputSpec(
        names=names,
        units=parts["units"].texts(),
        scale=table.take("output/scale", np.float64, (len(names),)),
        softmax=parts["softmax"].flag(),
    )


def _read_provenance(node: Node) -> Provenance:
    parts = node.members(
        "calibration_sha256", "float_model_sha256", "seeds", "settings", "versions"
    )
    seeds = (pair.items(2, 2) for pair in parts["seeds"].items())
    return Provenance(
        float_model_sha256=parts["float_model_sha256"].text(),
        calibration_sha256=parts["calibration_sha256"].text(),
        seeds=tuple((name.text(), seed.integer()) for name, seed in seeds),
        versions=_read_pairs(parts["versions"]),
        settings=_read_pairs(parts["settings"]),
    )


def _read_pairs(node: Node) -> tuple[tuple[str, str], ...]:
    pairs = (pair.items(2, 2) for pair in node.items())
    return tuple((name.text(), value.text()) for name, value in pairs)


def _read_layer(node: Node, file: _Parts) -> Layer:
    kind = node.member("kind").text()
    if kind not in LAYERS:
        raise node.member("kind").refuse(f"one of {', '.join(LAYERS)}")
    options = OPTIONS[kind]
    parts = node.members("kind", "name", "inputs", "units", "affines", *options)
    name = parts["name"].text()
    inputs = parts["inputs"].integer(1, MAX_WIDTH)
    units = parts["units"].integer(1, MAX_WIDTH)
    blocks = {affine: rows for affine, (rows, _) in LAYERS[kind].shape.items()}
    affines: dict[str, Any] = {
        affine: _read_affine(part, f"{name}/{affine}", file, blocks[affine], (inputs, units))
        for affine, part in parts["affines"].members(*blocks).items()
    }
    settings = {option: _read_option(parts[option], form) for option, form in options.items()}
    fields: dict[str, Any] = {"name": name, "inputs": inputs, "units": units}
    return LAYERS[kind](**fields, **settings, **affines)


def _read_option(node: Node, form: type[Any]) -> Any:
    if form is int:
        return node.integer()
    return node.real() if form is float else node.choice(form)


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
