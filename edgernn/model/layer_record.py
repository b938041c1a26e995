"""What all layer records share: a name, widths, maps and states by name."""

from __future__ import annotations

import enum
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np

from edgernn.display import short
from edgernn.errors import ModelError
from edgernn.model.affine import Affine, Affine8, Affine16, CodeRange, Source
from edgernn.model.formats import (
    INT16_MAX,
    INT16_MIN,
    LOW,
    ArrayRecord,
    FloatArray,
    Int16Array,
    QFormat,
    check_rows,
    frozen_array,
    low_format,
)
from edgernn.model.functions.curves import CurveTable
from edgernn.model.functions.exponents import Exponent
from edgernn.model.functions.pointwise import PointwiseFunction, check_function
from edgernn.model.scales import LeakConstants, NormalizationConstants, ScaleVector
from edgernn.model.storage import MAX_SPARSE_TILES, Storage, padded, tile_columns

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,63}")


@dataclass(frozen=True, slots=True, kw_only=True)
class StateSpec:
    """One carried state vector: int16 [units].

    Attributes:
        name: ``<layer>.h`` or ``<layer>.c``.
        units: length of the vector.
        format: fixed-point format of the codes.
        codes: it holds input codes (clause 2.3), not any int16.
        start: what every stream begins with, repeated along the vector; none where that is 0.
    """

    name: str
    units: int
    format: QFormat
    codes: bool = False
    start: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Check that the start fits; zeros say nothing."""
        if self.start and (self.units % len(self.start) or not _are_int16(self.start)):
            raise ModelError(
                f"state {self.name}: expected a start of int16 codes whose number divides "
                f"{self.units}, got {self.start!r:.60}"
            )
        if not any(self.start):
            object.__setattr__(self, "start", ())

    def initial(self) -> Int16Array:
        """The state before the first step, int16 [units]."""
        if not self.start:
            return np.zeros(self.units, np.int16)
        return np.tile(np.array(self.start, np.int16), self.units // len(self.start))


def _are_int16(values: tuple[int, ...]) -> bool:
    return all(type(v) is int and INT16_MIN <= v <= INT16_MAX for v in values)


#: A product of clause 4.1: sources it may use, rows per unit, or per element of an inner width.
AffineShapes = dict[str, tuple[int, frozenset[tuple[Source, ...]]]]
X_AND_H = frozenset({(Source.XH,), (Source.X, Source.H)})


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LayerRecord(ArrayRecord):
    """What all layers share: a name, widths, maps, constants and states by name."""

    kind: ClassVar[str]
    shape: ClassVar[AffineShapes]
    #: Options that are widths beside inputs and units: the fields that are counted in them, and
    #: the sources that have them. All others are counted in units.
    inner: ClassVar[dict[str, tuple[str | Source, ...]]] = {}
    #: Whether the layer reads the int16 values of what feeds it; others read operands.
    reads_values: ClassVar[bool] = False
    #: Fields that are int16 vectors, an element for each of the inputs.
    input_vectors: ClassVar[tuple[str, ...]] = ()
    #: Fields that are vectors of constants: elements per unit.
    scale_shape: ClassVar[dict[str, int]] = {}
    #: Those of `scale_shape` that have offsets; without them a scaling has none.
    offsets: ClassVar[frozenset[str]] = frozenset()
    #: Fields that are constants of a normalization: elements per unit.
    norm_shape: ClassVar[dict[str, int]] = {}
    #: Fields that are exponents of a cell's values; calibration chooses them.
    exponents: ClassVar[dict[str, Exponent]] = {}
    #: Smallest and largest real value of constants that cannot be any number.
    bounds: ClassVar[dict[str, tuple[float, float]]] = {}
    #: What constants begin training with; else 0, or near the end of their bounds.
    first_scale: ClassVar[dict[str, float]] = {}
    #: What a bias, or an offset, begins training with, one number for each block of rows; else 0.
    first_bias: ClassVar[dict[str, tuple[float, ...]]] = {}
    #: Fields that are int8 matrices of which rows are looked up.
    tables: ClassVar[tuple[str, ...]] = ()
    #: Fields that are tables of functions, or None, and the options that name the functions.
    curve_shape: ClassVar[dict[str, str]] = {}
    #: Fields that are the constants of leaky sums.
    leak_shape: ClassVar[tuple[str, ...]] = ()
    #: The state that has a low part where the field `wide` is true; none where there is no such
    #: field.
    widened: ClassVar[str] = ""

    name: str
    inputs: int
    units: int
    #: What states begin with that do not begin with zeros: names in the layer, and int16 codes.
    starts: tuple[tuple[str, tuple[int, ...]], ...] = ()

    def __post_init__(self) -> None:
        """Check names and widths, sources and rows of all affine maps, widths of constants."""
        if not _NAME.fullmatch(self.name):
            raise ModelError(
                f"layer name: expected 1..64 letters, digits, '_' or '-', got {self.name!r:.80}"
            )
        if min(self.widths.values()) < 1:
            raise ModelError(
                f"{self.name}: expected {' and '.join(f'{name} >= 1' for name in self.widths)}, "
                f"got {', '.join(f'{name}={width}' for name, width in self.widths.items())}"
            )
        for name, exponent in self.exponents.items():
            allowed = exponent.of(wide=self.is_wide)
            exponent_bits = getattr(self, name)
            if exponent_bits not in allowed:
                owner = f"{self.name}.{name}: expected {min(allowed)}..{max(allowed)}"
                raise ModelError(f"{owner}, got {exponent_bits}")
        for option in set(self.curve_shape.values()):
            check_function(f"{self.name}.{option}", getattr(self, option))
        for name, affine in self.affines.items():
            self._check_affine(name, affine)
        for name, leak in self.leaks.items():
            if leak.width != self.width_of(name, self.widths):
                raise ModelError(
                    f"{self.name}.{name}: expected {self.width_of(name, self.widths)} elements, "
                    f"got {leak.width}"
                )
        for name, count in (self.scale_shape | self.norm_shape).items():
            width, wanted = getattr(self, name).width, count * self.width_of(name, self.widths)
            if width != wanted:
                raise ModelError(f"{self.name}.{name}: expected {wanted} elements, got {width}")
        if self.starts:
            self._check_starts()

    def _check_starts(self) -> None:
        """Starts are whole vectors, not all zero, of states of the layer, in their order."""
        widths = {spec.name.partition(".")[2]: spec.units for spec in self.states}
        found = [name for name, spec in zip(widths, self.states, strict=True) if spec.start]
        got = [name for name, codes in self.starts if len(codes) == widths.get(name)]
        if found != got or len(got) != len(self.starts):
            wanted = ", ".join(f"{name} ({width})" for name, width in widths.items())
            raise ModelError(
                f"{self.name}.starts: expected codes, not all of them 0, for some of the states "
                f"{wanted}, got {self.starts!r:.120}"
            )

    def _check_affine(self, name: str, affine: Affine) -> None:
        owner = f"{self.name}.{name}"
        if not isinstance(affine, (Affine8, Affine16)):
            raise ModelError(f"{owner}: expected an affine map, got {type(affine).__name__}")
        blocks, allowed = self.shape[name]
        sources = tuple(term.source for term in affine.terms)
        if sources not in allowed:
            wanted = " or ".join(sorted("+".join(s.value for s in a) for a in allowed))
            got = "+".join(s.value for s in sources)
            raise ModelError(f"{owner}: expected sources {wanted}, got {got}")
        wanted_rows = blocks * self.width_of(name, self.widths)
        if affine.rows != wanted_rows:
            raise ModelError(f"{owner}: expected {wanted_rows} rows, got {affine.rows}")
        for term in affine.terms:
            wanted_columns = self.columns(term.source)
            if term.weights.shape[1] != wanted_columns:
                raise ModelError(
                    f"{owner}: expected {wanted_columns} columns for source "
                    f"{term.source.value}, got {term.weights.shape[1]}"
                )
            self._check_storage(owner, term.source, term.storage)

    def _check_storage(self, owner: str, source: Source, storage: Storage) -> None:
        count = tile_columns(self.parts(source))
        if storage is Storage.SPARSE8 and count > MAX_SPARSE_TILES:
            raise ModelError(
                f"{owner}: expected at most {MAX_SPARSE_TILES} tiles of 4 columns in a sparse "
                f"product, got {count} for source {source.value}. Store it dense, in 8 or 4 bits."
            )

    def __repr__(self) -> str:
        """Name, widths and options."""
        own = [(field.name, getattr(self, field.name)) for field in fields(self)]
        told = [(name, value) for name, value in own if isinstance(value, (enum.Enum, str, int))]
        return f"{type(self).__name__}({', '.join(f'{n}={short(v)}' for n, v in told)})"

    @property
    def widths(self) -> dict[str, int]:
        """Inputs, units and the inner widths of the layer, by the names of their fields."""
        return {name: getattr(self, name) for name in ("inputs", "units", *self.inner)}

    @classmethod
    def counted_in(cls, what: str | Source) -> str:
        """The field that is the width of a source, or of a map or constants for each of its rows.

        Args:
            what: a source other than x and xh, or the name of a map or of constants.
        """
        return next((name for name, fields in cls.inner.items() if what in fields), "units")

    @classmethod
    def width_of(cls, what: str | Source, widths: Mapping[str, int]) -> int:
        """The width that `counted_in` names, among those of a layer that may be still to be made.

        Args:
            what: as there.
            widths: as `widths` of a layer.
        """
        return widths[cls.counted_in(what)]

    @classmethod
    def parts_of(cls, source: Source, widths: Mapping[str, int]) -> tuple[int, ...]:
        """What `parts` is of a layer of these widths."""
        carried = Source.H if source is Source.XH else source
        return source.parts(widths["inputs"], cls.width_of(carried, widths))

    def parts(self, source: Source) -> tuple[int, ...]:
        """Lengths of the vectors that a term with this source reads, one behind the other."""
        return self.parts_of(source, self.widths)

    def columns(self, source: Source) -> int:
        """Number of operand codes a term with this source reads."""
        return sum(self.parts(source))

    def shared_columns(self, ranges: tuple[CodeRange, ...]) -> tuple[CodeRange, ...]:
        """Ranges of the columns of a map over x, of those of the inputs [I].

        A layer that applies a map several times has one that holds what all of them read.
        """
        columns = self.columns(Source.X)
        if len(ranges) in (0, columns):
            return ranges
        return tuple(
            CodeRange(
                low=min(r.low for r in ranges[column::columns]),
                high=max(r.high for r in ranges[column::columns]),
            )
            for column in range(columns)
        )

    def first_operand(self, source: Source) -> int:
        """Where a source begins in the buffer of operands: the input, then any other vector.

        A map that reads a part of the input finds it behind the whole.
        """
        behind = source in (Source.H, Source.RH) or (
            source is Source.X and self.columns(source) < self.inputs
        )
        return padded(self.inputs) if behind else 0

    @property
    def affines(self) -> dict[str, Affine]:
        """The affine maps of the layer by name, in the order they are stored."""
        return {name: getattr(self, name) for name in self.shape}

    @property
    def scales(self) -> dict[str, ScaleVector]:
        """The vectors of constants that the layer multiplies values with, by name."""
        return {name: getattr(self, name) for name in self.scale_shape}

    @classmethod
    def scale_widths(cls, widths: Mapping[str, int]) -> dict[str, int]:
        """Elements of each of `scales`, for a layer of these `widths` that is still to be made."""
        return {name: n * cls.width_of(name, widths) for name, n in cls.scale_shape.items()}

    @classmethod
    def scale_arguments(cls, scales: dict[str, ScaleVector]) -> dict[str, Any]:
        """The arguments by which a layer that is made gets its `scales`.

        Args:
            scales: as `scale_widths` names them.
        """
        return dict(scales)

    @property
    def normalizations(self) -> dict[str, NormalizationConstants]:
        """The constants of the layer's normalizations, by name."""
        return {name: getattr(self, name) for name in self.norm_shape}

    @property
    def curves(self) -> dict[str, CurveTable]:
        """The tables of functions that the layer has, by name."""
        tables = {name: getattr(self, name) for name in self.curve_shape}
        return {name: table for name, table in tables.items() if table is not None}

    def check_curves(self) -> None:
        """Refuse a layer of integers without a table that it needs, or with one that it does not.

        A layer that only real numbers are computed with has none.

        Raises:
            ModelError: as said.
        """
        for name, option in self.curve_shape.items():
            function = getattr(self, option)
            is_operation = not self.reads_values and PointwiseFunction.parse(function).is_operation
            if is_operation is (name in self.curves):
                wanted = "no table" if is_operation else "a table"
                raise ModelError(f"{self.name}.{name}: expected {wanted} for {function!r:.80}")

    @property
    def leaks(self) -> dict[str, LeakConstants]:
        """The constants of leaky sums, by name."""
        return {name: getattr(self, name) for name in self.leak_shape}

    @property
    def is_wide(self) -> bool:
        """Whether a state of the layer has a low part (clause 2.8)."""
        return bool(self.widened) and bool(getattr(self, "wide", True))

    def low_state(self, of: StateSpec) -> tuple[StateSpec, ...]:
        """The low part of a state, where the layer is wide: a state behind the others."""
        if not self.is_wide:
            return ()
        return (StateSpec(name=f"{of.name}{LOW}", units=of.units, format=low_format(of.format)),)

    def state(self, name: str, form: QFormat, width: int | None = None) -> StateSpec:
        """A carried vector; of one element per unit, where no width is given."""
        owned, start = f"{self.name}.{name}", dict(self.starts).get(name, ())
        return StateSpec(name=owned, units=width or self.units, format=form, start=start)

    @property
    def states(self) -> tuple[StateSpec, ...]:
        """The state vectors of the layer."""
        return ()

    @property
    def output_scale(self) -> float:
        """Real value of one output code; of a cell, that of its first state."""
        return self.states[0].format.scale

    @property
    def output_scales(self) -> FloatArray:
        """Real value of one output code of each unit, float64 [units]."""
        return np.full(self.units, self.output_scale)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the matrix products of one step."""
        return sum(t.weights.size for a in self.affines.values() for t in a.terms)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ScaledRecord(LayerRecord):
    """A layer whose output has real scales that calibration chooses; no integer depends on them.

    Attributes:
        output_scale: real value of one output code; the largest of those that differ.
        unit_scales: the same of each unit where they differ, float64 [units]. Readers use every
            element separately (clause 7.9). None where all units have one.
    """

    output_scale: float
    unit_scales: FloatArray | None = None

    def __post_init__(self) -> None:
        """Freeze and check the scales."""
        LayerRecord.__post_init__(self)
        if not 0.0 < self.output_scale < math.inf:
            raise ModelError(
                f"{self.name}.output_scale: expected a finite value > 0, got {self.output_scale}"
            )
        if self.unit_scales is None:
            return
        scales = frozen_array(self.name, "unit_scales", self.unit_scales, np.float64, 1)
        object.__setattr__(self, "unit_scales", scales)
        check_rows(self.name, self.units, unit_scales=scales)
        low, high = float(scales.min()), float(scales.max())
        if not 0.0 < low < high < math.inf or high != self.output_scale:
            raise ModelError(
                f"{self.name}.unit_scales: expected finite values > 0 that differ, with "
                f"{self.output_scale} as the largest, got {low} to {high}"
            )

    @property
    def output_scales(self) -> FloatArray:
        """Real value of one output code of each unit, float64 [units]."""
        if self.unit_scales is not None:
            return self.unit_scales
        return np.full(self.units, self.output_scale)
