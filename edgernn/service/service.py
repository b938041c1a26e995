"""The service: readings in, results out, states saved, until it is told to stop."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from typing import Any, Final

from edgernn.backends.streams.stream_bytes import streams_continue
from edgernn.connections.arrival import ArrivalBatch
from edgernn.connections.troubles import Troubles
from edgernn.errors import EdgeRnnError, StoreError
from edgernn.service.assembly import make_pipeline, model_path, open_store
from edgernn.service.config.settings import ServeConfig
from edgernn.service.delivery import Delivery
from edgernn.service.figures import Figures
from edgernn.service.intake import ReadingQueue, SourceThread, Taken
from edgernn.service.process.notify import Notifier
from edgernn.service.workers import ShardedPipeline

_LOG: Final = logging.getLogger("edgernn.service")
#: Longest wait for readings, so that the loop goes round.
_IDLE_S: Final = 0.5
#: Seconds between two looks at the file of the model.
_WATCH_S: Final = 2.0
#: A day before this one, in days since 1970, is that of a clock that is not set.
_FIRST_DAY: Final = 20_000
#: A source that waits for an acknowledgement gets one early if saving takes less than this share.
_SAVING_SHARE: Final = 0.1


class Service:
    """One configuration at work.

    `run` returns when every source or one sink has ended, or after `stop`. Each batch goes through
    the pipeline to all sinks; the sinks flush; states and positions are saved in one transaction;
    then the sources hear that the batch is done. After a crash, what was not saved is read and
    computed again: states are exact, results come at least once, with the same sequence numbers.

    Args:
        config: the settings.
        pipeline: of the configured model.
        sources: not opened.
        sinks: not opened.
        notifier: tells systemd.

    Attributes:
        figures: what the HTTP server shows.
        threads: one for each source, once the service runs.
        deliveries: one for each sink.
    """

    def __init__(
        self,
        config: ServeConfig,
        pipeline: Any,
        sources: list[Any],
        sinks: list[Any],
        notifier: Notifier | None = None,
    ) -> None:
        """Open nothing yet."""
        self.config, self.pipeline = config, pipeline
        self._sources = sources
        self._notifier = notifier or Notifier({})
        self._queue = ReadingQueue(config.service.queue_readings)
        self._stopping, self._reload_wanted = threading.Event(), threading.Event()
        self._stop_by_s = float("inf")
        http = config.http
        self.figures = Figures(
            pipeline.interface,
            history=http.history,
            max_keys=http.max_keys,
            truth=http.truth,
            truth_after=http.truth_after,
        )
        self.deliveries = [
            Delivery(sink, settings, pipeline.interface, self._wait)
            for sink, settings in zip(sinks, config.deliveries, strict=True)
        ]
        self.threads: list[SourceThread] = []
        self._store: Any = None
        self._unsaved: list[Taken] = []
        self._blobs: dict[str, bytes] = {}
        self._forgot_day: int | None = None
        self._saved_s, self._saving_s = time.monotonic(), 0.0
        self._watched_s, self._stamp = time.monotonic(), self._model_stamp()
        self._troubles = Troubles(_LOG, "readings")
        self._failures = Troubles(_LOG, "service")

    def stop(self) -> None:
        """Finish what has been read, save and end; safe in a signal handler and in any thread."""
        self._stopping.set()

    def reload(self) -> None:
        """Open the model's file again; safe in a signal handler and in any thread."""
        self._reload_wanted.set()

    def told(self, key: str, text: str) -> None:
        """Say something about a stream; what repeats is counted."""
        self._troubles.tell(text, key)

    def run(self) -> None:
        """Serve.

        Raises:
            SourceError: a source cannot be opened.
            StoreError: the store cannot be opened.
        """
        try:
            self._open()
            _LOG.info(
                "Ready: %s", self.pipeline.interface.name,
                extra={"fields": {"sources": len(self._sources), "sinks": len(self.deliveries)}},
            )  # fmt: skip
            self._notifier.ready()
            while not self._stopping.is_set() and not self._has_ended():
                self._round()
            self._notifier.stopping()
            self._finish()
        finally:
            self._close()

    def health(self) -> dict[str, Any]:
        """Whether the service works, and on what."""
        now_s = time.monotonic()
        round_s = now_s - self.figures.round_s
        stalled = round_s > self.config.service.stall_s
        failing = {
            d.sink.name: round(now_s - d.failing_since_s, 1)
            for d in self.deliveries
            if d.failing_since_s is not None
        }
        kept = self._store is not None
        last_save_s = round(now_s - self.figures.committed_s, 3) if kept else None
        status = "stalled" if stalled else "stopping" if self._stopping.is_set() else "ok"
        return {
            "status": status,
            "model": self.pipeline.interface.name,
            "model_sha256": self.pipeline.interface.model_sha256,
            "uptime_s": round(time.time() - self.figures.started_s, 1),
            "last_round_s": round(round_s, 3),
            "last_save_s": last_save_s,
            "waiting_readings": self._queue.waiting,
            "failing_sinks_s": failing,
            "sources": {
                t.source.name: {
                    "ended": t.ended,
                    "readings": t.readings,
                    "failures": t.failures,
                    "silent_s": round(now_s - t.last_s, 1),
                }
                for t in self.threads
            },
        }

    def _open(self) -> None:
        self._store = open_store(self.config, self.pipeline)
        positions: Mapping[str, Any] = {}
        if self._store is not None:
            self.pipeline.recall_from(self._saved)
            positions = self._store.positions()
        for number, source in enumerate(self._sources):
            position = positions.get(source.name)
            source.open(position)
            self.threads.append(
                SourceThread(
                    number, source, position, self._queue, self.config.service.batch_readings
                )
            )
        for thread in self.threads:
            thread.start()

    def _saved(self, keys: list[str]) -> dict[str, bytes]:
        """The states of streams that left memory; some may still wait to be saved."""
        found: dict[str, bytes] = self._store.load(keys)
        return found | {key: self._blobs[key] for key in keys if key in self._blobs}

    def _has_ended(self) -> bool:
        """Whether all sources have ended, or one sink."""
        if any(delivery.ended for delivery in self.deliveries):
            return True
        return all(thread.ended for thread in self.threads) and not self._queue.waiting

    def _round(self) -> None:
        self._notifier.alive()
        waits_s = min(_IDLE_S, max(0.0, self._save_by_s() - time.monotonic()))
        taken = self._queue.take(self.config.service.batch_readings, waits_s)
        if taken and not self._process(taken):
            return
        if self._unsaved and self._is_due():
            self._save()
        if not taken:
            self.pipeline.let_idle_leave()
            for delivery in self.deliveries:
                delivery.flush()
        if self._reload_wanted.is_set() or self._model_changed():
            self._reload()
        self.figures.round()
        self._notifier.status(self._status())

    def _process(self, taken: list[Taken]) -> bool:
        """Answer batches; False if the service stops while a sink fails."""
        arrivals = [arrival for one in taken for arrival in one.batch.arrivals]
        stamps = [one.arrived_s for one in taken for _ in one.batch.arrivals]
        for arrival in arrivals:
            if arrival.problem:
                self._troubles.tell(arrival.problem, arrival.key)
        results = self.pipeline.process(arrivals, stamps)
        self._unsaved += taken
        figures = self.figures
        figures.add(results)
        delivered = [delivery.write(results) for delivery in self.deliveries]
        if not all(delivered):
            return False
        now_s = time.monotonic()
        with figures.lock:
            for one in taken:
                figures.latencies.add(now_s - one.received_s, len(one.batch.arrivals))
            figures.counts.update(problems=sum(bool(a.problem) for a in arrivals))
            figures.clipped = self.pipeline.clipped_readings
            figures.keys_in_memory = len(self.pipeline)
            figures.waiting = self._queue.waiting
        return True

    def _save_by_s(self) -> float:
        return self._saved_s + self.config.store.commit_s if self._unsaved else float("inf")

    def _is_due(self) -> bool:
        """Whether enough readings or time have passed, or a source waits and no readings do."""
        now_s = time.monotonic()
        readings = sum(len(one.batch.arrivals) for one in self._unsaved)
        if readings >= self.config.store.commit_readings or now_s >= self._save_by_s():
            return True
        waits = any(one.batch.token is not None for one in self._unsaved)
        rested = now_s - self._saved_s >= self._saving_s / _SAVING_SHARE
        return waits and not self._queue.waiting and rested

    def _save(self) -> bool:
        """Flush, save, acknowledge; False if the service stops while one of them fails."""
        began_s = time.monotonic()
        flushed = [delivery.flush() for delivery in self.deliveries]
        if not all(flushed):
            return False
        self._blobs |= self.pipeline.take_changed()
        positions = {
            self._sources[one.source].name: one.batch.position
            for one in self._unsaved
            if one.batch.position is not None
        }
        while self._store is not None:
            try:
                day = self._today()
                self._store.commit(self._blobs, positions=positions, day=day)
                if day != self._forgot_day and day is not None:
                    self._store.forget(day, self.config.store.keep_days, self.pipeline)
                    self._forgot_day = day
                break
            except StoreError as error:
                self._failures.tell(str(error))
                if not self._wait(1.0):
                    return False
        self._blobs = {}
        for one in self._unsaved:
            self._acknowledge(one.source, one.batch)
        self._unsaved = []
        self.figures.committed_s = self._saved_s = time.monotonic()
        self._saving_s = self._saved_s - began_s
        self.figures.forget_alarms(self.pipeline)
        return True

    def _today(self) -> int | None:
        """Days since 1970, where streams are forgotten and the clock is set."""
        day = int(time.time() // 86_400)
        return day if self.config.store.keep_days and day >= _FIRST_DAY else None

    def _acknowledge(self, number: int, batch: ArrivalBatch) -> None:
        source = self._sources[number]
        try:
            source.acknowledge(batch)
        except Exception as error:  # a broken connection: the batch comes again, and is known then
            self._failures.tell(f"{source.name}: a batch is not acknowledged: {error}")

    def _wait(self, seconds: float) -> bool:
        """Wait between two attempts; False where a stopping service cannot wait any longer."""
        until_s = time.monotonic() + seconds
        while True:
            self._notifier.alive()
            if self._stopping.is_set():
                limit_s = time.monotonic() + self.config.service.stop_s
                self._stop_by_s = min(self._stop_by_s, limit_s)
            left_s = min(until_s, self._stop_by_s) - time.monotonic()
            if left_s <= 0:
                return time.monotonic() < self._stop_by_s
            time.sleep(min(left_s, 0.2))

    def _reload(self) -> None:
        """Continue with the file of the model as it is now, if that can be opened."""
        self._reload_wanted.clear()
        self._stamp = self._model_stamp()
        self._notifier.reloading()
        try:
            if self._unsaved and not self._save():
                return
            text = self._exchange()
            _LOG.info("%s", text)
            self.figures.event("model", text)
        except (EdgeRnnError, OSError) as error:
            _LOG.error("The model is not exchanged: %s", error)
            self.figures.event("error", f"The model is not exchanged: {error}")
        finally:
            self._notifier.ready()

    def _exchange(self) -> str:
        old = self.pipeline
        new: Any = make_pipeline(self.config)
        if new.interface.model_sha256 == old.interface.model_sha256:
            new.close()
            return f"The model is the same: {old.interface.model_sha256[:12]}."
        if new.channels != old.channels:
            new.close()
            raise EdgeRnnError(
                f"expected the channels {', '.join(old.channels)}, got {', '.join(new.channels)}. "
                "Restart the service with a configuration for this model."
            )
        if self._store is not None and not streams_continue(old.interface, new.interface):
            new.close()
            raise EdgeRnnError(
                f"expected a model with states like those of '{old.interface.name}', got others in "
                f"'{new.interface.name}'. Restart the service with another store, where all "
                "streams begin again."
            )
        if self.config.service.workers > 1:
            new = ShardedPipeline(self.config, new)
        new.tell(self.told)
        if self._store is not None:
            try:
                self._store.claim(new.interface.model_sha256, new.interface.name, migrate=True)
            except StoreError:
                new.close()
                raise
            new.recall_from(self._saved)
        else:
            kept = old.export(old.keys())
            new.recall_from(lambda keys: {key: kept[key] for key in keys if key in kept})
            new.recall(kept)
            new.recall_from(None)
        self.pipeline = new
        old.close()
        self.figures.use(new.interface)
        for delivery in self.deliveries:
            delivery.use(new.interface)
        return f"The model is exchanged: {new.interface.name} {new.interface.model_sha256[:12]}."

    def _model_changed(self) -> bool:
        now_s = time.monotonic()
        if not self.config.model.watch or now_s - self._watched_s < _WATCH_S:
            return False
        self._watched_s = now_s
        stamp = self._model_stamp()
        return stamp is not None and stamp != self._stamp

    def _model_stamp(self) -> tuple[int, int, int] | None:
        try:
            found = model_path(self.config).stat()
        except OSError:
            return None
        return found.st_ino, found.st_size, found.st_mtime_ns

    def _status(self) -> str:
        failing = [d.sink.name for d in self.deliveries if d.failing_since_s is not None]
        text = f"{self.figures.steps} results, {len(self.pipeline)} streams"
        return f"{text}; failing: {', '.join(failing)}" if failing else text

    def _finish(self) -> None:
        """Answer what was read, and save."""
        for thread in self.threads:
            thread.stop()
        self._queue.close()
        while taken := self._queue.take(self.config.service.batch_readings, 0.0):
            if not self._process(taken):
                break
        saved = self._save()
        _LOG.log(
            logging.INFO if saved else logging.ERROR,
            "Stopped: %s", "everything is saved" if saved else "a part is not saved; it is read "
            "again after the next start",
            extra={"fields": {"results": self.figures.steps}},
        )  # fmt: skip

    def _close(self) -> None:
        self._queue.close()
        for thread in self.threads:
            thread.finish()
        for delivery in self.deliveries:
            delivery.close()
        if self._store is not None:
            self._store.close()
        self.pipeline.close()
