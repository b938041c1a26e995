"""SimpleRNN, LSTM and GRU from the matrices of any format: gates, biases and variants, once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from edgernn.errors import UnsupportedModelError
from edgernn.model.formats import FloatArray
from edgernn.model.functions.pointwise import PointwiseFunction
from edgernn_export.cells.cell_readers import OWN, attribute
from edgernn_export.described.row_functions import RowFunction, named_ramp, row_function
from edgernn_export.float_model.gate_orders import GATES, in_our_order
from edgernn_export.keras_reader.stored.layer import StoredLayer, described_layer

#: Functions of gates and of cells that cells beyond `edgernn.cells.general` have.
_USUAL_GATES: Final = ("sigmoid", "hard_sigmoid")
_USUAL: Final = "tanh"
#: Functions s with 1 - s(x) = s(-x), so that a gate that is one less another is a gate, too.
_ODD_ABOUT_HALF: Final = (*_USUAL_GATES, "hard_sigmoid_keras2", "sparse_sigmoid")


#: Gates, in our letters, that are no gates but candidates of the new state.
_CANDIDATES: Final = "hgn"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RecurrentWeights:
    """The matrices of a recurrent layer in one direction, as a format stacks them.

    Attributes:
        order: whose, one of `edgernn_export.float_model.gate_orders.GATE_ORDERS`.
        kernel: [G*H, I], what multiplies readings; Keras and Flax have its transpose.
        recurrent: [G*H, H], what multiplies the state.
        biases: [G*H] each: none, one, or that of readings and that of the state.
        projection: [P, H], what makes the output and the state of an LSTM narrower; ``recurrent``
            is [G*H, P] then.
        peepholes: [H] each, factors of the cell state in the gates i, f, o of an LSTM.
        start: what h, and c of an LSTM behind it, begin with; None for zeros.
    """

    order: str
    kernel: FloatArray
    recurrent: FloatArray
    biases: tuple[FloatArray, ...] = ()
    projection: FloatArray | None = None
    peepholes: tuple[FloatArray, FloatArray, FloatArray] | None = None
    start: FloatArray | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecurrentForm:
    """What a recurrent layer computes of its matrices, and which steps it takes and gives.

    Attributes:
        gate: function of gates, by the text of a `PointwiseFunction`.
        function: that of the candidate, and of the new state of a SimpleRNN.
        shown: that of the cell state of an LSTM where it is put out; None: the same one.
        clip: what enters gates and candidate is held within ± this; None: nothing is held. The
            cell state is not, as in ONNX Runtime.
        reset_after: the reset gate of a GRU multiplies U h + b, not h.
        coupled: the gate f of an LSTM is 1 - i, whatever its rows are.
        sequences: it gives all steps, not only the last one.
        backward: it reads the last step first.
        reordered: it gives its steps in the order of the readings although it reads backward.
        stateful: it keeps its state.
    """

    gate: str = "sigmoid"
    function: str = _USUAL
    shown: str | None = None
    clip: float | None = None
    reset_after: bool = True
    coupled: bool = False
    sequences: bool = True
    backward: bool = False
    reordered: bool = False
    stateful: bool = False


def recurrent(
    kind: str, name: str, origin: str, weights: RecurrentWeights, form: RecurrentForm
) -> StoredLayer:
    """A layer that the reader of Keras reads: result 0 is its output, 1 its h, 2 the c of an LSTM.

    Args:
        kind: "SimpleRNN", "LSTM" or "GRU".
        name: of the layer.
        origin: how reasons name it; it holds the name in single quotes.
        weights: of one direction.
        form: what it does with them.

    Raises:
        UnsupportedModelError: the matrices do not fit, or no cell computes this; with all reasons.
    """
    functions = _Functions.of(form)
    reasons = _shape_reasons(kind, origin, weights)
    reasons = reasons or _form_reasons(kind, origin, weights, form, functions)
    if reasons:
        raise UnsupportedModelError(reasons)
    kernel, back, biases = (
        in_our_order(np.asarray(rows, dtype=np.float64), kind, weights.order)
        for rows in (weights.kernel, weights.recurrent, _both(weights).T)
    )
    rows = _Rows(kernel=kernel, recurrent=back, biases=biases.T, peepholes=_peepholes(weights))
    rows = rows.scaled(kind, functions)
    if form.coupled:
        rows = rows.coupled()
    if weights.projection is not None:
        made = _projected(name, origin, rows, weights.projection, functions, form)
    elif rows.peepholes is not None:
        made = _with_peepholes(name, origin, rows, functions, form)
    elif kind == "LSTM" and functions.shown != functions.cell.text:
        made = _of_three_functions(name, origin, rows, functions, form)
    else:
        use_bias = bool(weights.biases)
        made = _of_keras(kind, name, origin, rows, functions, form, use_bias=use_bias)
    made.start = None if weights.start is None else np.asarray(weights.start, dtype=np.float64)
    return made


@dataclass(frozen=True, slots=True, kw_only=True)
class _Functions:
    """What a layer applies: to gates, to the candidate, and to the cell state of an LSTM."""

    gate: RowFunction
    cell: RowFunction
    shown: str

    @staticmethod
    def of(form: RecurrentForm) -> _Functions:
        """Those of a form, as far as rows do not do what they do."""
        shown = named_ramp(form.function if form.shown is None else form.shown)
        cell = row_function(form.function, form.clip)
        return _Functions(gate=row_function(form.gate, form.clip), cell=cell, shown=shown)

    @property
    def are_usual(self) -> bool:
        """Whether cells beyond `edgernn.cells.general` have them."""
        usual = self.gate.text in _USUAL_GATES and self.cell.text == _USUAL
        return usual and self.shown == _USUAL


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Rows:
    """The matrices in our order of gates, the two biases [2, G*H], and i f o of peepholes."""

    kernel: FloatArray
    recurrent: FloatArray
    biases: FloatArray
    peepholes: FloatArray | None

    @property
    def bias(self) -> FloatArray:
        """Both biases as one."""
        total: FloatArray = self.biases[0] + self.biases[1]
        return total

    def scaled(self, kind: str, functions: _Functions) -> _Rows:
        """The rows that do the parts of functions which rows can do."""
        by_row = [functions.cell if gate in _CANDIDATES else functions.gate for gate in GATES[kind]]
        if all((one.gain, one.offset) == (1.0, 0.0) for one in by_row):
            return self
        units = len(self.kernel) // len(by_row)
        gain, offset = np.repeat([(one.gain, one.offset) for one in by_row], units, axis=0).T
        return _Rows(
            kernel=self.kernel * gain[:, None],
            recurrent=self.recurrent * gain[:, None],
            biases=self.biases * gain + np.stack([offset, np.zeros(len(offset))]),
            peepholes=None if self.peepholes is None else self.peepholes * functions.gate.gain,
        )

    def coupled(self) -> _Rows:
        """The same layer with f = 1 - i: s(-z) is 1 - s(z), so that no other cell is needed."""
        units = len(self.kernel) // len(GATES["LSTM"])

        def with_negative(rows: FloatArray) -> FloatArray:
            made = rows.copy()
            made[units : 2 * units] = -rows[:units]
            return made

        seen = self.peepholes
        if seen is not None:
            seen = np.stack([seen[0], -seen[0], seen[2]])
        return _Rows(
            kernel=with_negative(self.kernel),
            recurrent=with_negative(self.recurrent),
            biases=with_negative(self.biases.T).T,
            peepholes=seen,
        )


def _both(weights: RecurrentWeights) -> FloatArray:
    """The biases of readings and of the state, zero where there are none, [2, G*H]."""
    both = np.zeros((2, len(weights.kernel)))
    for row, bias in zip(both, weights.biases, strict=False):
        row[:] = bias
    return both


def _peepholes(weights: RecurrentWeights) -> FloatArray | None:
    """Peepholes i f o, [3, H]; None where they do nothing."""
    if weights.peepholes is None or not any(np.any(row) for row in weights.peepholes):
        return None
    return np.array(weights.peepholes, dtype=np.float64)


def _shape_reasons(kind: str, origin: str, weights: RecurrentWeights) -> list[str]:
    """Why matrices are none of one layer."""
    gates = len(GATES[kind])
    rows = len(weights.kernel) if weights.kernel.ndim == 2 else 0
    units = rows // gates
    seen = units if weights.projection is None else len(weights.projection)
    wanted = [
        ("the matrix of the state", weights.recurrent, (rows, seen)),
        *(("a bias", bias, (rows,)) for bias in weights.biases),
        *(("a peephole", row, (units,)) for row in weights.peepholes or ()),
    ]
    if weights.projection is not None:
        wanted.append(("the projection", weights.projection, (seen, units)))
    if weights.start is not None:
        width = seen + units if kind == "LSTM" else units
        wanted.append(("the first states", weights.start, (width,)))
    reasons = []
    if not rows or rows % gates or not weights.kernel.size:
        reasons.append(
            f"{origin}: expected a matrix of the readings with {gates} rows for each unit, got "
            f"shape {weights.kernel.shape}. Save the network again."
        )
        return reasons
    for what, array, shape in wanted:
        if array.shape != shape or not array.size:
            reasons.append(
                f"{origin}: expected {what} of shape {shape}, got {array.shape}. Save the network "
                "again."
            )
    if len(weights.biases) > 2:
        got = f"got {len(weights.biases)}. Save the network again."
        reasons.append(f"{origin}: expected at most two biases, {got}")
    arrays = [("the matrix of the readings", weights.kernel, ()), *wanted]
    for what, array, _ in arrays:
        bad = int(np.count_nonzero(~np.isfinite(array)))
        if bad:
            reasons.append(
                f"{origin}: expected finite values in {what}, got {bad} NaN or infinite. Training "
                "diverged; train again."
            )
    return list(dict.fromkeys(reasons))


def _form_reasons(
    kind: str,
    origin: str,
    weights: RecurrentWeights,
    form: RecurrentForm,
    functions: _Functions,
) -> list[str]:
    """Why no cell computes this form."""
    reasons = []
    if form.coupled and PointwiseFunction.parse(functions.gate.text).name not in _ODD_ABOUT_HALF:
        reasons.append(
            f"{origin}: expected gates of {' or '.join(_ODD_ABOUT_HALF)} where the forget gate is "
            f"1 - i, got {form.gate}. Train with sigmoid gates, or without coupled gates."
        )
    special = []
    if _peepholes(weights) is not None:
        special.append("peepholes")
    if weights.projection is not None:
        special.append("a projection")
    if kind != "LSTM" and (special or form.coupled):
        reasons.append(f"{origin}: expected these of an LSTM alone, got a {kind}. Train an LSTM.")
    if len(special) > 1:
        reasons.append(
            f"{origin}: expected peepholes or a projection, got both. Train without the peepholes."
        )
    if special and not functions.are_usual:
        clip = "" if form.clip is None else f", and a clip at {form.clip:g}"
        reasons.append(
            f"{origin}: expected gates of {' or '.join(_USUAL_GATES)}, {_USUAL} elsewhere, and no "
            f"clip below 18, in an LSTM with {' and '.join(special)}, got {form.gate}, "
            f"{form.function} and {form.shown or form.function}{clip}. Train with these functions."
        )
    return reasons


def _config(form: RecurrentForm) -> dict[str, Any]:
    return {
        "return_sequences": form.sequences,
        "go_backwards": form.backward,
        "stateful": form.stateful,
    }


def _of_keras(
    kind: str,
    name: str,
    origin: str,
    rows: _Rows,
    functions: _Functions,
    form: RecurrentForm,
    *,
    use_bias: bool,
) -> StoredLayer:
    """A layer that Keras has."""
    use_bias = use_bias or bool(rows.biases.any())
    config = _config(form) | {
        "units": rows.recurrent.shape[1],
        "activation": PointwiseFunction.parse(functions.cell.text),
        "use_bias": use_bias,
    }
    arrays = {"kernel": rows.kernel.T, "recurrent_kernel": rows.recurrent.T}
    bias = rows.bias
    if kind != "SimpleRNN":
        config["recurrent_activation"] = PointwiseFunction.parse(functions.gate.text)
    if kind == "GRU":
        config["reset_after"] = form.reset_after
        bias = rows.biases if form.reset_after else bias
    if use_bias:
        arrays["bias"] = bias
    return described_layer(kind, name, origin, config, arrays, reordered=form.reordered)


def _of_three_functions(
    name: str, origin: str, rows: _Rows, functions: _Functions, form: RecurrentForm
) -> StoredLayer:
    options = {
        "gate_function": functions.gate.text,
        "cell_function": functions.cell.text,
        "shown_function": functions.shown,
    }
    units = rows.recurrent.shape[1]
    return registered_layer("three_function_lstm", name, origin, units, options, _gates(rows), form)


def _with_peepholes(
    name: str, origin: str, rows: _Rows, functions: _Functions, form: RecurrentForm
) -> StoredLayer:
    assert rows.peepholes is not None  # the caller has looked
    seen = zip("ifo", rows.peepholes, strict=True)
    arrays = {**_gates(rows), **{f"peephole_{gate}": values for gate, values in seen}}
    options = {"gate_activation": functions.gate.text}
    units = rows.recurrent.shape[1]
    return registered_layer("peephole_lstm", name, origin, units, options, arrays, form)


def _projected(
    name: str,
    origin: str,
    rows: _Rows,
    projection: FloatArray,
    functions: _Functions,
    form: RecurrentForm,
) -> StoredLayer:
    units, cells = projection.shape
    arrays = {**_gates(rows), "projection.rh": projection, "projection.bias": np.zeros(units)}
    options = {"cells": cells, "gate_activation": functions.gate.text}
    return registered_layer("projected_lstm", name, origin, units, options, arrays, form)


def _gates(rows: _Rows) -> dict[str, FloatArray]:
    return {"gates.x": rows.kernel, "gates.h": rows.recurrent, "gates.bias": rows.bias}


def registered_layer(
    kind: str,
    name: str,
    origin: str,
    units: int,
    options: Mapping[str, Any],
    arrays: Mapping[str, FloatArray],
    form: RecurrentForm,
) -> StoredLayer:
    """A layer around a registered cell.

    Args:
        kind: of the cell.
        name: of the layer.
        origin: how reasons name it; it holds the name in single quotes.
        units: width of its output.
        options: of the cell.
        arrays: its weights by name, matrices [R, N]; Keras has their transpose.
        form: which steps it takes and gives.
    """
    config = {"kind": kind, "units": units, "options": dict(options)}
    weights = {
        attribute(key): np.asarray(values, dtype=np.float64).T for key, values in arrays.items()
    }
    cell = described_layer("RegisteredCell", name, origin, config, weights, custom=OWN)
    return described_layer("RNN", name, origin, _config(form), inner=cell, reordered=form.reordered)
