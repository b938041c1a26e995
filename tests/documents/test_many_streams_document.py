"""The programs in docs/guides/many-streams.md run, one after the other, and print what they say."""

import re
import shutil
from pathlib import Path

import edgernn
from tests.support.documents import blocks

#: What a line of a program prints, as the comment behind it says.
SAID = re.compile(r"print\(.*\)  # (.*)$", re.MULTILINE)


def test_every_program_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("build/demo").mkdir(parents=True)
    shutil.copy(Path(edgernn.__path__[0], "data", "demo.edgernn"), "build/demo/demo.edgernn")
    names: dict[str, object] = {}
    programs = [b for b in blocks("docs/guides/many-streams.md") if b.language == "python"]
    assert len(programs) == 4
    for program in programs:
        exec(compile(program.text, program.document, "exec"), names)
        printed = capsys.readouterr().out.splitlines()
        wanted = [said for said in SAID.findall(program.text) if "first" not in said]
        assert printed[: len(wanted)] == wanted
    with edgernn.store.StateStore("states.sqlite", names["pool"].interface.model_sha256) as store:
        assert set(store.load()) == {"meter/1", "meter/2"}
        assert store.positions() == {"readings.csv": 2}
