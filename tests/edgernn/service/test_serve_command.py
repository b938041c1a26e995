"""`edgernn serve` and `edgernn watch` as commands: example, checks, signals, HTTP, kills."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import edgernn
from edgernn.cli import main
from edgernn.connections.arrival import Arrival
from edgernn.model.integer_model import IntegerModel
from edgernn.store.state_store import StateStore
from tests.support.services import DEMO, PATHS, Command, demo_arrivals, eventually

DEMO_SHA = IntegerModel.load(DEMO).sha256
DEMO_SOURCE = '[[source]]\nkind = "demo"\n'
DEMO_TEXT = '[model]\npath = "demo"\n'
LINES = '[[sink]]\nkind = "jsonl"\npath = "out.jsonl"\n'


def write_readings(file, arrivals):
    with file.open("a", encoding="utf-8") as lines:
        for arrival in arrivals:
            value = arrival.values[0]
            row = {"key": arrival.key, "seq": arrival.sequence, "co2_change": value}
            if value != value:
                row["co2_change"] = None
            lines.write(json.dumps(row) + "\n")


def results(folder, name="out.jsonl"):
    """Key, number and output of every line, each number once."""
    found = {}
    for line in (folder / name).read_text().splitlines():
        row = json.loads(line)
        place = (row["key"], row["sequence"])
        y = row["co2_change_in_13_weeks"]
        assert found.setdefault(place, y) == y, "a repeated result differs"
    return found


def wanted(arrivals):
    with edgernn.load(DEMO, on_bad_reading="hold") as first:
        sessions, rows = {}, {}
        for arrival in arrivals:
            session = sessions.setdefault(arrival.key, first.new_stream())
            y = float(session.step(arrival.values)[0])
            rows[arrival.key, arrival.sequence] = None if y != y else y
    return rows


def test_a_reader_of_a_pipe_that_has_seen_enough_ends_the_service(tmp_path):
    readings = tmp_path / "in.jsonl"
    write_readings(readings, demo_arrivals(4000))
    (tmp_path / "s.toml").write_text(
        f'{DEMO_TEXT}[store]\npath = "s.db"\n[http]\nlisten = ""\n[[source]]\nkind = "jsonl"\n'
        'path = "in.jsonl"\nfollow = true\n[[sink]]\nkind = "stdout"\nform = "json"\n'
    )
    command = [sys.executable, "-m", "edgernn", "serve", "s.toml"]
    with subprocess.Popen(
        command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": PATHS}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        first = json.loads(process.stdout.readline())
        process.stdout.close()
        errors = process.stderr.read()
        assert process.wait(30) == 0, errors
    assert first["sequence"] == 1
    assert "closed it. The service stops." in errors
    assert "Traceback" not in errors and "Exception ignored" not in errors
    with StateStore(tmp_path / "s.db", DEMO_SHA) as store:
        saved = store.positions().get("jsonl", {"offset": 0})
    assert saved["offset"] < readings.stat().st_size  # what the pipe did not take is read again


def test_the_example_is_written_checked_and_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["serve", "--init"]) == 0
    assert main(["serve", "--init"]) == 2
    assert "expected the name of a new file, got 'serve.toml'" in capsys.readouterr().err
    assert main(["serve", "--check", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["ok"]
    assert record["model_sha256"] == DEMO_SHA
    assert record["channels"] == ["co2_change"]
    file = tmp_path / "serve.toml"
    text = file.read_text().replace("# readings = 0", "readings = 20")
    file.write_text(text.replace("# rate_hz = 2.0", "rate_hz = 0"))
    assert main(["serve", "--listen", ""]) == 0
    said = capsys.readouterr()
    assert len(said.out.splitlines()) == 4 * 20
    assert "Stopped: everything is saved" in said.err
    assert (tmp_path / "states.db").is_file()
    assert main(["serve", "--listen", "", "--quiet"]) == 0  # goes on: there is nothing more
    assert capsys.readouterr().out == ""


def test_everything_that_is_wrong_is_listed(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "serve.toml").write_text(
        '[model]\npath = "demo"\nbackendd = "native"\n[[source]]\nkind = "csv"\npath = "a.csv"\n'
        '[[sink]]\nkind = "stdout"\nretry_s = -1\n'
    )
    assert main(["serve", "--check"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("edgernn serve: 2 errors:\n")
    assert "got 'backendd'. Did you mean 'backend'?" in said
    assert "[[sink]] 1 retry_s: expected at least 0, got -1" in said
    assert main(["serve", "--check", "--json"]) == 2
    assert len(json.loads(capsys.readouterr().out)["errors"]) == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["absent.toml"], "Write an example with: edgernn serve --init absent.toml"),
        (["--workers", "0"], "--workers: expected 1 to 256, got 0"),
        (["--listen", "8765"], "--listen: expected an address and a port"),
    ],
)
def test_wrong_arguments_are_said(tmp_path, monkeypatch, capsys, arguments, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "serve.toml").write_text(DEMO_TEXT + DEMO_SOURCE + LINES)
    assert main(["serve", *arguments]) == 2
    assert said in capsys.readouterr().err


def test_an_address_in_use_is_said(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "serve.toml").write_text(DEMO_TEXT + DEMO_SOURCE + LINES)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        assert main(["serve", "--listen", f"127.0.0.1:{port}"]) == 2
    assert "expected a free address of this machine" in capsys.readouterr().err


def test_a_running_service_answers_and_stops(tmp_path, capsys):
    """HTTP, systemd, SIGHUP, `edgernn watch` and SIGTERM, in one run to save time."""
    shutil.copy(DEMO, tmp_path / "m.edgernn")
    (tmp_path / "serve.toml").write_text(
        '[model]\npath = "m.edgernn"\n[store]\npath = "s.db"\ncommit_s = 0.1\n'
        '[http]\ntitle = "<b>Site</b>"\n[[source]]\nkind = "demo"\nrate_hz = 50\n' + LINES
    )
    heard: list[str] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        threading.Thread(target=_listen, args=(manager, heard), daemon=True).start()
        environment = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "300000"}
        with Command(tmp_path, "serve.toml", **environment) as service:
            state = service.wait_for(lambda state: state["results"] >= 40)
            assert [one["key"] for one in state["streams"]] == [f"site-{n}" for n in (1, 2, 3, 4)]
            assert state["title"] == "<b>Site</b>"
            status, text = service.get("/healthz")
            health = json.loads(text)
            assert (status, health["status"], health["model_sha256"]) == (200, "ok", DEMO_SHA)
            history = json.loads(service.get("/api/stream?key=site-2")[1])
            assert len(history["time_s"]) == len(history["predicted"]) > 5
            assert service.get("/api/stream?key=none")[0] == 404
            assert service.get("/nothing")[0] == 404
            page = service.get("/")[1]
            assert "http://" not in page.replace("http://www.w3.org/", "")
            assert "https://" not in page
            _check_metrics(service.get("/metrics")[1])
            assert main(["watch", service.url, "--once", "--no-color"]) == 0
            screen = capsys.readouterr().out
            assert "site-4" in screen
            assert max(map(len, screen.splitlines())) <= 80
            assert main(["watch", service.url, "--once", "--json"]) == 0
            assert json.loads(capsys.readouterr().out)["results"] >= 40
            service.process.send_signal(signal.SIGHUP)
            service.wait_for(lambda state: state["events"])
            assert "The model is the same" in service.state()["events"][0]["text"]
            assert service.stop() == 0
        eventually(lambda: "STOPPING=1" in heard)
    assert heard[0] == "READY=1"
    assert any(message.startswith("RELOADING=1\nMONOTONIC_USEC=") for message in heard)
    assert heard.count("READY=1") == 2
    assert heard.count("WATCHDOG=1") > 2
    assert any(message.startswith("STATUS=") for message in heard)
    log = (tmp_path / "service.log").read_text()
    assert "Stopped: everything is saved" in log
    assert "Traceback" not in log


def _listen(manager, heard):
    while not heard or heard[-1] != "STOPPING=1":
        heard.append(manager.recv(1000).decode())


def test_the_settings_the_model_and_the_connections_are_checked_at_once(tmp_path, capsys):
    file = tmp_path / "serve.toml"
    file.write_text(
        '[model]\npath = "demo"\n[store]\ndurable = "yes"\n[[source]]\nkind = "mqt"\n'
        '[[source]]\nkind = "mqtt"\nhost = 12\nuser = "me"\n[[sink]]\nkind = "csv"\n'
        '[[decision]]\nkind = "threshold"\nof = "nothing"\n',
        encoding="utf-8",
    )
    assert main(["serve", "--check", str(file), "--json"]) == 2
    text = "\n".join(json.loads(capsys.readouterr().out)["errors"])
    for place in (
        "[store] durable", "[[source]] 1: expected a kind", "[[source]] 2: expected topic",
        "[[source]] 2, host", "[[source]] 2, user", "[[sink]] 1: expected path",
        "decision 1: expected name", "decision 1: expected on",
    ):  # fmt: skip
        assert place in text
    assert "[model]" not in text


def _check_metrics(text):
    """As Prometheus itself reads them."""
    from prometheus_client.parser import text_string_to_metric_families

    found = {family.name: family for family in text_string_to_metric_families(text)}
    assert found["edgernn_readings"].samples[0].value >= 40
    assert found["edgernn_up"].samples[0].value == 1
    buckets = [s for s in found["edgernn_latency_seconds"].samples if s.name.endswith("_bucket")]
    values = [sample.value for sample in buckets]
    assert values == sorted(values)
    assert values[-1] >= 40
    labels = {sample.labels["source"] for sample in found["edgernn_source_readings"].samples}
    assert labels == {"demo"}


def test_watch_says_what_is_wrong(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["watch", "--once"]) == 2
    assert "expected an address or a configuration, got 'serve.toml'" in capsys.readouterr().err
    assert main(["watch", "http://127.0.0.1:9/", "--once"]) == 2
    assert "expected a running service at http://127.0.0.1:9/, got" in capsys.readouterr().err
    assert main(["watch", "http://127.0.0.1:9/", "--every", "0"]) == 2
    assert "--every: expected 0.1 to 3600 seconds" in capsys.readouterr().err


def kill_again_and_again(folder, kills, readings, *arguments):
    """Kill a service that follows a growing file; returns what was sent."""
    rng = random.Random(kills)
    (folder / "serve.toml").write_text(
        f'{DEMO_TEXT}[store]\npath = "s.db"\ncommit_readings = 20\ncommit_s = 0.05\n'
        '[[source]]\nkind = "jsonl"\npath = "in.jsonl"\nfollow = true\n' + LINES
    )
    (folder / "in.jsonl").touch()
    sent = []
    for _ in range(kills):
        with Command(folder, "serve.toml", *arguments) as service:
            service.state()
            more = demo_arrivals(readings, keys=5, start=len(sent))
            sent += more
            for start in range(0, readings, 25):
                write_readings(folder / "in.jsonl", more[start : start + 25])
                time.sleep(rng.uniform(0.0, 0.02))
            time.sleep(rng.uniform(0.0, 0.1))
            service.process.kill()
    with Command(folder, "serve.toml", *arguments) as service:
        service.wait_for(lambda state: len(results(folder)) >= len(sent))
        assert service.stop() == 0
    return sent


def check_kills(folder, sent):
    found, rows = results(folder), wanted(sent)
    assert found.keys() == rows.keys()
    assert found == rows


@pytest.mark.slow
def test_killed_services_lose_nothing(tmp_path):
    check_kills(tmp_path, kill_again_and_again(tmp_path, 3, 200))


@pytest.mark.long
def test_services_killed_many_times_lose_nothing(tmp_path):
    check_kills(tmp_path, kill_again_and_again(tmp_path, 20, 500))


@pytest.mark.slow
def test_any_number_of_workers_gives_the_same_results(tmp_path):
    """With another number after each restart, and one kill."""
    arrivals = demo_arrivals(900, keys=30)
    (tmp_path / "serve.toml").write_text(
        f'{DEMO_TEXT}[store]\npath = "s.db"\n[streams]\ncapacity = 12\n'
        '[[source]]\nkind = "jsonl"\npath = "in.jsonl"\n' + LINES
    )
    for part, workers in enumerate((2, 1, 3)):
        write_readings(tmp_path / "in.jsonl", arrivals[part * 300 : part * 300 + 300])
        with Command(tmp_path, "serve.toml", "--workers", workers, listen=False) as service:
            assert service.process.wait(60) == 0, service.log.read_text()
    lines = (tmp_path / "out.jsonl").read_text().splitlines()
    order = [(row["key"], row["sequence"]) for row in map(json.loads, lines)]
    assert order == [(arrival.key, arrival.sequence) for arrival in arrivals]
    assert results(tmp_path) == wanted(arrivals)


@pytest.mark.slow
def test_a_service_whose_worker_ends_says_so_and_ends(tmp_path):
    (tmp_path / "serve.toml").write_text(DEMO_TEXT + DEMO_SOURCE + LINES)
    with Command(tmp_path, "serve.toml", "--workers", 2) as service:
        service.wait_for(lambda state: state["results"] > 4)
        found = subprocess.run(
            ["pgrep", "-P", str(service.process.pid)], capture_output=True, text=True, check=True
        )
        for child in map(int, found.stdout.split()):
            subprocess.run([sys.executable, "-c", f"import os; os.kill({child}, 9)"], check=True)
        assert service.process.wait(30) == 2
        assert "expected all processes to run, got one that ended" in service.log.read_text()


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_the_log_names_the_streams_whose_readings_are_clipped(tmp_path, workers):
    arrivals = [
        Arrival(key, [1e6 if n > 3 and key != "good" else 0.0], sequence=n)
        for n in range(1, 9)
        for key in ("good", "north", "south")
    ]
    write_readings(tmp_path / "in.jsonl", arrivals)
    (tmp_path / "s.toml").write_text(
        f'{DEMO_TEXT}[http]\nlisten = ""\n[[source]]\nkind = "jsonl"\npath = "in.jsonl"\n{LINES}'
    )
    with Command(tmp_path, "s.toml", "--workers", workers, listen=False) as service:
        assert service.process.wait(60) == 0
    said = [line for line in service.log.read_text().splitlines() if "calibrated" in line]
    assert len(said) == 2
    for key, line in zip(("north", "south"), sorted(said, key=lambda s: "south" in s), strict=True):
        assert f"stream '{key}': expected 'co2_change' within the calibrated range [" in line
        assert "got 1e+06. The value was clipped." in line


def test_readings_as_numbers_keep_every_bit(tmp_path):
    """The file in JSON does not lose digits on the way out."""
    values = wanted(demo_arrivals(30))
    assert all(v is None or np.float64(json.loads(json.dumps(v))) == v for v in values.values())
