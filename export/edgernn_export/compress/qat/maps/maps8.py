"""`w8a8` affine maps under training (NUMERICS.md section 4): one shift for all maps of a layer.

The shift is that of the integer model training starts from. It falls by one when weights or biases
have grown so far that the bound of clause 4.4 comes near, and never rises.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

import numpy as np

from edgernn.model.affine import ACCUMULATOR_LIMIT_W8A8, Affine8, Term8
from edgernn.model.formats import FloatArray, Precision
from edgernn_export.compress.qat.arithmetic.integers import floor_shift, narrow, power_of_two, wide
from edgernn_export.compress.qat.arithmetic.requantization import requantized8
from edgernn_export.compress.qat.maps.float_weights import MapSpec
from edgernn_export.compress.qat.maps.training_maps import (
    Add,
    Bias,
    ReadyMap,
    TermVariables,
    Weights,
    needs_double,
)
from edgernn_export.compress.tensors.back_ends import Tensor, held, ops
from edgernn_export.quantizer.overflow_proof import refuse8
from edgernn_export.quantizer.weights.affine import Ranges

#: Share of clause 4.4's bound at which the shift falls.
_NEAR: Final = 0.97
_BIAS_LIMIT: Final = 2.0**29
_MAX_MULTIPLIER: Final = 2**28


class _Map8:
    """One map; the shift is its layer's."""

    def __init__(self, spec: MapSpec, add: Add, shift: Any) -> None:
        self.spec = spec
        self.shift = shift
        self.terms = [
            TermVariables(spec, term, f"{spec.name}_{index}", add)
            for index, term in enumerate(cast(Affine8, spec.affine).terms)
        ]
        self.bias = Bias(spec, _BIAS_LIMIT, add)

    def crowded(self, weights: Weights) -> Tensor:
        """Whether a row comes near the bound, as a truth value."""
        worst = ops.abs(self.bias.integers(weights)) + 0.5 * narrow(power_of_two(self.shift.value))
        for term in self.terms:
            for codes in term.integers(weights).values():
                sums = ops.sum(ops.abs(codes), axis=0)
                worst = worst + 128.0 * sums * narrow(term.multiplier.value)
        return ops.any(worst > _NEAR * ACCUMULATOR_LIMIT_W8A8)

    def follow(self, weights: Weights, fall: Tensor, units: Tensor) -> None:
        """Let multipliers follow the weights; ``fall``: the shift fell by 0 or 1."""
        for term in self.terms:
            now = floor_shift(term.multiplier.value + fall, fall)
            wanted = term.wanted_step(weights) * units
            moves = (wanted > 0) & (ops.abs(wanted - narrow(now)) > term.tolerance * narrow(now))
            nearest = ops.clip(ops.round(wanted), 1.0, float(_MAX_MULTIPLIER))
            chosen = ops.maximum(ops.where(moves, wide(nearest), now), 1)
            term.multiplier.assign(chosen)
            term.step_is(narrow(chosen) / units)
        self.bias.per_code(units)

    def ready(self, weights: Weights) -> ReadyMap:
        bias, shift = self.bias.integers(weights), held(self.shift)
        multipliers = [held(term.multiplier) for term in self.terms]
        return ReadyMap(
            terms=tuple(term.integers(weights) for term in self.terms),
            double=needs_double(self.spec, Precision.W8A8),
            finish=lambda sums: requantized8(sums, multipliers, bias, shift),
        )

    def steps(self) -> list[FloatArray]:
        affine = cast(Affine8, self.spec.affine)
        return [term.multiplier * 2.0**-affine.shift for term in affine.terms]

    def nearest(self, weights: dict[str, FloatArray]) -> dict[str, FloatArray]:
        starts: dict[str, FloatArray] = {}
        for variables, step in zip(self.terms, self.steps(), strict=True):
            starts |= variables.nearest(weights, step)
        self.bias.per_code(2.0 ** cast(Affine8, self.spec.affine).shift)
        return starts

    def nearest_bias(self, weights: Mapping[str, FloatArray]) -> FloatArray:
        return self.bias.nearest(cast(Affine8, self.spec.affine).bias.astype(np.float64), weights)

    def begin(self, weights: dict[str, FloatArray]) -> None:
        for variables, step in zip(self.terms, self.steps(), strict=True):
            variables.begin(weights, step)

    def record(self, weights: Weights) -> Affine8:
        terms = tuple(
            Term8(
                source=term.term.source,
                storage=term.term.storage,
                weights=term.stored(weights),
                multiplier=np.asarray(term.multiplier),
            )
            for term in self.terms
        )
        bias = ops.convert_to_numpy(wide(self.bias.integers(weights)))
        return Affine8(terms=terms, bias=bias, shift=int(self.shift.value))


class Maps8:
    """All maps of one layer."""

    def __init__(self, specs: Sequence[MapSpec], add: Add) -> None:
        """Make the variables of the maps of a layer."""
        first = cast(Affine8, specs[0].affine)
        self.shift = add("shift", np.array(first.shift, dtype=np.int32))
        self._maps = {spec.name: _Map8(spec, add, self.shift) for spec in specs}

    def nearest(self, weights: dict[str, FloatArray]) -> dict[str, dict[str, FloatArray]]:
        """Per map the matrices closest to others that round to the integer model's.

        Steps are those of the integer model from here on.
        """
        return {name: one.nearest(weights) for name, one in self._maps.items()}

    def nearest_bias(self, name: str, weights: Mapping[str, FloatArray]) -> FloatArray:
        """The float bias of a map that results in the integer model's bias for these weights."""
        return self._maps[name].nearest_bias(weights)

    def begin(self, weights: dict[str, FloatArray]) -> None:
        """Start at weights: steps follow them from here on."""
        for one in self._maps.values():
            one.begin(weights)

    def follow(self, weights: Weights) -> None:
        """Let shift and multipliers follow the weights, once per batch of training."""
        crowded = [one.crowded(weights) for one in self._maps.values()]
        fall = wide(ops.any(ops.stack(crowded)) & (self.shift.value > 1))
        self.shift.assign(self.shift.value - fall)
        units = narrow(power_of_two(self.shift.value))
        for one in self._maps.values():
            one.follow(weights, fall, units)

    def ready(self, weights: Weights) -> dict[str, ReadyMap]:
        """Maps with the integers of float weights."""
        return {name: one.ready(weights) for name, one in self._maps.items()}

    def unproven(self, weights: Weights) -> dict[str, Affine8]:
        """Integer maps with their current steps, which may be unsafe."""
        return {name: one.record(weights) for name, one in self._maps.items()}

    def records(self, owner: str, weights: Weights, ranges: Ranges) -> dict[str, Affine8]:
        """Integer maps proven safe; lowers the shift where the last batch made them unsafe.

        Raises:
            OverflowRefused: not even the smallest shift is safe.
        """
        while True:
            made = self.unproven(weights)
            unsafe = [n for n, affine in made.items() if affine.unsafe_rows(ranges).size]
            if not unsafe:
                return made
            if int(self.shift.value) == 1:
                refuse8(f"{owner}.{unsafe[0]}", made[unsafe[0]], ranges)
            self.shift.assign(self.shift.value - 1)
            units = narrow(power_of_two(self.shift.value))
            for one in self._maps.values():
                one.follow(weights, 1, units)
