"""Processes that hold contenders and take turns on command.

The TFLite runtimes and TensorFlow exclude each other from a process, so each has its own. The
parent lets them work one after the other, never at the same time.

A worker is a Python process that talks JSON lines over its standard input and output. It imports
what the parent could import, so it also works in scripts and notebooks without a main guard.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any, Final, Self, TextIO

from edgernn.bench.contenders import Contender, LeftOut, Opened, function_named
from edgernn.bench.machine import peak_memory_bytes
from edgernn.errors import BackendMismatch, BackendUnavailable, EdgeRnnError

#: One thread each; libraries read these when they are loaded.
ENVIRONMENT: Final = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}
#: Program, form, way and instruction set of a contender.
Label = tuple[str, str, str, str]

_COMMAND: Final = "from edgernn.bench.workers import serve; serve()"
#: Errors that keep their type on the way to the parent; others become `EdgeRnnError`.
_ERRORS: Final = {error.__name__: error for error in (BackendMismatch, BackendUnavailable)}
#: Seconds in which a process without orders has to end.
_PATIENCE_S: Final = 10
#: Share of a turn that is run untimed to bring its memory back into the caches.
_WARM_UP: Final = 4


class Worker:
    """The parent's end of one process.

    Attributes:
        name: of the process, for messages.
        labels: labels of each network's contenders, in the order of their indices.
        contenders: what else is known of each, in the same order.
        left_out: what the process could not open.
        facts: what it found out.
        memory_bytes: peak resident memory after opening; None if the system does not tell.
    """

    def __init__(
        self, name: str, opener: str, arguments: Sequence[Any] = (), core: int | None = None
    ) -> None:
        """Start the process and wait until its contenders are checked.

        Args:
            name: for messages.
            opener: ``module:function`` that returns `Opened`.
            arguments: of the function, as JSON values.
            core: to pin the process to; None leaves that to the system.

        Raises:
            BackendMismatch: a contender gives other outputs than it should.
            BackendUnavailable: the process cannot run this model, or crashed.
            EdgeRnnError: an argument is wrong, or names a file that cannot be read.
            ImportError: a library is not installed; its ``name`` is that of the library.
        """
        self.name = name
        self._talk = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        paths = list(dict.fromkeys(path or os.getcwd() for path in sys.path))  # noqa: PTH109
        self._process = subprocess.Popen(
            # -P: a file in the working folder must not replace a module of the same name.
            [sys.executable, "-P", "-c", _COMMAND],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._talk,
            text=True,
            env=os.environ | ENVIRONMENT | {"PYTHONPATH": os.pathsep.join(paths)},
        )
        try:
            opened = self._ask({"open": opener, "arguments": list(arguments), "core": core})
        except BaseException:  # an interrupt too, while a library loads or converts
            self._process.kill()
            self.close()
            raise
        self.contenders: dict[str, list[dict[str, Any]]] = opened["contenders"]
        self.labels: dict[str, list[Label]] = {
            network: [tuple(one["label"]) for one in found]
            for network, found in self.contenders.items()
        }
        self.left_out = [LeftOut(**one) for one in opened["left_out"]]
        self.facts: dict[str, Any] = opened["facts"]
        self.memory_bytes: int | None = opened["memory_bytes"]

    def take_turn(self, network: str, index: int) -> float:
        """Nanoseconds per step of one turn."""
        nanoseconds: float = self._ask({"turn": [network, index]})
        return nanoseconds

    def take_calls(self, network: str, index: int) -> list[float]:
        """Nanoseconds per step of each call of one turn."""
        nanoseconds: list[float] = self._ask({"calls": [network, index]})
        return nanoseconds

    def _ask(self, order: dict[str, Any]) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(order, default=os.fspath) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            self._process.wait()
            raise BackendUnavailable(
                f"bench, {self.name}: expected an answer, got a process that ended with "
                f"{self._process.returncode}. Its last words: {self._last_words()}"
            )
        answer = json.loads(line)
        if "error" not in answer:
            return answer["result"]
        if answer["missing"]:
            raise ImportError(answer["error"], name=answer["missing"])
        raise _ERRORS.get(answer["type"], EdgeRnnError)(answer["error"])

    def _last_words(self) -> str:
        self._talk.seek(0)
        lines = [line.strip() for line in self._talk if line.strip()]
        return lines[-1][:300] if lines else "none."

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it has ended already
            self._process.stdin.close()
        try:
            self._process.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:  # an interrupted turn, or a library that does not end
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._talk.close()

    def __enter__(self) -> Self:
        """Return the worker itself."""
        return self

    def __exit__(self, *exception: object) -> None:
        """End the process."""
        self.close()


def in_process(function: str, *arguments: Any) -> Any:
    """Call ``module:function`` in a separate process and return its JSON result.

    Args:
        function: module and function.
        arguments: JSON values.

    Raises:
        EdgeRnnError, ImportError: as `Worker`.
    """
    name = function.partition(":")[2]
    with Worker(name, f"{__name__}:returned", [function, *arguments]) as worker:
        return worker.facts["returned"]


def returned(function: str, *arguments: Any) -> Opened:
    """An opener without contenders: calls a function and passes its result on as a fact."""
    return Opened(contenders={}, facts={"returned": function_named(function)(*arguments)})


def serve() -> None:
    """The process's end: open, check, then one turn per line until the parent hangs up."""
    # The answers have their own descriptor: libraries may print what they like.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    warnings.simplefilter("ignore")
    opened = _answer(answers, lambda: _opened(json.loads(sys.stdin.readline())), _told)
    if opened is None:
        return
    gc.freeze()
    gc.disable()
    for line in sys.stdin:
        ((what, (network, index)),) = json.loads(line).items()
        contender = opened.contenders[network][index]
        time_of = per_step_ns if what == "turn" else call_ns
        if _answer(answers, functools.partial(time_of, contender), _unchanged) is None:
            return


