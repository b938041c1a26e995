"""Results in the line protocol of InfluxDB, over HTTP or into a file."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, ClassVar

from edgernn.connections.arrival import Result
from edgernn.connections.options import ConnectionOption, OptionValues
from edgernn.connections.registry import Connection
from edgernn.errors import SinkError
from edgernn.model.interface import Interface
from edgernn.sinks.http_posts import TIMEOUT_OPTION, ResultPosts, headers_of, url_problem


class InfluxSink(Connection):
    """One line per result; a result that is written twice is stored once."""

    KIND: ClassVar[str] = "influx"
    HELP: ClassVar[str] = "InfluxDB line protocol, to a server or into a file."
    OPTIONS: ClassVar[tuple[ConnectionOption, ...]] = (
        ConnectionOption(
            name="url",
            help="Address that takes lines, with organization and bucket, or database.",
            default="",
            example="http://127.0.0.1:8086/api/v2/write?org=home&bucket=edgernn",
        ),
        ConnectionOption(
            name="path",
            help="File that lines are added to, instead of a server.",
            default="",
            example="predictions.lp",
        ),
        ConnectionOption(
            name="token",
            help="Token of the server.",
            kind="secret",
            example={"env": "INFLUX_TOKEN"},
        ),
        ConnectionOption(name="measurement", help="Name of the measurement.", default="edgernn"),
        TIMEOUT_OPTION,
    )

    def __init__(self, values: OptionValues) -> None:
        """Open nothing."""
        super().__init__(values)
        self._model = ""
        self._headers: dict[str, str] | None = None
        self._posts = ResultPosts(self.name, values, self._body)

    @property
    def refused(self) -> int:
        """Results that the server refused; they are dropped."""
        return self._posts.refused

    @classmethod
    def problems(cls, values: OptionValues, channels: Any) -> list[str]:  # noqa: ARG003
        """See `Connection.problems`."""
        url, path = values.text("url"), values.text("path")
        if bool(url) == bool(path):
            return ["url: expected either url or path, got both or none. Add one of them."]
        problems = url_problem("url", url) if url else []
        if not values.text("measurement"):
            problems.append('measurement: expected a name, got "".')
        return problems

    def open(self, interface: Interface) -> None:
        """See `ResultSink.open`."""
        self._model = interface.name
        self._headers = headers_of(self.values, "text/plain; charset=utf-8", "Token")

    def write(self, results: list[Result]) -> None:
        """See `ResultSink.write`."""
        if self._headers is None:
            raise SinkError(f"{self.name}: expected an open sink, got one that is closed.")
        if not results:
            return
        if self.values.text("url"):
            self._posts.send(results, self._headers)
            return
        try:
            with Path(self.values.text("path")).open("ab") as file:
                file.write(self._body(results))
        except OSError as error:
            raise SinkError(f"{self.name}: expected to write lines, got {error}.") from error

    def _body(self, results: list[Result]) -> bytes:
        return "".join(f"{self._line(result)}\n" for result in results).encode()

    def _line(self, result: Result) -> str:
        tags = {"key": result.key, "model": self._model}
        fields: dict[str, Any] = {"sequence": result.sequence, "bad": result.bad}
        for part in (result.outputs, result.decisions, result.passed):
            fields |= {name: _real(value) for name, value in part.items() if name not in fields}
        texts = [f"{_name(n)}={text}" for n, v in fields.items() if (text := _field(v))]
        own = ",".join(f"{_name(name)}={_name(value)}" for name, value in tags.items() if value)
        measurement = self.values.text("measurement").replace(",", "\\,").replace(" ", "\\ ")
        return f"{measurement},{own} {','.join(texts)} {round(result.time_s * 1e9)}"

    def flush(self) -> None:
        """See `ResultSink.flush`: `write` has waited."""
        self._posts.flush()

    def close(self) -> None:
        """See `ResultSink.close`."""
        self._headers = None


def _name(text: str) -> str:
    """A name, or the value of a tag, with its commas, blanks and equals signs escaped.

    A backslash at the end would escape what follows; "_" comes behind it.
    """
    for sign in ",= ":
        text = text.replace(sign, f"\\{sign}")
    text = text.replace("\n", "\\n")
    return f"{text}_" if text.endswith("\\") else text


def _real(value: object) -> object:
    """A number as float: a field keeps its first type."""
    return float(value) if type(value) is int and abs(value) < 2**53 else value


def _field(value: object) -> str:
    """A value as line protocol has it; "" where it cannot."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return f"{value}i" if -(2**63) <= value < 2**63 else ""
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else ""
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")
        return f'"{escaped}"'
    return ""
