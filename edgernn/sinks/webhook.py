"""Results, or alarms alone, posted to an address of the web."""

from __future__ import annotations

import json
from collections import OrderedDict
from typing import Any, ClassVar, Final

from edgernn.connections.arrival import Result
from edgernn.connections.options import ConnectionOption, OptionValues
from edgernn.connections.registry import Connection
from edgernn.errors import SinkError
from edgernn.model.interface import Interface
from edgernn.sinks.http_posts import TIMEOUT_OPTION, ResultPosts, headers_of, url_problem
from edgernn.sinks.members import flags, result_members, time_text

#: Streams whose last alarms are known; of others the next alarm is posted even if it is not new.
_MOST_KEYS: Final = 100_000


class WebhookSink(Connection):
    """Posts JSON, or one line of text for people."""

    KIND: ClassVar[str] = "webhook"
    HELP: ClassVar[str] = (
        "Posts to a web address: every result, or only alarms that turn on or off."
    )
    OPTIONS: ClassVar[tuple[ConnectionOption, ...]] = (
        ConnectionOption(
            name="url",
            help="Address that takes the posts.",
            example="https://example.org/alarms",
        ),
        ConnectionOption(
            name="when",
            help="Results that are posted: all; those in which a decision turns true; those in "
            "which one turns true or false.",
            default="alarm",
            choices=("always", "alarm", "change"),
        ),
        ConnectionOption(
            name="form",
            help='Form of a post: an object with the list "results", or a line of text for each.',
            default="json",
            choices=("json", "text"),
        ),
        ConnectionOption(
            name="token",
            help="Token that the server requires (Authorization: Bearer).",
            kind="secret",
            example={"env": "WEBHOOK_TOKEN"},
        ),
        ConnectionOption(
            name="headers",
            help="Further headers.",
            kind="table",
            default={},
            example={"Title": "Pumps"},
        ),
        ConnectionOption(
            name="max_results",
            help="Results in one post.",
            kind="integer",
            default=500,
            low=1,
            high=100_000,
        ),
        TIMEOUT_OPTION,
    )

    def __init__(self, values: OptionValues) -> None:
        """Post nothing."""
        super().__init__(values)
        self._when, self._form = values.text("when"), values.text("form")
        self._headers: dict[str, str] | None = None
        self._flags: OrderedDict[str, dict[str, bool]] = OrderedDict()
        self._posts = ResultPosts(self.name, values, self._body)

    @property
    def refused(self) -> int:
        """Results that the server refused; they are dropped."""
        return self._posts.refused

    @classmethod
    def problems(cls, values: OptionValues, channels: Any) -> list[str]:  # noqa: ARG003
        """See `Connection.problems`."""
        return url_problem("url", values.text("url"))

    def open(self, interface: Interface) -> None:  # noqa: ARG002
        """See `ResultSink.open`."""
        kind = "application/json" if self._form == "json" else "text/plain; charset=utf-8"
        self._headers = headers_of(self.values, kind, "Bearer") | self.values.table("headers")

    def write(self, results: list[Result]) -> None:
        """See `ResultSink.write`; which alarms are on changes only where the posts succeed."""
        chosen, turned = [], dict[str, dict[str, bool]]()
        for result in results:
            now = flags(result)
            before = turned.get(result.key, self._flags.get(result.key, {}))
            if self._wanted(before, now):
                chosen.append(result)
            turned[result.key] = now
        most = self.values.integer("max_results")
        for first in range(0, len(chosen), most):
            if self._headers is None:
                raise SinkError(f"{self.name}: expected an open sink, got one that is closed.")
            self._posts.send(chosen[first : first + most], self._headers)
        for key, now in turned.items():
            self._flags[key] = now
            self._flags.move_to_end(key)
        while len(self._flags) > _MOST_KEYS:
            self._flags.popitem(last=False)

    def _wanted(self, before: dict[str, bool], now: dict[str, bool]) -> bool:
        if self._when == "always":
            return True
        turned = [name for name, flag in now.items() if flag != before.get(name, False)]
        return any(now[name] for name in turned) if self._when == "alarm" else bool(turned)

    def _body(self, results: list[Result]) -> bytes:
        if self._form == "text":
            return "\n".join(map(_sentence, results)).encode()
        members = [result_members(result) for result in results]
        return json.dumps({"results": members}, ensure_ascii=False).encode()

    def flush(self) -> None:
        """See `ResultSink.flush`: `write` has waited for the answer."""
        self._posts.flush()

    def close(self) -> None:
        """See `ResultSink.close`."""
        self._headers = None


def _sentence(result: Result) -> str:
    """A result for people."""
    on = [name for name, flag in flags(result).items() if flag]
    values = ", ".join(f"{name} {value:.6g}" for name, value in result.outputs.items())
    return f"{result.key}: {', '.join(on) or 'no alarm'} ({values}) at {time_text(result.time_s)}"
