"""The quantization report: signal-to-quantization-noise, clipping and saturation per layer."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np

from edgernn.cli.style import table
from edgernn.display import record_repr, report_html
from edgernn.model.formats import FloatArray
from edgernn.model.integer_model import IntegerModel
from edgernn.model.routes import before_states
from edgernn_export.calibration.streams import as_streams, as_windows
from edgernn_export.calibration.unmasked import without_masked
from edgernn_export.float_model.float_run import batches, begun, run, stretch_steps
from edgernn_export.float_model.model import FloatModel
from edgernn_export.guards.recorded_run import (
    AnswerRecorder,
    clipped_shares,
    recorded_run,
    saturated_shares,
)
from edgernn_export.quantizer.overflow_proof import RowProof, prove
from edgernn_export.quantizer.reports.compared_tensors import compared_tensors, recorded_parts
from edgernn_export.quantizer.reports.curves import CurveReport, curve_lines, curve_reports
from edgernn_firmware_sim.reference.arithmetic import Int32
from edgernn_firmware_sim.reference.events import TensorEvents
from edgernn_firmware_sim.reference.reference import Reference

#: Steps of all windows that are compared.
_MOST_WINDOW_STEPS: Final = 1 << 17
#: Share of a unit's power below which its float values do not move, rounding apart.
_STILL = 1e-24


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorReport:
    """One tensor of the integer model compared with its float original.

    Attributes:
        name: ``<layer>.h``, ``<layer>.c`` or ``<layer>.out``; of a network that is no chain also
            that of a sum or product, and ``output``, or ``output[<port>]`` where there are several.
        sqnr_db: signal-to-quantization-noise ratio over all units; infinite without noise,
            minus infinite where noise is all there is.
        worst_unit: the unit with the lowest ratio among those whose float value moves.
        worst_unit_sqnr_db: its ratio.
        saturation_rate: share of values a saturation changed in the integer run; of an output,
            those of the layers it puts out.
        clip_rate: share of float values outside the tensor's integer format.
    """

    name: str
    sqnr_db: float
    worst_unit: int
    worst_unit_sqnr_db: float
    saturation_rate: float
    clip_rate: float


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantizationReport:
    """What quantization did to a model, on given streams.

    Attributes:
        tensors: hidden states, cell states, dense outputs, sums and products in layer order; of a
            network that is no chain, what it puts out behind them.
        saturations: share of saturated values per named integer tensor, where not zero, the largest
            first; of a window model, of layers behind all states where it answers.
        input_clip_rate: share of readings that are clipped, per channel.
        proofs: overflow proof, worst row per affine map.
        steps: steps compared, over all streams.
        windows: of a window model, windows compared: layers that no recurrent layer reads are
            compared in the last step of each, which is what the model answers. Else None.
        wide: layers whose states have 31 bits (clause 2.8).
        curves: tables that stand for functions (clause 3.6).
    """

    tensors: tuple[TensorReport, ...]
    saturations: tuple[tuple[str, float], ...]
    input_clip_rate: tuple[float, ...]
    proofs: tuple[RowProof, ...]
    steps: int
    windows: int | None = None
    wide: tuple[str, ...] = ()
    curves: tuple[CurveReport, ...] = ()

    __repr__ = record_repr
    _repr_html_ = report_html

    def to_json(self) -> str:
        """All figures as one JSON object; an infinite ratio is null."""
        record = finite_values(asdict(self))
        return json.dumps(record, sort_keys=True, allow_nan=False)

    def table(self) -> str:
        """Plain text for people."""
        over = f"{self.steps:,} steps"
        if self.windows is not None:
            over = f"the outputs for {self.windows:,} windows ({over})"
        rows = []
        for t in self.tensors:
            worst = f"#{t.worst_unit} ({t.worst_unit_sqnr_db:.1f} dB)"
            shares = f"{t.saturation_rate:.4%}", f"{t.clip_rate:.4%}"
            rows.append((t.name, f"{t.sqnr_db:.1f}", worst, *shares))
        lines = [f"quantization report over {over}"]
        headings = ("tensor", "SQNR dB", "worst unit", "saturated", "clipped")
        lines += table(headings, rows, "<>>>>")
        saturated = ", ".join(f"{name} {share:.3%}" for name, share in self.saturations)
        lines += [f"saturated tensors: {saturated}"] * bool(saturated)
        if any(self.input_clip_rate):
            outside = ", ".join(f"{r:.3%}" for r in self.input_clip_rate)
            lines.append(f"input values outside the calibrated range, per channel: {outside}")
        lines += [f"31-bit states, for long memory: {', '.join(self.wide)}"] * bool(self.wide)
        lines += curve_lines(self.curves)
        tightest = min(self.proofs, key=lambda p: p.headroom_bits)
        lines.append(
            f"overflow proof: {len(self.proofs)} affine maps safe; smallest headroom "
            f"{tightest.headroom_bits:.2f} bits in {tightest.name} row {tightest.row}"
        )
        return "\n".join(lines)


class _Tap(AnswerRecorder):
    """A recorder that also keeps the tensors the report compares, until they are taken.

    Args:
        wanted: of each tensor the integer tensors that it is made of, one behind another.
    """

    def __init__(self, wanted: Mapping[str, tuple[str, ...]]) -> None:
        super().__init__()
        self.wanted = wanted
        self.kept: dict[str, list[Int32]] = {p: [] for parts in wanted.values() for p in parts}

    def take(self, name: str) -> Int32:
        """All rows of a tensor since it was taken last."""
        rows = [np.concatenate(self.kept[part]) for part in self.wanted[name]]
        for part in self.wanted[name]:
            self.kept[part].clear()
        return np.concatenate(rows, axis=-1)

    def events(self, name: str) -> TensorEvents:
        """Values and saturations of a tensor."""
        return _sum([self.tensors[part] for part in self.wanted[name]])

    def _record(self, name: str, wide: Int32, narrow: Int32) -> Int32:
        super()._record(name, wide, narrow)
        if name in self.kept:
            self.kept[name].append(narrow)
        return narrow


def quantization_report(
    float_model: FloatModel, integer_model: IntegerModel, streams: Any
) -> QuantizationReport:
    """Run both models over the same streams, each with its own state, and compare.

    A window model is run over windows of the streams, each from the zero state.

    Args:
        float_model: the original.
        integer_model: made from it.
        streams: as for `quantize`; better not the calibration streams.

    Raises:
        CalibrationError: the streams are unusable.
    """
    blocks = as_streams(
        streams,
        float_model.inputs,
        "report",
        names=integer_model.input.names,
        ports=integer_model.input.ports,
    )
    given = blocks
    if integer_model.window is not None:
        blocks = [_few(as_windows(blocks, integer_model.window, "report"))]
    blocks = without_masked(blocks, integer_model.input.mask, "report")
    given = without_masked(given, integer_model.input.mask, "report")
    tensors = compared_tensors(integer_model)
    tap = _Tap({n: recorded_parts(integer_model.layers[i], n) for n, (i, *_) in tensors.items()})
    reference, interface = Reference(integer_model, tap), integer_model.interface()
    compared = {name: _Compared(scale) for name, (_, _, scale) in tensors.items()}
    originals: dict[str, FloatArray] = {}
    sources = {(index, tensor): name for name, (index, tensor, _) in tensors.items()}

    def observe(index: int, tensor: str, values: FloatArray) -> None:
        name = sources.get((index, tensor))
        if name is not None:
            originals[name] = values.reshape(-1, values.shape[-1])

    ports = _ports(integer_model)
    put_out = {name: _Compared(integer_model.output.scale[part]) for name, part in ports.items()}
    answering = _answering(integer_model, tensors)
    taken = 0
    for readings, _ in batches(float_model, blocks):
        streams, state = begun(float_model, readings)
        codes, q_state = Reference(integer_model).begun(interface.quantize(readings))
        batch, steps, _ = streams.shape
        taken += batch * steps
        length = stretch_steps(float_model, batch)
        for start in range(0, steps, length):
            stretch = slice(start, start + length)
            ys, state = run(float_model, streams[:, stretch], state, observe)
            ends = start + length >= steps
            q_ys, q_state = recorded_run(
                integer_model, reference, tap, codes[:, stretch], q_state, ends=ends
            )
            if integer_model.window is None or ends:
                answered = slice(0 if integer_model.window is None else -1, None)
                for name, part in ports.items():
                    width = part.stop - part.start
                    answers = q_ys[:, answered, part].reshape(-1, width).astype(np.int32)
                    put_out[name].add(ys[:, answered, part].reshape(-1, width), answers)
            for name, seen in compared.items():
                original, tensor = originals.pop(name), tap.take(name)
                if name not in answering:
                    seen.add(original, tensor)
                elif ends:
                    seen.add(original[-batch:], tensor[-batch:])
    return QuantizationReport(
        tensors=(
            *(seen.report(name, tap.events(name)) for name, seen in compared.items()),
            *(
                seen.report(name, _of_sources(integer_model, ports[name], tensors, tap))
                for name, seen in put_out.items()
            ),
        ),
        saturations=saturated_shares(tap.tensors),
        input_clip_rate=tuple(clipped_shares(integer_model, given).tolist()),
        proofs=prove(integer_model),
        steps=taken,
        windows=None if integer_model.window is None else sum(map(len, blocks)),
        wide=tuple(layer.name for layer in integer_model.layers if layer.is_wide),
        curves=curve_reports(integer_model),
    )


def _of_sources(
    model: IntegerModel,
    channels: slice,
    tensors: Mapping[str, tuple[int, str, FloatArray]],
    tap: _Tap,
) -> TensorEvents:
    """What was seen of the layers that these channels put out."""
    sources = np.repeat(*np.transpose([(part.source, part.width) for part in model.wiring[-1]]))
    read = set(sources[channels].tolist())
    return _sum([tap.events(name) for name, (index, _, _) in tensors.items() if index in read])


def _sum(seen: Sequence[TensorEvents]) -> TensorEvents:
    return TensorEvents(
        values=max(1, sum(events.values for events in seen)),
        saturated=sum(events.saturated for events in seen),
    )


def _few(windows: FloatArray) -> FloatArray:
    """Windows evenly spaced among all, few enough to compare all their steps."""
    return windows[:: -(-windows.shape[0] * windows.shape[1] // _MOST_WINDOW_STEPS)]


def _answering(
    model: IntegerModel, tensors: Mapping[str, tuple[int, str, FloatArray]]
) -> list[str]:
    """Of a window model, the tensors that make the answer in a window's last step."""
    if model.window is None:
        return []
    carried = before_states(model.wiring, [bool(layer.states) for layer in model.layers])
    return [name for name, (index, _, _) in tensors.items() if index not in carried]