def _unchanged(found: Any) -> Any:
    return found


def _opened(order: dict[str, Any]) -> Opened:
    if order["core"] is not None:
        os.sched_setaffinity(0, {order["core"]})
    opened: Opened = function_named(order["open"])(*order["arguments"])
    return opened


def _told(opened: Opened) -> dict[str, Any]:
    """What the parent hears about the contenders."""
    return {
        "contenders": {
            network: [
                {
                    "label": c.label,
                    "steps": c.steps,
                    "calls": c.call is not None,
                    "departure": c.departure,
                    "note": c.note,
                }
                for c in found
            ]
            for network, found in opened.contenders.items()
        },
        "left_out": [{"what": one.what, "why": one.why} for one in opened.left_out],
        "facts": opened.facts,
        "memory_bytes": peak_memory_bytes(),
    }


def _answer(answers: TextIO, work: Callable[[], Any], told: Callable[[Any], Any]) -> Any:
    """Send the result of some work, or its error; None if it failed."""
    try:
        done = work()
        record: dict[str, Any] = {"result": told(done)}
    except (EdgeRnnError, ImportError, OSError) as error:
        done = None
        missing = error.name or "a library" if isinstance(error, ImportError) else None
        record = {"error": str(error), "type": type(error).__name__, "missing": missing}
    answers.write(json.dumps(record) + "\n")
    answers.flush()
    return done


def per_step_ns(contender: Contender) -> float:
    """Nanoseconds per step of a turn, after another that fills the caches."""
    contender.turn()
    start = time.perf_counter_ns()
    contender.turn()
    return (time.perf_counter_ns() - start) / contender.steps


def call_ns(contender: Contender) -> list[float]:
    """Nanoseconds per step of each call of a turn, after a part of one that fills the caches."""
    call, rows, clock = contender.call, contender.rows, time.perf_counter_ns
    assert call is not None
    for row in rows[: -(-len(rows) // _WARM_UP)]:
        call(row)
    times = []
    for row in rows:
        start = clock()
        call(row)
        times.append(clock() - start)
    return [taken / contender.per_call for taken in times]
