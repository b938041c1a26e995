"""deploy.md: its bundle is made and tested, its other commands parse, its figures are systemd's."""

import re
import shlex
import subprocess
import tomllib

import pytest

from edgernn.cli.commands import command_parser
from edgernn.deploy.layout import BundleManifest
from edgernn.deploy.needs import needs_of
from edgernn.deploy.unit import unit_text
from tests.support.documents import ROOT, blocks, commands, run_command
from tests.support.native.compilers import require

DOCUMENT = "docs/guides/deploy.md"


@pytest.mark.slow
def test_the_bundle_is_made_and_passes_its_smoke_test(tmp_path):
    (config,) = [block for block in blocks(DOCUMENT) if block.title]
    (tmp_path / config.title).write_text(config.text)
    for command in commands(DOCUMENT):
        done = run_command(command, tmp_path)
        assert done.returncode == 0, f"{command}\n{done.stderr}"
    assert done.stdout.endswith("passed\n")
    assert BundleManifest.read(tmp_path / "out/manifest.json").targets == ("pure",)
    text = (ROOT / DOCUMENT).read_text(encoding="utf-8")
    table = text.partition("| File | Content |")[2].partition("\n\n")[0]
    named = {name.rstrip("/") for name in re.findall(r"`([^`]+)`", table)}
    assert named == {path.name for path in (tmp_path / "out").iterdir()}


@pytest.mark.parametrize(
    ("document", "count"),
    [
        (DOCUMENT, 6),
        ("docs/tutorials/raspberry-pi.md", 2),
        ("docs/examples/soil-moisture/README.md", 2),
    ],
)
def test_other_commands_parse(document, count):
    lines = [
        line.removeprefix("sudo ")
        for block in blocks(document)
        if block.language == "text"
        for line in block.text.splitlines()
        if line.removeprefix("sudo ").startswith("edgernn ")
    ]
    assert len(lines) == count
    for line in lines:
        _, command, *arguments = shlex.split(line)
        command_parser(command).parse_args(arguments)


def test_the_exposures_are_those_that_systemd_counts(tmp_path):
    require("systemd-analyze")
    text = " ".join((ROOT / DOCUMENT).read_text(encoding="utf-8").split())
    told = re.search(
        r"of ([\d.]+) for a config without network, ([\d.]+) with MQTT, and ([\d.]+)", text
    )
    kinds = ("csv", "mqtt", "serial")
    for kind, number in zip(kinds, told.groups(), strict=True):
        tables = tomllib.loads(f'[[source]]\nkind = "{kind}"')
        path = tmp_path / "edgernn-x.service"
        path.write_text(unit_text("x", needs_of(tables)))
        done = subprocess.run(
            ["systemd-analyze", "security", "--offline=true", path],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        counted = re.search(r"exposure level for edgernn-x.service: ([\d.]+)", done.stdout)[1]
        # Newer versions of systemd count a little differently.
        assert abs(float(counted) - float(number)) <= 0.3, (kind, counted)
