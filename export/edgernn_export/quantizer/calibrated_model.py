"""A calibrated float model, and its quantization."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np

import edgernn
from edgernn.errors import (
    DepartureWarning,
    EdgeRnnWarning,
    LongMemoryWarning,
    SaturationWarning,
)
from edgernn.model.formats import FloatArray
from edgernn.model.integer_model import IntegerModel, Provenance
from edgernn.model.interface import InputSpec, OutputSpec, Port, Rate, Window
from edgernn.model.layers import Layer
from edgernn.model.routes import MODEL_INPUT, readers
from edgernn_export.calibration.input_ranges import (
    Pair,
    by_channel,
    clipped,
    input_ranges,
    range_settings,
)
from edgernn_export.calibration.ranges import RangeMethod
from edgernn_export.calibration.statistics import Calibration, calibrate, readings_of
from edgernn_export.calibration.stream_kind import StreamError, endless_error, window_error
from edgernn_export.calibration.streams import as_streams, as_windows, streams_sha256
from edgernn_export.calibration.unmasked import hold_masked, without_masked
from edgernn_export.float_model.float_run import Progress
from edgernn_export.float_model.model import FloatDelay, FloatLayer, FloatMerge, FloatModel
from edgernn_export.guards.departure import departure
from edgernn_export.guards.long_memory import long_memory
from edgernn_export.guards.saturation import pieces, watched_run
from edgernn_export.guards.state_ranges import refuse_unheld
from edgernn_export.guards.sufficiency import warn_of_little
from edgernn_export.quantizer.layer_context import Feed, LayerContext, Plan
from edgernn_export.quantizer.layers import layer_names, output_scale
from edgernn_export.quantizer.narrowing.file_size import Built, as_asked, never_larger
from edgernn_export.quantizer.narrowing.kept_inputs import (
    KEPT,
    KeptInput,
    free_layers,
    with_kept_input,
)
from edgernn_export.quantizer.program_sets.plans import FixedInput
from edgernn_export.quantizer.states.storage import check_states, storage_of
from edgernn_export.quantizer.states.storage import settings as state_settings
from edgernn_export.quantizer.states.wide_layers import quantize_state
from edgernn_export.quantizer.value_layers import (
    delayed,
    input_codes,
    reads_input,
    with_starts,
)
from edgernn_export.quantizer.weight_storage import settings
from edgernn_export.quantizer.weights.bits import ModelBits
from edgernn_firmware_sim.reference.reference import Reference

#: Calibrations longer than this show a progress bar.
_PROGRESS_STEPS: Final = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibratedModel:
    """A calibrated float model, to be quantized once or in several ways.

    Attributes:
        model: the float model.
        statistics: its tensors in calibration.
        calibration_sha256: hash of the calibration streams (hex).
        window: what the integer model will answer; None for an endless stream.
        endless: of a network made for windows, what streaming it endlessly changes.
        rewindowed: of one that gets windows of another length, what these change.
        handed: positions of the layers with whose outputs states of other programs begin.
        longest_steps: after which states are reset in use; None where they never are.
        fixed: what a code of each input channel is worth; None where calibration says it.
        checked: the part of the calibration streams that `concerns` runs an integer model over,
            [B, T, I] each.
        memories: exponents of keys and values that other programs append, by position of the layer
            that reads them.
    """

    model: FloatModel
    statistics: Calibration
    calibration_sha256: str
    checked: Sequence[FloatArray]
    window: Window | None = None
    endless: StreamError | None = None
    rewindowed: StreamError | None = None
    handed: frozenset[int] = frozenset()
    longest_steps: int | None = None
    fixed: FixedInput | None = None
    memories: Mapping[int, tuple[int, int]] = field(default_factory=dict)

    @staticmethod
    def of(
        model: FloatModel,
        calibration: Any,
        method: RangeMethod,
        progress: bool | None,
        window: Window | None = None,
        on_missing: str = "raise",
        ranges: Sequence[object] = (),
    ) -> CalibratedModel:
        """Run the calibration streams as the model will run.

        Args:
            model: the float model.
            calibration: as for `quantize`.
            method: how ranges will be chosen.
            progress: as for `quantize`.
            window: what the integer model will answer; None for an endless stream.
            on_missing: as for `quantize`.
            ranges: of the channels where they are given, else None; () for no given range.
        """
        given = as_streams(
            calibration,
            model.inputs,
            names=model.input_names,
            ports=model.input_ports,
            on_missing=on_missing,
        )
        warn_of_little(
            without_masked(given, model.mask),
            model.input_names,
            chain=not model.routes,
            given=ranges,
        )
        blocks = given if window is None else [as_windows(given, window)]
        blocks = without_masked(blocks, model.mask)
        made_for = window or model.window
        # What an endless stream changes depends on where masked readings are.
        compares = made_for is not None and model.mask is None
        endless = endless_error(model, given, made_for) if compares and made_for else None
        whole, every = window is not None, 1 if model.rate is None else model.rate.readings
        with _progress_bar(blocks, progress) as bar:
            spread = method is not RangeMethod.MINMAX
            statistics = calibrate(model, blocks, bar, spread=spread, windows=whole)
        if model.mask is not None:
            hold_masked(model, statistics)
        return CalibratedModel(
            model=model,
            statistics=statistics,
            calibration_sha256=streams_sha256(given),
            checked=pieces(blocks, model.parameters, windows=whole, every=every),
            window=window,
            longest_steps=None if window is None else window.steps,
            endless=endless,
            rewindowed=window_error(model, given, window) if compares and window else None,
        )

    def quantize(
        self, plan: Plan, bits: ModelBits, name: str, seeds: Sequence[tuple[str, int]] = ()
    ) -> IntegerModel:
        """The integer model of a plan, with these bits of weights.

        Raises:
            OverflowRefused: an accumulator could overflow.
            RangeRefused: a state left its coarsest format in calibration.
        """
        names = layer_names(self.model.layers)
        check_states(plan.state, dict(zip(names, self.model.layers, strict=True)))
        narrow = [storage_of(plan.state, name) == "16" for name in names]
        refuse_unheld(self.model, self.statistics, plan.method, plan.precision, narrow)

        def build(chosen: ModelBits, joined: bool) -> Built:
            return self._built(plan, chosen, joined, name, seeds)

        choose = never_larger if plan.operand_scales == "auto" else as_asked
        return choose(build, bits).model

    def _built(
        self,
        plan: Plan,
        bits: ModelBits,
        joined: bool,
        name: str,
        seeds: Sequence[tuple[str, int]],
    ) -> Built:
        """The model of these bits; ``joined``: those of 4 by default on one scale."""
        model = self.model
        given = by_channel(plan.given_ranges, model)
        input_spec = _input_spec(model, self.statistics, plan, given)
        if self.fixed is not None:
            input_spec = replace(input_spec, scale=self.fixed.scale, offset=self.fixed.offset)
        layers, scale, contexts, kept = self._layers(plan, bits, input_spec, joined)
        bits = {**bits, **{c.name: c.weight_bits for c in contexts if c.weight_bits is not None}}
        made = IntegerModel(
            name=name,
            precision=plan.precision,
            layers=layers,
            input=input_spec,
            output=OutputSpec(
                names=tuple(model.output_names),
                units=tuple(model.output_units),
                scale=scale,
                softmax=model.final_activation == "softmax",
                ports=model.output_ports,
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
                    *range_settings(model.input_names, given, plan.method, plan.precision),
                    *settings(bits, plan.sparse),
                    *state_settings(plan.state),
                    *([(KEPT, "; ".join(map(str, kept)))] if kept else []),
                ),
            ),
            window=self.window,
            routes=model.routes,
            rate=_rate(model, plan, input_spec),
        )
        if model.mask is not None:
            output = replace(made.output, masked=Reference(made).masked_output())
            made = replace(made, input=replace(made.input, mask=model.mask), output=output)
        return Built(model=made, contexts=contexts, kept=kept)

    def _layers(
        self, plan: Plan, bits: ModelBits, input_spec: InputSpec, joined: bool
    ) -> tuple[tuple[Layer, ...], FloatArray, list[LayerContext], tuple[KeptInput, ...]]:
        """All integer layers, the real scale per output channel, places, kept input kernels."""
        model, precision = self.model, plan.precision
        wiring = model.wiring
        readings = 1 if model.rate is None else model.rate.readings
        feeds = {MODEL_INPUT: Feed.of_input(precision, input_spec, readings)}
        apart = _row_by_row(model, plan.compared)
        free = free_layers(bits)
        made: list[Layer] = []
        contexts: list[LayerContext] = []
        kept: list[KeptInput] = []
        scales: list[FloatArray] = []
        names = layer_names(model.layers)
        for index, layer in enumerate(model.layers):
            last = readers(wiring, index) == {len(model.layers)}
            context = LayerContext(
                name=names[index],
                index=index,
                weight_bits=bits.get(names[index]),
                last=last,
                per_row_output=index in apart,
                reads_input=reads_input(wiring[index]),
                handed=index in self.handed,
                memory=self.memories.get(index),
                feed=Feed.of_route(feeds, wiring[index]),
                plan=plan,
                calibration=self.statistics,
            )
            if joined and names[index] in free:
                context = context.with_bits(context.weight_bits, "common")

            def make(place: LayerContext, layer: FloatLayer = layer) -> Layer:
                return quantize_state(place, layer, self.longest_steps)

            context, integer, one = with_kept_input(context, make)
            made.append(integer)
            contexts.append(context)
            kept += [] if one is None else [one]
            scales.append(output_scale(context, layer, integer))
            if isinstance(layer, FloatDelay):
                feeds[index] = delayed(context.feed, layer.depth)
            else:
                feeds[index] = Feed.of_layer(precision, scales[index], layer.units)
        put_out = [scales[part.source][part.start : part.start + part.width] for part in wiring[-1]]
        return tuple(made), np.concatenate(put_out), contexts, tuple(kept)

    def _stream_settings(self) -> tuple[tuple[str, str], ...]:
        if self.endless is None:
            return ()
        return (("endless_error", f"{self.endless.share:.2g}"),)

    def concerns(self, plan: Plan, integer: IntegerModel) -> tuple[EdgeRnnWarning, ...]:
        """What of the calibration an integer model of this plan does not hold, as warnings.

        They come in the order in which a reading meets them: inputs beyond a given range, tensors
        that saturate so that answers can differ, answers that do differ, units whose memory is
        longer than their state's.
        """
        names = self.model.input_names
        given = by_channel(plan.given_ranges, self.model)
        readings = readings_of(self.model, self.statistics)
        ends = input_ranges(readings, plan.method, plan.precision, given)
        ends = with_starts(self.model, *ends, given)
        for channel, size in enumerate(self.model.vocabulary):
            if size:  # tokens are never clipped
                ends[0][channel], ends[1][channel] = 0.0, size - 1.0
        saturated, outputs, _ = watched_run(integer, self.checked)
        strayed = departure(self.model, integer, self.checked, outputs)
        return (
            *map(SaturationWarning, clipped(names, given, ends, readings)),
            *(SaturationWarning(str(found)) for found in saturated),
            *([] if strayed is None else [DepartureWarning(f"{self.model.name}: {strayed}")]),
            *(
                LongMemoryWarning(str(found))
                for found in long_memory(
                    self.model, self.statistics, integer.layers, self.longest_steps
                )
            ),
        )


def _input_spec(
    model: FloatModel, statistics: Calibration, plan: Plan, given: tuple[Pair | None, ...]
) -> InputSpec:
    levels = plan.precision.input_high
    readings = readings_of(model, statistics)
    low, high = input_ranges(readings, plan.method, plan.precision, given)
    low, high = with_starts(model, low, high, given)
    scale, offset = (high - low) / 2 / levels, (low + high) / 2
    if model.vocabulary:  # a token is its own code
        is_token = np.array(model.vocabulary) > 0
        scale, offset = np.where(is_token, 1.0, scale), np.where(is_token, 0.0, offset)
    return InputSpec(
        names=tuple(model.input_names),
        units=tuple(model.input_units),
        scale=scale,
        offset=offset,
        ports=model.input_ports,
        vocabulary=model.vocabulary,
    )


def _rate(model: FloatModel, plan: Plan, input_spec: InputSpec) -> Rate | None:
    """The rate, with the codes that stand for the readings before the stream."""
    if model.rate is None or model.rate.first >= model.rate.readings:
        return model.rate
    before = np.zeros(model.inputs) if model.before is None else model.before
    feed = Feed.of_input(plan.precision, input_spec)
    start = input_codes(before, feed, plan.precision.input_step)
    return replace(model.rate, start=tuple(int(code) for code in start))


def _row_by_row(model: FloatModel, compared: frozenset[int]) -> frozenset[int]:
    """The layers whose rows may have separate scales, as their readers allow.

    A merge does, and the output unless a softmax or a decision compares; a delay where all do that
    read it.
    """
    layers, logits = model.layers, _logits(model, compared)
    taking = {len(layers), *(i for i, layer in enumerate(layers) if isinstance(layer, FloatMerge))}
    found = set()
    for index in reversed(range(len(layers))):
        if index not in logits and readers(model.wiring, index) <= taking:
            found.add(index)
            if isinstance(layers[index], FloatDelay):
                taking.add(index)
    return frozenset(found)


def _logits(model: FloatModel, decided: frozenset[int]) -> frozenset[int]:
    """The layers whose outputs a softmax or a decision compares, on one scale for that."""
    ports = model.output_ports
    if not ports:
        ports = (Port(name="", width=model.outputs, softmax=model.final_activation == "softmax"),)
    softmax = [port.softmax for port in ports for _ in range(port.width)]
    compared = [own or number in decided for number, own in enumerate(softmax)]
    found, at = set(), 0
    for part in model.wiring[-1]:
        if any(compared[at : at + part.width]):
            found.add(part.source)
        at += part.width
    return frozenset(found)


@contextmanager
def _progress_bar(blocks: Sequence[FloatArray], progress: bool | None) -> Iterator[Progress | None]:
    """A tqdm bar over all calibration steps, where there are many."""
    total = sum(block.shape[0] * block.shape[1] for block in blocks)
    if progress is False or total < _PROGRESS_STEPS:
        yield None
        return
    from tqdm import tqdm

    with tqdm(
        total=total, desc="calibrating", unit=" steps", file=sys.stderr, leave=False,
        disable=None if progress is None else not progress,
    ) as bar:  # fmt: skip

        def advance(steps: int) -> None:
            bar.update(steps)

        yield advance
