"""The integer form of a preparation for a device (NUMERICS.md clauses 12.1 to 12.4)."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from edgernn.declared import one_of
from edgernn.errors import UnsupportedModelError
from edgernn.model.formats import Precision
from edgernn.model.interface import InputSpec
from edgernn.prepare.preparation import Preparation
from edgernn.prepare.resampling import Resampling
from edgernn.prepare.units import Clipping, GainOffset, UnitConversion
from edgernn.prepare.windows import Difference, Lag, WindowFeatures
from edgernn_export.writers.c.border import channel_constants
from edgernn_firmware_sim.reference.readings import (
    DeviceFeature,
    DevicePreparation,
    FeatureKind,
    RawChannel,
)

#: Limits of clause 12.4.
_MOST_MULTIPLIER: Final = (1 << 12) - 1
_MOST_BIAS: Final = (1 << 28) - 1
#: Values of clause 12.1 to each side of the middle.
_VALUES: Final = 32767
#: Values reach that much farther than calibration saw.
_MARGIN: Final = 2
_WINDOW_KINDS: Final = {
    "mean": FeatureKind.MEAN, "min": FeatureKind.MINIMUM, "max": FeatureKind.MAXIMUM,
    "deviation": FeatureKind.DEVIATION,
}  # fmt: skip
#: Of a channel that is turned upside down before it enters the window.
_UPSIDE_DOWN: Final = {
    FeatureKind.MINIMUM: FeatureKind.MAXIMUM, FeatureKind.MAXIMUM: FeatureKind.MINIMUM,
}  # fmt: skip
_LEVELS: Final = frozenset(FeatureKind) - {FeatureKind.DIFFERENCE, FeatureKind.DEVIATION}
_Limits = tuple[Fraction | None, Fraction | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """gain * x + offset."""

    gain: Fraction = Fraction(1)
    offset: Fraction = Fraction(0)

    def then(self, gain: float, offset: float) -> _Line:
        g, o = Fraction(gain), Fraction(offset)
        return _Line(gain=g * self.gain, offset=g * self.offset + o)

    def of(self, x: Fraction) -> Fraction:
        return self.gain * x + self.offset

    def inverse(self, y: Fraction) -> Fraction:
        return (y - self.offset) / self.gain


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """A channel of the preparation: a feature of a raw channel, and what is done around it.

    Attributes:
        channel: number of the raw channel.
        kind: of the feature.
        readings: N.
        before: from the raw value to what enters the window.
        limits: of the raw value.
        after: from the feature to the value of the channel.
        bounds: of the value of the channel.
    """

    channel: int
    kind: FeatureKind = FeatureKind.VALUE
    readings: int = 1
    before: _Line = _Line()
    limits: _Limits = (None, None)
    after: _Line = _Line()
    bounds: _Limits = (None, None)


def device_preparation(
    of: Preparation, source: InputSpec, precision: Precision
) -> DevicePreparation:
    """The constants of a preparation on a device.

    Args:
        of: the preparation.
        source: the input of the model.
        precision: of the model.

    Raises:
        UnsupportedModelError: a step needs time stamps or floating point, or the range of a
            channel is not known; names all reasons.
    """
    reasons: list[str] = []
    rows = _rows(of, reasons)
    used = [rows.get(name) for name in of.channels]
    if reasons:
        raise UnsupportedModelError([f"export to c: {reason}" for reason in reasons])
    found = [row for row in used if row is not None]
    step = 4 if precision is Precision.W8A16 else 1
    low, high = (-8191, 8191) if step == 4 else (-128, 127)
    scales = [Fraction(float(scale)) * step for scale in source.scale]
    offsets = [Fraction(float(offset)) for offset in source.offset]
    ends = [(o + low * s, o + high * s) for s, o in zip(scales, offsets, strict=True)]
    grids = _grids(of, found, ends, reasons)
    if reasons:
        raise UnsupportedModelError([f"export to c: {reason}" for reason in reasons])
    features = [
        _feature(name, row, grids[row.channel], (scale, offset), (low, high), reasons)
        for name, row, scale, offset in zip(of.channels, found, scales, offsets, strict=True)
    ]
    channels = [_raw_channel(name, grids[index], reasons) for index, name in enumerate(of.inputs)]
    if reasons:
        raise UnsupportedModelError([f"export to c: {reason}" for reason in reasons])
    return DevicePreparation(
        channels=tuple(c for c in channels if c is not None),
        features=tuple(f for f in features if f is not None),
        step=step,
    )


def _rows(of: Preparation, reasons: list[str]) -> dict[str, _Row]:
    """What every channel of the preparation is."""
    rows = {name: _Row(channel=index) for index, name in enumerate(of.inputs)}
    for number, step in enumerate(of.steps, 1):
        place = f'preparation, step {number} ("{step.kind}")'
        if isinstance(step, Resampling):
            if step.method == "linear" or step.gap != "hold":
                reasons.append(
                    f'{place}: expected method = "mean" or "last" and gap = "hold", got '
                    f'"{step.method}" and "{step.gap}". A device holds the last value.'
                )
        elif isinstance(step, (UnitConversion, GainOffset)):
            line = step.line() if isinstance(step, UnitConversion) else (step.gain, step.offset)
            if not line[0]:
                reasons.append(f"{place}: expected a gain other than 0, got 0.")
                continue
            rows |= {name: _scaled(rows[name], *line) for name in step.channels if name in rows}
        elif isinstance(step, Clipping):
            rows |= {
                name: _clipped(rows[name], step.low, step.high)
                for name in step.channels
                if name in rows
            }
        elif isinstance(step, (WindowFeatures, Difference, Lag)):
            row = rows.get(step.channel)
            if row is not None and row.kind is not FeatureKind.VALUE:
                reasons.append(
                    f"{place}: expected a raw channel {one_of(of.inputs)}, got {step.channel!r}, "
                    "which is a feature itself. Make the feature on a workstation, or leave it out."
                )
            elif row is not None:
                rows |= _features(step, row)
        else:
            reasons.append(
                f"{place}: expected a step that a device can compute, got one that needs time "
                "stamps or floating point. Run the model on a host, or leave the step out."
            )
    return rows


def _features(step: WindowFeatures | Difference | Lag, row: _Row) -> dict[str, _Row]:
    if isinstance(step, WindowFeatures):
        kinds = [_WINDOW_KINDS[feature] for feature in step.features]
    else:
        kinds = [FeatureKind.LAG if isinstance(step, Lag) else FeatureKind.DIFFERENCE]
    if row.before.gain < 0:
        kinds = [_UPSIDE_DOWN.get(kind, kind) for kind in kinds]
    return {
        name: dataclasses.replace(row, kind=kind, readings=step.readings)
        for name, kind in zip(step.adds(), kinds, strict=True)
    }


def _scaled(row: _Row, gain: float, offset: float) -> _Row:
    if row.kind is FeatureKind.VALUE:
        return dataclasses.replace(row, before=row.before.then(gain, offset))
    bounds = [None if b is None else Fraction(gain) * b + Fraction(offset) for b in row.bounds]
    low, high = bounds if gain > 0 else bounds[::-1]
    return dataclasses.replace(row, after=row.after.then(gain, offset), bounds=(low, high))


def _clipped(row: _Row, low: float, high: float) -> _Row:
    ends = (Fraction(low), Fraction(high))
    if row.kind is not FeatureKind.VALUE:
        return dataclasses.replace(row, bounds=_narrowed(row.bounds, ends))
    raw = sorted(row.before.inverse(end) for end in ends)
    return dataclasses.replace(row, limits=_narrowed(row.limits, (raw[0], raw[1])))


def _narrowed(limits: _Limits, ends: tuple[Fraction, Fraction]) -> _Limits:
    """Limits, then others."""
    low, high = ends
    return (
        low if limits[0] is None else min(max(limits[0], low), high),
        high if limits[1] is None else min(max(limits[1], low), high),
    )


def _grids(
    of: Preparation,
    rows: list[_Row],
    ends: list[tuple[Fraction, Fraction]],
    reasons: list[str],
) -> list[_Line]:
    """From a value of clause 12.1 to the raw value, for every raw channel."""
    grids = []
    for index, name in enumerate(of.inputs):
        spans = [
            sorted(row.before.inverse(row.after.inverse(end)) for end in own)
            for row, own in zip(rows, ends, strict=True)
            if row.channel == index and row.kind in _LEVELS
        ]
        low = min((span[0] for span in spans), default=None)
        high = max((span[1] for span in spans), default=None)
        if low is not None and high is not None:
            middle, half = (low + high) / 2, (high - low) / 2 * _MARGIN
            low, high = middle - half, middle + half
        limits = [row.limits for row in rows if row.channel == index]
        if limits and all(a is not None and b is not None for a, b in limits):
            least = min(a for a, _ in limits if a is not None)
            most = max(b for _, b in limits if b is not None)
            low = least if low is None else max(low, least)
            high = most if high is None else min(high, most)
        if not limits:
            low, high = Fraction(-1), Fraction(1)  # a channel that nothing reads
        if low is None or high is None or low >= high:
            reasons.append(
                f"preparation: expected the range of {name!r:.60}, got features of it alone that "
                'do not tell it. Add a step of kind = "clip" with its limits.'
            )
            low, high = Fraction(-1), Fraction(1)
        grids.append(_Line(gain=(high - low) / 2 / _VALUES, offset=(low + high) / 2))
    return grids


def _raw_channel(name: str, grid: _Line, reasons: list[str]) -> RawChannel | None:
    found = channel_constants(grid.gain, grid.offset, _VALUES + 1)
    if found is None:
        reasons.append(
            f"preparation: expected readings that int32 resolves, got a range of "
            f"{float(2 * _VALUES * grid.gain):g} around {float(grid.offset):g} ({name!r:.60}). "
            "Subtract a constant from this channel on the device."
        )
        return None
    return RawChannel(
        name=name,
        frac_bits=found.frac_bits,
        center=found.center,
        reach=found.reach,
        multiplier=found.multiplier,
        shift=found.shift,
    )


def _feature(
    name: str,
    row: _Row,
    grid: _Line,
    code: tuple[Fraction, Fraction],
    ends: tuple[int, int],
    reasons: list[str],
) -> DeviceFeature | None:
    scale, offset = code
    per_value = row.before.gain * grid.gain
    start = row.before.of(grid.offset) if row.kind in _LEVELS else Fraction(0)
    fraction = 0
    if row.kind is FeatureKind.DEVIATION:
        per_value = abs(per_value)
        most = max(abs(row.after.inverse(offset + end * scale)) for end in ends) / per_value
        while fraction < 14 and 2 * most * 2 ** (fraction + 1) <= _VALUES:
            fraction += 1
        per_value /= 2**fraction
    slope = row.after.gain * per_value / scale
    intercept = (row.after.of(start) - offset) / scale
    limits = [
        end if bound is None else _code_of((bound - offset) / scale, ends)
        for end, bound in zip(ends, row.bounds, strict=True)
    ]
    inside = [
        None if limit is None else round((limit - grid.offset) / grid.gain) for limit in row.limits
    ]
    least, greatest = (
        default if value is None else min(max(value, -_VALUES), _VALUES)
        for default, value in zip((-_VALUES - 1, _VALUES), inside, strict=True)
    )
    for shift in range(28, 0, -1):
        multiplier, bias = round(slope * 2**shift), round(intercept * 2**shift)
        if abs(multiplier) <= _MOST_MULTIPLIER and abs(bias) <= _MOST_BIAS:
            return DeviceFeature(
                channel=row.channel, kind=row.kind, readings=row.readings, least=least,
                greatest=greatest, fraction=fraction, multiplier=multiplier, bias=bias,
                shift=shift, low=limits[0], high=limits[1],
            )  # fmt: skip
    reasons.append(
        f"preparation: expected codes of {name!r:.60} that 16-bit values of its raw channel "
        f"resolve, got {float(abs(slope)):.3g} codes per value. Use a wider calibration, or add a "
        'step of kind = "clip" with narrower limits of the raw channel.'
    )
    return None


def _code_of(quotient: Fraction, ends: tuple[int, int]) -> int:
    """The nearest code within its limits."""
    return min(max(math.floor(quotient + Fraction(1, 2)), ends[0]), ends[1])
