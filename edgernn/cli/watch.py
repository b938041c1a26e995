"""`edgernn watch`: a running service in the terminal."""

from __future__ import annotations

import argparse
import json
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Final

from edgernn.cli.watch_text import screen
from edgernn.errors import EdgeRnnError
from edgernn.install import library_hint
from edgernn.service.config.reading import read_config

HELP: Final = """Show a running service in the terminal: streams, alarms, latency, sources, sinks.

Give the address of its live page, or its configuration. Ctrl-C ends it.
"""
EXAMPLES: Final = """examples:
  edgernn watch serve.toml
  edgernn watch http://raspberrypi.local:8765/
  edgernn watch serve.toml --once
  edgernn watch serve.toml --once --json | jq .rate_hz
"""
_TIMEOUT_S: Final = 5.0
#: Most bytes of an answer.
_MOST_BYTES: Final = 1 << 26


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "service", nargs="?", default="serve.toml", metavar="URL|CONFIG",
        help="address of the live page, or the configuration (default: serve.toml)",
    )  # fmt: skip
    parser.add_argument("--once", action="store_true", help="print the screen once and end")
    parser.add_argument(
        "--every",
        type=float,
        default=1.0,
        metavar="S",
        help="seconds between two looks (default 1)",
    )


def main(args: argparse.Namespace) -> int:
    """Show the service until Ctrl-C, or once."""
    if not 0.1 <= args.every <= 3600:
        raise EdgeRnnError(f"--every: expected 0.1 to 3600 seconds, got {args.every:g}.")
    url = _url(args.service)
    if args.json:
        while True:
            print(json.dumps(_state(url)), flush=True)
            if args.once:
                return 0
            time.sleep(args.every)
    console = _console(plain=args.no_color)
    if args.once:
        console.print(screen(_state(url), console.width, None))
        return 0
    return _live(console, url, args.every)


def _live(console: Any, url: str, every_s: float) -> int:
    """Draw again and again; a service that does not answer is waited for."""
    from rich.live import Live

    state = _state(url)  # an address that is wrong is said at once
    try:
        with Live(console=console, screen=True, auto_refresh=False) as live:
            while True:
                problem = ""
                try:
                    state = _state(url)
                except EdgeRnnError as error:
                    problem = str(error)
                live.update(screen(state, console.width, console.height, problem), refresh=True)
                time.sleep(every_s)
    except KeyboardInterrupt:
        return 0


def _console(*, plain: bool) -> Any:
    try:
        from rich.console import Console
    except ImportError:
        raise EdgeRnnError(
            "watch: expected the library rich, got none. "
            f"Install it with: {library_hint('rich', 'serve')}"
        ) from None
    return Console(no_color=plain or None, highlight=False)


def _url(given: str) -> str:
    if given.startswith(("http://", "https://")):
        return given.rstrip("/")
    path = Path(given)
    if not path.is_file():
        raise EdgeRnnError(
            f"watch: expected an address or a configuration, got '{given}'. "
            "Give the address that edgernn serve prints, such as http://127.0.0.1:8765/"
        )
    listen = read_config(path).http.listen
    if not listen:
        raise EdgeRnnError(
            f"watch: expected a service with HTTP, got listen = \"\" in '{given}'. "
            'Set listen = "127.0.0.1:8765" in [http].'
        )
    host, _, port = listen.rpartition(":")
    return f"http://{ {'0.0.0.0': '127.0.0.1', '[::]': '[::1]'}.get(host, host) }:{port}"


def _state(url: str) -> dict[str, Any]:
    """What the service says of itself."""
    try:
        with urllib.request.urlopen(f"{url}/api/state", timeout=_TIMEOUT_S) as answer:
            found = json.loads(answer.read(_MOST_BYTES))
    except (urllib.error.URLError, OSError) as error:
        reason = getattr(error, "reason", error)
        raise EdgeRnnError(
            f"watch: expected a running service at {url}/, got {reason}. "
            "Start it with: edgernn serve serve.toml"
        ) from error
    except ValueError as error:
        raise EdgeRnnError(
            f"watch: expected a service of edgernn at {url}/, got another answer."
        ) from error
    if not isinstance(found, dict) or "streams" not in found:
        raise EdgeRnnError(f"watch: expected a service of edgernn at {url}/, got another answer.")
    return found
