"""Completion scripts, in the shells themselves."""

import json
import shutil
import subprocess

import pytest

from edgernn.cli import SUBCOMMANDS, completion, main
from edgernn.cli.completion_scripts import Command, Option, bash_script, fish_script, zsh_script

pytestmark = pytest.mark.device

QUOTES = Command(
    name="run", line="it's one", words=("demo",), files=True,
    options=(
        Option(names=("-o", "--output"), help="a [file]: 'x'", value=True, choices=(), files=True),
        Option(names=("--kind",), help="", value=True, choices=("2:4", "8x4"), files=False),
        Option(names=("--json",), help="$HOME `x`", value=False, choices=(), files=False),
    ),
)  # fmt: skip
OFFER = """
offer() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _edgernn; echo "${COMPREPLY[*]}"; }
"""


def shell(name, program, folder):
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not installed")
    done = subprocess.run(
        [name, "-c", program], capture_output=True, text=True, cwd=folder, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


@pytest.fixture
def script(tmp_path, capsys):
    """The script that the command prints, as a file."""

    def write(name, commands=None):
        path = tmp_path / f"script.{name}"
        if commands is None:
            assert main(["completion", name]) == 0
            path.write_text(capsys.readouterr().out)
        else:
            path.write_text(
                {"bash": bash_script, "zsh": zsh_script, "fish": fish_script}[name](commands)
            )
        return path

    return write


def test_bash_completes_commands_options_choices_and_files(script, tmp_path):
    folder = tmp_path / "here"
    folder.mkdir()
    (folder / "model.edgernn").touch()
    (folder / "network.onnx").touch()
    offers = [
        "offer edgernn inf", "offer edgernn run --format ''", "offer edgernn run --warm",
        "offer edgernn info mod", "offer edgernn info de", "offer edgernn run --input m",
        "offer edgernn run --give-up-after m", "offer edgernn completion ''",
        "offer edgernn quantize net", "offer edgernn bench --float net",
    ]  # fmt: skip
    program = f"source {script('bash')}\n{OFFER}\n" + "\n".join(offers)
    assert shell("bash", program, folder) == [
        "info", "auto csv jsonl", "--warm-up", "model.edgernn", "demo", "model.edgernn", "",
        "bash zsh fish", "network.onnx", "network.onnx",
    ]  # fmt: skip


def test_bash_offers_every_command(script, tmp_path):
    program = f"source {script('bash')}\n{OFFER}\noffer edgernn ''"
    (found,) = shell("bash", program, tmp_path)
    assert found.split() == [*SUBCOMMANDS, "--help", "--version"]


def test_fish_completes(script, tmp_path):
    program = f"source {script('fish', [QUOTES])}\n" + "\n".join(
        f'complete -C "edgernn {line}"' for line in ("", "run --k", "run --kind ", "run --js")
    )
    assert shell("fish", program, tmp_path) == [
        "run\tit's one", "--kind", "2:4", "8x4", "--json\t$HOME `x`",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["bash", "zsh", "fish"])
@pytest.mark.parametrize("commands", [None, [QUOTES]])
def test_scripts_have_no_syntax_errors(script, name, commands, tmp_path):
    assert shell(name, f"{name} -n {script(name, commands)}", tmp_path) == []


def test_a_part_that_is_not_installed_is_left_out(monkeypatch, capsys):
    def absent(name):
        raise ImportError("no", name="edgernn_export")

    monkeypatch.setattr(completion, "command_parser", absent)
    assert main(["completion", "bash", "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["shell"] == "bash"
    assert "options of 'train' are left out, edgernn_export is missing" in err


def test_an_unknown_shell_is_a_usage_error(capsys):
    assert main(["completion", "fisch"]) == 2
    assert "expected bash, zsh, fish, got 'fisch'. Did you mean 'fish'?" in capsys.readouterr().err
