"""Post-training quantization: a float model and representative streams in, an integer model out."""

from __future__ import annotations

import dataclasses
import math
import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from edgernn.errors import QuantizationError
from edgernn.model.formats import Precision, PrecisionName
from edgernn.model.integer_model import IntegerModel
from edgernn_export.calibration.frames import named_by_frame
from edgernn_export.calibration.input_ranges import GivenRanges, by_channel, check_given
from edgernn_export.calibration.ranges import RangeMethod, RangeMethodName
from edgernn_export.calibration.stream_kind import StreamKind, choose_window, report_stream
from edgernn_export.float_model.model import FloatModel
from edgernn_export.quantizer.calibrated_model import CalibratedModel
from edgernn_export.quantizer.layer_context import Plan
from edgernn_export.quantizer.layers import layer_names, weight_matrices
from edgernn_export.quantizer.narrowing.kept_inputs import kept_bits
from edgernn_export.quantizer.states.storage import States, check_states, check_storage
from edgernn_export.quantizer.weight_storage import check_sparse, parse_precision
from edgernn_export.quantizer.weights.bits import bits_by_layer, check_scales

OPERAND_SCALES: Final = ("auto", "common", "separate")


def quantize(
    source: Any,
    calibration: Any,
    precision: PrecisionName | Precision = "w8a8",
    *,
    range_method: RangeMethodName | RangeMethod = "minmax",
    input_range: GivenRanges | None = None,
    operand_scales: str = "auto",
    common_loss_db: float = 0.5,
    weight_bits: Mapping[str, int] | None = None,
    sparse: str = "auto",
    state: States = "auto",
    stream: StreamKind = "auto",
    window: int | None = None,
    hop: int | None = None,
    on_missing: str = "raise",
    input_names: Sequence[str] | None = None,
    input_units: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    output_units: Sequence[str] | None = None,
    name: str | None = None,
    seeds: Sequence[tuple[str, int]] = (),
    progress: bool | None = None,
) -> IntegerModel:
    """Quantize a trained network to integers.

    Args:
        source: a `keras.Model`, a path Keras can load, or a `FloatModel`.
        calibration: representative real streams, [T, I], [B, T, I] or a list of [T_i, I], in
            physical units; data frames are [T, I]. Instead of one array, a mapping of them by the
            names of the channels, or of the inputs where there are several. Each stream runs from
            the zero state and keeps its state to the end; for a window model, longer streams are
            cut into windows.
        precision: "w8a8", "w8a16", "w4a8" or "w4a16": bits of weights, bits of operands. Of 4 bits
            the input kernels of first layers keep 8 where nearly all noise would be theirs
            (`narrowing.kept_inputs`), and small models all of them where 4 would make the file
            larger (`narrowing.file_size`); ``weight_bits`` decides otherwise.
        range_method: "minmax", "percentile" or "mse", for inputs, states and outputs.
        input_range: range of readings in physical units where it is known, as of a sensor's data
            sheet: (low, high) by name of a channel, or of an input for all its channels without an
            own entry; or one pair (None: from calibration) per channel. Used without headroom.
            Other channels get what calibration saw and headroom on each side
            (`calibration.input_ranges`); later readings beyond the range are clipped.
        operand_scales: "common" gives each gate row one weight scale for input and state (one
            matrix product), "separate" one each, "auto" takes the common one where it costs at most
            ``common_loss_db`` of expected noise.
        common_loss_db: see ``operand_scales``.
        weight_bits: layers whose weights get 8 or 4 bits, whatever ``precision`` says, by name, or
            matrices of them: "gru.input" and "gru.recurrent" (LSTM, GRU, SimpleRNN), "dense.input",
            and of registered cells "cell.x", "cell.h" and "cell.rh". A matrix counts before its
            layer. Products whose matrices differ in bits have a scale for each.
        sparse: "auto" leaves tiles of zeros (4 rows by 4 columns) out of a product where that is
            smaller, "never" and "always" do as they say. Products of 4-bit weights stay dense: half
            the bytes without an index. Storage changes no result.
        state: bits of the states of recurrent layers, for all or by layer: "16", or "32", which
            keeps 15 more below them (31 in all) and follows units that remember for thousands of
            steps. "auto" (also of layers that are not named) takes them where calibration has such
            units, or cell states beyond 16 bits.
        stream: "window": every answer is that of the network to its last T readings, from the zero
            state, as `keras.Model.predict` gives it; "endless": the state is kept indefinitely;
            "auto": what the network was made for (`FloatModel.window`).
        window: readings T in a window; default those that the network's input takes.
        hop: readings between one answer and the next, of a window model; default 1.
        on_missing: what a NaN or infinite value in calibration does: "raise" refuses it, "hold"
            gives the channel its last value, "skip" leaves the reading out.
        input_names: channel names; default those of the model, or of the columns of a data frame
            with one for each channel. The columns of data frames are picked by them.
        input_units: physical units of the channels.
        output_names: names of the outputs.
        output_units: physical units of the outputs.
        name: model name and stem of exported files; default the stem of ``source`` where that is a
            path, else the float model's name.
        seeds: (purpose, seed) pairs for the provenance.
        progress: show a progress bar on stderr when calibration is long; None where stderr is a
            terminal.

    Returns:
        The integer model, proven free of overflow.

    Raises:
        UnsupportedModelError: the network uses something edgernn does not execute.
        CalibrationError: the streams are empty, not finite, of the wrong width or shorter than a
            window.
        QuantizationError: an unknown precision, range method, scale choice, layer, matrix, channel
            or number of bits; one scale for matrices of different bits; wide states of layers that
            cannot have them; sparse weights where none have 8 bits; ranges or seeds that are not
            pairs.
        RangeRefused: a state left its coarsest format in calibration.
        ModelError: "always" for a product of more than 256 tiles of columns.
        ShapeError: the number of names or units does not fit.
        ReadingError: calibration has a value that is not a token of its channel.
        OverflowRefused: an accumulator could overflow.

    Warns:
        StreamKindWarning: nothing says whether the network was made for windows, or it is run in
            another way than it was made for; with what that changes.
        CalibrationWarning: calibration is short, or a channel never changes in it.
        TableWarning: a data frame has as many columns as there are channels, of other names.
        WeightBitsWarning: layers that keep 8-bit weights although 4 bits is the default.
        SaturationWarning: calibration leaves a given input range, or saturates a tensor so that
            answers can differ.
        DepartureWarning: an output differs from the float network's on the calibration data by a
            third of its standard deviation or more.
        LongMemoryWarning: units remember longer than their 16-bit state allows, because 16 bits
            were requested or the layer does not support wide states.
    """
    operands, default_bits = parse_precision(precision)
    plan = make_plan(
        operands, range_method, operand_scales, common_loss_db, sparse, input_range, state
    )
    _check_seeds(seeds)
    model = read_source(
        source,
        input_names=input_names,
        input_units=input_units,
        output_names=output_names,
        output_units=output_units,
    )
    bits = bits_by_layer(weight_matrices(model.layers), default_bits, weight_bits)
    check_sparse(sparse, bits)
    check_states(state, dict(zip(layer_names(model.layers), model.layers, strict=True)))
    check_scales(bits, operand_scales)
    chosen = choose_window(model, stream, window, hop)
    model = named_by_frame(model, calibration)
    by_channel(plan.given_ranges, model)
    calibrated = CalibratedModel.of(model, calibration, plan.method, progress, chosen, on_missing)
    report_stream(model, chosen, calibrated.endless, calibrated.rewindowed, progress is not False)
    integer = calibrated.quantize(plan, bits, name or _default_name(source, model), seeds)
    for concern in (*kept_bits(bits, integer), *calibrated.concerns(plan, integer)):
        warnings.warn(concern, stacklevel=2)
    return integer


