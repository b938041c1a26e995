"""Post-training quantization: a float model and representative streams in, an integer model out."""

from __future__ import annotations

import dataclasses
import os
import warnings
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from edgernn.adapt.adaptation import Adaptation
from edgernn.decide.decisions import Decisions
from edgernn.errors import QuantizationError
from edgernn.model.border.symbols import Symbols, check_symbols
from edgernn.model.formats import Precision, PrecisionName
from edgernn.model.integer_model import IntegerModel
from edgernn.prepare.preparation import Preparation
from edgernn_export.calibration.frames import named_by_frame
from edgernn_export.calibration.input_ranges import GivenRanges, by_channel
from edgernn_export.calibration.ranges import RangeMethod, RangeMethodName
from edgernn_export.calibration.stream_kind import StreamKind, choose_window, report_stream
from edgernn_export.calibration.surroundings import (
    bound_surroundings,
    compared_outputs,
    measured,
)
from edgernn_export.float_model.program_sets.chunks import FloatChunks
from edgernn_export.networks.front_door import of_one_stream, read_network
from edgernn_export.quantizer.calibrated_model import CalibratedModel
from edgernn_export.quantizer.layers import layer_names, weight_matrices
from edgernn_export.quantizer.narrowing.kept_inputs import kept_bits
from edgernn_export.quantizer.program_sets.plans import make_plan
from edgernn_export.quantizer.states.storage import States, check_states
from edgernn_export.quantizer.weight_storage import check_sparse, parse_precision
from edgernn_export.quantizer.weights.bits import bits_by_layer, check_scales

