"""The kinds of sources and sinks, and how a table of a config file becomes one."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

from edgernn.connections.arrival import ReadingSource, ResultSink
from edgernn.connections.options import (
    ConnectionOption,
    OptionValues,
    check_options,
    example_lines,
)
from edgernn.install import library_hint

#: Kinds of sources: "module:Class".
SOURCES: Final[dict[str, str]] = {
    "demo": "edgernn.sources.demo:DemoSource",
    "csv": "edgernn.sources.tables:CsvSource",
    "jsonl": "edgernn.sources.tables:JsonLinesSource",
    "mqtt": "edgernn.sources.mqtt:MqttSource",
    "serial": "edgernn.sources.serial:SerialSource",
    "modbus": "edgernn.sources.modbus:ModbusSource",
    "iio": "edgernn.sources.sysfs:IioSource",
    "hwmon": "edgernn.sources.sysfs:HwmonSource",
    "thermal": "edgernn.sources.sysfs:ThermalSource",
    "load": "edgernn.sources.load:LoadSource",
    "wav": "edgernn.sources.audio:WavSource",
    "microphone": "edgernn.sources.audio:MicrophoneSource",
}
#: Kinds of sinks: "module:Class".
SINKS: Final[dict[str, str]] = {
    "stdout": "edgernn.sinks.lines:StdoutSink",
    "csv": "edgernn.sinks.lines:CsvSink",
    "jsonl": "edgernn.sinks.lines:JsonLinesSink",
    "mqtt": "edgernn.sinks.mqtt:MqttSink",
    "sqlite": "edgernn.sinks.sqlite:SqliteSink",
    "prometheus": "edgernn.sinks.prometheus:PrometheusSink",
    "webhook": "edgernn.sinks.webhook:WebhookSink",
    "influx": "edgernn.sinks.influx:InfluxSink",
}


class Connection:
    """What every kind declares.

    Attributes:
        KIND: name in config files.
        HELP: one sentence.
        EXTRA: extra of the package that installs its library; "" for none.
        LIBRARY: module that it imports; "" for none.
        OPTIONS: what its table may hold.
        name: in messages and stored positions.
        values: its options.
    """

    KIND: ClassVar[str]
    HELP: ClassVar[str]
    EXTRA: ClassVar[str] = ""
    LIBRARY: ClassVar[str] = ""
    OPTIONS: ClassVar[tuple[ConnectionOption, ...]]

    def __init__(self, values: OptionValues) -> None:
        """Keep the options."""
        self.values = values
        self.name = values.text("name") or self.KIND

    @classmethod
    def problems(cls, values: OptionValues, channels: Sequence[str]) -> list[str]:  # noqa: ARG003
        """What is wrong with options that are right one by one; sentences without "where"."""
        return []


def common_options(kind: str) -> tuple[ConnectionOption, ...]:
    """Options that every table may hold besides ``kind``."""
    return (
        ConnectionOption(
            name="name",
            help="Name in messages and stored positions; by default that of the kind.",
            default="",
            example=kind,
        ),
    )


def find_kind(kinds: Mapping[str, str], kind: str) -> type[Any]:
    """The class of a kind."""
    module, _, name = kinds[kind].partition(":")
    found: type[Any] = getattr(importlib.import_module(module), name)
    return found


def all_options(cls: type[Connection]) -> tuple[ConnectionOption, ...]:
    """What a table of this class may hold besides ``kind``."""
    return (*cls.OPTIONS, *common_options(cls.KIND))


def make_source(
    table: Mapping[str, object], where: str, channels: Sequence[str], errors: list[str]
) -> ReadingSource | None:
    """A source from a table of a config file; nothing is opened.

    Args:
        table: with ``kind`` and its options.
        where: what messages call it, as in "serve.toml, [[source]] 2".
        channels: names of the raw channels.
        errors: takes one sentence for each problem.

    Returns:
        None where there are problems.
    """
    checked = _checked(SOURCES, table, where, channels, errors)
    return None if checked is None else checked[0](checked[1], tuple(channels))


def make_sink(table: Mapping[str, object], where: str, errors: list[str]) -> ResultSink | None:
    """A sink from a table of a config file; nothing is opened. See `make_source`."""
    checked = _checked(SINKS, table, where, (), errors)
    return None if checked is None else checked[0](checked[1])


def _checked(
    kinds: Mapping[str, str],
    table: Mapping[str, object],
    where: str,
    channels: Sequence[str],
    errors: list[str],
) -> tuple[type[Any], OptionValues] | None:
    kind = table.get("kind")
    if not isinstance(kind, str) or kind not in kinds:
        got = "none" if kind is None else repr(kind)[:60]
        like = difflib.get_close_matches(str(kind), kinds, n=1)
        cure = f" Did you mean {like[0]}?" if like else ""
        errors.append(f"{where}: expected a kind among {', '.join(kinds)}, got {got}.{cure}")
        return None
    cls = find_kind(kinds, kind)
    before = len(errors)
    rest = {name: value for name, value in table.items() if name != "kind"}
    values = check_options(rest, all_options(cls), where, errors)
    if len(errors) == before:
        errors += [f"{where}: {problem}" for problem in cls.problems(values, channels)]
    if cls.LIBRARY and importlib.util.find_spec(cls.LIBRARY) is None:
        command = library_hint(cls.LIBRARY, cls.EXTRA)
        errors.append(
            f"{where}: expected the library {cls.LIBRARY}, which is not installed. "
            f"Install it with: {command}"
        )
    return (cls, values) if len(errors) == before else None


def example_toml(kind: str, *, sink: bool = False) -> str:
    """A commented table for a config file, with every option.

    Args:
        kind: a name in `SOURCES`, or in `SINKS`.
        sink: whether it is a sink.
    """
    cls = find_kind(SINKS if sink else SOURCES, kind)
    lines = [f"# {cls.HELP}"]
    if cls.EXTRA:
        lines.append(f"# It needs the extra {cls.EXTRA} of edgernn.")
    lines += ["[[sink]]" if sink else "[[source]]", f'kind = "{kind}"']
    return "\n".join([*lines, *example_lines(all_options(cls))]) + "\n"
