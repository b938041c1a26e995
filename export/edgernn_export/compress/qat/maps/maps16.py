"""`w8a16` affine maps under training (NUMERICS.md section 5): a shift per row and term.

A row gets twice the step when its weights have grown so far that clause 5.5's bound comes near.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, cast

import numpy as np

from edgernn.model.affine import ACCUMULATOR_LIMIT_W8A16, Affine16, Term16
from edgernn.model.formats import FloatArray, Precision
from edgernn_export.compress.qat.arithmetic.integers import narrow, power_of_two, wide
from edgernn_export.compress.qat.arithmetic.requantization import requantized16
from edgernn_export.compress.qat.arithmetic.straight_through import saturating_sum
from edgernn_export.compress.qat.maps.float_weights import MapSpec
from edgernn_export.compress.qat.maps.training_maps import (
    Add,
    Bias,
    ReadyMap,
    TermVariables,
    Weights,
    needs_double,
)
from edgernn_export.compress.tensors.back_ends import Tensor, constant, held, ops
from edgernn_export.quantizer.overflow_proof import refuse16
from edgernn_export.quantizer.weights.affine import Ranges

#: Share of clause 5.5's bound at which a row's step doubles.
_NEAR: Final = 0.97
#: Largest n of a bias 4n + 1.
_BIAS_LIMIT: Final = 2.0**28
_LARGEST_INPUT: Final = float(Precision.W8A16.input_high)


class _Term16(TermVariables):
    """One term with its shift."""

    def __init__(self, spec: MapSpec, term: Term16, prefix: str, add: Add) -> None:
        super().__init__(spec, term, prefix, add)
        self.shift = add(f"{prefix}_shift", term.shift)

    def follow(self, weights: Weights, bias: Tensor) -> None:
        """Let shift and multiplier follow the weights."""
        worst = 4.0 * ops.abs(bias) + 0.5 * narrow(power_of_two(self.shift.value))
        for codes in self.integers(weights).values():
            worst = worst + _LARGEST_INPUT * ops.sum(ops.abs(codes), axis=0)
        crowded = worst > _NEAR * ACCUMULATOR_LIMIT_W8A16
        self.share.assign(ops.where(crowded, 2.0 * self.share.value, self.share.value))
        self.move(self.wanted_step(weights))

    def move(self, wanted: Tensor) -> None:
        """Take the multipliers and shifts closest to the wanted steps where these have moved."""
        shift, multiplier = self.shift.value, self.multiplier.value
        exact = wanted * narrow(power_of_two(shift)) * 2.0**15
        off = ops.abs(exact - narrow(multiplier))
        moves = (wanted > 0) & (off > self.tolerance * narrow(multiplier))
        coarser = moves & (exact > 32767.0) & (shift > 3)
        finer = moves & (exact < 16384.0) & (shift < 30)
        scaled = exact * ops.where(coarser, 0.5, ops.where(finer, 2.0, 1.0))
        nearest = wide(ops.clip(ops.round(scaled), 1.0, 32767.0))
        self.multiplier.assign(ops.where(moves, nearest, multiplier))
        self.shift.assign(shift - wide(coarser) + wide(finer))
        self.step_is(
            narrow(self.multiplier.value) * 2.0**-15 / narrow(power_of_two(self.shift.value))
        )


class _Map16:
    """One map; the bias belongs to the first term."""

    def __init__(self, spec: MapSpec, add: Add) -> None:
        self.spec = spec
        affine = cast(Affine16, spec.affine)
        self.terms = [
            _Term16(spec, term, f"{spec.name}_{index}", add)
            for index, term in enumerate(affine.terms)
        ]
        self.bias = Bias(spec, _BIAS_LIMIT, add)

    def biases(self, weights: Weights) -> list[Tensor]:
        """A quarter of the bias of each term."""
        own = self.bias.integers(weights)
        return [own, *[ops.zeros_like(own)] * (len(self.terms) - 1)]

    def follow(self, weights: Weights) -> None:
        for term, bias in zip(self.terms, self.biases(weights), strict=True):
            term.follow(weights, bias)
        self._rate_bias()

    def _rate_bias(self) -> None:
        first = self.terms[0]
        units = 2.0**13 * narrow(power_of_two(first.shift.value))
        self.bias.per_code(units / narrow(first.multiplier.value))

    def ready(self, weights: Weights) -> ReadyMap:
        rest = [
            (bias, held(term.shift), held(term.multiplier))
            for term, bias in zip(self.terms, self.biases(weights), strict=True)
        ]

        def finish(sums: Sequence[Tensor]) -> Tensor:
            parts = [requantized16(acc, *given) for acc, given in zip(sums, rest, strict=True)]
            return parts[0] if len(parts) == 1 else saturating_sum(*parts)

        return ReadyMap(
            terms=tuple(term.integers(weights) for term in self.terms),
            double=needs_double(self.spec, Precision.W8A16),
            finish=finish,
        )

    def steps(self) -> list[FloatArray]:
        terms = cast(Affine16, self.spec.affine).terms
        return [term.multiplier * np.exp2(-15.0 - term.shift) for term in terms]

    def nearest(self, weights: dict[str, FloatArray]) -> dict[str, FloatArray]:
        starts: dict[str, FloatArray] = {}
        for variables, step in zip(self.terms, self.steps(), strict=True):
            starts |= variables.nearest(weights, step)
        self._rate_bias()
        return starts

    def nearest_bias(self, weights: Mapping[str, FloatArray]) -> FloatArray:
        whole = cast(Affine16, self.spec.affine).terms[0].bias
        return self.bias.nearest((whole.astype(np.float64) - 1.0) / 4.0, weights)

    def begin(self, weights: dict[str, FloatArray]) -> None:
        for variables, step in zip(self.terms, self.steps(), strict=True):
            variables.begin(weights, step)

    def record(self, weights: Weights) -> Affine16:
        terms = [
            Term16(
                source=term.term.source,
                storage=term.term.storage,
                weights=term.stored(weights),
                bias=ops.convert_to_numpy(4 * wide(bias) + 1),
                shift=np.asarray(term.shift),
                multiplier=np.asarray(term.multiplier),
            )
            for term, bias in zip(self.terms, self.biases(weights), strict=True)
        ]
        return Affine16(terms=tuple(terms))

    def coarsen(self, owner: str, made: Affine16, ranges: Ranges) -> bool:
        """Double the steps of unsafe rows; False where there are none."""
        found = False
        for term, stored in zip(self.terms, made.terms, strict=True):
            unsafe = stored.worst(ranges[stored.source]) >= ACCUMULATOR_LIMIT_W8A16
            if not unsafe.any():
                continue
            found = True
            if np.any(stored.shift[unsafe] == 3):
                step = stored.multiplier * np.exp2(-15.0 - stored.shift)
                refuse16(
                    f"{owner}.{self.spec.name}",
                    stored,
                    step,
                    ranges[stored.source],
                    stored.storage.weight_max,
                )
            term.share.assign(np.asarray(term.share) * np.where(unsafe, np.float32(2.0), 1.0))
            term.shift.assign(np.asarray(term.shift) - unsafe.astype(np.int32))
            step = stored.multiplier * np.exp2(-15.0 - np.asarray(term.shift))
            term.step_is(constant(step, term.share.value))
        self._rate_bias()
        return found


class Maps16:
    """All maps of one layer."""

    def __init__(self, specs: Sequence[MapSpec], add: Add) -> None:
        """Make the variables of the maps of a layer."""
        self._maps = {spec.name: _Map16(spec, add) for spec in specs}

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
        """Let shifts and multipliers follow the weights, once per batch of training."""
        for one in self._maps.values():
            one.follow(weights)

    def ready(self, weights: Weights) -> dict[str, ReadyMap]:
        """Maps with the integers of float weights."""
        return {name: one.ready(weights) for name, one in self._maps.items()}

    def unproven(self, weights: Weights) -> dict[str, Affine16]:
        """Integer maps with their current steps, which may be unsafe."""
        return {name: one.record(weights) for name, one in self._maps.items()}

    def records(self, owner: str, weights: Weights, ranges: Ranges) -> dict[str, Affine16]:
        """Integer maps proven safe; coarsens rows that the last batch made unsafe.

        Raises:
            OverflowRefused: the coarsest step does not keep a row's sum within 32 bits.
        """
        made: dict[str, Affine16] = {}
        for name, one in self._maps.items():
            made[name] = one.record(weights)
            while one.coarsen(owner, made[name], ranges):
                made[name] = one.record(weights)
        return made
