"""Read the file that configures a service, and report everything that is wrong with it at once."""

from __future__ import annotations

import dataclasses
import difflib
import math
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from edgernn.errors import ConfigError
from edgernn.service.config.settings import (
    TABLES,
    DeliverySettings,
    HttpSettings,
    ModelSettings,
    ServeConfig,
)
from edgernn.session.policies import check_policy

_LISTS: Final = ("source", "sink", "decision")
_PASSED: Final = "preparation"
#: Most bytes of a file; a larger one is none.
_MOST_BYTES: Final = 1 << 20


def read_config(path: Path, found_errors: list[str] | None = None) -> ServeConfig:
    """The settings in a file.

    The options of sources and sinks are checked by `edgernn.service.assembly`, which knows the
    channels of the model.

    Args:
        path: a TOML file.
        found_errors: what is wrong with its settings is added here, not raised; defaults then take
            their place.

    Raises:
        ConfigError: with everything that is wrong with the file.
        OSError: the file cannot be read.
    """
    tables = _toml(path)
    errors: list[str] = []
    where = path.name
    known = (*TABLES, _PASSED, *_LISTS)
    errors += [
        f"{where}: expected the tables {', '.join(known)}, got '{name}'{meant(name, known)}"
        for name in tables
        if name not in known
    ]
    found: dict[str, Any] = {}
    for name, kind in TABLES.items():
        table = _table(tables, name, where, errors)
        found[name] = read_table(kind, table, f"{where}, [{name}]", errors)
    sources, sinks, decisions = (_list(tables, name, where, errors) for name in _LISTS)
    deliveries = []
    for index, sink in enumerate(sinks, start=1):
        names = [entry.name for entry in dataclasses.fields(DeliverySettings)]
        own = {name: sink.pop(name) for name in names if name in sink}
        at = f"{where}, [[sink]] {index}"
        deliveries.append(read_table(DeliverySettings, own, at, errors))
    if _PASSED in tables:
        found[_PASSED] = _table(tables, _PASSED, where, errors)
    _check_model(found["model"], f"{where}, [model]", errors)
    if not found["store"].path and tables.get("streams"):
        errors.append(
            f"{where}, [streams]: expected a store for streams that leave memory, got none. "
            'Add path = "states.db" to [store].'
        )
    _check_listen(found["http"], f"{where}, [http]", errors)
    if not sources:
        errors.append(
            f"{where}: expected at least one [[source]], got none. "
            'Add [[source]] with kind = "csv", for example.'
        )
    if not sinks:
        errors.append(
            f"{where}: expected at least one [[sink]], got none. "
            'Add [[sink]] with kind = "stdout", for example.'
        )
    if errors and found_errors is None:
        raise ConfigError(errors)
    if found_errors is not None:
        found_errors += errors
    return ServeConfig(
        file=path,
        sources=tuple(sources),
        sinks=tuple(sinks),
        deliveries=tuple(deliveries),
        decisions=tuple(decisions),
        **found,
    )


def read_table(kind: type[Any], table: Mapping[str, Any], where: str, errors: list[str]) -> Any:
    """A record of settings from a table.

    Args:
        kind: one of the records of `edgernn.service.config.settings`.
        table: as TOML gives it.
        where: the table, for messages.
        errors: what is wrong is added here; its default then takes the place of a value.
    """
    entries = {entry.name: entry for entry in dataclasses.fields(kind)}
    values: dict[str, Any] = {}
    for name, value in table.items():
        if name not in entries:
            errors.append(
                f"{where}: expected the settings {', '.join(entries)}, got '{name}'"
                f"{meant(name, entries)}"
            )
            continue
        problem = _problem(entries[name], value)
        if problem:
            errors.append(f"{where} {name}: {problem}")
        else:
            wants_float = str(entries[name].type).startswith("float")
            values[name] = float(value) if wants_float and value is not None else value
    return kind(**values)


def meant(word: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown word: a full stop, or the word that was meant."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f". Did you mean '{close[0]}'?" if close else "."


def _problem(entry: dataclasses.Field[Any], value: Any) -> str:
    """What is wrong with a value; "" if nothing is."""
    wanted = str(entry.type).partition(" |")[0]
    choices, low, high = (entry.metadata[name] for name in ("choices", "low", "high"))
    if entry.name == "on_bad_reading":
        return ""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    fits = {
        "str": isinstance(value, str),
        "bool": isinstance(value, bool),
        "int": isinstance(value, int) and not isinstance(value, bool),
        "float": is_number and math.isfinite(value),
    }[wanted]
    words = {"str": "text", "bool": "true or false", "int": "a whole number", "float": "a number"}
    if choices:
        if value not in choices:
            end = meant(value, choices) if isinstance(value, str) else "."
            return f"expected {', '.join(choices)}, got {_shown(value)}{end}"
        return ""
    if not fits:
        return f"expected {words[wanted]}, got {_shown(value)}."
    if low is not None and value < low:
        return f"expected at least {low:g}, got {value:g}."
    if high is not None and value > high:
        return f"expected at most {high:g}, got {value:g}."
    return ""


def _shown(value: Any) -> str:
    return f"'{value:.40}'" if isinstance(value, str) else f"{value!r:.40}"


def _toml(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        raw = file.read(_MOST_BYTES + 1)
    if len(raw) > _MOST_BYTES:
        raise ConfigError([f"{path.name}: expected at most {_MOST_BYTES} bytes, got more."])
    try:
        return tomllib.loads(raw.decode("utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(
            [f"{path.name}: expected TOML, got a file that is not: {error}. Correct that line."]
        ) from error


def _table(tables: Mapping[str, Any], name: str, where: str, errors: list[str]) -> dict[str, Any]:
    table = tables.get(name, {})
    if isinstance(table, dict):
        return table
    errors.append(f"{where}: expected a table [{name}], got {_shown(table)}. Write [{name}].")
    return {}


def _list(
    tables: Mapping[str, Any], name: str, where: str, errors: list[str]
) -> list[dict[str, Any]]:
    found = tables.get(name, [])
    if isinstance(found, list) and all(isinstance(table, dict) for table in found):
        return [dict(table) for table in found]
    errors.append(f"{where}: expected tables [[{name}]], got one value. Write [[{name}]].")
    return []


def _check_model(model: ModelSettings, where: str, errors: list[str]) -> None:
    if not model.path:
        errors.append(f'{where} path: expected a model, got none. Add path = "model.edgernn".')
    try:
        check_policy(model.on_bad_reading)
    except Exception as error:  # a policy of another type has no name
        errors.append(f"{where} {error}")


def _check_listen(http: HttpSettings, where: str, errors: list[str]) -> None:
    if http.listen and address(http.listen) is None:
        errors.append(
            f"{where} listen: expected an address and a port, got '{http.listen:.40}'. "
            'Write listen = "127.0.0.1:8765".'
        )


def address(listen: str) -> tuple[str, int] | None:
    """Host and port of "host:port" or "[::1]:port"; None if it is something else.

    >>> address("127.0.0.1:8765"), address("[::1]:80"), address("8765")
    (('127.0.0.1', 8765), ('::1', 80), None)
    """
    host, colon, port = listen.rpartition(":")
    if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > 65_535:
        return None
    return host.removeprefix("[").removesuffix("]"), int(port)