if TYPE_CHECKING:
    from edgernn_export.weight_files.weight_layout import WeightLayout


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
    max_steps: int | None = None,
    on_missing: str = "raise",
    input_names: Sequence[str] | None = None,
    input_units: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    output_units: Sequence[str] | None = None,
    example: Any = None,
    name: str | None = None,
    seeds: Sequence[tuple[str, int]] = (),
    preparation: Preparation | None = None,
    decisions: Decisions | None = None,
    symbols: Symbols | Sequence[str] | None = None,
    adaptation: Adaptation | None = None,
    layout: WeightLayout | str | PathLike[str] | None = None,
    input_values: Mapping[str, Any] | None = None,
    input_shapes: Mapping[str, Sequence[int | None]] | None = None,
    progress: bool | None = None,
) -> IntegerModel:
    """Quantize a trained network to integers.

    Args:
        source: a `keras.Model`, a path Keras can load, an ONNX model or its path, a file of weights
            (.safetensors, .pt, .npz), a dictionary of arrays, a `FloatModel`, or `FloatChunks`.
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
            own entry, or of "*" for all that are left; or one pair (None: from calibration) per
            channel. Used without headroom. Channels that the same weights read share a range.
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
        max_steps: of a network that reads its steps backward, too: most steps of a chunk. Default
            those that its input takes, or those of the longest chunk of the calibration.
        on_missing: what a NaN or infinite value in calibration does: "raise" refuses it, "hold"
            gives the channel its last value, "skip" leaves the reading out.
        input_names: channel names; default those of the model, or of the columns of a data frame
            with one for each channel. The columns of data frames are picked by them.
        input_units: physical units of the channels.
        output_names: names of the outputs.
        output_units: physical units of the outputs.
        example: what a torch.nn.Module is called with, a tensor or a tuple of them; default a few
            readings of the calibration, [B, T, I].
        name: model name and stem of exported files; default the stem of ``source`` where that is a
            path, else the float model's name.
        seeds: (purpose, seed) pairs for the provenance.
        preparation: how raw readings become readings of the model; recorded in it. Calibration
            holds prepared streams, as `edgernn_export.prepare` gives them.
        decisions: what is decided from the outputs; recorded in the model, with what they must know
            of the calibration data.
        symbols: the text of every token of the only input of tokens; recorded in the model.
        adaptation: how a head learns on the device to correct the outputs; recorded in the model.
        layout: for a file of weights alone, or a dictionary of arrays: what the tensors are, see
            `torch_layout`, or the path of a file that says it.
        input_values: of an ONNX model, inputs that are the same in every call, by name, such as a
            sample rate that chooses between networks. They are no inputs of the integer model.
        input_shapes: of an ONNX model, shapes of inputs whose sizes the file leaves open, by name;
            None for a size that stays open.
        progress: show a progress bar on stderr when calibration is long; None where stderr is a
            terminal.

    Returns:
        The integer model, proven free of overflow. Of a network that reads its steps backward, such
        as a bidirectional one, a `ProgramSet` of passes over a chunk (`program_sets.chunks`).

    Raises:
        UnsupportedModelError: the network uses something edgernn does not execute.
        CalibrationError: the streams are empty, not finite, of the wrong width or shorter than a
            window.
        QuantizationError: an unknown precision, range method, scale choice, layer, matrix, channel
            or number of bits; one scale for matrices of different bits; wide states of layers that
            cannot have them; sparse weights where none have 8 bits; ranges or seeds that are not
            pairs.
        RangeRefused: a state left its coarsest format in calibration.
        ModelError: "always" for a product of more than 256 tiles of columns, or symbols of another
            vocabulary.
        ShapeError: the number of names or units does not fit.
        ReadingError: calibration has a value that is not a token of its channel.
        OverflowRefused: an accumulator could overflow.
        DeclarationError: a preparation with other channels than the inputs of the network,
            decisions about channels that it does not have, symbols that are empty or not distinct,
            or an adaptation that the network cannot have.

    Warns:
        StreamKindWarning: nothing says whether the network was made for windows, or it is run in
            another way than it was made for; with what that changes.
        CalibrationWarning: calibration is short, or a channel never changes in it; or units of a
            relu never fire in it and are left out, as their weights are too steep for the others.
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
    _check_seeds(seeds)
    plan = make_plan(
        operands, range_method, operand_scales, common_loss_db, sparse, input_range, state
    )
    named = preparation.channels if preparation is not None and input_names is None else input_names
    model = read_network(
        source,
        input_names=named,
        input_units=input_units,
        output_names=output_names,
        output_units=output_units,
        layout=layout,
        input_values=input_values,
        input_shapes=input_shapes,
        readings=calibration,
        example=example,
    )
    if isinstance(model, FloatChunks):
        from edgernn_export.quantizer.program_sets.chunks import quantize_chunks

        refuse_endless(stream, window, hop, preparation, decisions, adaptation)
        chunks = quantize_chunks(
            model,
            calibration,
            precision,
            name=_file_stem(source) if name is None else name,
            max_steps=max_steps,
            range_method=range_method,
            input_range=input_range,
            operand_scales=operand_scales,
            common_loss_db=common_loss_db,
            weight_bits=weight_bits,
            sparse=sparse,
            state=state,
            on_missing=on_missing,
            seeds=seeds,
        )
        return cast("IntegerModel", chunks)  # a set, which static types do not tell from a model
    model = of_one_stream(model)
    if max_steps is not None:
        raise QuantizationError(
            "quantize max_steps: expected None for a network that reads forward only, got "
            f"{max_steps!r:.40}. Omit it; for windows, pass window."
        )
    bits = bits_by_layer(weight_matrices(model.layers), default_bits, weight_bits)
    check_sparse(sparse, bits)
    check_states(state, dict(zip(layer_names(model.layers), model.layers, strict=True)))
    check_scales(bits, operand_scales)
    chosen = choose_window(model, stream, window, hop)
    model = named_by_frame(model, calibration)
    ranges = by_channel(plan.given_ranges, model)
    around = bound_surroundings(model, preparation, decisions)
    plan = dataclasses.replace(plan, compared=compared_outputs(around[1]))
    texts = symbols if symbols is None or isinstance(symbols, Symbols) else Symbols(tuple(symbols))
    check_symbols(texts, model.vocabulary)
    calibrated = CalibratedModel.of(
        model, calibration, plan.method, progress, chosen, on_missing, ranges
    )
    report_stream(model, chosen, calibrated.endless, calibrated.rewindowed, progress is not False)
    integer = calibrated.quantize(plan, bits, name or _file_stem(source) or model.name, seeds)
    for concern in (*kept_bits(bits, integer), *calibrated.concerns(plan, integer)):
        warnings.warn(concern, stacklevel=2)
    if not any((*around, texts, adaptation)):
        return integer
    return dataclasses.replace(
        integer,
        symbols=texts,
        preparation=around[0],
        decisions=around[1] and measured(around[1], calibration, model, on_missing),
        adaptation=adaptation and adaptation.bound(integer),
    )


def refuse_endless(
    stream: StreamKind,
    window: int | None = None,
    hop: int | None = None,
    preparation: Preparation | None = None,
    decisions: Decisions | None = None,
    adaptation: Adaptation | None = None,
) -> None:
    """Refuse what a network cannot do that reads its steps backward, too.

    Raises:
        QuantizationError: names the option, and what works instead.
    """
    if stream != "auto" or window is not None or hop is not None:
        raise QuantizationError(
            "quantize: expected no stream, window or hop for a network that reads its steps "
            f"backward, got {stream!r:.20}, {window!r:.20} and {hop!r:.20}. A stream has no last "
            "step to begin at: omit them and pass chunks of up to max_steps (--max-steps), or "
            "train without Bidirectional and go_backwards and run that network step by step."
        )
    if preparation is not None or decisions is not None:
        raise QuantizationError(
            "quantize: expected no preparation and no decisions for a network that answers whole "
            "chunks, got one. Prepare the readings before you cut them into chunks, and decide "
            "from the answers outside the model."
        )
    if adaptation is not None:
        raise QuantizationError(
            "quantize: expected no adaptation for a network that answers whole chunks, got one. A "
            "head learns along an endless stream: omit it."
        )


def _check_seeds(seeds: Any) -> None:
    for pair in seeds:
        if not isinstance(pair, (tuple, list)) or [type(v) for v in pair] != [str, int]:
            raise QuantizationError(
                f"quantize seeds: expected (purpose, seed) pairs of a string and an integer, "
                f"got {pair!r:.40}."
            )


def _file_stem(source: Any) -> str | None:
    """The name of a file without its suffix; None of other sources."""
    return Path(source).stem if isinstance(source, (str, os.PathLike)) else None
