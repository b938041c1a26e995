"""Model <-> record and tensors, what an .edgernn file carries (FORMAT.md sections 4 and 5)."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgernn.affine import Affine, Affine8, Affine16, Source, Term8, Term16
from edgernn.format_defects import FormatDefect, format_error
from edgernn.formats import MAX_WIDTH, Precision
from edgernn.interface import InputSpec, OutputSpec
from edgernn.layers import (
    LAYERS,
    CellActivation,
    DenseActivation,
    GateActivation,
    Layer,
)
from edgernn.model import IntegerModel, Provenance
from edgernn.strict_json import Node

Tensors = dict[str, npt.NDArray[Any]]

#: What a layer's record holds beside kind, name, inputs, units and affines, by kind.
OPTIONS: Final[dict[str, dict[str, type[enum.Enum] | type[int] | type[float]]]] = {
    "simple_rnn": {"activation": CellActivation, "state_exponent": int},
    "lstm": {"gate_activation": GateActivation, "cell_exponent": int},
    "gru_before": {"gate_activation": GateActivation},
    "gru_after": {"gate_activation": GateActivation},
    "dense": {"activation": DenseActivation, "output_scale": float},
}


def to_record(model: IntegerModel) -> dict[str, Any]:
    """Everything of a model that is not an array, as JSON values."""
    source, sink, origin = model.input, model.output, model.provenance
    return {
        "input": {"names": list(source.names), "units": list(source.units)},
        "layers": [_layer_record(layer) for layer in model.layers],
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


def to_tensors(model: IntegerModel) -> Tensors:
    """All arrays of a model by tensor name, in no particular order."""
    tensors: Tensors = {
        # Adding +0.0 turns -0.0 into 0.0: models that compare equal get equal bytes.
        "input/offset": model.input.offset + 0.0,
        "input/scale": model.input.scale,
        "output/scale": model.output.scale,
    }
    for layer in model.layers:
        for name, affine in layer.affines.items():
            tensors.update(_affine_tensors(f"{layer.name}/{name}", affine))
    return tensors


def _layer_record(layer: Layer) -> dict[str, Any]:
    options = {name: _plain(getattr(layer, name)) for name in OPTIONS[layer.kind]}
    affines = {name: _affine_record(affine) for name, affine in layer.affines.items()}
    base = {"kind": layer.kind, "name": layer.name, "inputs": layer.inputs, "units": layer.units}
    return {**base, **options, "affines": affines}


def _plain(option: Any) -> Any:
    if isinstance(option, enum.Enum):
        return option.value
    return option.hex() if isinstance(option, float) else option


def _affine_record(affine: Affine) -> dict[str, Any]:
    record: dict[str, Any] = {"sources": [term.source.value for term in affine.terms]}
    return {**record, "shift": affine.shift} if isinstance(affine, Affine8) else record


def _affine_tensors(prefix: str, affine: Affine) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    if isinstance(affine, Affine8):
        yield f"{prefix}/bias", affine.bias
    terms: tuple[Term8 | Term16, ...] = affine.terms
    for index, term in enumerate(terms):
        yield f"{prefix}/{index}/weights", term.weights
        yield f"{prefix}/{index}/multiplier", term.multiplier
        if isinstance(term, Term16):
            yield f"{prefix}/{index}/bias", term.bias
            yield f"{prefix}/{index}/shift", term.shift


class _TensorTable:
    """Hands out tensors by name and remembers which were asked for."""

    def __init__(self, tensors: Tensors) -> None:
        self._tensors = tensors
        self._used: set[str] = set()

    def take(self, name: str, dtype: npt.DTypeLike, shape: tuple[int, ...]) -> npt.NDArray[Any]:
        """The tensor of this name, which must have this dtype and shape."""
        self._used.add(name)
        if name not in self._tensors:
            raise format_error(
                FormatDefect.MISSING_TENSOR, "header", expected=f"tensor {name!r:.120}", got="none"
            )
        tensor, owner, wanted = self._tensors[name], f"tensor {name!r:.120}", np.dtype(dtype)
        if tensor.dtype != wanted:
            raise format_error(
                FormatDefect.WRONG_DTYPE, owner, expected=wanted.name, got=tensor.dtype.name
            )
        if tensor.shape != shape:
            raise format_error(
                FormatDefect.SHAPE_MISMATCH, owner, expected=f"shape {shape}", got=f"{tensor.shape}"
            )
        return tensor

    def check_all_used(self) -> None:
        """Refuse tensors nobody asked for."""
        unused = self._tensors.keys() - self._used
        if unused:
            raise format_error(
                FormatDefect.UNEXPECTED_TENSOR,
                "header",
                expected="only tensors that the model record asks for",
                got=f"{min(unused)!r:.60} and {len(unused) - 1} more",
            )


def from_parts(record: Node, tensors: Tensors) -> IntegerModel:
    """Build the model that a record and its tensors describe.

    Args:
        record: parsed model record.
        tensors: arrays in native byte order.

    Raises:
        FormatError: the record, a tensor's name, dtype or shape is not as FORMAT.md says.
        ModelError: the parts are well formed, but the model contradicts itself.
    """
    top = record.members("input", "layers", "name", "output", "precision", "provenance")
    precision = top["precision"].choice(Precision)
    table = _TensorTable(tensors)
    layers = tuple(_read_layer(node, precision, table) for node in top["layers"].items(low=1))
    model_input, model_output = _read_input(top["input"], table), _read_output(top["output"], table)
    provenance = _read_provenance(top["provenance"])
    table.check_all_used()
    return IntegerModel(
        name=top["name"].text(),
        precision=precision,
        layers=layers,
        input=model_input,
        output=model_output,
        provenance=provenance,
    )


def _read_input(node: Node, table: _TensorTable) -> InputSpec:
    parts = node.members("names", "units")
    names = parts["names"].texts()
    return InputSpec(
        names=names,
        units=parts["units"].texts(),
        scale=table.take("input/scale", np.float64, (len(names),)),
        offset=table.take("input/offset", np.float64, (len(names),)),
    )


def _read_output(node: Node, table: _TensorTable) -> OutputSpec:
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


def _read_layer(node: Node, precision: Precision, table: _TensorTable) -> Layer:
    kind = node.member("kind").text()
    if kind not in LAYERS:
        raise node.member("kind").refuse(f"one of {', '.join(LAYERS)}")
    options = OPTIONS[kind]
    parts = node.members("kind", "name", "inputs", "units", "affines", *options)
    name = parts["name"].text()
    inputs = parts["inputs"].integer(1, MAX_WIDTH)
    units = parts["units"].integer(1, MAX_WIDTH)
    blocks = {affine: rows for affine, (rows, _) in LAYERS[kind].shape.items()}
    columns = {Source.X: inputs, Source.H: units, Source.RH: units, Source.XH: inputs + units}
    affines: dict[str, Any] = {
        affine: _read_affine(
            part, f"{name}/{affine}", precision, table, blocks[affine] * units, columns
        )
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
    node: Node,
    prefix: str,
    precision: Precision,
    table: _TensorTable,
    rows: int,
    columns: dict[Source, int],
) -> Affine:
    narrow = precision is Precision.W8A8
    parts = node.members("shift", "sources") if narrow else node.members("sources")
    sources = [source.choice(Source) for source in parts["sources"].items(1, 2)]

    def weights(index: int) -> npt.NDArray[Any]:
        return table.take(f"{prefix}/{index}/weights", np.int8, (rows, columns[sources[index]]))

    def per_row(field: str) -> npt.NDArray[Any]:
        return table.take(f"{prefix}/{field}", np.int32, (rows,))

    if narrow:
        terms8 = tuple(
            Term8(source=source, weights=weights(i), multiplier=per_row(f"{i}/multiplier"))
            for i, source in enumerate(sources)
        )
        return Affine8(terms=terms8, bias=per_row("bias"), shift=parts["shift"].integer())
    terms16 = tuple(
        Term16(
            source=source,
            weights=weights(i),
            bias=per_row(f"{i}/bias"),
            shift=per_row(f"{i}/shift"),
            multiplier=per_row(f"{i}/multiplier"),
        )
        for i, source in enumerate(sources)
    )
    return Affine16(terms=terms16)