def _ports(model: IntegerModel) -> dict[str, slice]:
    """What a network that is no chain puts out: channels by name."""
    if not model.routes:
        return {}
    if not model.output.ports:
        return {"output": slice(0, model.output.width)}
    ends = np.cumsum([port.width for port in model.output.ports])
    return {
        f"output[{port.name}]": slice(int(end) - port.width, int(end))
        for port, end in zip(model.output.ports, ends, strict=True)
    }


class _Compared:
    """One tensor of both models, a stretch at a time.

    Args:
        scale: real value per code and unit [H].
    """

    def __init__(self, scale: FloatArray) -> None:
        self._scale = scale
        self._rows = 0
        self._mean, self._signal, self._noise, self._power = np.zeros((4, scale.size))
        self._outside = 0

    def add(self, original: FloatArray, codes: Int32) -> None:
        """Take rows [N, H] of the float model and those of the integer model."""
        self._noise += np.square(codes * self._scale - original).sum(axis=0)
        self._power += np.square(original).sum(axis=0)
        self._outside += int(np.count_nonzero(np.abs(original / self._scale) > 32767.5))
        # Squares about the mean of all, from those about the means of parts (Chan et al. 1983).
        mean, before = original.mean(axis=0), self._rows
        self._rows += len(original)
        step = (mean - self._mean) * (len(original) / self._rows)
        self._signal += np.square(original - mean).sum(axis=0)
        self._signal += (mean - self._mean) * step * before
        self._mean += step

    def report(self, name: str, events: TensorEvents) -> TensorReport:
        """What was seen, and the saturations of the integer tensor."""
        signal, noise = self._signal, self._noise
        per_unit = np.array([_decibel(s, n) for s, n in zip(signal, noise, strict=True)])
        moves = signal > _STILL * self._power
        worst = int(np.argmin(np.where(moves | ~moves.any(), per_unit, np.inf)))
        return TensorReport(
            name=name,
            sqnr_db=_decibel(float(signal.sum()), float(noise.sum())),
            worst_unit=worst,
            worst_unit_sqnr_db=float(per_unit[worst]),
            saturation_rate=events.saturated / events.values,
            clip_rate=self._outside / (self._rows * self._scale.size),
        )


def _decibel(signal: float, noise: float) -> float:
    if noise <= 0.0 or signal <= 0.0:
        return float("inf" if noise <= 0.0 else "-inf")
    return float(10.0 * np.log10(signal / noise))


def finite_values(value: Any) -> Any:
    """JSON values, with None in place of values that are not finite."""
    if isinstance(value, dict):
        return {k: finite_values(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite_values(v) for v in value]
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value
