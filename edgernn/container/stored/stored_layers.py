"""Layer <-> record and tensors (FORMAT.md 4.4, 4.5 and section 5)."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from functools import partial
from typing import Any, Final, get_type_hints

import numpy as np
import numpy.typing as npt

from edgernn.container.codec import MemberReader, Members, choice, from_parts, integer, to_object
from edgernn.container.stored.tensors import SparseBudget, TensorTable, read_weights, weight_tensors
from edgernn.container.strict_json import Node
from edgernn.errors import ModelError
from edgernn.model.affine import Affine, Affine8, Affine16, Source, Term8, Term16
from edgernn.model.formats import MAX_WIDTH, Precision
from edgernn.model.functions.curves import CurveTable
from edgernn.model.layer_record import LayerRecord, ScaledRecord
from edgernn.model.layers import ENTRY_POINTS, LAYERS, Layer, layer_class
from edgernn.model.scales import LeakConstants, NormalizationConstants, ScaleVector
from edgernn.model.storage import Storage

#: The version that holds networks.
NETWORK_VERSION: Final = "4"
#: Layers of versions 1 to 3; version 4 holds all others too.
CHAIN_KINDS: Final = ("simple_rnn", "lstm", "gru_before", "gru_after", "dense")
_LAYER: Final[Members] = {
    "name": Node.text,
    "inputs": integer(1, MAX_WIDTH),
    "units": integer(1, MAX_WIDTH),
}
_READERS: Final[dict[Any, MemberReader]] = {
    int: Node.integer, float: Node.real, bool: Node.flag, str: Node.text
}  # fmt: skip
_CONSTANTS: Final = (
    ScaleVector,
    tuple[ScaleVector, ...],
    NormalizationConstants,
    LeakConstants,
    CurveTable,
    CurveTable | None,
)
#: A member that is there where it is true, and the members that say which tables there are.
_WIDE: Final = "wide"
#: The member of a record that names states which begin with other codes than 0, if there are some.
_STARTS: Final = "starts"
#: States of a layer, low parts among them, at most.
_MOST_STATES: Final = 16
_CURVES: Final = "curves"
_LEAK: Final = ("high", "low", "shift")
#: The member that is null where units have scales of their own, and the name of their tensor.
_SCALE: Final = "output_scale"

#: Options by class: type hints are slow to look up, and a class never changes.
_known: dict[type[LayerRecord], Members] = {}


def options(layer: type[LayerRecord]) -> Members:
    """The content of a layer's record besides kind, name, inputs, units, maps and constants.

    They are the other fields of its class; the type of a field says how it is read.

    Raises:
        ModelError: a field of another type than an enumeration, int, float, bool or str.
    """
    if layer not in _known:
        types = get_type_hints(layer)
        _known[layer] = {
            field.name: (
                _LAYER["units"]
                if field.name in layer.inner
                else _reader(layer.kind, field.name, types[field.name])
            )
            for field in fields(layer)
            if field.name not in _LAYER
            and field.name not in layer.shape
            and field.name not in layer.input_vectors
            and types[field.name] not in _CONSTANTS
            and field.name not in (*layer.tables, "unit_scales", _WIDE, _STARTS)
        }
    return _known[layer]


def _reader(kind: str, name: str, form: Any) -> MemberReader:
    if isinstance(form, type) and issubclass(form, enum.Enum):
        return choice(form)
    if form not in _READERS:
        raise ModelError(
            f"{kind}.{name}: expected an option of type int, float, bool, str or an enumeration, "
            f"got {form}. Declare maps in `shape`, constants in `scale_shape` or `norm_shape`."
        )
    return _READERS[form]


def layer_record(layer: Layer, version: str) -> dict[str, Any]:
    """Everything of a layer that is not an array, as JSON values, except what it reads.

    Args:
        layer: the layer.
        version: of the file.
    """
    affines = {
        name: _affine_record(affine, version != "1") for name, affine in layer.affines.items()
    }
    scales = {name: {"shift": scale.shift} for name, scale in layer.scales.items()}
    fields = to_object(layer, {**_LAYER, **options(type(layer))})
    if has_unit_scales(layer):
        fields[_SCALE] = None
    if _has_wide_field(type(layer)) and layer.is_wide:
        fields[_WIDE] = True
    if layer.starts:
        fields[_STARTS] = [name for name, _ in layer.starts]
    if layer.curve_shape:
        fields[_CURVES] = {
            name: {"low": table.low, "high": table.high} for name, table in layer.curves.items()
        }
    return {
        "kind": layer.kind,
        **fields,
        "affines": affines,
        **({"scales": scales} if version == NETWORK_VERSION else {}),
    }


def _has_wide_field(layer: type[LayerRecord]) -> bool:
    return any(field.name == _WIDE for field in fields(layer))


def has_unit_scales(layer: Layer) -> bool:
    """Whether the units of a layer have separate output scales."""
    return isinstance(layer, ScaledRecord) and layer.unit_scales is not None


def _affine_record(affine: Affine, stored: bool) -> dict[str, Any]:
    record: dict[str, Any] = {"sources": [term.source.value for term in affine.terms]}
    if stored:
        record["storages"] = [term.storage.value for term in affine.terms]
    return {**record, "shift": affine.shift} if isinstance(affine, Affine8) else record


def layer_tensors(layer: Layer, budget: SparseBudget) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    """The tensors of a layer by name.

    Args:
        layer: the layer.
        budget: of the file.

    Raises:
        FormatError: more sparse tiles than a file may have.
    """
    for name, affine in layer.affines.items():
        yield from _affine_tensors(layer, f"{layer.name}/{name}", affine, budget)
    for name in layer.input_vectors:
        yield f"{layer.name}/{name}", getattr(layer, name)
    for name, scale in layer.scales.items():
        yield f"{layer.name}/{name}/multiplier", scale.multiplier
        yield f"{layer.name}/{name}/bias", scale.bias
    for name, norm in layer.normalizations.items():
        yield f"{layer.name}/{name}/epsilon", norm.epsilon
    for name in layer.tables:
        yield f"{layer.name}/{name}", getattr(layer, name)
    for name, table in layer.curves.items():
        yield f"{layer.name}/{name}/entries", table.entries
    for name, leak in layer.leaks.items():
        for field in _LEAK:
            yield f"{layer.name}/{name}/{field}", getattr(leak, field)
    if has_unit_scales(layer):
        yield f"{layer.name}/{_SCALE}", layer.output_scales
    for name, codes in layer.starts:
        yield f"{layer.name}/{_STARTS}/{name}", np.array(codes, np.int16)


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
class StoredTensors:
    """What every layer is read with: the file's tensors, and how they are to be understood.

    Attributes:
        precision: of the model.
        version: of the file.
        table: tensors of the file.
        budget: of the file.
    """

    precision: Precision
    version: str
    table: TensorTable
    budget: SparseBudget


def read_layer(node: Node, file: StoredTensors) -> Layer:
    """The layer that a record and tensors describe.

    Raises:
        FormatError: record or tensors are not as FORMAT.md says.
        ModelError: they are, but contradict each other.
    """
    kind, network = node.member("kind").text(), file.version == NETWORK_VERSION
    layer = layer_class(kind) if network or kind in CHAIN_KINDS else None
    if layer is None:
        if not network:
            raise node.member("kind").refuse(f"one of {', '.join(CHAIN_KINDS)}")
        raise node.member("kind").refuse(
            f"one of {', '.join(LAYERS)} or a cell registered by a package",
            "Import the package that provides this cell, or install one with an entry point of "
            f"this name in the group {ENTRY_POINTS!r}",
        )
    wanted = options(layer)
    members = node.keys()
    wide = _has_wide_field(layer) and _WIDE in members
    begun = network and _STARTS in members
    parts = node.members(
        "kind", "affines", *["reads", "scales"] * network, *_LAYER, *wanted, *[_WIDE] * wide,
        *[_CURVES] * bool(layer.curve_shape), *[_STARTS] * begun,
    )  # fmt: skip
    fields = from_parts(parts, _LAYER)
    if network and issubclass(layer, ScaledRecord) and parts[_SCALE].value is None:
        each = file.table.take(f"{fields['name']}/{_SCALE}", np.float64, (fields["units"],))
        fields |= {_SCALE: float(each.max()), "unit_scales": each}
        wanted = {name: read for name, read in wanted.items() if name != _SCALE}
    fields |= from_parts(parts, wanted)
    parts_of = partial(layer.parts_of, widths=fields)
    rows = {name: count * layer.width_of(name, fields) for name, (count, _) in layer.shape.items()}
    affines = {
        affine: _read_affine(part, f"{fields['name']}/{affine}", file, rows[affine], parts_of)
        for affine, part in parts["affines"].members(*rows).items()
    }
    vectors = {
        name: file.table.take(f"{fields['name']}/{name}", np.int16, (fields["inputs"],))
        for name in layer.input_vectors
    }
    arguments: dict[str, Any] = {**fields, **affines, **vectors}
    for table in layer.tables:
        arguments[table] = file.table.take(f"{fields['name']}/{table}", np.int8, (None, None))
    if network:
        scales = _read_scales(parts["scales"], fields["name"], file, layer.scale_widths(fields))
        arguments |= layer.scale_arguments(scales)
        arguments |= {
            name: NormalizationConstants(
                width=count * layer.width_of(name, fields),
                epsilon=file.table.take(f"{fields['name']}/{name}/epsilon", np.int32, (None,)),
            )
            for name, count in layer.norm_shape.items()
        }
    if wide:
        if not parts[_WIDE].flag():
            raise parts[_WIDE].refuse("true, or no member of this name")
        arguments[_WIDE] = True
    if layer.curve_shape:
        arguments |= _read_curves(parts[_CURVES], layer, fields["name"], file)
    for name in layer.leak_shape:
        width = layer.width_of(name, fields)
        arguments[name] = LeakConstants(
            **{
                field: file.table.take(f"{fields['name']}/{name}/{field}", np.int16, (width,))
                for field in _LEAK
            }
        )
    if begun:
        arguments[_STARTS] = _read_starts(parts[_STARTS], fields["name"], file)
    return layer(**arguments)


def _read_starts(
    node: Node, name: str, file: StoredTensors
) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """The codes that states begin with, by their names in the layer."""
    states = [one.text() for one in node.items(1, _MOST_STATES)]
    taken = [file.table.take(f"{name}/{_STARTS}/{state}", np.int16, (None,)) for state in states]
    return tuple(zip(states, (tuple(codes.tolist()) for codes in taken), strict=True))


def _read_curves(
    node: Node, layer: type[LayerRecord], name: str, file: StoredTensors
) -> dict[str, CurveTable]:
    """The tables of functions that a record lists."""
    members = node.keys()
    if not set(members) <= set(layer.curve_shape):
        raise node.refuse(f"only the members {', '.join(layer.curve_shape)}")
    types = get_type_hints(layer)
    for key in layer.curve_shape:
        if types[key] is CurveTable:
            node.member(key)  # one that the layer cannot be without
    read = {}
    for key, member in node.members(*members).items():
        limits = member.members("low", "high")
        read[key] = CurveTable(
            entries=file.table.take(f"{name}/{key}/entries", np.int16, (None,)),
            low=limits["low"].integer(),
            high=limits["high"].integer(),
        )
    return read


def _read_scales(
    node: Node, layer: str, file: StoredTensors, widths: dict[str, int]
) -> dict[str, ScaleVector]:
    if len(node.keys()) != len(widths):  # as many as a file says: they are not listed
        raise node.refuse(f"an object with {len(widths)} members")
    scales = {}
    for name, width in widths.items():
        shift = node.member(name).members("shift")["shift"].integer()
        multiplier, bias = (
            file.table.take(f"{layer}/{name}/{field}", np.int16, (width,))
            for field in ("multiplier", "bias")
        )
        scales[name] = ScaleVector(multiplier=multiplier, shift=shift, bias=bias)
    return scales


def _read_affine(
    node: Node,
    prefix: str,
    file: StoredTensors,
    rows: int,
    parts_of: Callable[[Source], tuple[int, ...]],
) -> Affine:
    narrow, stored = file.precision is Precision.W8A8, file.version != "1"
    parts = node.members("sources", *["shift"] * narrow, *["storages"] * stored)
    sources = [source.choice(Source) for source in parts["sources"].items(1, 2)]
    storages = [Storage.DENSE8] * len(sources)
    if stored:
        listed = parts["storages"].items(len(sources), len(sources))
        storages = [storage.choice(Storage) for storage in listed]

    def per_row(field: str) -> npt.NDArray[Any]:
        return file.table.take(f"{prefix}/{field}", np.int32, (rows,))

    def shared(index: int) -> dict[str, Any]:
        source, storage = sources[index], storages[index]
        weights = read_weights(
            file.table, f"{prefix}/{index}", storage, rows, parts_of(source), file.budget
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
