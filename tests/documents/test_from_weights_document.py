"""The programs and the command of docs/guides/from-weights.md run as the page says."""

from __future__ import annotations

import re

import numpy as np
import pytest

import edgernn
from edgernn.cli import main
from edgernn_export.weight_files.weight_layout import TABLES, read_layout
from tests.support.documents import ROOT, blocks, commands

DOCUMENT = "docs/guides/from-weights.md"


def test_the_page(tmp_path, monkeypatch):
    torch = pytest.importorskip("torch")
    torch.manual_seed(1)
    monkeypatch.chdir(tmp_path)
    readings = np.random.default_rng(1).normal(size=(60, 3))
    np.save(tmp_path / "readings.npy", readings)
    names: dict[str, object] = {}
    programs = [block.text for block in blocks(DOCUMENT) if block.language == "python"]
    (layout,) = [block for block in blocks(DOCUMENT) if block.title]
    exec(compile(programs[0], DOCUMENT, "exec"), names)
    (tmp_path / layout.title).write_text(layout.text)
    (command,) = commands(DOCUMENT)
    assert main(command.split()[1:]) == 0
    exec(compile(programs[1], DOCUMENT, "exec"), names)
    assert names["layout"] == read_layout(tmp_path / layout.title)
    model = edgernn.IntegerModel.load(tmp_path / "forecast.edgernn")
    assert names["model"].layers == model.layers or names["model"].sha256 == model.sha256
    with edgernn.load(tmp_path / "forecast.edgernn") as session:
        got = np.array([session.step(x) for x in readings])
    with torch.no_grad():
        wanted = names["module"](torch.tensor(readings[None], dtype=torch.float32))[0].numpy()
    assert np.abs(got - wanted).max() < 0.03
    for program in programs[2:]:
        exec(compile(program, DOCUMENT, "exec"), names)
    assert names["model"].output.width == 2


@pytest.mark.parametrize("framework", TABLES)
def test_the_tables_have_every_kind_and_option(framework):
    page = (ROOT / DOCUMENT).read_text(encoding="utf-8")
    told = set(re.findall(r"`(\w+)`", page))
    kinds = TABLES[framework].kinds
    functions = {name for name, kind in kinds.items() if not kind.has_tensors}
    assert set(kinds) <= told
    for name, kind in kinds.items():
        assert name in functions or set(kind.options) - {"padding", "padding_idx"} <= told
