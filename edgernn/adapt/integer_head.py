"""The integers of a head that learns (NUMERICS.md section 14)."""

from __future__ import annotations

from collections import deque
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgernn.adapt.adaptation import Adaptation

_Int64s = npt.NDArray[np.int64]
#: Largest weight, A of clause 14.1.
MAX_WEIGHT: Final = 2**30 - 2**14 - 1
#: Largest target (clause 14.4).
MAX_TARGET: Final = 2**18
#: Features in addition to the elements of the state: a constant, and the output itself.
OWN_FEATURES: Final = 2
_CONSTANT: Final = 128


class IntegerHead:
    """The weights of a head, and the last steps that true values can still belong to.

    Attributes:
        weights: int64 [O, N + 2], W of clause 14.1.
        steps: what the last D + 1 steps gave, the newest last: the operands of the state int8 [N],
            and the output codes int16 [O].
        limited: corrections that the limit cut off, one for each output and step.
    """

    __slots__ = ("_of", "limited", "steps", "weights")

    def __init__(self, of: Adaptation, features: int, outputs: int) -> None:
        """Begin without a correction.

        Args:
            of: the settings.
            features: N, elements of the state.
            outputs: O.
        """
        self._of = of
        self.weights: _Int64s = np.zeros((outputs, features + OWN_FEATURES), np.int64)
        self.steps: deque[tuple[npt.NDArray[np.int8], npt.NDArray[np.int16]]]
        self.steps = deque(maxlen=of.delay + 1)
        self.limited = 0

    def step(self, state: npt.NDArray[np.int16], q_y: npt.NDArray[np.int16]) -> _Int64s:
        """The corrected outputs of a step (clauses 14.2 and 14.3), which is kept.

        Args:
            state: int16 [N] after the step.
            q_y: int16 [O], its output codes.

        Returns:
            int64 [O], in units of the output's scale.
        """
        self.steps.append((operand8(state).astype(np.int8), np.array(q_y, np.int16)))
        s, c = self._corrections(*self.steps[-1])[1:]
        self.limited += int(np.count_nonzero(s != c))
        return q_y + c

    def again(self) -> _Int64s:
        """The outputs of the last step, corrected by the present weights: int64 [O]."""
        return self.steps[-1][1] + self._corrections(*self.steps[-1])[2]

    def learn(self, target: _Int64s, known: npt.NDArray[np.bool_]) -> _Int64s | None:
        """Learn from true values (clauses 14.4 and 14.5).

        Args:
            target: int64 [O], at most 2^18 in magnitude.
            known: bool [O], which outputs have one.

        Returns:
            int64 [O], true values less the corrected outputs before learning; None where there were
            fewer than D + 1 steps, so that nothing changed.
        """
        if len(self.steps) < self._of.delay + 1:
            return None
        state, q_y = self.steps[0]
        phi, s, c = self._corrections(state, q_y)
        error = target - (q_y + c)
        limit, most = self._of.limit_code, self._of.error_code
        for o in np.flatnonzero(known):
            e = min(max(int(error[o]), -most), most)
            if (s[o] > limit and e > 0) or (s[o] < -limit and e < 0):
                e = 0
            self._move(int(o), phi[o], e)
        return error

    def _corrections(
        self, state: npt.NDArray[np.int8], q_y: npt.NDArray[np.int16]
    ) -> tuple[_Int64s, _Int64s, _Int64s]:
        """Features φ [O, N + 2], and the corrections [O] before and after the limit."""
        phi = np.empty(self.weights.shape, np.int64)
        phi[:, 0] = _CONSTANT
        phi[:, 1] = operand8(q_y)
        phi[:, OWN_FEATURES:] = state
        s = _half_up((_half_up(self.weights, 15) * phi).sum(axis=1), 7)
        return phi, s, np.clip(s, -self._of.limit_code, self._of.limit_code)

    def _move(self, output: int, phi: _Int64s, e: int) -> None:
        """Clause 14.5 from the error on."""
        q = self._of.rate_code * e
        v = max(0, abs(q).bit_length() - 15)
        p = _half_up(q, v)
        power = int(phi @ phi)
        b = power.bit_length() - 1
        r = (1 << 29) // (power >> (b - 14))
        moved = _half_up(_half_up(p * r, 7) * phi, 1 + b - v)
        own, leak = self.weights[output], self._of.leak_shift
        kept = own - _half_up(own, leak) if leak else own
        self.weights[output] = np.clip(kept + moved, -MAX_WEIGHT, MAX_WEIGHT)


def operand8(values: npt.NDArray[Any]) -> _Int64s:
    """O of `w8a8` (clause 2.7) of int16 values."""
    v = values.astype(np.int64)
    operands: _Int64s = np.clip((v + 129 - 2 * (v < -1)) >> 8, -128, 127)
    return operands


def _half_up(p: Any, k: int) -> Any:
    """Clause 1.2."""
    return (p + ((1 << k) >> 1)) >> k
