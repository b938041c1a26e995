"""The programs and the commands of docs/guides/bidirectional.md run as the page says."""

from __future__ import annotations

import numpy as np
import pytest

from edgernn.cli import main
from edgernn.model.program_sets.program_set import ProgramSet
from edgernn_export.verification.executors import runtimes
from tests.support.documents import blocks, commands

DOCUMENT = "docs/guides/bidirectional.md"


@pytest.mark.long
@pytest.mark.filterwarnings("ignore::edgernn.EdgeRnnWarning")
def test_the_page(tmp_path, monkeypatch, capsys):
    pytest.importorskip("keras")
    monkeypatch.chdir(tmp_path)
    (program,) = (block for block in blocks(DOCUMENT) if block.language == "python")
    names: dict[str, object] = {}
    exec(compile(program.text, DOCUMENT, "exec"), names)
    assert str(ProgramSet.load(tmp_path / "sentiment.edgernn").chunk) in program.text
    assert max(names["difference"]) < 0.02  # type: ignore[call-overload]
    rows = [f"s{i},{word}" for i, length in enumerate((5, 9)) for word in np.arange(1, length)]
    (tmp_path / "sentences.csv").write_text("sentence,x0\n" + "\n".join(rows) + "\n")
    (tmp_path / "words.csv").write_text("word\n" + "\n".join(map(str, range(1, 25))) + "\n")
    capsys.readouterr()
    for command in commands(DOCUMENT):
        if "MODEL.keras" in command:
            continue
        if "x0=word" in command:
            command = command.replace("sentences.csv", "words.csv")
        # What every runtime answers is compared in tests/export/verification.
        runtime = "tflite-runtime" if ".tflite " in command else "native"
        assert runtime in runtimes()
        few = ["--backends", runtime, "--steps", "9"] if " verify " in command else []
        assert main([*command.split()[1:], *few]) == 0, command
        printed = capsys.readouterr().out
        if "--group" in command:
            assert [line.partition(",")[0] for line in printed.splitlines()] == [
                "sentence", "s0", "s1",
            ]  # fmt: skip
        if "--chunk" in command:
            assert len(printed.splitlines()) == 1 + 3
        if " verify " in command:
            assert "differing values: 0" in printed
        if " simulate " in command:
            assert "bytes between passes" in printed
