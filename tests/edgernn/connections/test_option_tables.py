"""Tables of config files: all errors at once, secrets out of them, examples that are right."""

import importlib.util
import re
import tomllib

import pytest

from edgernn.connections.options import toml_value
from edgernn.connections.registry import (
    SINKS,
    SOURCES,
    Connection,
    all_options,
    example_toml,
    find_kind,
    make_sink,
    make_source,
)
from edgernn.errors import SourceError

pytestmark = pytest.mark.device

WHERE = "serve.toml, [[source]] 1"
ALL = [(kind, False) for kind in SOURCES] + [(kind, True) for kind in SINKS]


@pytest.mark.parametrize(("kind", "sink"), ALL)
def test_every_kind_says_what_it_is(kind, sink):
    cls = find_kind(SINKS if sink else SOURCES, kind)
    assert issubclass(cls, Connection) and kind == cls.KIND
    assert cls.HELP.endswith(".") and bool(cls.EXTRA) == bool(cls.LIBRARY)
    names = [option.name for option in all_options(cls)]
    assert len(set(names)) == len(names) and "kind" not in names
    for option in all_options(cls):
        assert option.help.endswith(".") and len(option.help) < 250
        assert not option.required or option.example is not None
        for value in (option.default, option.example):
            assert value is None or not option.problem(value), option.name


@pytest.mark.parametrize(("kind", "sink"), ALL)
def test_the_example_of_every_kind_is_a_table_without_errors(kind, sink):
    text = example_toml(kind, sink=sink)
    name = "sink" if sink else "source"
    (table,) = tomllib.loads(text)[name]
    # Options that are comments are right too, where they do not exclude one another.
    apart = {"modbus": {"serial_port"}, "influx": {"path"}, "load": set()}.get(kind, set())
    lines = [re.sub(r"^# (\w+ = )", r"\1", line) for line in text.splitlines()]
    (full,) = tomllib.loads("\n".join(lines))[name]
    full = {key: value for key, value in full.items() if key not in apart}
    assert set(table) <= set(full)
    channels = {
        "modbus": ("temperature", "power"), "load": ("demand",), "demo": ("co2_change",),
    }.get(kind, ("temperature",))  # fmt: skip
    full |= {"tls": True} if kind == "mqtt" else {}
    full |= {"host": "127.0.0.1"} if kind == "modbus" else {}
    errors = []
    made = make_sink(full, WHERE, errors) if sink else make_source(full, WHERE, channels, errors)
    missing = [error for error in errors if "which is not installed" in error]
    assert errors == missing and (made is None) == bool(missing)


def test_all_errors_of_a_table_are_told_at_once():
    errors = []
    table = {
        "kind": "csv", "pth": "a", "follow": 1, "max_line_bytes": 3, "decimal": ";",
        "columns": {"temp": 1}, "name": ["x"],
    }  # fmt: skip
    assert make_source(table, WHERE, ("temp",), errors) is None
    assert errors == [
        f"{WHERE}: expected a known option, got 'pth'. Did you mean path?",
        f'{WHERE}: expected path, got none. Add path = "readings.csv".',
        f"{WHERE}, follow: expected true or false, got 1.",
        f"{WHERE}, max_line_bytes: expected a whole number from 64 to 268435456, got 3.",
        f'{WHERE}, decimal: expected one of "", ".", ",", got ";".',
        f"{WHERE}, columns: expected a table of texts, got {{ temp = 1 }}.",
        f'{WHERE}, name: expected a text, got ["x"].',
    ]


def test_errors_between_options_come_once_each_option_is_right():
    errors = []
    table = {"kind": "csv", "path": "a", "columns": {"temp": "t"}, "time_zone": "Mars",
             "encoding": "utf-16", "delimiter": "::"}  # fmt: skip
    assert make_source(table, WHERE, ("x",), errors) is None
    assert [error.partition(", got")[0] for error in errors] == [
        f"{WHERE}: encoding: expected one such as utf-8, latin-1 or cp1252",
        f"{WHERE}: columns: expected channels among x",
        f'{WHERE}: time_zone: expected a name of the tz database such as "UTC" or "Europe/Berlin"',
        f"{WHERE}: delimiter: expected one character, or one of comma, semicolon, tab, space, pipe",
    ]


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (None, f"expected a kind among {', '.join(SOURCES)}, got none."),
        ("cvs", "got 'cvs'. Did you mean csv?"),
        (7, "got 7."),
    ],
)
def test_a_kind_that_there_is_not(kind, message):
    errors = []
    table = {} if kind is None else {"kind": kind}
    assert make_source(table, WHERE, ("x",), errors) is None
    assert len(errors) == 1 and message in errors[0] and errors[0].startswith(WHERE)


def test_a_missing_library_ends_in_the_command_that_installs_it(monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "paho" else found(name)
    )
    errors = []
    make_source({"kind": "mqtt", "topic": "a/{key}", "qos": 7}, WHERE, ("x",), errors)
    assert errors[0] == f"{WHERE}, qos: expected a whole number from 0 to 1, got 7."
    assert errors[1].startswith(f"{WHERE}: expected the library paho, which is not installed.")
    assert "pip install" in errors[1] and "[mqtt]" in errors[1]


@pytest.mark.parametrize("topic", ["a/#/b", "a+/b", "{key}/{key}", "a/x{key}", "{k}/a", "a/{key"])
def test_topics_that_are_none(topic):
    pytest.importorskip("paho.mqtt.client")
    errors = []
    make_source({"kind": "mqtt", "topic": topic}, WHERE, ("x",), errors)
    assert len(errors) == 1 and errors[0].startswith(f"{WHERE}: topic: expected")


def test_a_secret_is_looked_up_when_it_is_used(tmp_path, monkeypatch):
    pytest.importorskip("paho.mqtt.client")
    for secret, message in (
        ({"env": "EDGERNN_NO_SUCH"}, "expected the environment variable EDGERNN_NO_SUCH, got none"),
        ({"file": str(tmp_path / "none")}, "expected a file that this user can read, got"),
    ):
        errors = []
        table = {"kind": "mqtt", "topic": "a", "user": secret}
        made = make_source(table, WHERE, ("x",), errors)
        assert errors == []
        with pytest.raises(SourceError, match=rf"serve.toml, \[\[source\]\] 1, user: {message}"):
            made.open(None)


def test_values_are_written_as_toml_reads_them():
    for value in (
        True, 3, 1.5, "a\\b\"c\nd", ["x", 'y"'], {"a": "b", "c d": "e"}, {}, [{"k": "v"}],
    ):  # fmt: skip
        assert tomllib.loads(f"v = {toml_value(value)}") == {"v": value}
