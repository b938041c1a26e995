"""GRU with layer normalization (Ba, Kiros & Hinton 2016, as in their skip-thought vectors)."""

from __future__ import annotations

from typing import ClassVar

from edgernn.cells import (
    PREACTIVATION,
    RELU_EXPONENTS,
    UNIT,
    Affine,
    AffineShapes,
    Exponent,
    Function,
    GateActivation,
    LayerRecord,
    Lowered,
    NormalizationConstants,
    OpBuilder,
    QFormat,
    ScaleVector,
    Source,
    StateSpec,
    Value,
    cell_record,
    gate_share,
    register_cell,
    x_and_h,
)

_OVER_X = frozenset({(Source.X,)})
_OVER_H = frozenset({(Source.H,)})


@cell_record
class LayerNormGRU(LayerRecord):
    """GRU, reset after, that normalizes its products with x and with h apart (clause 7.18).

    h' = (1 - z)*h + z*n. The offsets that the paper adds to both terms of z and r are one vector
    here, next to `gain_zr_x`. The maps have biases too, which are normalized with them.

    Attributes:
        gate_activation: of z and r.
        wide: the state has a low part (clause 2.8).
        input_exponent: fractional bits of products with x before they are normalized, 0..15.
        hidden_exponent: of those with h, likewise.
        gain_zr_x, gain_zr_h: gains, 2H of them; the first has offsets.
        gain_n_x, gain_n_h: gains and offsets, H of them.
        norm_zr_x, norm_zr_h, norm_n_x, norm_n_h: constants of normalizations.
        zr_x, zr_h: affine maps, 2H rows in the order z r, over x and over h.
        n_x, n_h: affine maps, H rows, over x and over h.
    """

    kind: ClassVar[str] = "layer_norm_gru"
    shape: ClassVar[AffineShapes] = {
        "zr_x": (2, _OVER_X),
        "zr_h": (2, _OVER_H),
        "n_x": (1, _OVER_X),
        "n_h": (1, _OVER_H),
    }
    scale_shape: ClassVar[dict[str, int]] = {
        "gain_zr_x": 2,
        "gain_zr_h": 2,
        "gain_n_x": 1,
        "gain_n_h": 1,
    }
    offsets: ClassVar[frozenset[str]] = frozenset({"gain_zr_x", "gain_n_x", "gain_n_h"})
    norm_shape: ClassVar[dict[str, int]] = {
        "norm_zr_x": 2,
        "norm_zr_h": 2,
        "norm_n_x": 1,
        "norm_n_h": 1,
    }
    exponents: ClassVar[dict[str, Exponent]] = {
        "input_exponent": Exponent(values=("zr_x", "n_x"), allowed=RELU_EXPONENTS),
        "hidden_exponent": Exponent(values=("zr_h", "n_h"), allowed=RELU_EXPONENTS),
    }
    widened: ClassVar[str] = "h"
    first_scale: ClassVar[dict[str, float]] = dict.fromkeys(scale_shape, 1.0)

    gate_activation: GateActivation
    input_exponent: int
    hidden_exponent: int
    gain_zr_x: ScaleVector
    gain_zr_h: ScaleVector
    gain_n_x: ScaleVector
    gain_n_h: ScaleVector
    norm_zr_x: NormalizationConstants
    norm_zr_h: NormalizationConstants
    norm_n_x: NormalizationConstants
    norm_n_h: NormalizationConstants
    zr_x: Affine
    zr_h: Affine
    n_x: Affine
    n_h: Affine
    wide: bool = False

    @property
    def states(self) -> tuple[StateSpec, ...]:
        """One hidden state, and its low part where it has one."""
        h = self.state("h", UNIT)
        return h, *self.low_state(h)


def layer_norm_gru(
    g: OpBuilder, layer: LayerNormGRU, x: Value, states: tuple[Value, ...]
) -> Lowered:
    """Clause 7.18."""
    h, *low = states
    operands = x_and_h(g, x, h)

    def normalized(name: str, exponent: int, rows: str = "") -> Value:
        form = QFormat(bits=16, frac_bits=exponent)
        made = g.affine(name, layer.affines[name], operands, form, rows=rows)
        norm, gain = f"norm_{name}", f"gain_{name}"
        even = g.normalized(made, norm, layer.normalizations[norm], f"even_{name}")
        return g.scaled(even, gain, layer.scales[gain], f"z_{name}", PREACTIVATION)

    zr_x = normalized("zr_x", layer.input_exponent, "zr")
    zr_h = normalized("zr_h", layer.hidden_exponent, "zr")
    sigma = Function(layer.gate_activation.value)
    zr = g.sum(zr_x, zr_h, "zr")
    share = None
    if low:
        z, z_r = g.split(zr, "zr")
        share, r = gate_share(g, layer, z, "z"), g.activation(sigma, z_r, "r")
    else:
        z, r = g.split(g.activation(sigma, zr, "gates"), "zr")
    reset = g.product(r, normalized("n_h", layer.hidden_exponent), "r*d", PREACTIVATION)
    n = g.tanh(g.sum(normalized("n_x", layer.input_exponent), reset, "n"), "candidate")
    if share is not None:
        new = g.blend((h, low[0]), n, share, "h")
        return new[0], new
    kept = g.product(g.complement(z, "w"), h, "w*h")
    h_new = g.sum(kept, g.product(z, n, "z*n"), "h")
    return h_new, (h_new,)


register_cell(LayerNormGRU, layer_norm_gru)
