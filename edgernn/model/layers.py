"""Layer records of the integer model (NUMERICS.md sections 6 to 8).

Rows of stacked gates are in the order `i f g o` (LSTM) and `z r n` (GRU).
"""

from __future__ import annotations

import enum
import importlib
import importlib.util
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

import numpy as np

from edgernn.errors import ModelError
from edgernn.model.affine import Affine, Affine8, Source
from edgernn.model.formats import (
    CELL_EXPONENTS,
    MAX_VOCABULARY,
    PLAIN_CODES,
    RELU_EXPONENTS,
    UNIT,
    WEIGHT_MAX,
    Int8Array,
    Int16Array,
    QFormat,
    check_range,
    frozen_array,
)
from edgernn.model.layer_record import (
    X_AND_H,
    AffineShapes,
    LayerRecord,
    ScaledRecord,
    StateSpec,
)
from edgernn.model.merges import Merge


class GateActivation(enum.Enum):
    """Activation of LSTM and GRU gates."""

    SIGMOID = "sigmoid"
    HARD_SIGMOID = "hard_sigmoid"


class CellActivation(enum.Enum):
    """Activation of a SimpleRNN."""

    TANH = "tanh"
    RELU = "relu"


class DenseActivation(enum.Enum):
    """Activation of a Dense layer."""

    LINEAR = "linear"
    RELU = "relu"
    TANH = "tanh"
    SIGMOID = "sigmoid"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SimpleRNN(LayerRecord):
    """h' = tanh or relu of one affine map (clause 7.1).

    Attributes:
        activation: tanh or relu.
        state_exponent: fractional bits of a relu state; 15 for tanh.
        gates: affine map, H rows.
    """

    kind: ClassVar[str] = "simple_rnn"
    shape: ClassVar[AffineShapes] = {"gates": (1, X_AND_H)}

    activation: CellActivation
    state_exponent: int
    gates: Affine

    def __post_init__(self) -> None:
        """Check the state's format."""
        LayerRecord.__post_init__(self)
        allowed = (15,) if self.activation is CellActivation.TANH else RELU_EXPONENTS
        if self.state_exponent not in allowed:
            raise ModelError(
                f"{self.name}.state_exponent: expected {min(allowed)}..{max(allowed)} for "
                f"{self.activation.value}, got {self.state_exponent}"
            )

    @property
    def states(self) -> tuple[StateSpec, ...]:
        """One hidden state."""
        form = QFormat(bits=16, frac_bits=self.state_exponent)
        return (self.state("h", form),)

    @property
    def output_scale(self) -> float:
        """Real value of one output code."""
        return float(2.0**-self.state_exponent)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LSTM(LayerRecord):
    """Long short-term memory without peepholes (clauses 7.2 to 7.4).

    Attributes:
        gate_activation: of i, f, o.
        cell_exponent: fractional bits of the cell state c, 10..14.
        gates: affine map, 4H rows in the order i f g o.
    """

    kind: ClassVar[str] = "lstm"
    shape: ClassVar[AffineShapes] = {"gates": (4, X_AND_H)}

    gate_activation: GateActivation
    cell_exponent: int
    gates: Affine

    def __post_init__(self) -> None:
        """Check the cell state's format."""
        LayerRecord.__post_init__(self)
        if self.cell_exponent not in CELL_EXPONENTS:
            raise ModelError(
                f"{self.name}.cell_exponent: expected 10..14, got {self.cell_exponent}"
            )

    @property
    def states(self) -> tuple[StateSpec, ...]:
        """Hidden state, then cell state."""
        cell = QFormat(bits=16, frac_bits=self.cell_exponent)
        return self.state("h", UNIT), self.state("c", cell)

    @property
    def output_scale(self) -> float:
        """Real value of one output code."""
        return UNIT.scale


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _GRU(LayerRecord):
    """What both GRUs share (clause 7.5)."""

    gate_activation: GateActivation
    zr: Affine

    def __post_init__(self) -> None:
        """Check that all maps share one shift (clause 7.8)."""
        LayerRecord.__post_init__(self)
        shifts = {a.shift for a in self.affines.values() if isinstance(a, Affine8)}
        if len(shifts) > 1:
            raise ModelError(f"{self.name}: expected one shift for all maps, got {sorted(shifts)}")

    @property
    def states(self) -> tuple[StateSpec, ...]:
        """One hidden state."""
        return (self.state("h", UNIT),)

    @property
    def output_scale(self) -> float:
        """Real value of one output code."""
        return UNIT.scale


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GRUBefore(_GRU):
    """GRU with the reset gate applied before the matrix product (clauses 7.5, 7.6).

    Attributes:
        gate_activation: of z, r.
        zr: affine map, 2H rows.
        n: affine map, H rows, over x and the reset hidden state.
    """

    kind: ClassVar[str] = "gru_before"
    shape: ClassVar[AffineShapes] = {
        "zr": (2, X_AND_H),
        "n": (1, frozenset({(Source.X, Source.RH)})),
    }

    n: Affine


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GRUAfter(_GRU):
    """GRU with the reset gate applied after the matrix product (clauses 7.5, 7.7).

    Attributes:
        gate_activation: of z, r.
        zr: affine map, 2H rows.
        n_x: affine map, H rows, over x.
        n_h: affine map, H rows, over h.
    """

    kind: ClassVar[str] = "gru_after"
    shape: ClassVar[AffineShapes] = {
        "zr": (2, X_AND_H),
        "n_x": (1, frozenset({(Source.X,)})),
        "n_h": (1, frozenset({(Source.H,)})),
    }

    n_x: Affine
    n_h: Affine


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Dense(ScaledRecord):
    """y = activation of one affine map (section 8).

    Attributes:
        activation: linear, relu, tanh or sigmoid.
        output_scale: real value of one output code (relu and linear layers that feed another
            layer; 2**-15 for tanh and sigmoid; the last layer's scales are in `OutputSpec`).
        unit_scales: of relu and linear layers that merges alone read, where units differ much.
        out: affine map, U rows.
    """

    kind: ClassVar[str] = "dense"
    shape: ClassVar[AffineShapes] = {"out": (1, frozenset({(Source.X,)}))}

    activation: DenseActivation
    out: Affine

    def __post_init__(self) -> None:
        """Check the output scale."""
        ScaledRecord.__post_init__(self)
        bounded = (DenseActivation.TANH, DenseActivation.SIGMOID)
        if self.activation in bounded and (self.output_scales != UNIT.scale).any():
            raise ModelError(
                f"{self.name}.output_scale: expected 2**-15 for {self.activation.value}, "
                f"got {self.output_scale}"
            )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Embedding(LayerRecord):
    """y = the rows of a table that tokens number, one behind another (clause 8.3).

    It reads n token channels of the model's input and puts out n rows of D values.

    Attributes:
        output_scale: real value of one output code, of which a code of the table is worth 256.
        table: int8 [V, D] in [-127, 127].
    """

    kind: ClassVar[str] = "embedding"
    shape: ClassVar[AffineShapes] = {}
    reads_values: ClassVar[bool] = True
    tables: ClassVar[tuple[str, ...]] = ("table",)

    output_scale: float
    table: Int8Array

    def __post_init__(self) -> None:
        """Freeze and check the table."""
        LayerRecord.__post_init__(self)
        object.__setattr__(self, "table", frozen_array(self.name, "table", self.table, np.int8, 2))
        check_range(self.name, "table", self.table, -WEIGHT_MAX, WEIGHT_MAX)
        rows, columns = self.table.shape
        if not 1 <= rows <= MAX_VOCABULARY or self.units != self.inputs * columns:
            raise ModelError(
                f"{self.name}.table: expected 1 to {MAX_VOCABULARY} rows of "
                f"{self.units} / {self.inputs} columns, got {list(self.table.shape)}"
            )
        if not 0.0 < self.output_scale < float("inf"):
            raise ModelError(
                f"{self.name}.output_scale: expected a finite value > 0, got {self.output_scale}"
            )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Delay(LayerRecord):
    """The last rows of what it reads, the newest first (clause 8.4).

    A causal convolution is a matrix over some of these rows, a depthwise one a sum of them, each
    times its own constants.

    Attributes:
        codes: it reads input codes, and its output is codes; else layers, and their values.
        start: int16 [inputs], the row that stands for those before the stream.
    """

    kind: ClassVar[str] = "delay"
    shape: ClassVar[AffineShapes] = {}
    reads_values: ClassVar[bool] = True
    input_vectors: ClassVar[tuple[str, ...]] = ("start",)

    codes: bool
    start: Int16Array

    def __post_init__(self) -> None:
        """Freeze and check."""
        LayerRecord.__post_init__(self)
        start = frozen_array(self.name, "start", self.start, np.int16, 1)
        object.__setattr__(self, "start", start)
        if self.start.shape != (self.inputs,):
            raise ModelError(
                f"{self.name}.start: expected shape ({self.inputs},), got {self.start.shape}"
            )
        if self.units % self.inputs or self.rows < 2:
            raise ModelError(
                f"{self.name}.units: expected 2 or more rows of {self.inputs}, got {self.units}"
            )

    @property
    def rows(self) -> int:
        """Rows it puts out, that of the step included."""
        return self.units // self.inputs

    @property
    def states(self) -> tuple[StateSpec, ...]:
        """The rows."""
        start = tuple(int(code) for code in self.start)
        return (
            StateSpec(
                name=f"{self.name}.h",
                units=self.units,
                format=PLAIN_CODES,
                codes=self.codes,
                start=start,
            ),
        )

    @property
    def output_scale(self) -> float:
        """Of codes that keep the scales of their inputs."""
        return PLAIN_CODES.scale


