"""Workers: processes that take trials from one study, and end with whoever began them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import TYPE_CHECKING, Final

from edgernn.errors import EdgeRnnError, SearchError
from edgernn_export.search.settings import Settings
from edgernn_export.search.study import opened
from edgernn_export.search.trials import run_trials

if TYPE_CHECKING:
    from optuna import Study

#: Seconds between two looks at the workers.
_LOOK_S: Final = 0.5
#: Read by the libraries underneath TensorFlow when they are loaded.
_THREADS: Final = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")


def run_workers(
    settings: Settings, study: Study, deadline: float, advance: Callable[[], None]
) -> None:
    """Run trials, in this process for one worker, else in as many of their own.

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
                    f"search: expected workers to end with 0, got {process.exitcode} of one. "
                    "What it said stands above; the same command goes on where this stopped."
                )
        left = [process for process in left if process.exitcode is None]


def _work(settings: Settings, number: int, deadline: float, alive: Connection) -> None:
    # An interrupt from the keyboard reaches all processes; the first of them ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(alive,), daemon=True).start()
    share = max(1, (os.cpu_count() or 1) // settings.workers)
    for name in _THREADS:
        os.environ.setdefault(name, str(share))
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
