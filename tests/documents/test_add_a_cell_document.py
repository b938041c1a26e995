"""The programs in docs/guides/add-a-cell.md run, and its cell gives one answer everywhere."""

from __future__ import annotations

import sys

import numpy as np
import pytest

import edgernn
from edgernn.graph.lowering import LOWERINGS
from edgernn.model.integer_model import IntegerModel
from edgernn.model.layers import LAYERS
from edgernn_export.compress.qat import integer_model, qat_model
from edgernn_export.writers.onnx.writer import write_onnx_exact
from edgernn_export.writers.tflite.writer import write_tflite
from edgernn_firmware_sim.reference.reference import Reference
from tests.support.documents import blocks
from tests.support.models.integer import random_codes

pytestmark = pytest.mark.tf
DOCUMENT = "docs/guides/add-a-cell.md"


@pytest.fixture
def page(tmp_path, monkeypatch, capsys):
    """Both programs, run in a folder of their own; what they know is forgotten afterwards."""
    for table in (LAYERS, LOWERINGS):
        monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
        for key in (*table, "light_gru"):
            monkeypatch.setitem(table, key, table.get(key))
        monkeypatch.delitem(table, "light_gru")
    monkeypatch.chdir(tmp_path)
    module, program = (b for b in blocks(DOCUMENT) if b.language == "python")
    (tmp_path / "light_gru.py").write_text(module.text)
    names: dict[str, object] = {}
    capsys.readouterr()
    exec(compile(program.text, program.document, "exec"), names)
    names["said"] = capsys.readouterr().out
    yield names
    sys.modules.pop("light_gru", None)


def test_the_programs_run(page, tmp_path):
    assert str(page["said"]).startswith("[")
    model = IntegerModel.load(tmp_path / "light.edgernn")
    assert model.layers[0].kind == "light_gru"
    codes = random_codes(model, 200)
    wanted, _ = Reference(model).run(codes)
    (tmp_path / "light.tflite").write_bytes(write_tflite(model))
    (tmp_path / "light.onnx").write_bytes(write_onnx_exact(model))
    xs = codes * model.input.scale + model.input.offset
    for name in ("light.edgernn", "light.tflite", "light.onnx"):
        with edgernn.load(tmp_path / name) as session:
            ys = session.run(xs)
        assert np.array_equal(np.rint(ys / model.output.scale), wanted), name


def test_it_is_trained_on_its_integers(page):
    network, xs = page["network"], page["xs"]
    trained = qat_model(network, xs)
    trained.compile("adam", "mse")
    trained.fit(xs, xs.mean(axis=2, keepdims=True), epochs=1, verbose=0)
    model = integer_model(trained)
    codes = model.interface().quantize(xs)
    wanted, _ = Reference(model).run(codes)
    assert np.array_equal(np.rint(np.asarray(trained(xs)) / model.output.scale), wanted)
