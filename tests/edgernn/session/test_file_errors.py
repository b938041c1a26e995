"""Whatever is wrong with a file or an option is one EdgeRnnError with a sentence."""

import re

import pytest

import edgernn
from edgernn import BackendUnavailable, EdgeRnnError
from tests.support.models.integer import random_model

pytestmark = pytest.mark.device

MODEL = random_model("lstm")
LONG = "x" * 300
DEEP = "/".join(["x" * 200] * 40)


@pytest.mark.parametrize("suffix", [".edgernn", ".tflite", ".onnx"])
@pytest.mark.parametrize("name", [LONG, DEEP, "a\0b", "\udcff", "missing"])
def test_a_name_that_no_file_has(tmp_path, name, suffix):
    with pytest.raises(EdgeRnnError, match=r"^load: expected an existing file, got") as caught:
        edgernn.load(f"{tmp_path}/{name}{suffix}")
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("suffix", [".edgernn", ".tflite", ".onnx"])
def test_a_folder_is_no_file(tmp_path, suffix):
    (tmp_path / f"m{suffix}").mkdir()
    with pytest.raises(EdgeRnnError, match=r"^load: expected an existing file, got"):
        edgernn.load(tmp_path / f"m{suffix}")


@pytest.mark.parametrize("suffix", [".tflite", ".onnx"])
def test_a_file_that_cannot_be_read(tmp_path, monkeypatch, suffix):
    path = tmp_path / f"m{suffix}"
    path.touch()

    def denied(_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(path), "read_bytes", denied)
    with pytest.raises(EdgeRnnError, match=r"expected a readable file, got .* \(Permission denied"):
        edgernn.load(path)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        (LONG, "File name too long"),
        (DEEP, "File name too long"),
        ("a\0b", "(unlink: )?embedded null (byte|character in path)"),
        ("folder", "Is a directory"),
    ],
)
def test_a_name_that_cannot_be_written(tmp_path, name, reason):
    (tmp_path / "folder").mkdir()
    with pytest.raises(EdgeRnnError, match=rf"expected a writable file.*\({reason}\)"):
        MODEL.save(f"{tmp_path}/{name}")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


@pytest.mark.parametrize(
    ("name", "cure"),
    [
        ("m.tflite", r"export\(model, folder, formats=\['tflite'\]\)"),
        ("m.ONNX", r"formats=\['onnx'\]"),
        ("m.c", r"formats=\['c'\]"),
        ("m.keras", "cannot be converted back to Keras"),
        ("m.h5", "cannot be converted back to Keras"),
    ],
)
def test_a_name_of_another_format_is_refused(tmp_path, name, cure):
    path = tmp_path / name
    path.write_bytes(b"kept")
    with pytest.raises(EdgeRnnError, match=rf"name ending in \.edgernn, got '{name}'\. .*{cure}"):
        MODEL.save(path)
    assert path.read_bytes() == b"kept"


def test_a_model_may_have_the_longest_name_a_file_can_have(tmp_path):
    for name in ("x" * 247 + ".edgernn", "ü" * 123 + ".edgernn"):
        assert edgernn.load(MODEL.save(tmp_path / name)).interface == MODEL.interface()


@pytest.mark.parametrize(
    ("suffix", "options", "message"),
    [
        (".edgernn", {"path": "m.edgernn"}, "isa, layout, program, got path."),
        (".edgernn", {"model": MODEL}, "isa, layout, program, got model."),
        (".edgernn", {"num_threads": 2}, "isa, layout, program, got num_threads."),
        (".edgernn", {"isa": 5}, "expected isa auto, "),
        (".edgernn", {"layout": ["fast"]}, "expected layout fast or stored, got ['fast']."),
        (".tflite", {"path": "m.tflite"}, "expected options among runtime, resolver, num_threads,"),
        (".tflite", {"num_threads": "2"}, "expected num_threads 1 to 1024, got '2'."),
        (".tflite", {"num_threads": True}, "expected num_threads 1 to 1024, got True."),
        (".tflite", {"resolver": ["x"]}, "expected resolver default, no_delegate, reference, got"),
        (".onnx", {"num_threads": 1e3}, "expected num_threads 1 to 1024, got 1000.0."),
        (".onnx", {"num_threads": 10**30}, "expected num_threads 1 to 1024, got 10000000"),
        (
            ".onnx",
            {"optimization": {}},
            "expected optimization all, extended, basic, disabled, got",
        ),
    ],
)
def test_options_are_checked(tmp_path, suffix, options, message):
    path = tmp_path / f"m{suffix}"
    path.touch()
    backend = "native" if suffix == ".edgernn" else "auto"
    if suffix == ".edgernn":
        pytest.importorskip("edgernn._native")
        MODEL.save(path)
    with pytest.raises(EdgeRnnError, match=re.escape(message)):
        edgernn.load(path, backend, **options)


@pytest.mark.parametrize("backend", [None, ["native"], 3, "Native"])
def test_backends_are_checked(tmp_path, backend):
    path = MODEL.save(tmp_path / "m.edgernn")
    for source in (path, MODEL):
        with pytest.raises(
            BackendUnavailable, match=r"expected backend 'auto' or|'native' or 'ref"
        ):
            edgernn.load(source, backend)
