"""The result of a comparison, as a table, as a JSON value and as a picture."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from edgernn.cli.style import heading, table
from edgernn_export.comparison.compared_model import ComparedModel
from edgernn_export.simulation.cost_table import cost_table

#: Printed for a figure that does not exist.
_MISSING: Final = "–"


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Models side by side.

    Attributes:
        models: in the order in which they were given.
        data: name of the test data; empty without any.
    """

    models: tuple[ComparedModel, ...]
    data: str

    @property
    def exact(self) -> bool:
        """No firmware gave a value that differs from the reference."""
        return all(board.exact is not False for model in self.models for board in model.boards)

    def record(self) -> dict[str, Any]:
        """As a JSON value."""
        return {"data": self.data, "models": [model.record() for model in self.models]}

    def to_json(self) -> str:
        """As one JSON object."""
        return json.dumps(self.record(), allow_nan=False)

    def table(self) -> str:
        """For people: one column per model, followed by a table for each target."""
        rows = [(label, *map(cell, self.models)) for label, cell in _rows(self)]
        lines = table(["", *(model.label for model in self.models)], rows, "<" + ">" * len(rows[0]))
        notes = {note: None for model in self.models for note in model.notes}
        lines += [f"{_MISSING} {note}" for note in notes]
        for index, target in enumerate(self.models[0].boards):
            name = f"{target.board} ({target.target})" if target.board else target.target
            lines += ["", heading(f"{name}, {target.core}")]
            costs = [model.boards[index] for model in self.models]
            lines += cost_table(costs, "reading", [model.label for model in self.models])
        return "\n".join(lines)

    def plot(self, path: str | Path) -> Path:
        """Draw accuracy over bytes, one labeled point per model; needs Matplotlib.

        Without test data, the bars show bytes alone.

        Args:
            path: of the .png file.

        Returns:
            The path.
        """
        from edgernn_export.comparison.picture import draw

        return draw(self.models, self.data, Path(path))


_Cell = Callable[[ComparedModel], str]


def _rows(comparison: Comparison) -> Iterator[tuple[str, _Cell]]:
    """The rows of the table: what each shows of a model."""
    models = comparison.models
    yield "layers", lambda m: m.layers
    yield "precision", lambda m: m.precision
    yield "multiply-accumulates", lambda m: f"{m.macs:,}"
    yield "state [B]", lambda m: f"{m.state_bytes:,}"
    for name in dict.fromkeys(size.name for model in models for size in model.sizes):
        yield f"{name} [B]", _bytes(name)
        if any(s.name == name and s.gzip_bytes is not None for m in models for s in m.sizes):
            yield f"{name}, gzip [B]", _bytes(name, zipped=True)
    if comparison.data:
        metrics = {model.metric for model in models}
        metric = models[0].metric if len(metrics) == 1 else "score"
        yield metric, lambda m: _score(m, m.score, named=len(metrics) > 1)
        if any(model.float_score is not None for model in models):
            yield (
                f"{metric}, float network",
                lambda m: _score(m, m.float_score, named=len(metrics) > 1),
            )
            yield "kept", lambda m: _MISSING if m.kept is None else f"{100 * m.kept:.2f} %"
    if any(model.median_us is not None for model in models):
        yield "µs per step, median", lambda m: _figure(m.median_us)
        yield "µs per step, p99", lambda m: _figure(m.p99_us)


def _bytes(name: str, *, zipped: bool = False) -> _Cell:
    def cell(model: ComparedModel) -> str:
        size = model.size(name)
        count = None if size is None else size.gzip_bytes if zipped else size.bytes
        return _MISSING if count is None else f"{count:,}"

    return cell


def _score(model: ComparedModel, value: float | None, *, named: bool) -> str:
    """A score, with the name of its metric if other models have another one."""
    return f"{_figure(value)} {model.metric}" if named and value is not None else _figure(value)


def _figure(value: float | None) -> str:
    return _MISSING if value is None else f"{value:.4g}"


def distinct_labels(names: Sequence[str]) -> list[str]:
    """Labels for models; names that occur twice get a number."""
    seen: dict[str, int] = {}
    labels = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        labels.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return labels
