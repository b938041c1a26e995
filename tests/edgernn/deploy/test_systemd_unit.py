"""The unit: accepted by systemd, exposed as little as its config allows."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import edgernn
from edgernn.deploy.needs import needs_of
from edgernn.deploy.unit import unit_text
from tests.support.native.compilers import require

#: Config -> the most exposure that systemd may count for it; the aim for all is 3.
CONFIGS = {
    "": 1.4,
    '[[source]]\nkind = "mqtt"\n[[sink]]\nkind = "influx"': 1.6,
    '[[source]]\nkind = "serial"': 2.2,
    '[[source]]\nkind = "load"\n[[source]]\nkind = "microphone"\n[[sink]]\nkind = "mqtt"': 2.4,
}


def unit(config):
    return unit_text("soil", needs_of(tomllib.loads(config)))


@pytest.mark.parametrize("config", CONFIGS)
def test_systemd_counts_little_exposure(config, tmp_path):
    require("systemd-analyze")
    path = tmp_path / "edgernn-soil.service"
    path.write_text(unit(config))
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=30", path],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    exposure = float(
        re.search(r"exposure level for edgernn-soil.service: ([\d.]+)", done.stdout)[1]
    )
    assert 0 < exposure <= CONFIGS[config]


@pytest.mark.parametrize("config", CONFIGS)
def test_systemd_verifies_the_unit(config, tmp_path):
    require("systemd-analyze")
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\n")
    python.chmod(0o755)
    path = tmp_path / "edgernn-soil.service"
    # The program must exist where systemd looks, which is the device's folder otherwise.
    path.write_text(unit(config).replace("/opt/edgernn/soil/release/venv/bin/python", str(python)))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", path], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_wrong_unit_is_not_verified(tmp_path):
    require("systemd-analyze")
    path = tmp_path / "edgernn-soil.service"
    path.write_text(unit("").replace("Type=notify", "Type=nonsense"))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", path], capture_output=True, text=True, check=False
    )
    assert done.stderr


def test_the_unit_is_watched_and_started_again_for_ever():
    lines = unit("").splitlines()
    for line in (
        "Type=notify", "WatchdogSec=60", "Restart=always", "StartLimitIntervalSec=0",
        "User=edgernn", "StateDirectory=edgernn/soil", "WorkingDirectory=/var/lib/edgernn/soil",
        "ExecStart=/opt/edgernn/soil/release/venv/bin/python -P -m edgernn serve "
        "/etc/edgernn/soil.toml",
        "ExecReload=/bin/kill -HUP $MAINPID", "EnvironmentFile=-/etc/edgernn/soil.env",
    ):  # fmt: skip
        assert line in lines


def test_no_module_comes_from_the_folder_that_the_service_writes_to(tmp_path):
    (tmp_path / "numpy.py").write_text("raise SystemExit('taken over')")
    (line,) = (text for text in unit("").splitlines() if text.startswith("ExecStart="))
    words = line.split()[1:-1]
    done = subprocess.run(
        [sys.executable, *words, "--help"], cwd=tmp_path, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    for file in ("files/install.sh", "remote.py"):  # which run as root
        text = (Path(edgernn.__file__).parent / "deploy" / file).read_text()
        assert " -P -m edgernn" in text
        assert text.count(" -m edgernn") == text.count(" -P -m edgernn")


def test_devices_and_the_network_are_open_where_the_config_needs_them():
    closed, opened = unit(""), unit('[[source]]\nkind = "serial"\n[[sink]]\nkind = "mqtt"')
    assert "PrivateDevices=yes" in closed
    assert "IPAddressDeny=any" in closed
    assert "PrivateDevices=yes" not in opened
    assert "IPAddressDeny" not in opened
    assert "DevicePolicy=closed\nDeviceAllow=char-ttyUSB rw\n" in opened
    assert "SupplementaryGroups=dialout\n" in opened
