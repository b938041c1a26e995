"""Which layers, or which of their matrices, tolerate 4-bit weights: the error of the output.

Each one is set to 4 bits alone, and its cost measured at the model's output. A greedy choice then
takes those that save the most bytes for the least error, and measures after every step.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from edgernn.container.memory import weight_memory
from edgernn.errors import QuantizationError
from edgernn.model.integer_model import IntegerModel
from edgernn_export.calibration.stream_kind import StreamKind, choose_window, report_stream
from edgernn_export.networks.front_door import read_one_stream
from edgernn_export.quantizer.calibrated_model import CalibratedModel
from edgernn_export.quantizer.layers import weight_matrices
from edgernn_export.quantizer.program_sets.plans import make_plan
from edgernn_export.quantizer.report import TensorReport, quantization_report
from edgernn_export.quantizer.weight_storage import parse_precision
from edgernn_export.quantizer.weights.bits import (
    NARROW,
    WIDE,
    Matrices,
    bits_by_layer,
    check_scales,
    matrix_name,
)

BY: Final = ("layer", "matrix")
#: Losses below this are noise: layers that cost less are taken by the bytes they save.
_LEAST_LOSS_DB: Final = 0.01
_BOUND_DB: Final = 1000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One integer model, measured.

    Attributes:
        bits: of the weights of every layer, or matrix, as `quantize` takes them.
        sqnr_db: signal-to-quantization-noise ratio of the last layer, or of the worst of several
            outputs, against the float model.
        weights_bytes: weights on a device, index of sparse tiles included.
    """

    bits: Mapping[str, int]
    sqnr_db: float
    weights_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerCost:
    """What 4-bit weights in one layer, or in one matrix, alone do.

    Attributes:
        layer: its name, of a matrix as in "gru.input".
        sqnr_db: of the model's output.
        loss_db: below the model with 8 bits in every layer.
        bytes_saved: less than that model; negative if sparse 8-bit weights are smaller.
    """

    layer: str
    sqnr_db: float
    loss_db: float
    bytes_saved: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensitivity:
    """A scan over the layers of a model, or over their matrices.

    Attributes:
        precision: of the operands, by the name of the model with 8 bits: `w8a8` or `w8a16`.
        steps: steps compared.
        wide: 8 bits in every layer.
        narrow: 4 bits in every layer.
        layers: 4 bits in one layer, or matrix, alone, in layer order.
        chosen: the choice for a limit; None without one.
    """

    precision: str
    steps: int
    wide: Measured
    narrow: Measured
    layers: tuple[LayerCost, ...]
    chosen: Measured | None


def scan(
    source: Any,
    calibration: Any,
    precision: str = "w8a8",
    *,
    streams: Any = None,
    max_loss_db: float | None = None,
    max_bytes: int | None = None,
    name: str | None = None,
    progress: bool | None = None,
    plan: Mapping[str, Any] | None = None,
    stream: StreamKind = "auto",
    window: int | None = None,
    hop: int | None = None,
    on_missing: str = "raise",
    by: str = "layer",
    **labels: Any,
) -> tuple[Sensitivity, IntegerModel | None]:
    """Measure every layer at 4 bits, and choose bits under limits.

    Args:
        source: as for `quantize`.
        calibration: as for `quantize`.
        precision: "w8a8" or "w8a16".
        streams: what errors are measured on; default the calibration streams.
        max_loss_db: the chosen model may have an output SQNR this much below 8 bits everywhere; as
            many bytes as possible are saved.
        max_bytes: the chosen model's weights may take this many bytes on a device; as little SQNR
            as possible is lost. With both limits, no more layers than the bytes require.
        name: model name; default that of the float model.
        progress: show a progress bar on stderr when calibration is long; None where stderr is a
            terminal.
        plan: further arguments of `plans.make_plan`.
        stream: as for `quantize`.
        window: as for `quantize`.
        hop: as for `quantize`.
        on_missing: as for `quantize`.
        by: "layer", or "matrix" for the input kernel and the recurrent kernel of a layer apart.
        **labels: ``input_names`` and so on, as for `quantize`.

    Returns:
        The scan, and the chosen model; None without a limit.

    Raises:
        QuantizationError: an unknown ``by``; one scale for matrices apart; limits that are no
            numbers >= 0, or that no choice of bits keeps.
        EdgeRnnError: as `quantize`.
    """
    _check_limits(max_loss_db, max_bytes)
    if by not in BY:
        raise QuantizationError(
            f"sensitivity by: expected one of {', '.join(map(repr, BY))}, got {by!r:.40}."
        )
    operands, bits = parse_precision(precision)
    if bits != WIDE:
        raise QuantizationError(
            f"sensitivity precision: expected 'w8a8' or 'w8a16', got {precision!r}. The scan "
            "selects the layers for 4 bits."
        )
    model = read_one_stream(source, readings=calibration, **labels)
    choices = make_plan(operands, **(plan or {}))
    chosen_window = choose_window(model, stream, window, hop)
    calibrated = CalibratedModel.of(
        model, calibration, choices.method, progress, chosen_window, on_missing
    )
    report_stream(
        model, chosen_window, calibrated.endless, calibrated.rewindowed, progress is not False
    )
    compared = calibration if streams is None else streams
    matrices = weight_matrices(model.layers)
    names = list(matrices) if by == "layer" else list(_every_matrix(matrices))
    made: dict[tuple[int, ...], tuple[Measured, IntegerModel]] = {}

    def measure(narrow: frozenset[str]) -> tuple[Measured, IntegerModel]:
        bits = {one: NARROW if one in narrow else WIDE for one in names}
        key = tuple(bits.values())
        if key not in made:
            every = bits_by_layer(matrices, WIDE, bits)
            check_scales(every, choices.operand_scales)
            integer = calibrated.quantize(choices, every, name or model.name)
            tensors = quantization_report(model, integer, compared).tensors
            size = weight_memory(integer.layers).total_bytes
            made[key] = (
                Measured(bits=bits, sqnr_db=_output_sqnr(tensors), weights_bytes=size),
                integer,
            )
        return made[key]

    steps = quantization_report(model, measure(frozenset())[1], compared).steps
    wide = measure(frozenset())[0]
    chosen = _choose(names, lambda n: measure(n)[0], max_loss_db, max_bytes)
    result = Sensitivity(
        precision=operands.value,
        steps=steps,
        wide=wide,
        narrow=measure(frozenset(names))[0],
        layers=tuple(_cost(layer, measure(frozenset({layer}))[0], wide) for layer in names),
        chosen=None if chosen is None else measure(chosen)[0],
    )
    if chosen is None:
        return result, None
    integer = measure(chosen)[1]
    for concern in calibrated.concerns(choices, integer):
        warnings.warn(concern, stacklevel=2)
    return result, integer


