"""Units that remember for longer than a 16-bit state can, found in calibration.

A unit keeps the share 1 - w of its state and takes the share w of what is new. Where w is small,
what is new is less than half a code and is lost: the state stops short of its target by up to
1 / (2w) codes, the *dead band*. More bits of operands do not help, as the state has 16 in every
precision. Of a relu SimpleRNN, 1 - w is a weight.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from edgernn.model.formats import FloatArray
from edgernn.model.layers import Layer
from edgernn_export.calibration.statistics import KEEP, Calibration
from edgernn_export.float_model.cells import ACTIVATIONS
from edgernn_export.float_model.model import FloatCell, FloatGRU, FloatLayer, FloatLSTM, FloatModel
from edgernn_export.guards.wide_forms import kept_in_matrix, wide_defect

#: Dead band, as a share of the state's RMS, from which on a unit is reported. Of 77 layers without
#: long memory none passed 0.0115; layers whose answers suffered began at 0.057.
_DEAD_BAND: Final = 0.05
#: Units that hold for fewer steps forget a dead band with the rest.
_SHORTEST_STEPS: Final = 100.0
#: Longer memory than this is not told apart from memory without end.
_LONGEST_STEPS: Final = 1e6
_NAMED_UNITS: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class LongMemory:
    """The units of one layer whose memory is longer than their state allows.

    Attributes:
        layer: its name.
        units: numbers of the units, longest memory first.
        steps: how long each of them holds, in steps; at most a million.
        can_be_wide: whether the layer may have a wide state, which follows them.
    """

    layer: str
    units: tuple[int, ...]
    steps: tuple[float, ...]
    can_be_wide: bool = True

    def __str__(self) -> str:
        """One line for people."""
        named = ", ".join(
            f"{unit} ({_steps(steps)})"
            for unit, steps in zip(self.units[:_NAMED_UNITS], self.steps, strict=False)
        )
        more = len(self.units) - _NAMED_UNITS
        return (
            f"{self.layer}: expected units whose memory fits a 16-bit state, got "
            f"{len(self.units)} with a longer memory: "
            f"{named}{f' and {more} more' if more > 0 else ''}. They freeze or drift on long "
            f"streams, in every precision. {self._cure()}"
        )

    def _cure(self) -> str:
        if self.can_be_wide:
            return "Pass state='32' (--state 32), which adds 15 bits to the state."
        return (
            "Check the accuracy with --report on a stream as long as in production. To shorten "
            "the memory, train with a smaller bias of the gate that keeps the state, or feed "
            "readings less often."
        )


def _steps(steps: float) -> str:
    return "no end" if steps >= _LONGEST_STEPS else f"{steps:.2g} steps".replace("e+0", "e")


def long_memory(
    model: FloatModel,
    statistics: Calibration,
    layers: Sequence[Layer],
    longest_steps: int | None = None,
) -> tuple[LongMemory, ...]:
    """The layers with units of long memory that their states cannot hold, in layer order.

    Args:
        model: the float model.
        statistics: its calibration.
        layers: the integer layers made of it.
        longest_steps: steps after which the state is reset in use; None where it never is. A dead
            band grows by half a code a step, so short windows never meet it.
    """
    found: list[LongMemory] = []
    for index, (original, layer) in enumerate(zip(model.layers, layers, strict=True)):
        if not layer.is_wide:
            found += layer_memory(original, layer, index, statistics, longest_steps)
    return tuple(found)


def layer_memory(
    original: FloatLayer,
    layer: Layer,
    index: int,
    statistics: Calibration,
    longest_steps: int | None = None,
) -> tuple[LongMemory, ...]:
    """The units of each state of one layer that 16 bits cannot hold.

    Args:
        original: the float layer.
        layer: made from it, with 16-bit states.
        index: its position in the model.
        statistics: calibration of the model.
        longest_steps: as of `long_memory`.
    """
    able = wide_defect(original) is None
    found = (
        _held_too_long(layer.name, state, longest_steps, can_be_wide=able)
        for state in _states(original, layer, index, statistics)
    )
    return tuple(one for one in found if one is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class _KeptState:
    """A state of which gates or constants keep shares.

    Attributes:
        taken: share of the new in a step, per unit [H].
        rms: of the state [H].
        code: real value of one of its codes.
        in_matrix: the factor that keeps the state is an 8-bit weight, which cannot distinguish 0.99
            from 1, times an operand coarser than the state.
    """

    taken: FloatArray
    rms: FloatArray
    code: float
    in_matrix: bool = False


def _held_too_long(
    name: str, state: _KeptState, longest_steps: int | None, *, can_be_wide: bool
) -> LongMemory | None:
    """The units of a state whose dead band is wide."""
    rms, code = state.rms, state.code
    steps = 1.0 / np.maximum(state.taken, 1.0 / _LONGEST_STEPS)
    held = steps if longest_steps is None else np.minimum(steps, longest_steps)
    moves = rms > code
    dead_band = np.where(moves, 0.5 * code * held / np.where(moves, rms, 1.0), 0.0)
    lost = moves if state.in_matrix else dead_band > _DEAD_BAND
    units = np.flatnonzero(lost & (held >= _SHORTEST_STEPS))
    if not units.size:
        return None
    order = units[np.argsort(-steps[units], kind="stable")]
    return LongMemory(
        layer=name,
        units=tuple(int(unit) for unit in order),
        steps=tuple(float(s) for s in steps[order]),
        can_be_wide=can_be_wide,
    )


def _states(
    original: FloatLayer, layer: Layer, index: int, statistics: Calibration
) -> Iterator[_KeptState]:
    """The states of which gates, constants or the diagonal of a matrix keep shares."""
    kept = kept_in_matrix(original)
    if kept is not None:
        code, rms = layer.states[0].format.scale, statistics[index, "h"].rms
        yield _KeptState(taken=1.0 - np.clip(kept, 0.0, 1.0), rms=rms, code=code, in_matrix=True)
    elif isinstance(original, (FloatLSTM, FloatGRU)):
        rms = statistics[index, "c" if isinstance(original, FloatLSTM) else "h"].rms
        code = layer.states[isinstance(original, FloatLSTM)].format.scale
        taken = _taken(original, statistics[index, KEEP].sample)
        yield _KeptState(taken=taken, rms=rms, code=code)
    elif isinstance(original, FloatCell):
        for found in original.plan.kept:
            rms = statistics[index, original.plan.states[found.state]].rms
            code = layer.states[found.state].format.scale
            if found.constants:
                share = np.abs(original.by_name[found.constants])
            else:
                share = np.median(statistics[index, found.value].sample, axis=0)
            taken = share if found.complement else 1.0 - share
            yield _KeptState(taken=taken, rms=rms, code=code)


def _taken(layer: FloatLSTM | FloatGRU, keep: FloatArray) -> FloatArray:
    """Median share of the new in a step, per unit [H]."""
    gate = ACTIVATIONS[layer.recurrent_activation]
    # Of the pre-activation: gates rise with it, and 1 - gate(z) = gate(-z) keeps small shares.
    taken: FloatArray = gate(-np.median(keep, axis=0))
    return taken
