"""A pipeline whose streams are spread over several processes."""

from __future__ import annotations

import dataclasses
import math
import signal
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from edgernn.connections.arrival import Arrival, Result
from edgernn.errors import EdgeRnnError
from edgernn.records.port_names import column_names
from edgernn.service.assembly import make_pipeline
from edgernn.service.config.settings import ServeConfig
from edgernn.service.pipeline import Pipeline, Told
from edgernn.service.readings import ignore_clipping, is_text

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

#: The field in which a process finds again which reading a result is of.
_INDEX: Final = ""
#: How long a process may take to end.
_JOIN_S: Final = 10.0


def shard_of(key: str, count: int) -> int:
    """The process of a key, the same on every machine and in every run."""
    return zlib.crc32(key.encode(errors="replace")) % count


class ShardedPipeline:
    """What `Pipeline` does, in several processes: the same results in the same order.

    The saved states and all that is not computation stay in this process, so any number of
    processes continues what any other number has saved.

    Args:
        config: with the number of processes.
        one: a pipeline of the model, which is closed.

    Attributes:
        interface: as in `Pipeline`.
        channels: as in `Pipeline`.
        counts: as in `Pipeline`.
        clipped_readings: as in `Pipeline`.
    """

    def __init__(self, config: ServeConfig, one: Pipeline) -> None:
        """Start the processes."""
        import multiprocessing

        self.interface, self.channels = one.interface, one.channels
        self.counts: Counter[str] = Counter()
        self.clipped_readings: Sequence[int] = (0,) * one.interface.input.width
        recorded = self.interface.output
        self._outputs = column_names(recorded.names, recorded.ports)
        one.close()
        self._saved: Callable[[list[str]], Mapping[str, bytes]] | None = None
        self._told: Told = lambda _key, _text: None
        self._in_memory: set[str] = set()
        context = multiprocessing.get_context("spawn")
        config = _share(config)
        self._pipes: list[Connection] = []
        self._processes = []
        for number in range(config.service.workers):
            here, there = context.Pipe()
            process = context.Process(
                target=_work, args=(there, config), name=f"worker {number}", daemon=True
            )
            process.start()
            there.close()
            self._pipes.append(here)
            self._processes.append(process)
        self._facts: list[Any] = [None] * len(self._pipes)
        shas = {self._answer(number) for number in range(len(self._pipes))}
        if shas != {self.interface.model_sha256}:
            self.close()
            raise EdgeRnnError("workers: expected one model in all processes, got several.")

    def __len__(self) -> int:
        """Streams in memory."""
        return len(self._in_memory)

    def __contains__(self, key: object) -> bool:
        """As in `Pipeline`."""
        return key in self._in_memory

    def tell(self, told: Told) -> None:
        """As in `Pipeline`."""
        self._told = told

    def recall_from(self, saved: Callable[[list[str]], Mapping[str, bytes]] | None) -> None:
        """As in `Pipeline`."""
        self._saved = saved

    def keys(self) -> list[str]:
        """As in `Pipeline`."""
        return list(self._in_memory)

    def recall(self, keys: Iterable[str]) -> None:
        """As in `Pipeline`."""
        shares: list[list[str]] = [[] for _ in self._pipes]
        for key in keys:
            shares[shard_of(key, len(shares))].append(key)
        found = [self._look_up(share) for share in shares]
        self._ask_all(
            "recall", [(share, saved) for share, saved in zip(shares, found, strict=True)]
        )

    def process(
        self, arrivals: Sequence[Arrival], arrived_s: Sequence[float] | None = None
    ) -> list[Result]:
        """As in `Pipeline`."""
        count = len(self._pipes)
        stamps = [float("nan")] * len(arrivals) if arrived_s is None else arrived_s
        shares: list[list[tuple[Any, ...]]] = [[] for _ in range(count)]
        for index, (arrival, stamp_s) in enumerate(zip(arrivals, stamps, strict=True)):
            row = (index, arrival.key, arrival.values, arrival.time_s, arrival.sequence, stamp_s)
            shares[shard_of(arrival.key, count)].append(row)
        found = [self._look_up([row[1] for row in share]) for share in shares]
        answers = self._ask_all("process", list(zip(shares, found, strict=True)))
        rows = [row for answer in answers for row in answer]
        rows.sort(key=lambda row: row[0])  # stable: several results of one reading keep their order
        names = self._outputs
        return [
            Result(
                arrivals[index].key, time_s, number, x, y, dict(zip(names, y, strict=True)),
                decisions, arrivals[index].passed, bad, arrivals[index].time_s is None,
            )
            for index, time_s, number, x, y, decisions, bad in rows
        ]  # fmt: skip

    def export(self, keys: Sequence[str]) -> dict[str, bytes]:
        """As in `Pipeline`."""
        answers = self._ask_all("export", [(list(keys),)] * len(self._pipes))
        return {key: blob for answer in answers for key, blob in answer.items()}

    def take_changed(self) -> dict[str, bytes]:
        """As in `Pipeline`."""
        blobs: dict[str, bytes] = {}
        for saved, left in self._ask_all("take_changed", [()] * len(self._pipes)):
            blobs |= saved
            self._in_memory -= set(left)
        return blobs

    def let_idle_leave(self) -> None:
        """As in `Pipeline`."""
        self._ask_all("let_idle_leave", [()] * len(self._pipes))

    def close(self) -> None:
        """End the processes."""
        for pipe in self._pipes:
            pipe.close()
        for process in self._processes:
            process.join(_JOIN_S)
            if process.is_alive():
                process.kill()

    def _look_up(self, keys: Iterable[str]) -> dict[str, bytes]:
        """What is saved of streams that no process has in memory."""
        new = [key for key in dict.fromkeys(keys) if key and key not in self._in_memory]
        self._in_memory.update(new)
        savable = [key for key in new if is_text(key)]
        return dict(self._saved(savable)) if self._saved is not None and savable else {}

    def _ask_all(self, name: str, arguments: list[tuple[Any, ...]]) -> list[Any]:
        """Ask every process; all of them work at the same time."""
        try:
            for pipe, given in zip(self._pipes, arguments, strict=True):
                pipe.send((name, given))
        except OSError as error:
            raise _ended() from error
        answers = [self._answer(number) for number in range(len(self._pipes))]
        self.counts = sum((facts[0] for facts in self._facts), Counter())
        self.clipped_readings = [sum(c) for c in zip(*(f[1] for f in self._facts), strict=True)]
        return answers

    def _answer(self, number: int) -> Any:
        try:
            answer, self._facts[number], told, error = self._pipes[number].recv()
        except (EOFError, OSError) as gone:
            raise _ended() from gone
        for key, text in told:
            self._told(key, text)
        if error is not None:
            raise error
        return answer