def make_plan(
    precision: Precision,
    method: str | RangeMethod = "minmax",
    scales: str = "auto",
    loss_db: float = 0.5,
    sparse: str = "auto",
    given_ranges: GivenRanges | None = None,
    state: States = "auto",
) -> Plan:
    """The choices of `quantize` that hold for all layers.

    Raises:
        QuantizationError: an unknown range method, scale choice or storage of states, or a loss
            below 0.
    """
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
    if not isinstance(state, Mapping):
        check_storage(state)
    return Plan(
        precision=precision,
        method=RangeMethod(method),
        operand_scales=scales,
        common_loss_db=loss_db,
        sparse=sparse,
        given_ranges=check_given(given_ranges),
        state=state,
    )


def _check_seeds(seeds: Any) -> None:
    for pair in seeds:
        if not isinstance(pair, (tuple, list)) or [type(v) for v in pair] != [str, int]:
            raise QuantizationError(
                f"quantize seeds: expected (purpose, seed) pairs of a string and an integer, "
                f"got {pair!r:.40}."
            )


def read_source(source: Any, **labels: Any) -> FloatModel:
    """The float model of what `quantize` takes, with the labels that are given."""
    if isinstance(source, FloatModel):
        # A string is one name too few, not a name per letter; `FloatModel` refuses it.
        given: dict[str, Any] = {
            k: v if isinstance(v, str) else tuple(v) for k, v in labels.items() if v is not None
        }
        return dataclasses.replace(source, **given) if given else source
    from edgernn_export.keras_reader.reader import read_keras

    return read_keras(source, **labels)


def _default_name(source: Any, model: FloatModel) -> str:
    return Path(source).stem if isinstance(source, (str, os.PathLike)) else model.name
