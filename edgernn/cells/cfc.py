"""CfC: a closed form of a continuous-time network, with the elapsed time (Hasani et al. 2022)."""

from __future__ import annotations

from typing import ClassVar, Final

from edgernn.cells import (
    PREACTIVATION,
    UNIT,
    X_AND_H,
    Affine,
    AffineShapes,
    Exponent,
    Function,
    LayerRecord,
    Lowered,
    OpBuilder,
    QFormat,
    Source,
    StateSpec,
    Value,
    cell_record,
    register_cell,
    x_and_h,
)

#: Fractional bits of the time and of the rate a: with all of them a*t has a shift of 1 to 30.
_ELAPSED: Final = range(2, 16)
_RATE: Final = range(9, 26)


@cell_record
class CfC(LayerRecord):
    """h' = (1 - s)*tanh(g) + s*tanh(k), s = sigmoid(a*t + b), t the elapsed time (clause 7.35).

    g, k, a and b are affine maps of a backbone, tanh of an affine map of x and h. `elapsed` gives
    every unit the time, which is a channel of x. The equation of the paper, sigmoid(-f*t), has
    a = -f and b = 0; the authors' library ncps trains b too.

    Attributes:
        backbone_units: width of the backbone.
        elapsed_exponent: fractional bits of the time t, 2..15.
        rate_exponent: fractional bits of a, 9..25.
        backbone: affine map over x and h, `backbone_units` rows.
        heads: affine map over the backbone, 4H rows in the order g k a b.
        elapsed: affine map over x, H rows.
    """

    kind: ClassVar[str] = "cfc"
    shape: ClassVar[AffineShapes] = {
        "backbone": (1, X_AND_H),
        "heads": (4, frozenset({(Source.RH,)})),
        "elapsed": (1, frozenset({(Source.X,)})),
    }
    inner: ClassVar[dict[str, tuple[str | Source, ...]]] = {
        "backbone_units": ("backbone", Source.RH)
    }
    exponents: ClassVar[dict[str, Exponent]] = {
        "elapsed_exponent": Exponent(values=("elapsed",), allowed=_ELAPSED),
        "rate_exponent": Exponent(values=("heads.a",), allowed=_RATE),
    }

    backbone_units: int
    elapsed_exponent: int
    rate_exponent: int
    backbone: Affine
    heads: Affine
    elapsed: Affine

    @property
    def states(self) -> tuple[StateSpec, ...]:
        """One hidden state."""
        return (self.state("h", UNIT),)


def cfc(g: OpBuilder, layer: CfC, x: Value, states: tuple[Value, ...]) -> Lowered:
    """Clause 7.35."""
    operands = x_and_h(g, x, states[0])
    m = g.tanh(g.affine("backbone", layer.backbone, operands), "m")
    rate = QFormat(bits=16, frac_bits=layer.rate_exponent)
    forms = (PREACTIVATION, PREACTIVATION, rate, PREACTIVATION)
    alike = rate == PREACTIVATION
    heads = g.affine(
        "heads", layer.heads, {Source.RH: g.operand(m, "o_m")}, rate if alike else None,
        rows="gkab",
    )  # fmt: skip
    z_g, z_k, a, b = g.split(heads, "gkab", None if alike else forms)
    time = QFormat(bits=16, frac_bits=layer.elapsed_exponent)
    elapsed = g.affine("elapsed", layer.elapsed, operands, time)
    z_s = g.sum(g.product(a, elapsed, "a*t", PREACTIVATION), b, "z_s")
    s = g.activation(Function.SIGMOID, z_s, "s")
    first = g.product(g.complement(s, "w"), g.tanh(z_g, "g"), "w*g")
    h_new = g.sum(first, g.product(s, g.tanh(z_k, "k"), "s*k"), "h")
    return h_new, (h_new,)


register_cell(CfC, cfc)
