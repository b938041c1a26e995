"""LSTM with layer normalization (Ba, Kiros & Hinton 2016, equations 20 to 22)."""

from __future__ import annotations

from typing import ClassVar

from edgernn.cells import (
    CELL_EXPONENTS,
    PREACTIVATION,
    RELU_EXPONENTS,
    UNIT,
    WIDE_CELL_EXPONENTS,
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
    register_cell,
    wide_cell,
    x_and_h,
)


@cell_record
class LayerNormLSTM(LayerRecord):
    """LSTM that normalizes W x, U h, and c for its output alone (clause 7.17).

    The offsets that the paper adds to W x and U h, and its bias, are one vector here, next to
    `gain_x`. The maps have biases too, which are normalized with them.

    Attributes:
        gate_activation: of i, f, o.
        input_exponent: fractional bits of W x before it is normalized, 0..15.
        hidden_exponent: of U h, likewise.
        cell_exponent: fractional bits of the cell state c, 10..14; of a wide one from -5.
        wide: the cell state has a low part (clause 2.8).
        gain_x, gain_h, gain_c: gains, with offsets except for U h; 4H, 4H and H of them.
        norm_x, norm_h, norm_c: constants of normalizations.
        gates_x: affine map, 4H rows in the order i f g o, over x.
        gates_h: the same, over h.
    """

    kind: ClassVar[str] = "layer_norm_lstm"
    shape: ClassVar[AffineShapes] = {
        "gates_x": (4, frozenset({(Source.X,)})),
        "gates_h": (4, frozenset({(Source.H,)})),
    }
    scale_shape: ClassVar[dict[str, int]] = {"gain_x": 4, "gain_h": 4, "gain_c": 1}
    offsets: ClassVar[frozenset[str]] = frozenset({"gain_x", "gain_c"})
    norm_shape: ClassVar[dict[str, int]] = {"norm_x": 4, "norm_h": 4, "norm_c": 1}
    exponents: ClassVar[dict[str, Exponent]] = {
        "input_exponent": Exponent(values=("gates_x",), allowed=RELU_EXPONENTS),
        "hidden_exponent": Exponent(values=("gates_h",), allowed=RELU_EXPONENTS),
        "cell_exponent": Exponent(values=("c",), allowed=CELL_EXPONENTS, wide=WIDE_CELL_EXPONENTS),
    }
    first_scale: ClassVar[dict[str, float]] = dict.fromkeys(scale_shape, 1.0)
    widened: ClassVar[str] = "c"
    first_bias: ClassVar[dict[str, tuple[float, ...]]] = {"gain_x": (0.0, 1.0, 0.0, 0.0)}

    gate_activation: GateActivation
    input_exponent: int
    hidden_exponent: int
    cell_exponent: int
    gain_x: ScaleVector
    gain_h: ScaleVector
    gain_c: ScaleVector
    norm_x: NormalizationConstants
    norm_h: NormalizationConstants
    norm_c: NormalizationConstants
    gates_x: Affine
    gates_h: Affine
    wide: bool = False

    @property
    def states(self) -> tuple[StateSpec, ...]:
        """Hidden state, the cell state, and its low part if it has one."""
        cell = self.state("c", QFormat(bits=16, frac_bits=self.cell_exponent))
        return self.state("h", UNIT), cell, *self.low_state(cell)


def layer_norm_lstm(
    g: OpBuilder, layer: LayerNormLSTM, x: Value, states: tuple[Value, ...]
) -> Lowered:
    """Clause 7.17."""
    h, c, *low = states
    operands = x_and_h(g, x, h)

    def normalized(value: Value, of: str) -> Value:
        even = g.normalized(value, f"norm_{of}", layer.normalizations[f"norm_{of}"], f"even_{of}")
        gain = f"gain_{of}"
        return g.scaled(even, gain, layer.scales[gain], f"z_{of}", PREACTIVATION)

    def of_map(of: str, exponent: int) -> Value:
        name, form = f"gates_{of}", QFormat(bits=16, frac_bits=exponent)
        made = g.affine(name, layer.affines[name], operands, form, rows="ifgo")
        return normalized(made, of)

    z_x, z_h = of_map("x", layer.input_exponent), of_map("h", layer.hidden_exponent)
    z = g.split(g.sum(z_x, z_h, "z"), "ifgo")
    sigma = Function(layer.gate_activation.value)
    new: tuple[Value, ...]
    if low:
        new = wide_cell(g, layer, (z[0], z[1]), g.tanh(z[2], "g"), (c, low[0]))
        o = g.activation(sigma, z[3], "o")
    else:
        i, f, o = (g.activation(sigma, z[k], name) for k, name in ((0, "i"), (1, "f"), (3, "o")))
        added = g.product(i, g.tanh(z[2], "g"), "i*g", c.format)
        new = (g.sum(g.product(f, c, "f*c", c.format), added, "c"),)
    h_new = g.product(o, g.tanh(normalized(new[0], "c"), "tanh_c"), "h")
    return h_new, (h_new, *new)


register_cell(LayerNormLSTM, layer_norm_lstm)
