"""Generated C of block-sparse models: what it brings along, that it compiles, and that it runs."""

import re
import subprocess

import pytest

from edgernn.model.formats import Precision
from edgernn.model.storage import Storage, arranged, kept_tiles, tile_index
from edgernn_export.writers.c.source import write_c
from edgernn_export.writers.file_formats import golden_vector
from tests.export.writers.test_c_compiles import MATRIX
from tests.support.models.integer import random_model, sparse_model
from tests.support.models.stored import stored
from tests.support.native.compilers import (
    SANITIZERS,
    compile_c,
    require,
    require_32_bit,
    write_model,
)

PRECISIONS = [pytest.param(p, id=p.value) for p in Precision]
HEADER = "edgernn_storage.h"


def sparse(precision, cell="gru_after", **options):
    """Maps of one and of two products, rows and columns that fill no tile."""
    model = random_model(cell, precision, inputs=9, units=13, common=False, **options)
    return sparse_model(model, 0.4)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_kernels_know_the_storages_of_their_model(precision):
    dense = random_model("gru_after", precision)
    for model, known in (
        (dense, {"SPARSE": 0, "INT4": 0}),
        (sparse(precision), {"SPARSE": 1, "INT4": 0}),
        (stored(dense, Storage.DENSE4), {"SPARSE": 0, "INT4": 1}),
        (stored(dense, Storage.SPARSE8, Storage.DENSE4), {"SPARSE": 1, "INT4": 1}),
    ):
        header = write_c(model, golden_vector(model))[HEADER].decode()
        defined = dict(re.findall(r"^#define EDGERNN_HAS_(\w+) (\d)", header, re.M))
        assert {name: int(value) for name, value in defined.items()} == known


@pytest.mark.parametrize("precision", PRECISIONS)
def test_tiles_of_zeros_are_not_written(precision):
    model = sparse(precision)
    text = write_c(model, golden_vector(model))["model.c"].decode()
    width = precision.value.rpartition("a")[2]
    for index, layer in enumerate(model.layers):
        for name, affine in layer.affines.items():
            for term in affine.terms:
                filled = arranged(term.weights, layer.parts(term.source))
                owner = f"layer{index}_{layer.name}_{name}_{term.source.value}"
                array = re.search(rf" int8_t {owner}_weights\[(\d+) [^{{]*{{(.*?)}};", text, re.S)
                rows = re.findall(rf"EDGERNN_TILE{width}\(([^)]*)\)", array[2])
                written = [[int(w) for w in row.split(",")] for row in rows]
                assert written == kept_tiles(filled).reshape(-1, 16).tolist()
                assert len(written) == int(array[1])
                places = re.search(rf" uint8_t {owner}_index\[\d+\] = {{(.*?)}};", text, re.S)[1]
                assert [int(p) for p in re.findall(r"\d+", places)] == tile_index(filled).tolist()


@pytest.mark.parametrize("command", MATRIX, ids=" ".join)
def test_no_compiler_has_anything_to_say(command, tmp_path):
    require(command[0])
    if "-m32" in command:
        require_32_bit()
    for precision in Precision:
        folder = tmp_path / precision.value
        compile_c([*command, "-O2", "-c"], write_model(sparse(precision), folder), folder)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_self_test_passes_under_the_sanitizers(precision, tmp_path):
    require("gcc")
    sources = write_model(sparse(precision, kind="hostile"), tmp_path)
    command = ["gcc", "-std=c99", "-O1", *SANITIZERS, "-o", "self_test"]
    compile_c(command, [*sources, tmp_path / "selftest_host.c"], tmp_path)
    done = subprocess.run([tmp_path / "self_test"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "PASS: 0 differing values\n", "")


def test_kernels_that_lack_the_storage_are_refused(tmp_path):
    require("gcc")
    write_model(sparse(Precision.W8A8), tmp_path)
    done = subprocess.run(
        ["gcc", "-DEDGERNN_HAS_SPARSE=0", "-fsyntax-only", "model.c"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "model.c: expected kernels for block-sparse weights, got none. Set" in done.stderr
    assert f"EDGERNN_HAS_SPARSE to 1 in {HEADER}" in done.stderr


def test_models_of_several_storages_share_kernels_that_know_them_all(tmp_path):
    require("gcc")
    sources = {*write_model(sparse(Precision.W8A8), tmp_path, "sparse")}
    sources |= {*write_model(random_model("gru_after", Precision.W8A16), tmp_path, "dense")}
    command = ["gcc", "-std=c99", "-DEDGERNN_HAS_SPARSE=1", "-O1", *SANITIZERS, "-o", "both"]
    main = tmp_path / "both.c"
    main.write_text(
        '#include "sparse.h"\n#include "dense.h"\n'
        "static sparse_state_t sparse;\nstatic dense_state_t dense;\n"
        "int main(void)\n{\n"
        "    return sparse_self_test(&sparse) + dense_self_test(&dense) == 0 ? 0 : 1;\n}\n"
    )
    compile_c(command, [*sorted(sources), main], tmp_path)
    assert subprocess.run([tmp_path / "both"], check=False).returncode == 0