def held_codes(layers: Sequence[LayerRecord]) -> frozenset[int]:
    """Positions of the layers whose output is input codes: affine maps read it directly."""
    return frozenset(
        index for index, layer in enumerate(layers) if isinstance(layer, Delay) and layer.codes
    )


#: Any layer: cells of other packages are layers too.
Layer = LayerRecord
#: Layer classes by the name they carry in files; `register_cell` adds to them.
LAYERS: dict[str, type[LayerRecord]] = {
    cls.kind: cls for cls in (SimpleRNN, LSTM, GRUBefore, GRUAfter, Dense, Merge, Embedding, Delay)
}
#: Folders with cells of this package, a module each, named after the kind.
_OWN_CELLS: Final = ("edgernn.cells", "edgernn.cells.general", "edgernn.cells.memories")
#: Entry points by which packages name the modules of their cells, each after its kind.
ENTRY_POINTS: Final = "edgernn.cells"


def layer_class(kind: str) -> type[LayerRecord] | None:
    """The record of a kind of layer, from the module that registers it where it must.

    Args:
        kind: as a file names it.

    Returns:
        None where no layer has this name, in any package that is installed.
    """
    if kind not in LAYERS and re.fullmatch("[a-z][a-z0-9_]*", kind):
        for module in (f"{folder}.{kind}" for folder in _OWN_CELLS):
            if importlib.util.find_spec(module) is not None:
                importlib.import_module(module)
        from importlib import metadata  # takes a fifth of the time of importing edgernn

        for entry in metadata.entry_points(group=ENTRY_POINTS, name=kind):
            importlib.import_module(entry.module)
    return LAYERS.get(kind)
