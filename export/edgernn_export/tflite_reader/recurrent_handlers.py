"""Recurrent operators of TFLite over all steps: LSTM and RNN, in one direction and in both."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np

from edgernn.errors import DepartureWarning
from edgernn.model.formats import FloatArray
from edgernn_export.described.recurrent_layers import RecurrentForm, RecurrentWeights, recurrent
from edgernn_export.keras_reader.stored.layer import StoredLayer
from edgernn_export.operator_reader import recurrences
from edgernn_export.operator_reader.operators import Handler, Operator
from edgernn_export.operator_reader.selections import joined, picked, refused_backward
from edgernn_export.operator_reader.trace import CallTrace, OperatorRefused
from edgernn_export.operator_reader.values import Traced, is_constant
from edgernn_export.tflite_reader.fused import fused_function

_AGAIN: Final = "Convert the network again."
#: The limit of the cell state that the converter writes for every LSTM of Keras.
_USUAL_CLIP: Final = 10.0
_ZERO: Final = (
    "Convert it with the zero state as the first one: a session keeps the states of a stream."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Places:
    """Where an operator has the inputs of one direction.

    Attributes:
        kernel: of gates i f g o, or of the only one.
        recurrent: as well.
        biases: as well.
        states: h, and c of an LSTM.
        peepholes: of i f o.
        projection: matrix and bias.
        norms: gains of layer normalization.
    """

    kernel: range
    recurrent: range
    biases: range
    states: tuple[int, ...]
    peepholes: range = field(default=range(0))
    projection: tuple[int, int] | None = None
    norms: range = field(default=range(0))


def _lstm_places(first: int, states: tuple[int, int], norms: range = range(0)) -> _Places:
    return _Places(
        kernel=range(first, first + 4),
        recurrent=range(first + 4, first + 8),
        peepholes=range(first + 8, first + 11),
        biases=range(first + 11, first + 15),
        projection=(first + 15, first + 16),
        states=states,
        norms=norms,
    )


def _rnn_places(first: int) -> _Places:
    at = [range(first + n, first + n + 1) for n in range(3)]
    return _Places(kernel=at[0], recurrent=at[1], biases=at[2], states=(first + 3,))


#: Inputs of each direction, and those that only a second input would need.
_KINDS: Final = {
    "UNIDIRECTIONAL_SEQUENCE_LSTM": ((_lstm_places(1, (18, 19), range(20, 24)),), range(0)),
    "BIDIRECTIONAL_SEQUENCE_LSTM": (
        (_lstm_places(1, (35, 36)), _lstm_places(18, (37, 38))), range(39, 48)
    ),
    "UNIDIRECTIONAL_SEQUENCE_RNN": ((_rnn_places(1),), range(0)),
    "BIDIRECTIONAL_SEQUENCE_RNN": ((_rnn_places(1), _rnn_places(5)), range(9, 12)),
}  # fmt: skip


def _recurrent(trace: CallTrace, operator: Operator) -> Sequence[Any]:
    directions, auxiliary = _KINDS[operator.kind]
    both = len(directions) > 1
    value, backward = operator.traced(0), operator.traced(0).backward
    if value.rank != 3:
        raise OperatorRefused("an input of three axes", f"{value.rank}", _AGAIN)
    if any(operator.given(place) is not None for place in auxiliary):
        raise OperatorRefused(
            "one input for both directions", "a second one (aux_input)",
            "Train with layers that read the outputs of both directions.",
        )  # fmt: skip
    if both and backward:
        raise refused_backward()
    layers = [
        _layer(trace, operator, places, backward=backward or index > 0, second=index > 0)
        for index, places in enumerate(directions)
    ]
    time_major = bool(operator.attribute("timeMajor", False))
    places = (0, 1, 2) if time_major else (1, 0, 2)
    made = recurrences.recurrent(
        trace, replace(value, backward=False), places, [one for one, _ in layers],
        [None] * len(directions[0].states), units=layers[0][1],
    )  # fmt: skip
    order = "TBF" if time_major else "BTF"
    if not both:
        return [replace(made.sequence(order), backward=backward)]
    sequence = made.sequence(f"S{order}")
    halves = [picked(trace, sequence, 0, index) for index in (0, 1)]
    return [joined(trace, halves, 2)] if operator.attribute("mergeOutputs", False) else halves


def _layer(
    trace: CallTrace, operator: Operator, places: _Places, *, backward: bool, second: bool
) -> tuple[StoredLayer, int]:
    """The layer of one direction, and the width of its outputs."""
    _check(trace, operator, places)
    rows = _Rows(operator, places)
    kind = "LSTM" if len(places.kernel) > 1 else "SimpleRNN"
    projection = None
    if places.projection and operator.given(places.projection[0]) is not None:
        projection = operator.floats(places.projection[0])
    weights = RecurrentWeights(
        order="torch",
        kernel=rows.stacked(places.kernel, 2),
        recurrent=rows.stacked(places.recurrent, 2),
        biases=(rows.stacked(places.biases, 1),),
        projection=projection,
        peepholes=rows.peepholes(places),
        start=None,
    )
    applied = str(fused_function(operator))
    form = RecurrentForm(function=applied, backward=backward, reordered=backward)
    name = f"{trace.name}_reverse" if second else trace.name
    units = rows.units if projection is None else len(projection)
    return recurrent(kind, name, trace.origin, weights, form), units


class _Rows:
    """Matrices of the gates; where i has none, it is 1 - f: s(-z) is 1 - s(z)."""

    def __init__(self, operator: Operator, places: _Places) -> None:
        self._operator = operator
        self._coupled = len(places.kernel) > 1 and operator.given(places.kernel[0]) is None
        self.units = len(self._gate(places.kernel[-1], 2))

    def stacked(self, places: range, rank: int) -> FloatArray:
        """What the gates have one behind another, in the order of the file."""
        whole = [self._gate(place, rank) for place in places if not self._is_made(place, places)]
        if self._coupled:
            whole.insert(0, -whole[0])
        return np.concatenate(whole)

    def peepholes(self, places: _Places) -> tuple[FloatArray, FloatArray, FloatArray] | None:
        """Factors of the cell state in i f o; None where there are none."""
        at = places.peepholes
        given = [self._operator.given(place) is not None for place in at]
        if not any(given):
            return None
        f, o = (self._gate(place, 1) for place in at[1:])
        return -f if self._coupled else self._gate(at[0], 1), f, o

    def _is_made(self, place: int, places: range) -> bool:
        return self._coupled and place == places[0]

    def _gate(self, place: int, rank: int) -> FloatArray:
        if self._operator.given(place) is None and rank == 1:
            return np.zeros(self.units)
        made = self._operator.floats(place)
        if rank == 2 and made.ndim == 1 and self._operator.attribute("diagonalRecurrentTensors"):
            made = np.diag(made)
        if made.ndim != rank:
            got = f"shape {made.shape} as input {place}"
            raise OperatorRefused(f"weights of {rank} axes", got, _AGAIN)
        return made


def _check_clip(trace: CallTrace, clip: float) -> None:
    """Warn of a limit of the cell state that converters write and networks do not have.

    Raises:
        OperatorRefused: networks reach it.
    """
    if not clip > 0.0:
        return
    if clip < _USUAL_CLIP:
        raise OperatorRefused(
            f"cell_clip=0, or at least {_USUAL_CLIP:g}", f"cell_clip={clip:g}",
            "Train without a clip of the cell state.",
        )  # fmt: skip
    if not trace.is_trial:
        warnings.warn(
            f"{trace.origin}: the file holds the cell state within ±{clip:g} (cell_clip), edgernn "
            "does not. The outputs are the same while it stays within. A Keras LSTM has no such "
            "limit; the converter adds it.",
            DepartureWarning,
            stacklevel=2,
        )


def _check(trace: CallTrace, operator: Operator, places: _Places) -> None:
    """Refuse what no cell computes.

    Raises:
        OperatorRefused: with the first reason.
    """
    given = operator.given
    if any(given(place) is not None for place in places.norms):
        raise OperatorRefused(
            "an LSTM without layer normalization", "gains of it",
            "Train without it: edgernn normalizes the sums of readings and state separately.",
        )  # fmt: skip
    _check_clip(trace, float(operator.attribute("cellClip", 0.0)))
    if places.projection is not None:
        matrix, bias = (given(place) for place in places.projection)
        narrow = float(operator.attribute("projClip", 0.0))
        if matrix is not None and narrow > 0.0:
            raise OperatorRefused(
                "proj_clip=0", f"proj_clip={narrow:g}", "Train without a clip of the projection."
            )
        if (
            matrix is not None
            and bias is not None
            and np.any(operator.floats(places.projection[1]))
        ):
            raise OperatorRefused(
                "a projection without bias", "one with a bias", "Train without this bias."
            )
    for place in places.states:
        state = given(place)
        if isinstance(state, Traced) or (is_constant(state) and np.any(state)):
            raise OperatorRefused("states that begin with 0", "others as its initial states", _ZERO)


RECURRENT: Final[dict[str, Handler]] = dict.fromkeys(_KINDS, _recurrent)
