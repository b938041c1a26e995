"""What a search ends with: the configurations that nothing beats, measured once more."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from edgernn.errors import SearchError
from edgernn.model.integer_model import IntegerModel
from edgernn_export.search.candidates import untrained
from edgernn_export.search.hardware_cost import Cost, Over, measure
from edgernn_export.search.settings import Settings
from edgernn_export.search.space import Configuration
from edgernn_export.search.study import trial_files
from edgernn_export.search.trials import TRAINED, Row

if TYPE_CHECKING:
    from optuna import Study

#: Length of the last emulated stream.
_STEPS: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """A model of the Pareto front.

    Attributes:
        row: its trial.
        cost: of the file that was written, measured over a longer stream.
        over: limits that it exceeds; empty if it meets them.
        test_score: on the test part, which nothing was chosen by.
        files: the .keras and .edgernn files.
    """

    row: Row
    cost: Cost
    over: tuple[Over, ...]
    test_score: float
    files: tuple[Path, Path]

    def verdict(self) -> str:
        """Whether it meets its limits, with the figures."""
        figures = self.cost.sentence()
        if self.over:
            sentences = "; ".join(over.sentence for over in self.over)
            return f"does not meet its limits: {sentences} ({figures})"
        return f"meets its limits: {figures}"

    def record(self) -> dict[str, Any]:
        """As a JSON value."""
        return {
            "trial": self.row.number,
            "label": self.row.configuration.label,
            "validation": self.row.score,
            "test": self.test_score,
            **self.cost.record(),
            "meets_limits": not self.over,
            "files": [file.name for file in self.files],
        }


def front(settings: Settings, study: Study, done: list[Row]) -> list[Row]:
    """Trained rows within all limits that no other beats in score and cost, the cheapest first."""
    best = {trial.number for trial in study.best_trials}
    rows = [row for row in done if row.number in best and row.outcome == TRAINED]
    within = [(settings.price(row.cost), row) for row in rows if row.cost and not row.reason]
    return [row for _, row in sorted(within, key=lambda pair: (pair[0], pair[1].number))]


def choose(
    settings: Settings, rows: list[Row], out: Path, tell: Callable[[str], None]
) -> tuple[Chosen, ...]:
    """Write the models of a front and measure them once more, from the files that were written.

    Args:
        settings: of the search.
        rows: of `front`.
        out: an existing folder.
        tell: told what is measured.

    Raises:
        SearchError: the files of a trial are missing.
        BackendMismatch: firmware of a chosen model differs from the reference.
    """
    chosen = []
    for row in rows:
        label = row.configuration.label
        tell(label)
        targets = (out / f"{label}.keras", out / f"{label}.edgernn")
        for source, target in zip(trial_files(settings, row.number), targets, strict=True):
            if not source.is_file():
                raise SearchError(
                    f"{source}: expected the model of trial {row.number} next to its study, "
                    "got none. Start a new search with another --study."
                )
            shutil.copyfile(source, target)
        model = IntegerModel.load(targets[1])
        cost = measure(model, settings.place, _STEPS)
        chosen.append(
            Chosen(
                row=row,
                cost=cost,
                over=settings.limits.over(cost),
                test_score=settings.trainer.evaluate(model, "test"),
                files=targets,
            )
        )
    return tuple(chosen)


@dataclass(frozen=True, slots=True, kw_only=True)
class Least:
    """The least that a search space needs of something that is limited.

    Attributes:
        configuration: that needs the least of it.
        cost: its cost, untrained.
        over: the limits that it exceeds.
    """

    configuration: Configuration
    cost: Cost
    over: tuple[Over, ...]

    def sentence(self) -> str:
        """Its figures."""
        sentences = "; ".join(over.sentence for over in self.over)
        return f"{self.configuration.label} needs {self.cost.sentence()}: {sentences}"

    def record(self) -> dict[str, Any]:
        """As a JSON value."""
        over = [over.sentence for over in self.over]
        return {"label": self.configuration.label, **self.cost.record(), "over": over}


def nothing_fits(settings: Settings, tell: Callable[[str], None]) -> tuple[Least, ...]:
    """Prove that no configuration meets the limits, by the smallest of every kind.

    Args:
        settings: of the search.
        tell: told what is measured.

    Returns:
        Empty if some may meet them; else those that come nearest to each limit, each once.

    Raises:
        BackendUnavailable: a compiler or QEMU is missing.
    """
    small: list[Least] = []
    for configuration in settings.space.smallest():
        tell(configuration.label)
        model = untrained(settings.trainer, configuration, settings.space.pattern)
        cost = measure(model, settings.place)
        over = settings.limits.over(cost)
        if not over:
            return ()
        small.append(Least(configuration=configuration, cost=cost, over=over))
    nearest = {min(small, key=lambda least: least.over[0].excess).configuration.label}
    for name in settings.limits.excesses(small[0].cost):
        nearest.add(_nearest(settings, small, name).configuration.label)
    return tuple(least for least in small if least.configuration.label in nearest)


def _nearest(settings: Settings, small: list[Least], name: str) -> Least:
    return min(small, key=lambda least: settings.limits.excesses(least.cost)[name])
