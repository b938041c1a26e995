"""A calibrated float model, and what quantizing makes of it."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

import edgernn
from edgernn.affine import CodeRange
from edgernn.formats import FloatArray
from edgernn.interface import InputSpec, OutputSpec
from edgernn.layers import Layer
from edgernn.model import IntegerModel, Provenance
from edgernn.window import Window
from edgernn_export.calibrate import Calibration, calibrate
from edgernn_export.calibration.sufficiency import warn_of_little
from edgernn_export.float_model import FloatDense, FloatModel
from edgernn_export.float_run import Progress
from edgernn_export.layer_quantizers import dense_output_scale, layer_names, quantize_layer
from edgernn_export.layer_task import Feed, Plan, Task
from edgernn_export.ranges import RangeMethod, input_range
from edgernn_export.stream_kind import EndlessError, endless_error
from edgernn_export.streams import as_streams, as_windows, streams_sha256
from edgernn_export.weight_storage import settings

#: Calibrations longer than this show a progress bar.
_PROGRESS_STEPS: Final = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A calibrated float model, to be quantized once or in several ways.

    Attributes:
        model: the float model.
        statistics: its tensors in calibration.
        calibration_sha256: hash of the calibration streams (hex).
        window: what the integer model will answer; None for an endless stream.
        endless: of a network made for windows, what streaming it endlessly changes.
    """

    model: FloatModel
    statistics: Calibration
    calibration_sha256: str
    window: Window | None = None
    endless: EndlessError | None = None

    @staticmethod
    def of(
        model: FloatModel,
        calibration: Any,
        method: RangeMethod,
        progress: bool,
        window: Window | None = None,
        on_missing: str = "raise",
    ) -> Prepared:
        """Run the calibration streams as the model will run.

        Args:
            model: the float model.
            calibration: as for `quantize`.
            method: how ranges will be chosen.
            progress: as for `quantize`.
            window: what the integer model will answer; None for an endless stream.
            on_missing: as for `quantize`.
        """
        given = as_streams(
            calibration, model.inputs, names=model.input_names, on_missing=on_missing
        )
        warn_of_little(given, model.input_names)
        blocks = given if window is None else [as_windows(given, window)]
        made_for = window or model.window
        endless = None if made_for is None else endless_error(model, given, made_for)
        with _progress_bar(blocks, progress) as bar:
            statistics = calibrate(
                model,
                blocks,
                bar,
                spread=method is not RangeMethod.MINMAX,
                windows=window is not None,
            )
        return Prepared(
            model=model,
            statistics=statistics,
            calibration_sha256=streams_sha256(given),
            window=window,
            endless=endless,
        )

    def quantize(
        self, plan: Plan, bits: Mapping[str, int], name: str, seeds: Sequence[tuple[str, int]] = ()
    ) -> IntegerModel:
        """The integer model of a plan, with these bits of weights by layer.

        Raises:
            OverflowRefused: an accumulator could overflow.
        """
        model = self.model
        input_spec = _input_spec(model, self.statistics, plan)
        layers, output_scale = _layers(model, self.statistics, plan, bits, input_spec)
        return IntegerModel(
            name=name,
            precision=plan.precision,
            layers=layers,
            input=input_spec,
            output=OutputSpec(
                names=tuple(model.output_names),
                units=tuple(model.output_units),
                scale=output_scale,
                softmax=model.final_activation == "softmax",
            ),
            provenance=Provenance(
                float_model_sha256=model.sha256,
                calibration_sha256=self.calibration_sha256,
                seeds=tuple((purpose, seed) for purpose, seed in seeds),
                versions=(("edgernn", edgernn.__version__), ("numpy", np.__version__)),
                settings=(
                    *self._stream_settings(),
                    ("range_method", plan.method.value),
                    ("operand_scales", plan.operand_scales),
                    ("common_loss_db", repr(plan.common_loss_db)),
                    *settings(bits, plan.sparse),
                ),
            ),
            window=self.window,
        )

    def _stream_settings(self) -> tuple[tuple[str, str], ...]:
        if self.endless is None:
            return ()
        return (("endless_error", f"{self.endless.share:.2g}"),)


def _input_spec(model: FloatModel, statistics: Calibration, plan: Plan) -> InputSpec:
    levels = plan.precision.input_high
    low, high = input_range(statistics[0, "x"], plan.method, levels)
    return InputSpec(
        names=tuple(model.input_names),
        units=tuple(model.input_units),
        scale=(high - low) / 2 / levels,
        offset=(low + high) / 2,
    )


def _layers(
    model: FloatModel,
    statistics: Calibration,
    plan: Plan,
    bits: Mapping[str, int],
    input_spec: InputSpec,
) -> tuple[tuple[Layer, ...], FloatArray]:
    """All integer layers and the real scale per output channel."""
    precision = plan.precision
    feed = Feed(
        scale=np.array(input_spec.scale),
        offset=np.array(input_spec.offset),
        code_range=CodeRange(low=precision.input_low, high=precision.input_high),
    )
    made: list[Layer] = []
    output_scale: FloatArray = np.empty(0)
    names = layer_names(model.layers)
    for index, layer in enumerate(model.layers):
        last = index == len(model.layers) - 1
        task = Task(
            name=names[index],
            index=index,
            weight_bits=bits[names[index]],
            per_row_output=last and model.final_activation != "softmax",
            feed=feed,
            plan=plan,
            calibration=statistics,
        )
        integer = quantize_layer(task, layer)
        made.append(integer)
        if last:
            output_scale = (
                dense_output_scale(task, layer)
                if isinstance(layer, FloatDense)
                else np.full(layer.units, integer.output_scale)
            )
        feed = Feed(
            scale=np.full(layer.units, integer.output_scale * precision.operand_ratio),
            offset=np.zeros(layer.units),
            code_range=CodeRange(low=precision.operand_low, high=precision.operand_high),
        )
    return tuple(made), output_scale


@contextmanager
def _progress_bar(blocks: Sequence[FloatArray], wanted: bool) -> Iterator[Progress | None]:
    """A tqdm bar over all calibration steps, where there are many."""
    total = sum(block.shape[0] * block.shape[1] for block in blocks)
    if not wanted or total < _PROGRESS_STEPS:
        yield None
        return
    from tqdm import tqdm

    with tqdm(total=total, desc="calibrating", unit=" steps", file=sys.stderr, leave=False) as bar:

        def advance(steps: int) -> None:
            bar.update(steps)

        yield advance
