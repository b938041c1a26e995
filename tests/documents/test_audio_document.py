"""The guide on sound trains, listens and exports as it says, on generated sounds."""

import re
import subprocess

import numpy as np
import pytest

import edgernn
from edgernn.prepare.audio.log_mel import PRESETS, LogMel
from edgernn.prepare.preparation import Preparation
from tests.support.documents import ROOT, blocks, commands, run_command
from tests.support.native.compilers import compile_c, require

PAGE = "docs/guides/audio.md"


@pytest.mark.tf
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::edgernn.errors.EdgeRnnWarning")
def test_every_program_of_the_page_runs(tmp_path, monkeypatch):
    require("gcc")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EDGERNN_DATA", raising=False)
    # tests/export/quantizer/test_micro_frontend_codes.py runs the third one.
    train, listen, _ = (block for block in blocks(PAGE) if block.language == "python")
    names = {}
    exec(compile(train.text, PAGE, "exec"), names)
    x, y, test = (names[name] for name in ("x", "y", "test"))
    with edgernn.load("sound.edgernn") as session:
        answers = [session.new_stream().run(clip)[-1].argmax() for clip in x[test]]
    assert np.mean(np.array(answers) == y[test]) > 0.9
    exec(compile(listen.text, PAGE, "exec"), {})
    said = [run_command(command, tmp_path) for command in commands(PAGE)]
    assert [done.returncode for done in said] == [0, 0], said
    folder = tmp_path / "sound_c"
    assert "model_push_samples" in (folder / "model.h").read_text()
    assert (folder / "edgernn_log_mel.c").exists()
    run_command("edgernn export sound.edgernn --to c -o host", tmp_path)
    host = tmp_path / "host" / "sound_c"
    sources = [path.name for path in host.glob("*.c") if path.name != "main.c"]
    compile_c(["gcc", "-O1", "-std=c99", "-o", "test"], sources, host)
    done = subprocess.run([str(host / "test")], capture_output=True, text=True, check=False)
    assert done.stdout == "PASS: 0 differing values\n"


def test_the_file_of_the_page_is_a_preparation(tmp_path):
    (block,) = (block for block in blocks(PAGE) if block.language == "toml")
    (tmp_path / "audio.toml").write_text(block.text)
    audio = Preparation.from_file(tmp_path / "audio.toml").audio
    assert (audio.norm, audio.bands) == ("slaney", 40)


def test_all_settings_and_presets_are_on_the_page():
    text = (ROOT / PAGE).read_text()
    rows = re.findall(r"^\| ((?:`[\w.]+`(?:, )?)+) \|", text, re.M)
    said = {name for row in rows for name in re.findall(r"`([\w.]+)`", row)}
    assert set(LogMel.__dataclass_fields__) - {"kind"} <= said
    assert PRESETS.keys() <= said
