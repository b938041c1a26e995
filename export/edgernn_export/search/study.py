"""The study: an Optuna study in an SQLite file, held by one search at a time, resumable."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from edgernn.errors import SearchError
from edgernn_export.search.settings import Settings

if TYPE_CHECKING:
    from optuna import Study
    from optuna.samplers import BaseSampler

_NAME: Final = "edgernn"
_IDENTITY: Final = "edgernn_search"
#: System attribute in which Optuna keeps the parameters of an enqueued trial.
_ENQUEUED: Final = "fixed_params"
#: Seconds a process waits while another writes.
_PATIENCE_S: Final = 120
#: Trials before TPE models what it has seen; a generation of NSGA-II.
_FIRST_TRIALS: Final = 10


@contextmanager
def held(settings: Settings) -> Iterator[None]:
    """Hold a study for one search; the kernel lets go when the process ends, however it ends.

    Raises:
        SearchError: another search holds it.
    """
    settings.models.mkdir(parents=True, exist_ok=True)
    with (settings.models / "search.lock").open("w", encoding="ascii") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SearchError(
                f"{settings.study}: expected an unused study, got one that another search is "
                "using. Wait until it ends, or pass another --study."
            ) from None
        yield


@contextmanager
def asking(settings: Settings) -> Iterator[None]:
    """Let one process at a time choose its next trial."""
    with (settings.models / "ask.lock").open("w", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def opened(settings: Settings, worker: int = 0) -> Iterator[Study]:
    """Open the study, or make it.

    Args:
        settings: of the search.
        worker: each worker's sampler has its own seed.

    Raises:
        SearchError: the file is no study, or one of another search.
    """
    import optuna
    from sqlalchemy.exc import DatabaseError

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    settings.study.parent.mkdir(parents=True, exist_ok=True)
    try:
        storage = optuna.storages.RDBStorage(
            f"sqlite:///{settings.study}",
            engine_kwargs={"connect_args": {"timeout": _PATIENCE_S}},
        )
    except (DatabaseError, RuntimeError) as error:
        raise SearchError(
            f"{settings.study}: expected an Optuna study in SQLite, got another file "
            f"({str(error).splitlines()[0]:.200}). Pass another --study."
        ) from error
    try:
        study = optuna.create_study(
            storage=storage,
            study_name=_NAME,
            directions=settings.directions,
            load_if_exists=True,
        )
        _check_identity(study, settings)
        study.sampler = _sampler(settings, worker, len(study.get_trials(deepcopy=False)))
        yield study
    finally:
        storage.remove_session()
        storage.engine.dispose()


def _sampler(settings: Settings, worker: int, trials: int) -> BaseSampler:
    """Seeded; a search that goes on does not repeat the draws of its beginning."""
    from optuna.samplers import NSGAIISampler, TPESampler

    seed = int(np.random.SeedSequence([settings.seed, worker, trials]).generate_state(1)[0])
    if settings.sampler == "nsga2":
        return NSGAIISampler(population_size=_FIRST_TRIALS, seed=seed)
    return TPESampler(n_startup_trials=_FIRST_TRIALS, seed=seed)


def _check_identity(study: Study, settings: Settings) -> None:
    # Through JSON, as the storage keeps it: tuples become lists on both sides.
    wanted = json.loads(json.dumps(settings.identity()))
    kept = study.user_attrs.get(_IDENTITY)
    if kept is None and not study.get_trials(deepcopy=False):
        study.set_user_attr(_IDENTITY, wanted)
        return
    if kept == wanted:
        return
    differing = [
        f"{name} {_text(before)} (now {_text(now)})"
        for name, before, now in _differences(kept or {}, wanted)
    ]
    raise SearchError(
        f"{settings.study}: expected a study of the same search, got one of another search: "
        f"{'; '.join(differing)}. Use the same options again, or pass another --study."
    )


def _differences(
    before: Mapping[str, Any], now: Mapping[str, Any], path: str = ""
) -> Iterator[tuple[str, Any, Any]]:
    """Names and values of the leaves that differ."""
    for name in sorted({*before, *now}):
        old, new = before.get(name), now.get(name)
        if isinstance(old, dict) and isinstance(new, dict):
            yield from _differences(old, new, f"{path}{name}.")
        elif old != new:
            yield path + name, old, new


def _text(value: Any) -> str:
    return "none" if value is None else f"{json.dumps(value):.80}"


def reclaim(study: Study) -> int:
    """Give up trials that a killed search left running, and enqueue them again.

    Only while the study is `held`, before any worker begins: no trial is then running.

    Returns:
        How many there were.
    """
    from optuna.trial import TrialState

    left = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    for trial in left:
        parameters = {**trial.system_attrs.get(_ENQUEUED, {}), **trial.params}
        # First in the queue, then given up: killed in between, it is tried twice, not never.
        if parameters:
            study.enqueue_trial(parameters, user_attrs={"retry_of": trial.number})
        study.tell(trial.number, state=TrialState.FAIL)
    return len(left)


def trial_files(settings: Settings, number: int) -> tuple[Path, Path]:
    """Where the .keras and .edgernn files of a trial lie."""
    stem = settings.models / f"trial-{number:04}"
    return stem.with_suffix(".keras"), stem.with_suffix(".edgernn")
