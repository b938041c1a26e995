"""One trial after the other: choose, measure, refuse or train, score.

Several workers are processes that take trials from one study, and end with the process that started
them.
"""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from edgernn.cli.quiet_libraries import silence_libraries
from edgernn.errors import BackendUnavailable, DataUnavailable, EdgeRnnError, SearchError
from edgernn_export.search.candidates import trained, untrained
from edgernn_export.search.hardware_cost import Cost, cost_of, measure
from edgernn_export.search.settings import Settings
from edgernn_export.search.space import Configuration
from edgernn_export.search.study import asking, opened, trial_files

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.trial import FrozenTrial

#: Repeats the sampler may propose before a new configuration is drawn at random.
_REPEATS: Final = 2
#: So many failures without one success are no accident.
_FAILURES: Final = 5
#: Constraints are shares of a limit; what cannot be measured exceeds it by this much.
_WORST: Final = 1e6

TRAINED: Final = "trained"
REFUSED: Final = "refused"
FAILED: Final = "failed"
#: Seconds between two looks at the workers.
_LOOK_S: Final = 0.5
#: Read by the libraries underneath TensorFlow when they are loaded.
_THREADS: Final = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A finished trial.

    Attributes:
        number: Optuna's.
        configuration: that was tried.
        outcome: `TRAINED`, `REFUSED` (over a limit before training) or `FAILED`.
        score: on the validation part, by the integer model; None unless trained.
        cost: of the trained model, else of the untrained one; None where it failed before.
        reason: why it was refused or failed, or what the trained model exceeds; else empty.
    """

    number: int
    configuration: Configuration
    outcome: str
    score: float | None
    cost: Cost | None
    reason: str


def rows(settings: Settings, study: Study) -> list[Row]:
    """All finished trials that belong to the search; repeats and killed ones left out."""
    found = (_row(settings, trial) for trial in study.get_trials(deepcopy=False))
    return [row for row in found if row is not None]


def _row(settings: Settings, trial: FrozenTrial) -> Row | None:
    from optuna.trial import TrialState

    outcomes = {TrialState.COMPLETE: TRAINED, TrialState.PRUNED: REFUSED}
    if trial.state is TrialState.FAIL and FAILED in trial.user_attrs:
        outcome = FAILED
    elif trial.state in outcomes:
        outcome = outcomes[trial.state]
    else:
        return None
    cost = trial.user_attrs.get("cost")
    return Row(
        number=trial.number,
        configuration=settings.space.configuration(trial.params),
        outcome=outcome,
        score=trial.values[0] if outcome == TRAINED else None,
        cost=None if cost is None else cost_of(cost),
        reason=trial.user_attrs.get(FAILED) or trial.user_attrs.get("over", ""),
    )


def run_trials(
    settings: Settings, study: Study, deadline: float, advance: Callable[[], None]
) -> None:
    """Try configurations until enough are trained, time is over, or there are no more.

    Args:
        settings: of the search.
        study: of `study.opened`.
        deadline: of `time.time`; no trial begins later.
        advance: called after every trial.

    Raises:
        SearchError: the first trials all failed.
        BackendUnavailable: a compiler or QEMU is missing.
        DataUnavailable: the data are.
    """
    while time.time() < deadline:
        with asking(settings):
            trial = _next(settings, study)
        if trial is None:
            return
        _run(settings, study, trial)
        advance()
        _check_failures(rows(settings, study))


def _next(settings: Settings, study: Study) -> Trial | None:
    """A trial of a configuration that nobody has tried; None if none is wanted or left."""
    from optuna.trial import TrialState

    running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    done = rows(settings, study)
    named = settings.space.configuration
    if sum(row.outcome == TRAINED for row in done) + len(running) >= settings.trials:
        return None
    # A worker may be between asking and its parameters only under this lock, which is ours.
    seen = {row.configuration for row in done} | {named(t.params) for t in running}
    if len(seen) >= settings.space.size:
        return None
    distributions = settings.space.distributions()
    for _ in range(_REPEATS):
        trial = study.ask(distributions)
        if named(trial.params) not in seen:
            return trial
        study.tell(trial, state=TrialState.FAIL)
    study.enqueue_trial(_unseen(settings, seen))
    return study.ask(distributions)


def _unseen(settings: Settings, seen: set[Configuration]) -> dict[str, Any]:
    left = [c for c in settings.space.configurations() if c not in seen]
    chosen = left[np.random.default_rng([settings.seed, len(seen)]).integers(len(left))]
    return {name: getattr(chosen, name) for name in settings.space.distributions()}


def _run(settings: Settings, study: Study, trial: Trial) -> None:
    """One trial to its end; stopped in between it stays running, for `study.reclaim`."""
    from optuna.trial import TrialState

    configuration = settings.space.configuration(trial.params)
    try:
        model = untrained(settings.trainer, configuration, settings.space.pattern)
        cost = measure(model, settings.place)
        if _over(settings, cost):
            _note(settings, trial, cost)
            study.tell(trial, state=TrialState.PRUNED)
            return
        score, cost = _train(settings, trial.number, configuration)
    except (BackendUnavailable, DataUnavailable):
        raise
    except EdgeRnnError as error:
        trial.set_user_attr(FAILED, f"{error}")
        study.tell(trial, state=TrialState.FAIL)
        return
    _note(settings, trial, cost)
    study.tell(trial, [score, settings.price(cost)])


def _train(settings: Settings, number: int, configuration: Configuration) -> tuple[float, Cost]:
    """Score and cost of the trained integer model, which is then on disk."""
    trainer = settings.trainer
    network = trainer.train(configuration, settings.space.pattern)
    model = trained(trainer, configuration, network)
    cost = measure(model, settings.place)
    score = trainer.evaluate(model, "validation")
    if not math.isfinite(score):
        raise SearchError(
            f"{configuration.label}: expected a finite {trainer.metric}, got {score}."
        )
    keras_file, edgernn_file = trial_files(settings, number)
    network.save(keras_file)
    model.save(edgernn_file)
    return score, cost


def _over(settings: Settings, cost: Cost) -> str:
    """What a configuration exceeds; empty if it may be trained."""
    sentences = [over.sentence for over in settings.limits.over(cost)]
    if settings.price(cost) == math.inf and not sentences:
        sentences = ["too large to be emulated, although its time is to be minimized"]
    return "; ".join(sentences)


def _note(settings: Settings, trial: Trial, cost: Cost) -> None:
    """Keep the cost, what it exceeds, and by how much, which the sampler learns from."""
    trial.set_user_attr("cost", cost.record())
    over = _over(settings, cost)
    if over:
        trial.set_user_attr("over", over)
    for name, excess in settings.limits.excesses(cost).items():
        trial.set_constraint(name, min(excess, _WORST))


def _check_failures(done: list[Row]) -> None:
    failed = [row for row in done if row.outcome == FAILED]
    if len(failed) >= _FAILURES and all(row.outcome != TRAINED for row in done):
        raise SearchError(
            f"search: expected trials that can be trained, got {len(failed)} failures and no "
            f"success. The last: {failed[-1].configuration.label}: {failed[-1].reason}"
        )


def run_workers(
    settings: Settings, study: Study, deadline: float, advance: Callable[[], None]
) -> None:
    """Run trials, in this process for one worker, else in a separate process for each worker.

    Args:
        settings: of the search.
        study: of this process.
        deadline: of `time.time`; no trial begins later.
        advance: called after every trial, or every half second.

    Raises:
        SearchError: a worker failed, or the first trials all did.
        BackendUnavailable: a compiler or QEMU is missing.
        DataUnavailable: the data are.
    """
    if settings.workers == 1:
        run_trials(settings, study, deadline, advance)
        return
    # TensorFlow's threads do not survive a fork.
    context = multiprocessing.get_context("spawn")
    alive, owned = context.Pipe(duplex=False)
    processes = [
        context.Process(target=_work, args=(settings, number, deadline, alive))
        for number in range(settings.workers)
    ]
    try:
        for process in processes:
            process.start()
        _watch(processes, advance)
    finally:
        owned.close()
        for process in processes:
            if process.pid is not None:
                process.join()
        alive.close()


def _watch(processes: list[SpawnProcess], advance: Callable[[], None]) -> None:
    left = list(processes)
    while left:
        left[0].join(_LOOK_S)
        advance()
        for process in left:
            if process.exitcode:
                raise SearchError(
                    f"search: expected exit status 0 from all workers, got {process.exitcode} "
                    "from one. Read its message above; the same command continues the search."
                )
        left = [process for process in left if process.exitcode is None]


def _work(settings: Settings, number: int, deadline: float, alive: Connection) -> None:
    # An interrupt from the keyboard reaches all processes; the first of them ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(alive,), daemon=True).start()
    share = max(1, (os.cpu_count() or 1) // settings.workers)
    for name in _THREADS:
        os.environ.setdefault(name, str(share))
    silence_libraries()
    try:
        with opened(settings, worker=number) as study:
            run_trials(settings, study, deadline, lambda: None)
    except EdgeRnnError as error:
        print(f"worker {number}: {error}", file=sys.stderr)
        sys.exit(1)


def _end_with(alive: Connection) -> None:
    """Nothing is ever sent: the pipe ends when the other process does, killed or not."""
    try:
        alive.recv()
    except (EOFError, OSError):
        os._exit(1)
