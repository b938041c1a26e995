"""The range of each input channel: given in physical units, or what calibration saw with headroom.

A channel's codes span its range evenly (clause 9.1); a reading beyond the range is clipped.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from edgernn.errors import QuantizationError
from edgernn.model.formats import FloatArray, Precision
from edgernn.model.interface import port_slices
from edgernn_export.calibration.ranges import RangeMethod, input_range
from edgernn_export.calibration.statistics import TensorStatistics
from edgernn_export.float_model.model import FloatModel

Pair = tuple[float, float]
#: The name that stands for all channels without an entry.
EVERY: Final = "*"
#: Channels whose clipped values are told one by one.
_TOLD: Final = 8
#: Ranges by name of a channel or an input, or one pair (or None: from calibration) per channel.
GivenRanges = Mapping[str, Pair] | Sequence[Pair | None]
#: Room on each side of what calibration saw, as a share of its span, that later readings may use.
#: In `w8a8` the ends of what it saw get the codes -64 and 64; with half of the span they would lie
#: between two codes, and so would both values of a channel that is on or off.
INPUT_HEADROOM: Final = {Precision.W8A8: 63 / 128, Precision.W8A16: 1.0}
_OWNER: Final = "quantize input_range"


def check_given(given: Any) -> GivenRanges | None:
    """Refuse values that are not ranges, for any channel names.

    Raises:
        QuantizationError: not a mapping or sequence, or not a pair (low, high) of finite
            numbers with low < high.
    """
    if given is None:
        return None
    if isinstance(given, Mapping):
        return {name: _pair(name, pair) for name, pair in given.items()}
    if not isinstance(given, (Sequence, np.ndarray)) or isinstance(given, (str, bytes)):
        raise QuantizationError(
            f"{_OWNER}: expected ranges by name, or one (low, high) per channel, got "
            f"{given!r:.40}. Pass them by name (--input-range)."
        )
    return [None if p is None else _pair(f"channel {i}", p) for i, p in enumerate(given)]


def _pair(owner: Any, pair: Any) -> Pair:
    try:
        low, high = (float(end) for end in pair)
    except (TypeError, ValueError, OverflowError):
        low = high = math.nan
    if not (low < high and math.isfinite(high - low)):
        raise QuantizationError(
            f"{_OWNER}: expected finite (low, high) with low < high, got {pair!r:.60} ({owner}). "
            "Pass another range (--input-range)."
        )
    return low, high


def by_channel(given: GivenRanges | None, model: FloatModel) -> tuple[Pair | None, ...]:
    """The given range of every channel; None where calibration decides.

    Args:
        given: as `check_given` returns it; of an input, for all its channels without an own entry,
            and of `EVERY`, for all that are left.
        model: has the channels and inputs.

    Raises:
        QuantizationError: an unknown channel, another number of ranges than channels, or a range of
            tokens.
    """
    names = model.input_names
    ranges = _by_channel(given, names, port_slices(model.input_ports))
    for name, pair, size in zip(names, ranges, model.vocabulary, strict=False):
        if size and pair is not None:
            raise QuantizationError(
                f"{_OWNER}: expected no range for '{name}', whose {size} tokens are its codes, "
                f"got {pair}. Remove this range."
            )
    return ranges


def _by_channel(
    given: GivenRanges | None, names: Sequence[str], ports: Mapping[str, slice]
) -> tuple[Pair | None, ...]:
    if given is None:
        return (None,) * len(names)
    if isinstance(given, Mapping):
        unknown = [name for name in given if name not in {*names, *ports, EVERY}]
        if unknown:
            inputs = f" or inputs among {', '.join(ports)}" if ports else ""
            raise QuantizationError(
                f"{_OWNER}: expected channels among {', '.join(names)}{inputs}, got "
                f"{', '.join(map(repr, unknown))}. Name channels with input_names (--input-names)."
            )
        of_inputs = {
            name: given[port] for port, own in ports.items() if port in given for name in names[own]
        }
        rest = given.get(EVERY)
        return tuple(given.get(name, of_inputs.get(name, rest)) for name in names)
    if len(given) != len(names):
        raise QuantizationError(
            f"{_OWNER}: expected {len(names)} pairs for the channels {', '.join(names)}, got "
            f"{len(given)}. Pass ranges by channel name (--input-range), or one as '{EVERY}'."
        )
    return tuple(given)


def headroom(method: RangeMethod, precision: Precision) -> float:
    """Room on each side of the range that calibration decides, as a share of its span."""
    return INPUT_HEADROOM[precision] if method is RangeMethod.MINMAX else 0.0


def input_ranges(
    stats: TensorStatistics,
    method: RangeMethod,
    precision: Precision,
    given: Sequence[Pair | None],
) -> tuple[FloatArray, FloatArray]:
    """Lower and upper end per channel.

    Ranges that calibration decides get `INPUT_HEADROOM` where all readings are to be covered
    (minmax); percentile and MSE spend all codes on what calibration saw.

    Args:
        stats: the readings of calibration.
        method: how ranges are chosen.
        precision: of the model.
        given: from `by_channel`; used unchanged.

    Returns:
        (low, high), float64 [I], low < high.
    """
    low, high = input_range(stats, method, precision.input_high)
    room = headroom(method, precision) * (stats.high - stats.low)
    low, high = low - room, high + room
    for channel, pair in enumerate(given):
        if pair is not None:
            low[channel], high[channel] = pair
    return low, high


def clipped(
    names: Sequence[str],
    given: Sequence[Pair | None],
    ends: tuple[FloatArray, FloatArray],
    stats: TensorStatistics,
) -> tuple[str, ...]:
    """A sentence on each channel whose range calibration itself leaves; of many, on the worst.

    Args:
        names: of the channels.
        given: from `by_channel`.
        ends: (low, high) of the ranges, as from `input_ranges`.
        stats: the readings of calibration.
    """
    seen = stats.spread if len(stats.spread) else stats.sample
    share = np.mean((seen < ends[0]) | (seen > ends[1]), axis=0)
    cure = "use range_method='minmax' (--range minmax)"
    left = np.flatnonzero((stats.low < ends[0]) | (stats.high > ends[1]))
    told, more = left, ""
    if left.size > _TOLD:
        told, more = left[[int(np.argmax(share[left]))]], f" and {left.size - 1} more"
    return tuple(
        f"input {names[i]}{more}: expected calibration values in {ends[0][i]:.6g} to "
        f"{ends[1][i]:.6g}, got {stats.low[i]:.6g} to {stats.high[i]:.6g}, {share[i]:.2%} of "
        "them outside. Such readings are clipped: "
        f"{cure if given[i] is None else 'pass a wider range'}."
        for i in told
    )


def range_settings(
    names: Sequence[str], given: Sequence[Pair | None], method: RangeMethod, precision: Precision
) -> tuple[tuple[str, str], ...]:
    """Provenance of input ranges: what decided them."""
    made = [("input_headroom", repr(headroom(method, precision)))]
    told = {name: pair for name, pair in zip(names, given, strict=True) if pair is not None}
    if told:
        made.append(("input_range", json.dumps(told)))
    return tuple(made)