def _share(config: ServeConfig) -> ServeConfig:
    """The configuration of one process: its share of the streams that fit into memory."""
    most = math.ceil(config.streams.capacity / config.service.workers)
    return dataclasses.replace(config, streams=dataclasses.replace(config.streams, capacity=most))


def _ended() -> EdgeRnnError:
    return EdgeRnnError(
        "workers: expected all processes to run, got one that ended. Look for its last words in "
        "the log, and for memory that ran out; what was saved is intact."
    )


def _work(pipe: Connection, config: ServeConfig) -> None:
    """One process: answer what the service asks until it closes the pipe."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the service stops its processes itself
    ignore_clipping()
    told: list[tuple[str, str]] = []
    saved: dict[str, bytes] = {}

    def look_up(keys: list[str]) -> dict[str, bytes]:
        return {key: saved[key] for key in keys if key in saved}

    pipeline = None
    try:
        pipeline = make_pipeline(config, saved=look_up)
        pipeline.tell(lambda key, text: told.append((key, text)))
        answer: Any = pipeline.interface.model_sha256
        error: Exception | None = None
        while True:
            facts = pipeline.counts, tuple(pipeline.clipped_readings)
            pipe.send((answer, facts, tuple(told), error))
            told.clear()
            name, arguments = pipe.recv()
            error = answer = None
            try:
                if name in ("process", "recall"):
                    share, found = arguments
                    saved.update(found)
                    answer = _processed(pipeline, share) if name == "process" else None
                    if name == "recall":
                        pipeline.recall(share)
                    saved.clear()
                elif name == "take_changed":
                    blobs = pipeline.take_changed()
                    answer = blobs, [key for key in blobs if key not in pipeline]
                else:
                    answer = getattr(pipeline, name)(*arguments)
            except EdgeRnnError as failed:
                error = failed
    except (EOFError, BrokenPipeError, ConnectionResetError):
        pass  # the service has ended
    finally:
        if pipeline is not None:
            pipeline.close()


def _processed(pipeline: Pipeline, share: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    arrivals = [
        Arrival(key, values, time_s, sequence, "", {_INDEX: index})
        for index, key, values, time_s, sequence, _ in share
    ]
    results = pipeline.process(arrivals, [row[-1] for row in share])
    return [(r.passed[_INDEX], r.time_s, r.sequence, r.x, r.y, r.decisions, r.bad) for r in results]
