"""The float weights and the float run of a registered cell, from its record and graph."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any, Final, get_type_hints

import numpy as np

from edgernn.errors import UnsupportedModelError
from edgernn.graph.lowering import lowered
from edgernn.graph.op_graph import OpGraph
from edgernn.graph.ops import (
    Activation,
    AffineResult,
    Complement,
    Curve,
    Op,
    OperandOf,
    Product,
    Scaling,
    Sum,
    Value,
)
from edgernn.model.affine import Affine8, Source, Term8
from edgernn.model.formats import Precision
from edgernn.model.functions.exponents import Exponent, chosen_exponents
from edgernn.model.layer_record import LayerRecord
from edgernn.model.layers import ENTRY_POINTS, layer_class
from edgernn.model.scales import MAX_NORMALIZED, NormalizationConstants, ScaleVector
from edgernn_export.float_model.graph_run import offset_of

#: The option of the float layers of cells that normalise: what is added to variances.
EPSILON: Final = "epsilon"
Options = tuple[tuple[str, Any], ...]
#: The name of a layer whose graph is looked at, in front of all its values.
_LAYER: Final = "cell"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What a new state keeps of the one before it, as a factor.

    Attributes:
        state: position of the state.
        value: name of the factor, where it is a value of the step.
        constants: name of the factor, where it is a vector of constants.
        complement: the state keeps one less the factor.
    """

    state: int
    value: str = ""
    constants: str = ""
    complement: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CellPlan:
    """The float run of a cell, from its graph. Values go by their names in the cell.

    Attributes:
        graph: of the step.
        terms: per map what its float matrices multiply.
        operands: per source, but x, the value whose operand it is.
        states: per state its new value.
        ranged: values whose ranges are looked for: of states, and of what has their exponents.
        kept: what states keep of themselves.
        output: the output of the step.
        epsilon: what normalizations add to variances; 0 where there are none.
        values_of: see `ranged_of`; by the `values` of the exponent.
    """

    graph: OpGraph
    terms: dict[str, tuple[Source, ...]]
    operands: dict[Source, str]
    states: tuple[str, ...]
    ranged: tuple[str, ...]
    kept: tuple[Kept, ...]
    output: str
    epsilon: float
    values_of: Mapping[tuple[str, ...], tuple[str, ...]]

    def ranged_of(self, exponent: Exponent) -> tuple[str, ...]:
        """The values whose ranges an exponent that calibration chooses must hold."""
        return self.values_of[exponent.values]

    @property
    def observed(self) -> tuple[str, ...]:
        """All values that calibration sees, the output behind the others."""
        kept = [found.value for found in self.kept if found.value]
        names = dict.fromkeys((*self.operands.values(), *self.ranged, *self.states, *kept))
        names.pop(self.output, None)
        return (*names, self.output)


def record_of(kind: str) -> type[LayerRecord]:
    """The record of a registered cell.

    Raises:
        UnsupportedModelError: no cell has this name.
    """
    record = layer_class(kind)
    if record is None:
        raise UnsupportedModelError(
            [
                f"{kind!r:.80}: expected a registered cell, got an unknown name. Import the "
                "module that calls edgernn.register_cell for it, or install it with an entry "
                f"point of this name in the group {ENTRY_POINTS!r}."
            ]
        )
    return record


def option_types(kind: str) -> dict[str, Any]:
    """The options of a cell that a network chooses, and their types.

    Where a cell normalizes, one of them is the `EPSILON` of its float layer.
    """
    record = record_of(kind)
    constants = {
        *record.scale_shape, *record.norm_shape, *record.curve_shape, *record.leak_shape, "wide"
    }  # fmt: skip
    own = {"name", "inputs", "units", "starts", *record.shape, *constants, *record.exponents}
    types = get_type_hints(record)
    found = {field.name: types[field.name] for field in fields(record) if field.name not in own}
    return {**found, EPSILON: float} if record.norm_shape else found


def float_sources(kind: str, name: str) -> tuple[Source, ...]:
    """What the float matrices of a map multiply, one each."""
    found = _record_sources(record_of(kind), name)
    return (Source.X, Source.H) if found == (Source.XH,) else found


