"""The commands and the program of docs/recipes/text.md, on small files like the data sets."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from functools import partial

import pytest

import edgernn
from edgernn.cli import main
from edgernn.model.program_sets.program_set import ProgramSet
from edgernn_export.cli import train
from edgernn_export.datasets import VOCABULARY
from edgernn_export.training import evaluate, find_recipe
from tests.support.documents import blocks, commands
from tests.support.training.data_files import few_names, write_hindi, write_praise

pytestmark = [
    pytest.mark.tf,
    pytest.mark.long,
    pytest.mark.filterwarnings("ignore::edgernn.EdgeRnnWarning"),
]

DOCUMENT = "docs/recipes/text.md"
#: Less work than the page's, by command.
LESS = {
    "train": ["--units", "6", "--layers", "1", "--epochs", "1", "--json"],
    "verify": ["--backends", "native,tflite-runtime,onnxruntime"],
    "generate": [],
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    write_praise(tmp_path)
    write_hindi(tmp_path / "hindi.txt")
    monkeypatch.setenv("EDGERNN_DATA", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    names = replace(find_recipe("name_tags"), load=partial(few_names, 60))
    monkeypatch.setattr(
        train, "find_recipe", lambda name: names if name == "name_tags" else find_recipe(name)
    )
    return tmp_path


def test_the_page_runs(folder, monkeypatch, capsys):
    records, said = {}, []
    for command in commands(DOCUMENT):
        arguments = shlex.split(command)[1:]
        assert main([*arguments, *LESS[arguments[0]]]) == 0
        said.append(capsys.readouterr().out)
        if arguments[0] == "train":
            records[arguments[1]] = json.loads(said[-1])
    assert said[1].startswith("नमस्ते ") and len(said[1]) == len("नमस्ते ") + 40 + 1
    assert {*said[1]} <= {*(folder / "hindi.txt").read_text(encoding="utf-8"), "\n"}
    bits = {
        m: records["char_lm"]["scores"][m]["test"]["bits_per_character"] for m in ("float", "w8a8")
    }
    assert bits["w8a8"] == pytest.approx(bits["float"], abs=0.02)
    assert said[3].splitlines()[-1] == "differing values: 0"

    (program,) = [block.text for block in blocks(DOCUMENT) if block.language == "python"]
    exec(compile(program, DOCUMENT, "exec"), {})
    answers = [line.partition(" ")[0] for line in capsys.readouterr().out.splitlines()]
    assert len(answers) == 2 and {*answers} <= {"positive", "negative"}

    monkeypatch.setattr("edgernn_export.training.evaluation.model_backend", lambda: "reference")
    for name, data in (
        ("sentiment", find_recipe("sentiment").load()),
        ("name_tags", few_names(60)),
    ):
        record, path = records[name], f"build/{name}/{name}.edgernn"
        assert record["metric"] == data.metric
        assert record["files"][VOCABULARY]["path"] == f"build/{name}/{VOCABULARY}"
        written = (folder / f"build/{name}" / VOCABULARY).read_text(encoding="utf-8")
        assert written == data.files[VOCABULARY]
        assert evaluate(path, find_recipe(name), data=data) == record["scores"]["w8a8"]["test"]
        assert ProgramSet.load(path).chunk.sequence is (name == "name_tags")
    first = data.test.x[0, : data.test.steps[0]]
    with edgernn.load_chunks(path, "reference") as session:
        assert session.run(first).shape == (len(first), len(data.classes))
