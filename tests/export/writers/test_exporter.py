import re

import numpy as np
import pytest

import edgernn_export
from edgernn.errors import EdgeRnnError
from edgernn.model.formats import Precision
from edgernn_export import export
from edgernn_export.writers.c.packages import PACKAGES
from edgernn_export.writers.file_formats import SESSION_FORMATS, WRITERS, golden_vector, probe_codes
from edgernn_firmware_sim.reference.reference import Reference
from tests.support.models.integer import random_model
from tests.support.runtimes import run_python

MODEL = random_model("gru_after", Precision.W8A8)


def test_every_format_is_written_and_named(tmp_path):
    paths = export(MODEL, tmp_path / "new" / "folder", tuple(WRITERS))
    assert paths == {
        name: tmp_path / "new" / "folder" / f"gru_after-tame{suffix}"
        for name, (_, _, suffix) in WRITERS.items()
    }
    assert sorted(p.name for p in (tmp_path / "new" / "folder").iterdir()) == [
        "gru_after-tame.onnx",
        "gru_after-tame.tflite",
        "gru_after-tame_c",
    ]
    assert export(MODEL, tmp_path / "plain").keys() == set(SESSION_FORMATS)


def test_every_package_is_a_folder_of_its_own(tmp_path):
    folders = [export(MODEL, tmp_path, ["c"], name="m", package=p)["c"] for p in PACKAGES]
    assert [f.name for f in folders] == [
        "m_cmake", "m_edgernn", "m_platformio", "m_esp_idf", "m_zephyr",
    ]  # fmt: skip
    assert sorted(tmp_path.iterdir()) == sorted(folders)


def test_a_package_that_is_there_is_updated_and_its_other_files_are_kept(tmp_path):
    folder = export(MODEL, tmp_path, ["c"], name="m", package="arduino")["c"]
    model, own = folder / "src" / "model.c", folder / "examples" / "Mine" / "Mine.ino"
    wanted = model.read_bytes()
    own.parent.mkdir()
    own.write_text("mine")
    model.write_text("old")
    export(MODEL, tmp_path, ["c"], name="m", package="arduino")
    assert (model.read_bytes(), own.read_text()) == (wanted, "mine")


@pytest.mark.parametrize("prefix", ["main", "selftest_host", "stdint", "Arduino", "Fixed-Point"])
@pytest.mark.parametrize("package", [None, "platformio"])
def test_a_prefix_never_takes_the_place_of_another_file(tmp_path, package, prefix):
    with pytest.raises(EdgeRnnError, match=f"another header or program, got '{prefix}'"):
        export(MODEL, tmp_path / "out", ["c"], package=package, prefix=prefix)
    assert not (tmp_path / "out").exists()


def test_same_model_same_bytes(tmp_path):
    first, second = export(MODEL, tmp_path / "a"), export(MODEL, tmp_path / "b")
    for name in SESSION_FORMATS:
        assert first[name].read_bytes() == second[name].read_bytes()


@pytest.mark.parametrize(
    ("name", "file"),
    [("../../etc/x", "_.._etc_x"), ("a b/ü", "a_b__"), ("..", "model"), ("m", "m")],
)
def test_a_model_name_never_leaves_the_folder(tmp_path, name, file):
    path = export(MODEL, tmp_path, ["tflite"], name=name)["tflite"]
    assert path == tmp_path / f"{file}.tflite"


@pytest.mark.parametrize(
    ("formats", "message"),
    [
        (["tflite", "keras"], "export: expected formats among tflite, onnx, c, got 'keras'."),
        ([], "export: expected a sequence of formats among tflite, onnx, c, got []."),
        ("onnx", "export: expected a sequence of formats among tflite, onnx, c, got 'onnx'."),
    ],
)
def test_unknown_formats_are_refused_before_anything_is_written(tmp_path, formats, message):
    with pytest.raises(EdgeRnnError, match=re.escape(message)):
        export(MODEL, tmp_path / "out", formats)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("precision", Precision)
def test_probe_codes_are_valid_and_reach_the_whole_range(precision):
    model = random_model("lstm", precision)
    codes = probe_codes(model, 6000, 0)
    step = precision.input_step
    assert codes.dtype == precision.operand_dtype
    assert (codes.astype(int) % step == 0).all()
    assert precision.input_low <= codes.min() < 0.99 * precision.input_low
    assert 0.99 * precision.input_high < codes.max() <= precision.input_high
    assert np.unique(np.abs(codes[:, 0].astype(int)) * 16 <= precision.input_high).size == 2


def test_probe_codes_are_the_same_on_every_machine():
    # The first six words of PCG64(0) modulo 256, minus 128.
    assert probe_codes(MODEL, 2, 0).tolist() == [[-33, -95, 56], [-99, -69, -50]]
    assert not np.array_equal(probe_codes(MODEL, 2, 1), probe_codes(MODEL, 2, 0))


def test_the_golden_vector_is_the_reference_from_the_zero_state():
    golden = golden_vector(MODEL)
    assert golden.q_x.shape == (8, 3)
    reference = Reference(MODEL)
    state = reference.initial_state()
    for q_x, q_y in zip(golden.q_x, golden.q_y, strict=True):
        q, state = reference.step(q_x, state)
        assert q.tolist() == q_y.tolist()
    assert np.unique(golden.q_y).size > 8


def test_the_package_exposes_functions_whatever_was_imported_first():
    code = "import edgernn_export.writers.exporter, edgernn_export.quantizer.quantizer; "
    code += "import edgernn_export as e; assert callable(e.quantize) and callable(e.export)"
    run_python("-c", code)
    assert {"evaluate", "export", "quantize", "quantize_programs"} < {*edgernn_export.__all__}
    assert all(callable(getattr(edgernn_export, name)) for name in edgernn_export.__all__)
