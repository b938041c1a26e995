"""Post-training quantization: a float model and representative streams in, an integer model out."""

from __future__ import annotations

import dataclasses
import math
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

import edgernn
from edgernn.affine import CodeRange
from edgernn.errors import QuantizationError
from edgernn.formats import FloatArray, Precision
from edgernn.interface import InputSpec, OutputSpec
from edgernn.layers import Layer
from edgernn.model import IntegerModel, Provenance
from edgernn_export.calibrate import Calibration, calibrate
from edgernn_export.float_model import FloatDense, FloatModel
from edgernn_export.float_run import Progress
from edgernn_export.layer_quantizers import dense_output_scale, layer_names, quantize_layer
from edgernn_export.layer_task import Feed, Plan, Task
from edgernn_export.ranges import RangeMethod, input_range
from edgernn_export.streams import as_streams, streams_sha256
from edgernn_export.weight_storage import bits_by_layer, check_sparse, parse_precision, settings

OPERAND_SCALES: Final = ("auto", "common", "separate")
#: Calibrations longer than this show a progress bar.
_PROGRESS_STEPS = 2000


def quantize(
    source: Any,
    calibration: Any,
    precision: str | Precision = "w8a8",
    *,
    range_method: str | RangeMethod = "minmax",
    operand_scales: str = "auto",
    common_loss_db: float = 0.5,
    weight_bits: Mapping[str, int] | None = None,
    sparse: str = "auto",
    input_names: Sequence[str] | None = None,
    input_units: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    output_units: Sequence[str] | None = None,
    name: str | None = None,
    seeds: Sequence[tuple[str, int]] = (),
    progress: bool = True,
) -> IntegerModel:
    """Quantize a trained network to integers.

    Args:
        source: a `keras.Model`, a path Keras can load, or a `FloatModel`.
        calibration: representative real streams, [T, I], [B, T, I] or a list of [T_i, I], in
            physical units. Each stream is run from the zero state, its state carried to its end.
        precision: "w8a8", "w8a16", "w4a8" or "w4a16": bits of weights, bits of operands.
        range_method: "minmax", "percentile" or "mse", for inputs, states and outputs.
        operand_scales: "common" gives each gate row one weight scale for input and state (one
            matrix product), "separate" one each, "auto" takes the common one where it costs at most
            ``common_loss_db`` of expected noise.
        common_loss_db: see ``operand_scales``.
        weight_bits: layers whose weights get 8 or 4 bits, whatever ``precision`` says, by name.
        sparse: "auto" leaves tiles of zeros (4 rows by 4 columns) out of a product where that is
            smaller, "never" and "always" do as they say. Products of 4-bit weights stay dense: half
            the bytes without an index. Storage changes no result.
        input_names: channel names; default those of the model.
        input_units: physical units of the channels.
        output_names: names of the outputs.
        output_units: physical units of the outputs.
        name: model name and stem of exported files; default the stem of ``source`` where that is a
            path, else the float model's name.
        seeds: (purpose, seed) pairs for the provenance.
        progress: show a progress bar on stderr when calibration is long.

    Returns:
        The integer model, proven free of overflow.

    Raises:
        UnsupportedModelError: the network uses something edgernn does not execute.
        CalibrationError: the streams are empty, not finite or of the wrong width.
        QuantizationError: an unknown precision, range method, scale choice, layer or number of
            bits; sparse weights where none have 8 bits; seeds that are not pairs.
        ModelError: "always" for a product of more than 256 tiles of columns.
        ShapeError: the number of names or units does not fit.
        OverflowRefused: an accumulator could overflow.
    """
    operands, default_bits = parse_precision(precision)
    plan = make_plan(operands, range_method, operand_scales, common_loss_db, sparse)
    _check_seeds(seeds)
    model = read_source(
        source,
        input_names=input_names,
        input_units=input_units,
        output_names=output_names,
        output_units=output_units,
    )
    bits = bits_by_layer(layer_names(model.layers), default_bits, weight_bits)
    check_sparse(sparse, bits)
    prepared = Prepared.of(model, calibration, progress)
    return prepared.quantize(plan, bits, name or _default_name(source, model), seeds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A calibrated float model, to be quantized once or in several ways.

    Attributes:
        model: the float model.
        statistics: its tensors in calibration.
        calibration_sha256: hash of the calibration streams (hex).
    """

    model: FloatModel
    statistics: Calibration
    calibration_sha256: str

    @staticmethod
    def of(model: FloatModel, calibration: Any, progress: bool) -> Prepared:
        """Run the calibration streams; the arguments are those of `quantize`."""
        blocks = as_streams(calibration, model.inputs)
        with _progress_bar(blocks, progress) as bar:
            statistics = calibrate(model, blocks, bar)
        return Prepared(
            model=model, statistics=statistics, calibration_sha256=streams_sha256(blocks)
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
                    ("range_method", plan.method.value),
                    ("operand_scales", plan.operand_scales),
                    ("common_loss_db", repr(plan.common_loss_db)),
                    *settings(bits, plan.sparse),
                ),
            ),
        )


def make_plan(
    precision: Precision, method: str | RangeMethod, scales: str, loss_db: float, sparse: str
) -> Plan:
    if method not in [*RangeMethod, *(member.value for member in RangeMethod)]:
        wanted = ", ".join(repr(member.value) for member in RangeMethod)
        raise QuantizationError(
            f"quantize range_method: expected one of {wanted}, got {method!r:.40}."
        )
    if scales not in OPERAND_SCALES:
        raise QuantizationError(
            f"quantize operand_scales: expected one of {', '.join(map(repr, OPERAND_SCALES))}, "
            f"got {scales!r}."
        )
    if not isinstance(loss_db, (int, float)) or not 0 <= loss_db < math.inf:
        raise QuantizationError(
            f"quantize common_loss_db: expected a finite number >= 0, got {loss_db!r}."
        )
    return Plan(
        precision=precision,
        method=RangeMethod(method),
        operand_scales=scales,
        common_loss_db=loss_db,
        sparse=sparse,
    )


def _check_seeds(seeds: Any) -> None:
    for pair in seeds:
        if not isinstance(pair, (tuple, list)) or [type(v) for v in pair] != [str, int]:
            raise QuantizationError(
                f"quantize seeds: expected (purpose, seed) pairs of a string and an integer, "
                f"got {pair!r:.40}."
            )


def read_source(source: Any, **labels: Sequence[str] | None) -> FloatModel:
    if isinstance(source, FloatModel):
        # A string is one name too few, not a name per letter; `FloatModel` refuses it.
        given: dict[str, Any] = {
            k: v if isinstance(v, str) else tuple(v) for k, v in labels.items() if v is not None
        }
        return dataclasses.replace(source, **given) if given else source
    from edgernn_export.keras_reader import read_keras

    return read_keras(source, **labels)


def _default_name(source: Any, model: FloatModel) -> str:
    return Path(source).stem if isinstance(source, (str, os.PathLike)) else model.name


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
    total = sum(block.shape[1] for block in blocks)
    if not wanted or total < _PROGRESS_STEPS:
        yield None
        return
    from tqdm import tqdm

    with tqdm(total=total, desc="calibrating", unit=" steps", file=sys.stderr, leave=False) as bar:

        def advance(_done: int) -> None:
            bar.update(1)

        yield advance