def weight_shapes(
    kind: str, inputs: int, units: int, options: Mapping[str, Any]
) -> dict[str, tuple[int, ...]]:
    """The float weights of a cell by name.

    They are "<map>.<source>", "<map>.bias", constants, and "<constants>.offset".

    Args:
        kind: of the cell's record.
        inputs: of the layer.
        units: of the layer.
        options: of the layer.

    Raises:
        UnsupportedModelError: an inner width is missing, or none.
    """
    record = record_of(kind)
    widths = _widths(kind, inputs, units, options)
    shapes: dict[str, tuple[int, ...]] = {}
    for name, (blocks, _) in record.shape.items():
        rows = blocks * record.width_of(name, widths)
        for source in float_sources(kind, name):
            shapes[f"{name}.{source.value}"] = (rows, sum(record.parts_of(source, widths)))
        shapes[f"{name}.bias"] = (rows,)
    counts = record.scale_widths(widths)
    shapes.update((name, (n,)) for name, n in counts.items())
    shapes.update((offset_of(name), (n,)) for name, n in counts.items() if name in record.offsets)
    return shapes


def _widths(kind: str, inputs: int, units: int, options: Mapping[str, Any]) -> dict[str, int]:
    """The widths of a layer by the names of their fields."""
    widths = {"inputs": inputs, "units": units}
    for name in record_of(kind).inner:
        width = options.get(name)
        if type(width) is not int or width < 1:
            raise UnsupportedModelError(
                [
                    f"{kind}: expected the option {name} to be a width, an integer of 1 or "
                    f"more, got {width!r:.80}. Pass options={{'{name}': 32}} or another width."
                ]
            )
        widths[name] = width
    return widths


def template(
    kind: str,
    inputs: int,
    units: int,
    options: Options,
    exponents: Mapping[str, int] | None = None,
    *,
    wide: bool = False,
) -> LayerRecord:
    """A layer of a cell whose weights are all zero, without tables of functions.

    Args:
        kind: of the cell's record.
        inputs: of the layer.
        units: of the layer.
        options: as of a `FloatCell`.
        exponents: by option; by default some with which the clauses hold.
        wide: its state has a low part.

    Raises:
        UnsupportedModelError: the cell does not have these options, or is too wide for
            normalization.
    """
    record, types = record_of(kind), option_types(kind)
    given = dict(options)
    widths = _widths(kind, inputs, units, given)
    if set(given) != set(types):
        raise UnsupportedModelError(
            [f"{kind}: expected options {sorted(types)}, got {sorted(given)}. Pass exactly these."]
        )
    if record.norm_shape:
        _check_normalized(kind, widths, given.pop(EPSILON))
        del types[EPSILON]
    arguments: dict[str, Any] = {"name": _LAYER, "inputs": inputs, "units": units}
    for name, form in types.items():
        is_enum = isinstance(form, type) and issubclass(form, enum.Enum)
        try:
            arguments[name] = form(given[name]) if is_enum else given[name]
        except ValueError as error:
            allowed = " or ".join(repr(choice.value) for choice in form)
            raise UnsupportedModelError(
                [f"{kind}: expected {name}={allowed}, got {given[name]!r:.80}. Train with that."]
            ) from error
    arguments |= chosen_exponents(record.exponents, given, _any_exponent) | dict(exponents or {})
    if wide:
        arguments["wide"] = True
    for name in record.shape:
        arguments[name] = _zero_map(record, name, widths)
    for name, count in record.norm_shape.items():
        arguments[name] = NormalizationConstants(
            width=count * record.width_of(name, widths), epsilon=np.ones(1, dtype=np.int32)
        )
    nothing = {
        name: ScaleVector(multiplier=np.zeros(n, np.int16), shift=1, bias=np.zeros(n, np.int16))
        for name, n in record.scale_widths(widths).items()
    }
    return record(**arguments, **record.scale_arguments(nothing))


def _any_exponent(name: str, exponent: Exponent) -> int:  # noqa: ARG001 (as others choose)
    """0 where it may be, so that no shift is beyond what products have."""
    return 0 if 0 in exponent.allowed else min(exponent.allowed)


def _check_normalized(kind: str, widths: dict[str, int], epsilon: Any) -> None:
    """Refuse widths that clause 7.11 does not reach, and what is no epsilon."""
    record = record_of(kind)
    for option in ("units", *record.inner):
        counts = [n for name, n in record.norm_shape.items() if record.counted_in(name) == option]
        most = MAX_NORMALIZED // max(counts, default=1)
        if counts and widths[option] > most:
            raise UnsupportedModelError(
                [
                    f"{kind}: expected at most {most} {option}, because at most "
                    f"{MAX_NORMALIZED} elements are normalized together, got {widths[option]}. "
                    f"Stack layers of {most} {option}."
                ]
            )
    if not isinstance(epsilon, (int, float)) or not 0 < epsilon < np.inf:
        raise UnsupportedModelError(
            [f"{kind}: expected {EPSILON} to be a number above 0, got {epsilon!r:.80}."]
        )


