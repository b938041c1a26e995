"""The whole search, from the study to the files.

Before a configuration is trained, an untrained integer model of its shape is linked and run; if
that exceeds a limit, the configuration is refused. What is trained is measured again.
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgernn.container.disk import write_atomically
from edgernn_export.search.pareto import Chosen, Least, choose, front, nothing_fits
from edgernn_export.search.settings import Settings
from edgernn_export.search.study import held, opened, reclaim
from edgernn_export.search.trials import TRAINED, Row, rows, run_workers

if TYPE_CHECKING:
    from optuna import Study

#: File names in the folder of results.
SUMMARY, PICTURE = "search.json", "front.png"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a search found.

    Attributes:
        settings: what was asked.
        rows: all finished trials of the study.
        chosen: models of the Pareto front, the cheapest first.
        least: where no configuration can meet the limits, those that come nearest; else empty.
        reclaimed: trials that an earlier search left in the middle.
    """

    settings: Settings
    rows: tuple[Row, ...]
    chosen: tuple[Chosen, ...]
    least: tuple[Least, ...]
    reclaimed: int

    @property
    def passed(self) -> bool:
        """There are models, and all of them meet the limits."""
        return bool(self.chosen) and not any(model.over for model in self.chosen)

    def record(self) -> dict[str, Any]:
        """As a JSON value."""
        return {
            **self.settings.identity(),
            "clock": self.settings.place.clock_source,
            "trials": [_row_record(row) for row in self.rows],
            "front": [model.record() for model in self.chosen],
            "nothing_fits": [least.record() for least in self.least],
            "passed": self.passed,
        }


def _row_record(row: Row) -> dict[str, Any]:
    return {
        "trial": row.number,
        **asdict(row.configuration),
        "outcome": row.outcome,
        "validation": row.score,
        "cost": None if row.cost is None else row.cost.record(),
        "reason": row.reason,
    }


def search(settings: Settings, out: Path, *, progress: bool | None = None) -> Outcome:
    """Search, or continue with a search, and write what was found.

    Args:
        settings: of the search.
        out: folder for the models of the Pareto front (.keras and .edgernn), `search.json` and
            `front.png`; made if it does not exist.
        progress: show a bar on stderr; None where it is a terminal.

    Returns:
        The outcome; without models where no configuration can meet the limits.

    Raises:
        SearchError: the study is in use, no study, or one of another search; a worker or all
            trials failed.
        BackendUnavailable: a compiler or QEMU is missing; names the packages.
        BackendMismatch: firmware of a chosen model differs from the reference.
    """
    minutes = math.inf if settings.minutes is None else settings.minutes
    deadline = time.time() + 60 * minutes
    with held(settings), opened(settings, settings.workers) as study:
        reclaimed = reclaim(study)
        with _bar(settings, study, progress) as (advance, tell):
            begun = any(row.outcome == TRAINED for row in rows(settings, study))
            least = () if begun else nothing_fits(settings, tell)
            if not least:
                run_workers(settings, study, deadline, advance)
            done = rows(settings, study)
            out.mkdir(parents=True, exist_ok=True)
            _remove_earlier(out)
            chosen = choose(settings, front(settings, study, done), out, tell)
    outcome = Outcome(
        settings=settings, rows=tuple(done), chosen=chosen, least=least, reclaimed=reclaimed
    )
    _write(outcome, out)
    return outcome


def _remove_earlier(out: Path) -> None:
    """Remove the models of an earlier front, by the summary that names them."""
    try:
        front = json.loads((out / SUMMARY).read_bytes())["front"]
        names = [Path(name).name for model in front for name in model["files"]]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return
    for name in names:
        (out / name).unlink(missing_ok=True)


def _write(outcome: Outcome, out: Path) -> None:
    text = json.dumps(outcome.record(), indent=1)
    write_atomically(out / SUMMARY, f"{text}\n".encode())
    if any(row.outcome == TRAINED for row in outcome.rows):
        from edgernn_export.search.plot import draw

        draw(outcome.settings, outcome.rows, outcome.chosen, out / PICTURE)


@contextmanager
def _bar(
    settings: Settings, study: Study, progress: bool | None
) -> Iterator[tuple[Callable[[], None], Callable[[str], None]]]:
    """A bar over the trained configurations, with the number of skipped ones."""
    from tqdm import tqdm

    with tqdm(
        total=settings.trials, desc="search", unit=" trials", file=sys.stderr, leave=False,
        disable=None if progress is None else not progress,
    ) as bar:  # fmt: skip

        def advance() -> None:
            done = rows(settings, study)
            scores = [row.score for row in done if row.score is not None]
            bar.n = len(scores)
            best = (max if settings.trainer.rising else min)(scores, default=math.nan)
            bar.set_postfix_str(f"{len(done) - len(scores)} skipped, best {best:.4g}")

        def tell(what: str) -> None:
            bar.set_postfix_str(f"measuring {what}")

        advance()
        yield advance, tell
