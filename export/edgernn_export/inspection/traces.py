"""Traces of gates and states over a stream, as a table, as figures and as a heat map."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from edgernn.cli.style import table
from edgernn.errors import EdgeRnnError
from edgernn.model.formats import FloatArray
from edgernn.model.integer_model import IntegerModel
from edgernn_export.float_model import float_run
from edgernn_export.float_model.model import FloatModel
from edgernn_export.inspection.gate_values import GATE, ValueTrace, float_traces, integer_traces

#: A gate below the first is closed, above the second it is open.
_CLOSED: Final = 0.1
_OPEN: Final = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class GateTraces:
    """What gates and states did over one stream.

    Attributes:
        model: name of the model.
        arithmetic: "integer" or "float".
        steps: T.
        traces: by layer, in the order of computation.
    """

    model: str
    arithmetic: str
    steps: int
    traces: tuple[ValueTrace, ...]

    def __getitem__(self, name: str) -> FloatArray:
        """The values [T, N] of one name, such as "lstm.f".

        Raises:
            KeyError: there is no such value; the message lists those that there are.
        """
        for trace in self.traces:
            if trace.name == name:
                return trace.values
        names = ", ".join(trace.name for trace in self.traces)
        raise KeyError(f"expected one of {names}, got {name}")

    def record(self) -> dict[str, Any]:
        """As a JSON value: for every unit its mean, its range, and how often a gate is closed."""
        return {
            "model": self.model,
            "arithmetic": self.arithmetic,
            "steps": self.steps,
            "traces": [_record(trace) for trace in self.traces],
        }

    def to_json(self) -> str:
        """As one JSON object."""
        return json.dumps(self.record(), allow_nan=False)

    def table(self) -> str:
        """For people: one line for each gate, candidate and state."""
        rows = []
        for trace in self.traces:
            v, gate = trace.values, trace.kind == GATE
            rows.append(
                (
                    trace.name, trace.kind, v.shape[1], f"{v.mean():.3f}", f"{v.std():.3f}",
                    f"{v.min():.3f}", f"{v.max():.3f}",
                    f"{(v < _CLOSED).mean():.1%}" if gate else "–",
                    f"{(v > _OPEN).mean():.1%}" if gate else "–",
                )
            )  # fmt: skip
        title = f"{self.model}, {self.arithmetic}, {self.steps} steps"
        heads = ("value", "kind", "units", "mean", "std", "min", "max", "closed", "open")
        return "\n".join([title, *table(heads, rows, "<<>>>>>>>")])

    def save(self, path: str | Path) -> Path:
        """Write the values as .npz: an array [T, N] by name."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            np.savez_compressed(file, **{trace.name: trace.values for trace in self.traces})
        return path

    def plot(self, path: str | Path) -> Path:
        """Draw a heat map of each gate, candidate and state over time; needs Matplotlib."""
        from edgernn_export.inspection.pictures import draw_traces

        return draw_traces(self.traces, self.model, Path(path))


def _record(trace: ValueTrace) -> dict[str, Any]:
    v = trace.values
    record: dict[str, Any] = {
        "name": trace.name, "kind": trace.kind, "mean": v.mean(axis=0).tolist(),
        "std": v.std(axis=0).tolist(), "min": v.min(axis=0).tolist(), "max": v.max(axis=0).tolist(),
    }  # fmt: skip
    if trace.kind == GATE:
        record["closed"] = (v < _CLOSED).mean(axis=0).tolist()
        record["open"] = (v > _OPEN).mean(axis=0).tolist()
    return record


def gate_traces(
    model: IntegerModel | FloatModel, readings: FloatArray | Sequence[FloatArray]
) -> GateTraces:
    """Run a model over one stream and keep its gates and states.

    The values of an integer model are those of the reference, code by code, times their scale.
    The stream begins with the initial state; of a window model, the last window is traced.

    Args:
        model: an integer model, or a float network as `read_keras` returns it.
        readings: [T, I], physical units.

    Raises:
        EdgeRnnError: readings of another shape, fewer than a window or a step needs, or no
            recurrent layer.
    """
    xs = np.asarray(readings, dtype=np.float64)
    width = model.input.width if isinstance(model, IntegerModel) else model.inputs
    if xs.ndim == 1 and width == 1:
        xs = xs[:, None]
    if xs.ndim != 2 or xs.shape[1] != width or not len(xs):
        raise EdgeRnnError(
            f"readings: expected one stream [T, {width}], got an array {list(xs.shape)}. "
            "Pass one recording."
        )
    if isinstance(model, IntegerModel):
        traces = integer_traces(model, _codes(model, xs))
    else:
        blocks, _ = float_run.begun(model, xs[None])
        traces = float_traces(model, _some(blocks[0]))
    if not traces:
        raise EdgeRnnError(f"{model.name}: expected a recurrent layer, got none.")
    kind = "integer" if isinstance(model, IntegerModel) else "float"
    return GateTraces(model=model.name, arithmetic=kind, steps=len(traces[0].values), traces=traces)


def _codes(model: IntegerModel, xs: FloatArray) -> Any:
    """Codes of the steps [N, R*I] of a stream of readings."""
    from edgernn_firmware_sim.reference.reference import Reference

    if model.window is not None:
        if len(xs) < model.window.steps:
            raise EdgeRnnError(
                f"readings: expected at least one window of {model.window.steps}, got {len(xs)}. "
                "Pass a longer recording."
            )
        xs = xs[-model.window.steps :]
    codes = model.interface().quantize(xs)
    return _some(Reference(model).begun(codes[None])[0][0])


def _some(steps: Any) -> Any:
    if len(steps):
        return steps
    raise EdgeRnnError(
        "readings: expected enough of them for one answer, got fewer. Pass a longer recording."
    )