def _record_sources(record: type[LayerRecord], name: str) -> tuple[Source, ...]:
    """The sources of a map that has a matrix for each of them where it may."""
    _, allowed = record.shape[name]
    return max(allowed, key=lambda sources: (len(sources), str(sources)))


def _zero_map(record: type[LayerRecord], name: str, widths: dict[str, int]) -> Affine8:
    rows = record.shape[name][0] * record.width_of(name, widths)
    return Affine8(
        terms=tuple(
            Term8(
                source=source,
                weights=np.zeros((rows, sum(record.parts_of(source, widths))), np.int8),
                multiplier=np.ones(rows, np.int32),
            )
            for source in _record_sources(record, name)
        ),
        bias=np.zeros(rows, np.int32),
        shift=1,
    )


def local_name(value: Value) -> str:
    """The name of a value in its layer."""
    return value.name.partition(".")[2]


def full_name(name: str) -> str:
    """The name of a value in the graph of a plan."""
    return f"{_LAYER}.{name}"


@lru_cache(maxsize=256)
def plan_of(kind: str, inputs: int, units: int, options: Options) -> CellPlan:
    """The float run of a cell, from its graph."""
    layer = template(kind, inputs, units, options)
    graph = lowered(Precision.W8A8, (layer,))
    made = {op.result.name: op for op in graph.ops}
    operands: dict[Source, str] = {}
    for op in graph.ops:
        if not isinstance(op, AffineResult):
            continue
        for source, operand in op.by_source.items():
            values = [made[v.name] for v in (operand,) if v.name in made]
            if source is Source.XH:
                source, values = Source.H, [made[made[operand.name].reads[1].name]]
            for read in values:
                assert isinstance(read, OperandOf)
                name = local_name(read.value)
                if operands.setdefault(source, name) != name:
                    raise UnsupportedModelError(
                        [
                            f"{kind}: expected one value as {source.value}, got "
                            f"{operands[source]} and {name}. Use another source for one."
                        ]
                    )
    states = tuple(local_name(state.after) for state in graph.carried)
    ranged = dict.fromkeys(states)
    chosen = _open_values(type(layer), dict(options))
    for held in chosen.values():
        ranged.update(dict.fromkeys(held))
    return CellPlan(
        graph=graph,
        terms={name: float_sources(kind, name) for name in layer.shape},
        operands=operands,
        states=states,
        ranged=tuple(ranged),
        kept=tuple(_kept(graph, made)),
        output=local_name(graph.outputs[0]),
        epsilon=dict(options).get(EPSILON, 0.0),
        values_of={layer.exponents[name].values: held for name, held in chosen.items()},
    )


def open_exponents(record: type[LayerRecord], options: Mapping[str, Any]) -> dict[str, Exponent]:
    """The exponents that calibration chooses: no function fixes them, no other one stands for them.

    Args:
        record: of the cell.
        options: of the layer, by name.
    """
    return {
        name: exponent
        for name, exponent in record.exponents.items()
        if exponent.fixed(options) is None and not exponent.shares(options)
    }


def _open_values(
    record: type[LayerRecord], options: Mapping[str, Any]
) -> dict[str, tuple[str, ...]]:
    """Per exponent that calibration chooses the values whose ranges it holds."""
    found = {}
    for name, exponent in open_exponents(record, options).items():
        values = exponent.values + exponent.parts
        for other in record.exponents.values():
            if other.partner == name and other.shares(options):
                values += other.parts
        found[name] = values
    return found


def _kept(graph: OpGraph, made: dict[str, Op]) -> list[Kept]:
    """The factors of states whose product is a part of the sum that is the new state."""
    found = []
    for position, state in enumerate(graph.carried):
        parts = [state.after]
        while parts:
            op = made.get(parts.pop().name)
            if isinstance(op, Sum):
                parts += [op.a, op.b]
            elif isinstance(op, Scaling) and op.value == state.before:
                found.append(Kept(state=position, constants=op.name))
            elif isinstance(op, Scaling):  # a share of what a cell makes of its state
                parts.append(op.value)
            elif isinstance(op, Product) and state.before in op.reads:
                (factor,) = [v for v in op.reads if v != state.before] or [op.a]
                other = made.get(factor.name)
                complement = isinstance(other, Complement)
                if isinstance(other, Complement):
                    factor, other = other.value, made.get(other.value.name)
                if isinstance(other, (Activation, Curve)) or _gate_of_stack(other, made):
                    found.append(
                        Kept(state=position, value=local_name(factor), complement=complement)
                    )
    return found


def _gate_of_stack(op: Op | None, made: dict[str, Op]) -> bool:
    """Whether a value is a part of a stack of gates."""
    return op is not None and any(
        isinstance(made.get(v.name), (Activation, Curve)) for v in op.reads
    )
