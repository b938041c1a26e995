"""Structured log lines on stderr: logfmt or JSON, with priorities where journald reads them."""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Mapping
from typing import Any, Final, TextIO

#: The logger above those of sources, sinks and the service.
ROOT_LOGGER: Final = "edgernn"
_PRIORITIES: Final = {10: 7, 20: 6, 30: 4, 40: 3, 50: 2}


class LineFormatter(logging.Formatter):
    """One line per record, with the fields that a record has in ``fields``.

    Args:
        form: "logfmt" or "json".
        priorities: begin each line with <N>, which journald takes for its priority.
        stamped: whether a line has the time.
    """

    def __init__(self, form: str, *, priorities: bool = False, stamped: bool = True) -> None:
        """Keep the form."""
        super().__init__()
        self._form, self._priorities, self._stamped = form, priorities, stamped

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        fields: dict[str, Any] = {}
        if self._stamped:
            seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
            fields["time"] = f"{seconds}.{int(record.msecs):03d}Z"
        fields["level"] = record.levelname.lower()
        fields["of"] = record.name.removeprefix(f"{ROOT_LOGGER}.")
        fields["message"] = record.getMessage()
        fields |= getattr(record, "fields", {})
        if record.exc_info:
            fields["error"] = self.formatException(record.exc_info)
        if self._form == "json":
            line = json.dumps(fields, default=str, ensure_ascii=False)
        else:
            line = " ".join(f"{name}={_logfmt(value)}" for name, value in fields.items())
        return f"<{_PRIORITIES.get(record.levelno, 6)}>{line}" if self._priorities else line


def _logfmt(value: Any) -> str:
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    plain = text and text.isprintable() and not any(letter in text for letter in ' "=\\')
    return text if plain else json.dumps(text, ensure_ascii=False)


def set_up_logs(
    form: str,
    level: str,
    stream: TextIO | None = None,
    environment: Mapping[str, str] | None = None,
) -> logging.Handler:
    """Write the log lines of edgernn to a stream.

    Args:
        form: "auto", "logfmt" or "json".
        level: the least level, such as "info".
        stream: stderr by default.
        environment: where JOURNAL_STREAM and INVOCATION_ID are.

    Returns:
        The handler, which `take_down_logs` removes.
    """
    found = os.environ if environment is None else environment
    journal = form == "auto" and bool(found.get("JOURNAL_STREAM"))
    handler = logging.StreamHandler(sys.stderr if stream is None else stream)
    handler.setFormatter(
        LineFormatter(
            "json" if form == "json" else "logfmt", priorities=journal, stamped=not journal
        )
    )
    logger = logging.getLogger(ROOT_LOGGER)
    logger.addHandler(handler)
    logger.setLevel(level.upper())
    logger.propagate = False
    return handler


def take_down_logs(handler: logging.Handler) -> None:
    """Undo `set_up_logs`."""
    logger = logging.getLogger(ROOT_LOGGER)
    logger.removeHandler(handler)
    logger.setLevel(logging.NOTSET)
    logger.propagate = True
