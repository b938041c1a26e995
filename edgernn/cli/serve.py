"""`edgernn serve`: a service that one file configures."""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path
from typing import Any, Final

from edgernn.cli.style import good, say, table
from edgernn.errors import ConfigError, EdgeRnnError
from edgernn.service.assembly import assemble
from edgernn.service.config.example import example_config
from edgernn.service.config.reading import read_config
from edgernn.service.config.settings import ServeConfig
from edgernn.service.running import run_service
from edgernn.service.service import Service

HELP: Final = """Run a service: sources -> preparation -> model -> decisions -> sinks.

One TOML file says where readings come from, which model answers, and where results go. The service
runs until its sources end, or until SIGTERM or Ctrl-C. It saves the state of every stream, and
continues from there after a restart, even after a power cut or kill -9. SIGHUP opens the model's
file again; the streams go on. A page at the address in [http] shows what happens.

Paths are relative to the current folder; that of the model is relative to the configuration.
"""
EXAMPLES: Final = """examples:
  edgernn serve --init                 write serve.toml, an example that runs
  edgernn serve --check serve.toml     list everything that is wrong with it
  edgernn serve serve.toml
  edgernn serve serve.toml --workers 4
  edgernn watch serve.toml             in another terminal
"""
_NAME: Final = "serve.toml"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("config", nargs="?", metavar="CONFIG", help=f"TOML file (default: {_NAME})")
    parser.add_argument(
        "--init", action="store_true", help="write a commented example to CONFIG, if it is new"
    )
    parser.add_argument(
        "--check", action="store_true",
        help="check the configuration, list all errors, and run nothing",
    )  # fmt: skip
    parser.add_argument(
        "--workers", type=int, metavar="N", help="processes that share the streams (default: 1)"
    )
    parser.add_argument(
        "--listen", metavar="HOST:PORT", help="address of the live page, instead of that in CONFIG"
    )


def main(args: argparse.Namespace) -> int:
    """Write an example, check a configuration, or serve."""
    path = Path(args.config or _NAME)
    if args.init:
        return _init(path, as_json=args.json)
    if not path.is_file():
        raise EdgeRnnError(
            f"serve: expected a configuration, got no file '{path}'. "
            f"Write an example with: edgernn serve --init {path}"
        )
    try:
        errors: list[str] = []
        config = _with_options(read_config(path, errors), args)
        if errors:
            assemble(config, errors)  # which raises, with what else is wrong
        if args.check:
            return _check(config, as_json=args.json)
        run_service(config, started=lambda service, url: _say_started(service, url))
    except ConfigError as error:
        if args.check and args.json:
            print(json.dumps({"ok": False, "errors": list(error.reasons)}))
            return 2
        raise
    return 0


def _with_options(config: ServeConfig, args: argparse.Namespace) -> ServeConfig:
    """The configuration with what the command line changes."""
    from edgernn.service.config.reading import address

    if args.workers is not None:
        if not 1 <= args.workers <= 256:
            raise EdgeRnnError(f"--workers: expected 1 to 256, got {args.workers}.")
        service = dataclasses.replace(config.service, workers=args.workers)
        config = dataclasses.replace(config, service=service)
    if args.listen is not None:
        if args.listen and address(args.listen) is None:
            raise EdgeRnnError(
                f"--listen: expected an address and a port, got '{args.listen}'. "
                "Write --listen 127.0.0.1:8765"
            )
        http = dataclasses.replace(config.http, listen=args.listen)
        config = dataclasses.replace(config, http=http)
    return config


def _init(path: Path, *, as_json: bool) -> int:
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(example_config(path.name))
    except FileExistsError:
        raise EdgeRnnError(
            f"--init: expected the name of a new file, got '{path}', which exists. "
            "Give another name, or remove the file."
        ) from None
    if as_json:
        print(json.dumps({"written": str(path)}))
    else:
        print(f"Written: {path}\nRun it with: edgernn serve {path}")
    return 0


def _check(config: ServeConfig, *, as_json: bool) -> int:
    parts = assemble(config)
    interface = parts.pipeline.interface
    record: dict[str, Any] = {
        "ok": True,
        "model": interface.name,
        "model_sha256": interface.model_sha256,
        "channels": list(parts.pipeline.channels),
        "outputs": list(interface.output.names),
        "sources": [source.name for source in parts.sources],
        "sinks": [sink.name for sink in parts.sinks],
        "store": config.store.path,
        "page": f"http://{config.http.listen}/" if config.http.listen else "",
        "workers": config.service.workers,
    }
    parts.pipeline.close()
    if as_json:
        print(json.dumps(record))
        return 0
    rows = [
        (name, ", ".join(map(str, value)) if isinstance(value, list) else value or "none")
        for name, value in record.items()
        if name != "ok"
    ]
    print("\n".join(table(("setting", "value"), rows, "<<")))
    print(good(f"{config.file}: no errors"))
    return 0


def _say_started(service: Service, url: str) -> None:
    config = service.config
    where = f" Live page: {url}" if url else ""
    say(f"edgernn serve: {config.file.name} runs. Stop it with Ctrl-C.{where}")
    if not config.store.path:
        say(
            "edgernn serve: note: the states of the streams are not saved. "
            'Add path = "states.db" to [store].'
        )
