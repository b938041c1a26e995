"""Run a service in this process: signals, logs, HTTP, systemd."""

from __future__ import annotations

import logging
import signal
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from edgernn.errors import EdgeRnnWarning
from edgernn.service.assembly import ServiceParts, assemble
from edgernn.service.config.settings import ServeConfig
from edgernn.service.process.logs import set_up_logs, take_down_logs
from edgernn.service.process.notify import Notifier
from edgernn.service.readings import ignore_clipping
from edgernn.service.service import Service
from edgernn.service.web.server import LiveServer
from edgernn.service.workers import ShardedPipeline

_LOG: Final = logging.getLogger("edgernn.service")


def run_service(config: ServeConfig, *, started: Callable[[Service, str], None]) -> None:
    """Serve until the sources end, or SIGTERM or SIGINT comes. SIGHUP opens the model again.

    Args:
        config: as `read_config` returned it.
        started: called with the service and the address of its page, "" without one, before the
            first reading is taken.

    Raises:
        ConfigError: the configuration does not fit the model, or a source or sink refuses it.
        EdgeRnnError: a source, the store or the HTTP server cannot be opened.
    """
    handler = set_up_logs(config.service.log, config.service.log_level)
    try:
        parts = assemble(config)
        service = make_service(config, parts, Notifier())
        server = LiveServer(service) if config.http.listen else None
        try:
            with _signals(service), _warnings_logged():
                started(service, server.url if server is not None else "")
                service.run()
        finally:
            if server is not None:
                server.close()
    finally:
        take_down_logs(handler)


def make_service(
    config: ServeConfig, parts: ServiceParts, notifier: Notifier | None = None
) -> Service:
    """The service of a configuration, over one process or several.

    Args:
        config: as `read_config` returned it.
        parts: as `assemble` returned them.
        notifier: tells systemd.
    """
    pipeline: Any = parts.pipeline
    if config.service.workers > 1:
        pipeline = ShardedPipeline(config, parts.pipeline)
    service = Service(config, pipeline, parts.sources, parts.sinks, notifier)
    pipeline.tell(service.told)
    return service


@contextmanager
def _warnings_logged() -> Iterator[None]:
    """Write warnings of edgernn as log lines."""
    with warnings.catch_warnings():
        ignore_clipping()
        before = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *rest: Any, **named: Any) -> None:
            if issubclass(category, EdgeRnnWarning):
                _LOG.warning("%s", message)
            else:
                before(message, category, *rest, **named)

        warnings.showwarning = show
        yield


@contextmanager
def _signals(service: Service) -> Iterator[None]:
    """Let signals stop the service and exchange its model; only the main thread can."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    actions: dict[signal.Signals, Callable[[], None]] = {
        signal.SIGTERM: service.stop,
        signal.SIGINT: service.stop,
        signal.SIGHUP: service.reload,
    }
    before = {
        number: signal.signal(number, lambda *_, action=action: action())
        for number, action in actions.items()
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
