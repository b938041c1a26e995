"""What a program under training takes over from others: codes they read, states they begin with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from edgernn.model.border.channels import OutputSpec
from edgernn.model.formats import Precision
from edgernn.model.layer_record import StateSpec
from edgernn.model.program_sets.passes import CHUNK_INPUT, Pass, PassDirection, output_slice
from edgernn_export.compress.qat.arithmetic.straight_through import operand, rescaled, saturated
from edgernn_export.compress.qat.ends import Refused
from edgernn_export.compress.qat.integer_side.sequences import initial_codes
from edgernn_export.compress.tensors.back_ends import Tensor, ops


class InitialCodes(Refused, keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """What a state begins with in every stream (clause 6.2).

    Args:
        spec: the state.
    """

    def __init__(self, spec: StateSpec, **options: Any) -> None:
        super().__init__(dtype="float32", **options)
        self._spec = spec

    def call(self, codes: Tensor) -> Tensor:
        """Codes [B, H] for the streams of codes [B, ...]."""
        return initial_codes(self._spec, codes)


class HandedOver(Refused, keras.layers.Layer):  # type: ignore[misc]  # as above
    """What a state takes over from another program (clause 6.10).

    Args:
        shift: fraction bits that the value has more than the state.
        own: which of the outputs are passed on, of the last step; None for a state.
    """

    def __init__(self, shift: int, own: slice | None, **options: Any) -> None:
        super().__init__(dtype="float32", **options)
        self._shift, self._own = shift, own

    def call(self, codes: Tensor) -> Tensor:
        """Codes [B, H] of a state, or [B, T, O] or [B, O] of outputs, to codes [B, H]."""
        if self._own is not None:
            codes = (codes[:, -1] if len(codes.shape) == 3 else codes)[:, self._own]
        if self._shift > 0:
            return rescaled(codes, self._shift)
        return saturated(codes * 2.0**-self._shift)


class PassReads(Refused, keras.layers.Layer):  # type: ignore[misc]  # as above
    """What a pass over a chunk reads, in the order in which it takes the steps (clause 6.11).

    Args:
        one: the pass.
        earlier: the outputs and the directions of the passes before it, by program.
        precision: of the programs.
    """

    def __init__(
        self,
        one: Pass,
        earlier: Mapping[str, tuple[OutputSpec, PassDirection]],
        precision: Precision,
        **options: Any,
    ) -> None:
        super().__init__(dtype="float32", **options)
        self._pass, self._precision = one, precision
        self._earlier = dict(earlier)

    def call(self, codes: list[Tensor]) -> Tensor:
        """Codes [B, T, I] of the pass.

        Args:
            codes: of the readings, [B, T, I], in the order of the chunk; behind them what the
                source of every other read puts out, [B, T, O], in the order in which it runs.
        """
        readings, *outputs = codes
        backward = self._pass.direction is PassDirection.BACKWARD
        columns, at = [], 0
        for read in self._pass.reads:
            if read.source == CHUNK_INPUT:
                columns.append(ops.flip(readings, axis=1) if backward else readings)
                continue
            spec, direction = self._earlier[read.source]
            made, at = outputs[at][..., output_slice(spec, read.value)], at + 1
            if read.last:
                made = made[:, -1:] + ops.zeros_like(readings[..., :1])
            elif direction is not self._pass.direction:
                made = ops.flip(made, axis=1)
            columns.append(operand(made, self._precision))
        return ops.concatenate(columns, axis=-1) if len(columns) > 1 else columns[0]
