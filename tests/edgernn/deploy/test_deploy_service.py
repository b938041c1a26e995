"""A bundle that is installed and runs, and takes a new model while it streams."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import edgernn
from edgernn.deploy.layout import ServicePlace
from edgernn.deploy.switch import update_model
from edgernn.deploy.vectors import load_model
from tests.support.broker import free_port
from tests.support.bundles import CONFIG, DEMO, device_python, make_demo_bundle, program

#: A systemctl that knows the process of the service.
SYSTEMCTL = """pid=$(cat "$HERE/pid")
case $1 in
is-active) kill -0 "$pid" 2>/dev/null ;;
reload) kill -HUP "$pid" ;;
*) exit 1 ;;
esac"""
DEADLINE_S = 120


def wait_for(happened, what):
    end_s = time.monotonic() + DEADLINE_S
    while time.monotonic() < end_s:
        if (found := happened()) is not None:
            return found
        time.sleep(0.1)
    raise AssertionError(f"{what} did not happen within {DEADLINE_S} s")


def predictions(place, count):
    path = place.states / "predictions.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return [json.loads(line) for line in lines] if len(lines) >= count else None


def feed(place, xs):
    with (place.states / "readings.csv").open("a") as file:
        file.writelines(f"{x:.3f}\n" for x in xs)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An installed bundle below a folder, whose config leads there too."""
    port = free_port()
    config = CONFIG.replace('"readings.csv"', '"readings.csv"\nfollow = true')
    bundle = make_demo_bundle(tmp_path, f"127.0.0.1:{port}", config=config)
    environment = device_python(tmp_path)
    found = ServicePlace(name="demo", prefix=tmp_path / "device")
    command = ["sh", bundle / "install.sh", "--prefix", found.prefix, "--python", sys.executable]
    subprocess.run(command, env=environment, check=True, capture_output=True)
    found.config.write_text(found.config.read_text().replace('"/opt/', f'"{found.prefix}/opt/'))
    found.states.mkdir(parents=True)
    (found.states / "readings.csv").write_text("co2_change\n")
    programs = program(tmp_path / "bin", "systemctl", SYSTEMCTL).parent
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    monkeypatch.setenv("HERE", str(tmp_path))
    return found


@pytest.fixture
def service(place, tmp_path):
    """The service as the unit starts it."""
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            [place.python, "-m", "edgernn", "serve", place.config],
            cwd=place.states, stdout=subprocess.DEVNULL, stderr=log,
        )  # fmt: skip
    (tmp_path / "pid").write_text(str(process.pid))
    yield process
    process.kill()
    process.wait()


@pytest.mark.slow
def test_a_running_service_takes_a_new_model_and_its_streams_go_on(place, service, tmp_path):
    rng = np.random.default_rng(8)
    xs = rng.normal(0, 0.3, 60).round(3)
    feed(place, xs[:30])
    wait_for(lambda: predictions(place, 30), "30 predictions")
    old = load_model(DEMO)
    origin = dataclasses.replace(old.provenance, seeds=(("again", 1),))
    new = dataclasses.replace(old, provenance=origin)
    path = new.save(tmp_path / "new.edgernn")
    text = update_model(place, path, say=lambda line: None)
    assert text.endswith("The streams keep their states.")
    feed(place, xs[30:])
    found = wait_for(lambda: predictions(place, 60), "60 predictions")
    with edgernn.load(DEMO, on_bad_reading="hold") as session:
        wanted = session.run(xs)[:, 0]
    (name,) = old.output.names
    got = [line[name] for line in found]
    assert np.allclose(got, wanted, rtol=0, atol=old.output.scale[0] / 4)
    service.send_signal(signal.SIGTERM)
    assert service.wait(60) == 0
