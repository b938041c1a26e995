"""LSTM, GRU and SimpleRNN with any functions, wider ranges, and 31-bit states."""

from __future__ import annotations

from typing import ClassVar, Final

from edgernn.cells import (
    GATE_EXPONENTS,
    UNIT,
    VALUE_EXPONENTS,
    Affine,
    CurveTable,
    Exponent,
    Gate,
    LayerRecord,
    Lowered,
    OpBuilder,
    QFormat,
    Source,
    StateSpec,
    Value,
    applied,
    cell_record,
)
from edgernn.errors import ModelError
from edgernn.model.functions.pointwise import PointwiseFunction

#: Gate functions of cells with wide states: of the first the share is taken with 30 bits, the
#: others reach 0 and 1 themselves.
_FINE = "sigmoid"
WIDE_GATES: Final = (_FINE, "hard_sigmoid", "hard_sigmoid_keras2")
#: Those of both GRUs.
_GRU_EXPONENTS: Final = {
    "gate_exponent": Exponent(
        values=("z", "r"),
        allowed=GATE_EXPONENTS,
        result_of=("gate_function",),
        blended_by="gate_function",
        parts=("w",),
    ),
    "gate_input_exponent": Exponent(
        values=("zr.z", "zr.r"),
        allowed=VALUE_EXPONENTS,
        argument_of="gate_function",
        partner="gate_exponent",
    ),
    "state_exponent": Exponent(
        values=("h", "candidate"),
        allowed=VALUE_EXPONENTS,
        result_of=("cell_function",),
        blended_by="gate_function",
    ),
    "candidate_input_exponent": Exponent(
        values=("n",),
        allowed=VALUE_EXPONENTS,
        argument_of="cell_function",
        partner="state_exponent",
    ),
}


def quantized(exponent: int) -> QFormat:
    """The int16 format with this many fraction bits."""
    return QFormat(bits=16, frac_bits=exponent)


def check_gates(layer: LayerRecord, function: str) -> None:
    """Refuse gates that a wide state cannot have.

    Args:
        layer: the layer.
        function: of its gates.

    Raises:
        ModelError: they are no shares.
    """
    if layer.is_wide and function not in WIDE_GATES:
        raise ModelError(
            f"{layer.name}.gate_function: expected {', '.join(WIDE_GATES)} for a wide state, "
            f"got {function!r:.80}"
        )
    table = layer.curves.get("gate_curve")
    if layer.is_wide and table is not None and table.least < 0:
        raise ModelError(
            f"{layer.name}.gate_curve: expected gate values >= 0 for a wide state, got "
            f"{table.least}"
        )


def gate_of(
    g: OpBuilder, layer: LayerRecord, z: Value, name: str, form: QFormat, *, complement: bool
) -> Gate:
    """The share by which a wide state changes.

    Args:
        g: the builder.
        layer: its `gate_function` and `gate_curve` are taken.
        z: the pre-activation.
        name: of the gate.
        form: of gates.
        complement: one less the gate is meant.
    """
    function: str = layer.gate_function  # type: ignore[attr-defined]  # of these cells alone
    if function == _FINE:
        return Gate(value=z, fine=True, complement=complement)
    table = ("gate_curve", layer.curves.get("gate_curve"))
    return Gate(value=applied(g, function, z, table, name, form), fine=False, complement=complement)


@cell_record
class GeneralGRU(LayerRecord):
    """What both GRUs of chosen functions share (clause 7.25).

    Attributes:
        gate_function: of z, r.
        cell_function: of the candidate n.
        wide: the state has a low part (clause 2.8).
        gate_input_exponent: fraction bits of the pre-activations of z, r.
        gate_exponent: of z, r.
        candidate_input_exponent: of the pre-activation of n.
        state_exponent: of h, and of n where it is not within ±1.
        gate_curve, candidate_curve: tables of functions that are no operations.
        zr: affine map, 2H rows in the order z r.
    """

    curve_shape: ClassVar[dict[str, str]] = {
        "gate_curve": "gate_function",
        "candidate_curve": "cell_function",
    }
    widened: ClassVar[str] = "h"
    exponents: ClassVar[dict[str, Exponent]] = _GRU_EXPONENTS

    gate_function: str
    cell_function: str
    gate_exponent: int
    gate_input_exponent: int
    candidate_input_exponent: int
    state_exponent: int
    zr: Affine
    wide: bool = False
    gate_curve: CurveTable | None = None
    candidate_curve: CurveTable | None = None

    def __post_init__(self) -> None:
        """Check the gates of a wide state."""
        LayerRecord.__post_init__(self)
        check_gates(self, self.gate_function)

    @property
    def states(self) -> tuple[StateSpec, ...]:
        """The hidden state, and its low part where it has one."""
        h = self.state("h", quantized(self.state_exponent))
        return h, *self.low_state(h)


def gru_gates(
    g: OpBuilder, layer: GeneralGRU, zr: Affine, operands: dict[Source, Value]
) -> tuple[Value | Gate, Value]:
    """The gates z and r of a GRU; of one with a wide state the share of the new, and r.

    Args:
        g: the builder.
        layer: a GRU of this folder.
        zr: its map.
        operands: what the map reads.
    """
    inner, outer = quantized(layer.gate_input_exponent), quantized(layer.gate_exponent)
    z, r = g.split(g.affine("zr", zr, operands, inner, rows="zr"), "zr")
    table = ("gate_curve", layer.gate_curve)
    # Of a gate that may be -1, one less the gate is 2: tanh alone has a format of its own.
    reset = g.rescaled(applied(g, layer.gate_function, r, table, "r", outer), outer, "r_b")
    if layer.wide:
        return gate_of(g, layer, z, "z", outer, complement=True), reset
    update = applied(g, layer.gate_function, z, table, "z", outer)
    return g.rescaled(update, outer, "z_b"), reset


def blended(
    g: OpBuilder, layer: GeneralGRU, z: Value | Gate, a: Value, states: tuple[Value, ...]
) -> Lowered:
    """The output and the new states of a GRU: h' = z·h + (1 − z)·n.

    Args:
        g: the builder.
        layer: a GRU of this folder.
        z: from `gru_gates`.
        a: pre-activation of the candidate.
        states: before the step.
    """
    h = states[0]
    within_one = PointwiseFunction.parse(layer.cell_function).within_one
    form = UNIT if within_one else quantized(layer.state_exponent)
    table = ("candidate_curve", layer.candidate_curve)
    n = applied(g, layer.cell_function, a, table, "candidate", form)
    n = g.rescaled(n, quantized(layer.state_exponent), "n_of_h")
    if isinstance(z, Gate):
        new: tuple[Value, ...] = g.blend((h, states[1]), n, z, "h")
    else:
        kept = g.product(z, h, "z*h", h.format)
        new = (g.sum(kept, g.product(g.complement(z, "w"), n, "w*n", h.format), "h"),)
    return new[0], new
