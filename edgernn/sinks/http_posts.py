"""Posts over HTTP, and what went wrong with them."""

from __future__ import annotations

import http.client
import logging
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from edgernn.connections.arrival import Result
from edgernn.connections.options import ConnectionOption, OptionValues
from edgernn.connections.troubles import Troubles
from edgernn.errors import SinkError, SourceError

_LOG: Final = logging.getLogger("edgernn.sinks.http")
#: Answers of a server that would refuse the same body again.
_BODY_REFUSED: Final = (400, 413, 422)
TIMEOUT_OPTION: Final = ConnectionOption(
    name="timeout_s",
    help="Seconds in which the server must answer.",
    kind="number",
    default=10.0,
    low=0.1,
    high=600.0,
)


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect is an error: the body would not go along, but the token would."""

    def redirect_request(self, *request: Any) -> None:
        """Follow none."""


def url_problem(name: str, url: str) -> list[str]:
    """What is wrong with an address."""
    try:
        parts = urlsplit(url)
        if "@" in parts.netloc:
            return [
                f"{name}: expected an address without a user and a password, got one with them. "
                "Set token."
            ]
        if parts.scheme in ("http", "https") and parts.hostname:
            return []
    except ValueError:  # half of the brackets of an IPv6 address
        pass
    return [f'{name}: expected an address that begins with http:// or https://, got "{url:.60}".']


def headers_of(values: OptionValues, kind: str, scheme: str) -> dict[str, str]:
    """Headers of requests.

    Args:
        values: with the secret ``token``.
        kind: of the body.
        scheme: of the authorization, as in "Bearer".

    Raises:
        SinkError: the token cannot be read.
    """
    try:
        token = values.secret("token")
    except SourceError as error:
        raise SinkError(str(error)) from error
    if token is not None and not (token and token.isascii() and token.isprintable()):
        raise SinkError(
            f"{values.where}, token: expected one line of ASCII characters, got something else."
        )
    headers = {"Content-Type": kind, "User-Agent": "edgernn"}
    return headers if token is None else headers | {"Authorization": f"{scheme} {token}"}


class ResultPosts:
    """Posts results; if the server refuses some, they are halved until one alone can be dropped.

    After a post that fails, all results of the batch are written again. Those that were posted are
    left out then, or else a server that fails now and then would never get through a large batch.

    Args:
        name: of the sink, for messages.
        values: with url and timeout_s.
        body: of a post with these results.

    Attributes:
        refused: results that were dropped.
    """

    def __init__(
        self, name: str, values: OptionValues, body: Callable[[list[Result]], bytes]
    ) -> None:
        """Nothing posted."""
        self._name, self._values, self._body = name, values, body
        self._troubles = Troubles(_LOG, name)
        self.refused = 0
        #: By identity: a result that is written again is the same object.
        self._posted: dict[int, Result] = {}

    def send(self, results: list[Result], headers: Mapping[str, str]) -> None:
        """Post results, in their order, except those that were posted since the last flush.

        Raises:
            SinkError: as `post`; those in front of the failed post count as posted.
        """
        url, timeout_s = self._values.text("url"), self._values.number("timeout_s")
        left = [result for result in results if id(result) not in self._posted]
        parts = [left] if left else []
        while parts:
            part = parts.pop()
            reason = post(self._name, url, self._body(part), headers, timeout_s)
            if reason and len(part) > 1:
                half = len(part) // 2
                parts += [part[half:], part[:half]]
                continue
            self._posted |= {id(result): result for result in part}
            if reason:
                self.refused += 1
                self._troubles.tell(
                    f"{reason} Result {part[0].sequence} of '{part[0].key:.60}' is dropped."
                )

    def flush(self) -> None:
        """What was posted is not written again."""
        self._posted.clear()


def post(name: str, url: str, body: bytes, headers: Mapping[str, str], timeout_s: float) -> str:
    """Post a body.

    Args:
        name: of the sink, for messages.
        url: where to.
        body: what.
        headers: of the request.
        timeout_s: until an answer.

    Returns:
        Why the server would refuse this body again; "" if it has taken it.

    Raises:
        SinkError: the server cannot be reached, or does not take it.
    """
    request = urllib.request.Request(url, body, dict(headers), method="POST")
    host = urlsplit(url).netloc
    try:
        opener = urllib.request.build_opener(_NoRedirects)
        with opener.open(request, timeout=timeout_s) as answer:
            answer.read(1 << 16)
        return ""
    except urllib.error.HTTPError as error:
        with error:
            text = error.read(200).decode("utf-8", "replace")
        if place := error.headers.get("Location"):
            raise SinkError(
                f"{name}: expected {host} to take the results, got {error.code} {error.reason}: "
                f"it leads to {place!r:.200}. Set url to where that leads."
            ) from error
        what = (
            f"expected {host} to take the results, got {error.code} {error.reason} "
            f"({text.strip()!r})."
        )
        if error.code in _BODY_REFUSED:
            return what
        raise SinkError(f"{name}: {what}") from error
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise SinkError(f"{name}: expected an answer from {host}, got {reason}.") from error
