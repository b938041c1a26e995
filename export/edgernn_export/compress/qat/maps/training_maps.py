"""An affine map under training: its float weights' integers, and the variables they depend on.

A row's weight step is share * peak / limit: the peak is its largest gain now, the share what
post-training quantization chose, the limit 127 or 7. While a model is trained, every batch moves
the steps that are off by more than 2 % and more than half a code of the largest weight. They are
variables, so evaluation uses those of the last batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgernn.model.affine import Term8, Term16
from edgernn.model.formats import FloatArray, Precision
from edgernn_export.compress.qat.arithmetic.exact_sums import EXACT, matrix_product
from edgernn_export.compress.qat.arithmetic.integers import codes_of
from edgernn_export.compress.qat.arithmetic.requantization import rounded_sum
from edgernn_export.compress.qat.maps.float_weights import KERNEL, MATRICES, RECURRENT, MapSpec
from edgernn_export.compress.tensors.back_ends import Tensor, constant, held, ops

_TOLERANCE: Final = 0.02
#: Makes a variable: add(name, initial value, dtype).
Add = Callable[[str, npt.NDArray[Any]], Any]
Weights = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadyMap:
    """An affine map with integer weights, for one pass over a batch.

    Attributes:
        terms: per term the integer weights [N, R] by matrix.
        double: sums can pass what float32 adds exactly.
        finish: from the sums of the terms to codes [B, R].
    """

    terms: tuple[dict[str, Tensor], ...]
    double: bool
    finish: Callable[[Sequence[Tensor]], Tensor]

    def of_input(self, q_x: Tensor) -> Tensor | None:
        """Products of operand codes [..., I] with the kernel, None where the map has none."""
        for weights in self.terms:
            if KERNEL in weights:
                return matrix_product(q_x, weights[KERNEL], double=self.double)
        return None

    def of_state(self, q_state: Tensor) -> Tensor:
        """Products of the operand codes [B, H] of a state with the matrix that reads it."""
        (matrix,) = (weights[RECURRENT] for weights in self.terms if RECURRENT in weights)
        return matrix_product(q_state, matrix, double=self.double)

    def codes(self, from_input: Tensor | None, from_state: Tensor | None) -> Tensor:
        """Codes [B, R] from `of_input` and `of_state`."""
        sums = []
        for weights in self.terms:
            acc = from_input if KERNEL in weights else None
            if RECURRENT in weights:
                acc = from_state if acc is None else acc + from_state
            sums.append(acc)
        return self.finish(sums)

    def __call__(self, from_input: Tensor | None, q_state: Tensor | None = None) -> Tensor:
        """Codes [B, R] from `of_input` and the operand codes [B, H] of the state."""
        return self.codes(from_input, None if q_state is None else self.of_state(q_state))


class Bias:
    """The bias [R] of a map with what operand code 0 of the input adds, in integers.

    Args:
        spec: of the map.
        limit: largest magnitude.
        add: makes a variable.
    """

    def __init__(self, spec: MapSpec, limit: float, add: Add) -> None:
        self._spec, self._limit = spec, limit
        self._gain = spec.bias_gain.astype(np.float32)
        self._center = None if spec.center is None else spec.center.astype(np.float32)[:, None]
        self._rate = add(f"{spec.name}_bias_rate", self._gain)

    def per_code(self, integers: Any) -> None:
        """Take as many integers per output code, float32 [R] or a scalar."""
        self._rate.assign(constant(self._gain, self._rate.value) * integers)

    def integers(self, weights: Weights) -> Tensor:
        """The bias for float weights, float32 [R]."""
        spec, rate = self._spec, held(self._rate)
        own = weights[spec.bias][spec.bias_columns]
        if np.any(spec.out_offset):
            own = own + constant(spec.out_offset, own)
        terms = [(own, rate)]
        if self._center is not None:
            kernel = weights[spec.matrices[KERNEL]][:, spec.columns]
            terms.append((kernel, constant(self._center, kernel) * rate))
        return rounded_sum(terms, self._limit)

    def nearest(self, integers: FloatArray, weights: Mapping[str, FloatArray]) -> FloatArray:
        """The float bias that gives integers [R], float64 [R].

        Args:
            integers: of the integer model.
            weights: by name, the kernel among them.
        """
        spec, rate = self._spec, np.asarray(self._rate)
        own = integers
        if self._center is not None:
            kernel = weights[spec.matrices[KERNEL]][:, spec.columns].astype(np.float32)
            own = own - np.rint(kernel * (self._center * rate)).sum(axis=0, dtype=np.float64)
        made: FloatArray = own / rate - spec.out_offset
        return made


class TermVariables:
    """Variables of one term: multiplier, share of its step, codes per unit of weight."""

    def __init__(self, spec: MapSpec, term: Term8 | Term16, prefix: str, add: Add) -> None:
        """Make variables for a term of ``spec``."""
        rows = spec.affine.rows
        self.term = term
        self.limit = float(term.storage.weight_max)
        self.tolerance = max(_TOLERANCE, 0.5 / self.limit)
        self._columns, self._matrices = spec.columns, spec.matrices
        self.gains = {m: spec.gains[m].astype(np.float32) for m in MATRICES[term.source]}
        self.multiplier = add(f"{prefix}_multiplier", term.multiplier)
        self.share = add(f"{prefix}_share", np.ones(rows, np.float32))
        self.rates = {m: add(f"{prefix}_{m}_rate", gain) for m, gain in self.gains.items()}

    def _of(self, weights: Weights, matrix: str) -> Any:
        """The columns [N, R] of the term in the weights that hold a matrix."""
        return weights[self._matrices[matrix]][:, self._columns]

    def integers(self, weights: Weights) -> dict[str, Tensor]:
        """Integer weights [N, R] by matrix, float32."""
        return {
            m: codes_of(self._of(weights, m), held(rate), self.limit)
            for m, rate in self.rates.items()
        }

    def wanted_step(self, weights: Weights) -> Tensor:
        """Step per row that the weights require, 0 if they are all zero."""
        peaks = [
            ops.max(ops.abs(self._of(weights, m) * constant(gain, rate.value)), axis=0)
            for (m, gain), rate in zip(self.gains.items(), self.rates.values(), strict=True)
        ]
        peak = ops.stop_gradient(ops.max(ops.stack(peaks), axis=0))
        return self.share.value * peak / self.limit

    def step_is(self, step: Any) -> None:
        """Let the rates follow a step per row, float32 [R]."""
        for m, rate in self.rates.items():
            rate.assign(constant(self.gains[m], rate.value) / step)

    def nearest(self, weights: dict[str, FloatArray], step: FloatArray) -> dict[str, FloatArray]:
        """Take over a term's step; the weights closest to others that round to its integers.

        Args:
            weights: float weights [N, R] by name.
            step: step per row of the integer model.

        Returns:
            By matrix, the weights closest to ``weights`` that round to the term's integers.
        """
        self.step_is(constant(step, self.share.value))
        found = {}
        at = 0
        for m, rate in self.rates.items():
            wanted = self._of(weights, m)
            codes = self.term.weights[:, at : at + len(wanted)].T
            at += len(wanted)
            per_code = 1.0 / np.asarray(rate, dtype=np.float64)
            ends = (codes - 0.49) * per_code, (codes + 0.49) * per_code
            found[m] = np.clip(wanted, np.minimum(*ends), np.maximum(*ends))
        return found

    def begin(self, weights: dict[str, FloatArray], step: FloatArray) -> None:
        """Let the step follow the weights [N, R] by name from here on."""
        peaks = [
            np.max(np.abs(self._of(weights, m) * gain), axis=0) for m, gain in self.gains.items()
        ]
        peak = np.max(peaks, axis=0)
        share = np.divide(step * self.limit, peak, out=np.ones_like(peak), where=peak > 0)
        self.share.assign(share.astype(np.float32))

    def stored(self, weights: Weights) -> npt.NDArray[np.int8]:
        """Integer weights [R, N] as the integer model stores them."""
        parts = [
            np.rint(ops.convert_to_numpy(self._of(weights, m)) * np.asarray(rate))
            for m, rate in self.rates.items()
        ]
        clipped = np.clip(np.concatenate(parts), -self.limit, self.limit)
        return np.ascontiguousarray(clipped.T.astype(np.int8))


def needs_double(spec: MapSpec, precision: Precision) -> bool:
    """Whether sums of a map can pass what float32 adds exactly."""
    largest = max(-precision.input_low, -precision.operand_low)
    return any(
        t.weights.shape[1] * t.storage.weight_max * largest >= EXACT for t in spec.affine.terms
    )
