"""sources-and-sinks.md and home-assistant.md: tables, configs, programs and topics are right."""

import json
import re
import sqlite3
import tomllib

import pytest

from edgernn.connections.registry import SINKS, SOURCES, make_sink, make_source
from edgernn.records.text_files import open_text
from tests.documents.connection_tables import PAGE, written
from tests.support.documents import ROOT, blocks, run_python
from tests.support.results import opened, result

SOURCES_PAGE = "docs/guides/sources-and-sinks.md"
HOME_PAGE = "docs/guides/home-assistant.md"


def test_the_tables_of_options_are_those_of_the_kinds():
    text = PAGE.read_text(encoding="utf-8")
    assert written(text) == text, "run: python -m tests.documents.connection_tables"


def test_every_kind_has_a_section():
    text = PAGE.read_text(encoding="utf-8")
    titles = re.findall(r"^### (\w+ (?:source|sink))$", text, re.MULTILINE)
    assert titles == [f"{kind} source" for kind in SOURCES] + [f"{kind} sink" for kind in SINKS]
    for title in titles:
        assert f"<!-- options: {title} -->" in text


@pytest.mark.parametrize("page", [SOURCES_PAGE, HOME_PAGE])
def test_the_configs_have_no_errors(page):
    pytest.importorskip("paho.mqtt.client")
    configs = [block for block in blocks(page) if block.language == "toml"]
    assert len(configs) == 1
    tables, errors = tomllib.loads(configs[0].text), []
    for table in tables["source"]:
        make_source(table, page, ("temperature",), errors)
    for table in tables["sink"]:
        make_sink(table, page, errors)
    assert errors == []


def test_the_program_runs(tmp_path):
    (program,) = [block for block in blocks(SOURCES_PAGE) if block.language == "python"]
    done = run_python(program.text, tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 3 and all(line.startswith("load 1") for line in lines)


def test_the_forms_of_json_are_read(tmp_path):
    text = (ROOT / SOURCES_PAGE).read_text(encoding="utf-8")
    section = text.partition("### jsonl source")[2].partition("<!--")[0]
    forms = [form for form in re.findall(r"`([^`]+)`", section) if form[0] in "[{"]
    assert len(forms) == 4
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(forms), encoding="utf-8")
    errors = []
    source = make_source(
        {"kind": "jsonl", "path": str(path)}, "x", ("temperature", "humidity"), errors
    )
    source.open(None)
    arrivals = source.read(100, 0.0).arrivals
    source.close()
    assert [a.values[0] for a in arrivals] == [21.5, 21.5, 21.5, 21.6, 21.5, 21.6]
    assert [a.key for a in arrivals] == ["pump-1", *3 * ["jsonl"], "pump-1", "pump-1"]
    assert not any(a.problem for a in arrivals) and arrivals[0].time_s == 1777629600.0
    with open_text(str(path)) as lines:  # the page shows what a file holds
        assert [json.loads(line) for line in lines.lines()]


def test_the_query_runs(tmp_path):
    (query,) = [block.text for block in blocks(SOURCES_PAGE) if block.language == "sql"]
    sink = opened(kind="sqlite", path=str(tmp_path / "a.sqlite"))
    one = result(time_s=2e9)
    one.outputs = {"temperature": 81.25}
    sink.write([one])
    sink.flush()
    sink.close()
    database = sqlite3.connect(tmp_path / "a.sqlite")
    assert database.execute(query).fetchall() == [("2033-05-18T03:33:20.000Z", "pump", 81.25)]
    database.close()


def test_home_assistant_hears_what_the_page_says():
    from edgernn.connections.options import check_options
    from edgernn.connections.registry import all_options
    from edgernn.sinks.home_assistant import Announcer
    from edgernn.sinks.members import result_members
    from edgernn.sinks.mqtt import MqttSink
    from tests.support.results import demo_interface

    text = (ROOT / HOME_PAGE).read_text(encoding="utf-8")
    values = check_options({}, all_options(MqttSink), "x", [])
    announcer = Announcer(values, demo_interface(), "edgernn/status")
    one = result(key="pump-1", alarm=True)
    one.outputs = {"temperature": 1.0}
    topic = "edgernn/predictions/pump-1"
    found = dict(announcer.announcements(one, result_members(one), topic))
    told = [
        name.replace("MODEL", "co2_forecaster")
        for name in re.findall(r"`(homeassistant/\S+/config)`", text)
    ]
    assert list(found) == told
    assert values.text("topic").replace("{key}", "pump-1") == topic and f"`{topic}`" in text
