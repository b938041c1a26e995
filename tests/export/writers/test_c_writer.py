"""The generated C as text: names, files, determinism, hostile labels, refusals."""

import json
import re
from dataclasses import replace

import pytest

import edgernn
from edgernn.cli import main
from edgernn.errors import EdgeRnnError
from edgernn.model.formats import Precision
from edgernn_export import export
from edgernn_export.writers.c.kernels.files import Kernels
from edgernn_export.writers.c.source import write_c
from edgernn_export.writers.file_formats import golden_vector
from tests.support.models.integer import random_model

MODEL = random_model("lstm", Precision.W8A8)
SHARED = {"edgernn_affine.c", "edgernn_border.c", "edgernn_check.c", "edgernn_tables.c"}


def written(model=MODEL, **options):
    return {n: b.decode() for n, b in write_c(model, golden_vector(model), **options).items()}


@pytest.mark.parametrize(
    ("cell", "own"),
    [
        ("simple_rnn", {"edgernn_simple_rnn.c"}),
        ("lstm", {"edgernn_lstm.c"}),
        ("gru_before", {"edgernn_gru.c"}),
        ("gru_after", {"edgernn_gru.c"}),
    ],
)
def test_a_model_brings_the_kernels_it_needs(cell, own):
    generated = {
        "model.h", "model.c", "model_self_test.c", "model_test_vectors.h", "main.c",
        "selftest_host.c",
    }  # fmt: skip
    sources = {name for name in written(random_model(cell)) if _is_source(name)}
    assert sources == {*SHARED, *own, *generated, "edgernn_dense.c"}
    sources = {name for name in written(random_model(cell, outputs=0)) if _is_source(name)}
    assert sources == {*SHARED, *own, *generated}


def _is_source(name):
    return not re.fullmatch(r"edgernn_\w+\.h|(common|isa)/.*\.h", name)


def test_every_variant_finds_its_headers_and_no_header_is_idle():
    files = written()
    kernels = Kernels(None)
    included = {
        path
        for name, text in files.items()
        for line in text.splitlines()
        for path in kernels.included(name, line)
    }
    assert included == {name for name in files if name.endswith(".h")}


def test_the_step_reads_like_the_network():
    step = re.search(r"void model_step\(.*?\)\n{\n(.*?)}", written()["model.c"], re.S)[1]
    assert [line.strip() for line in step.splitlines()] == [
        "edgernn_codes8(x, 3, state->operands);",
        "edgernn_lstm8_step(&layer0_lstm_0, state->operands, state->z, state->layer0_lstm_0_h, "
        "state->layer0_lstm_0_c);",
        "edgernn_operands8(state->layer0_lstm_0_h, 8, state->operands);",
        "edgernn_dense8_step(&layer1_out, state->operands, y);",
    ]


def test_the_header_states_sizes_and_origin():
    header = written()["model.h"]
    for wanted in (
        f"/* lstm-tame, w8a8: written by edgernn {edgernn.__version__}; do not edit.\n",
        f" * model sha256       {MODEL.sha256}\n",
        "#define MODEL_INPUTS 3\n",
        "#define MODEL_OUTPUTS 2\n",
        "#define MODEL_STATE_BYTES 32 ",
        "/* x1 []: the code is that of NUMERICS.md clause 9.1, or a neighboring one for\n",
    ):
        assert wanted in header
    assert "logits" not in header
    softmax = replace(MODEL, output=replace(MODEL.output, softmax=True))
    assert "ends in a softmax: y are its logits" in written(softmax)["model.h"]


def test_same_model_same_text():
    assert written() == written()
    assert written()["model.c"] != written(random_model("lstm", seed=1))["model.c"]


def test_hostile_labels_stay_inside_their_comments():
    units = ("*/ int x; /*", 'µ"\n#error\\', "??/")
    names = tuple(text.replace("\n", " ") for text in units)
    hostile = replace(MODEL, name="a*/b", input=replace(MODEL.input, names=names, units=units))
    header = written(hostile)["model.h"]
    code = re.sub(r"/\*.*?\*/", "", header, flags=re.S)
    assert "int x" not in code and "#error" not in code
    assert "??" not in header
    assert code == re.sub(r"/\*.*?\*/", "", written()["model.h"], flags=re.S)


@pytest.mark.parametrize(("prefix", "used"), [("Air-2", "Air_2"), ("gas", "gas")])
def test_the_prefix_names_files_and_symbols(prefix, used):
    files = written(prefix=prefix)
    assert {f"{used}.h", f"{used}.c", f"{used}_self_test.c"} <= files.keys()
    assert f"void {used}_step({used}_state_t *state, const {used}_input_t *x," in files[f"{used}.h"]
    text = "".join(t for n, t in files.items() if not n.startswith("edgernn_"))
    assert not re.search(r"\bmodel_\w", text)


@pytest.mark.parametrize("prefix", ["", "2fast", "_x", "edgernn", "EDGERNN_2", "-"])
def test_a_prefix_that_cannot_be_one_is_refused(prefix):
    with pytest.raises(EdgeRnnError, match="export to c: expected a prefix that starts with a let"):
        written(prefix=prefix)


def test_layer_names_that_differ_by_a_dash_stay_apart():
    first, second, dense = random_model("lstm", stack=2).layers
    model = replace(
        random_model("lstm", stack=2),
        layers=(replace(first, name="a-b"), replace(second, name="a_b"), dense),
    )
    assert {"layer0_a_b_h", "layer1_a_b_h"} <= set(
        re.findall(r"int16_t (layer\w+)\[", written(model)["model.h"])
    )


def test_the_command_writes_a_folder(tmp_path, capsys):
    path = MODEL.save(tmp_path / "air.edgernn")
    assert main(["export", str(path), "--to", "c", "-o", str(tmp_path / "out"), "--json"]) == 0
    folder = tmp_path / "out" / "air_c"
    files = [p for p in folder.rglob("*") if p.is_file()]
    assert {p.relative_to(folder).as_posix(): p.read_text() for p in files} == written()
    assert json.loads(capsys.readouterr().out) == {
        "model_sha256": MODEL.sha256,
        "files": {
            "c": {
                "path": str(folder),
                "bytes": sum(map(len, written().values())),
                "densified_weights": 0,
                "files": list(written()),
            },
        },
    }


def test_a_folder_that_is_there_is_updated_and_its_other_files_are_kept(tmp_path):
    folder = tmp_path / "m_c"
    folder.mkdir()
    (folder / "sensor.c").write_text("mine")
    (folder / "model.c").write_text("old")
    assert export(MODEL, tmp_path, ["c"], name="m") == {"c": folder}
    assert (folder / "sensor.c").read_text() == "mine"
    assert (folder / "model.c").read_text() == written()["model.c"]