def _every_matrix(layers: Mapping[str, Matrices]) -> Iterator[str]:
    """Names of all matrices, of layers where these have one number of bits."""
    for layer, own in layers.items():
        if own.joint or len(own.sources) == 1:
            yield layer
        else:
            yield from (matrix_name(layer, word) for word in own.sources)


def _output_sqnr(tensors: Sequence[TensorReport]) -> float:
    """Of the last layer of a chain, or of the worst output of a network."""
    put_out = [t.sqnr_db for t in tensors if "." not in t.name.split("[")[0]]
    return min(put_out, default=tensors[-1].sqnr_db)


def _check_limits(max_loss_db: Any, max_bytes: Any) -> None:
    for owner, limit, kinds in (
        ("max_loss_db", max_loss_db, (int, float)),
        ("max_bytes", max_bytes, (int,)),
    ):
        if limit is None:
            continue
        if isinstance(limit, bool) or not isinstance(limit, kinds) or not 0 <= limit < math.inf:
            raise QuantizationError(
                f"sensitivity {owner}: expected a finite number >= 0, got {limit!r:.40}."
            )


def loss_db(now: Measured, wide: Measured) -> float:
    """SQNR below 8 bits everywhere, in dB; ratios without noise or signal count as 1000 dB."""

    def bounded(measured: Measured) -> float:
        return max(-_BOUND_DB, min(_BOUND_DB, measured.sqnr_db))

    return bounded(wide) - bounded(now)


def _cost(layer: str, alone: Measured, wide: Measured) -> LayerCost:
    return LayerCost(
        layer=layer,
        sqnr_db=alone.sqnr_db,
        loss_db=loss_db(alone, wide),
        bytes_saved=wide.weights_bytes - alone.weights_bytes,
    )


_Measure = Callable[[frozenset[str]], Measured]


def _choose(
    names: list[str], measure: _Measure, max_loss_db: float | None, max_bytes: int | None
) -> frozenset[str] | None:
    """The layers that get 4 bits, one more at a time; None where no limit is given."""
    if max_loss_db is None and max_bytes is None:
        return None
    allowed = math.inf if max_loss_db is None else max_loss_db
    wide = measure(frozenset())
    taken: frozenset[str] = frozenset()
    while max_bytes is None or measure(taken).weights_bytes > max_bytes:
        best = _best_step(names, taken, measure, wide, allowed)
        if best is None:
            break
        taken = best
    now = measure(taken)
    if max_bytes is not None and now.weights_bytes > max_bytes:
        within = "" if max_loss_db is None else f" within {max_loss_db:g} dB"
        raise QuantizationError(
            f"sensitivity: expected weights of at most {max_bytes} bytes{within}, got at least "
            f"{now.weights_bytes}. Raise max_bytes or max_loss_db, or prune the model."
        )
    return taken


def _best_step(
    names: list[str], taken: frozenset[str], measure: _Measure, wide: Measured, allowed: float
) -> frozenset[str] | None:
    """The layer more that saves the most bytes per dB, of those within the loss that is allowed."""
    now = measure(taken)
    best, best_worth = None, 0.0
    for layer in names:
        candidate = taken | {layer}
        if candidate == taken:
            continue
        then = measure(candidate)
        saved = now.weights_bytes - then.weights_bytes
        if saved <= 0 or loss_db(then, wide) > allowed:
            continue
        worth = saved / max(loss_db(then, now), _LEAST_LOSS_DB)
        if worth > best_worth:
            best, best_worth = candidate, worth
    return best
