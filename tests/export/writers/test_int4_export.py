"""A generated model with 4-bit weights: its text, its self-test, and what its kernels must know."""

import re
import subprocess

import pytest

from edgernn.model.formats import Precision
from edgernn.model.storage import Storage
from edgernn_export.writers.c.source import write_c
from edgernn_export.writers.file_formats import golden_vector
from tests.support.models.integer import random_model
from tests.support.models.stored import stored
from tests.support.native.compilers import SANITIZERS, WARNINGS, compile_c, require

PLAIN = {p: random_model("gru_after", p, inputs=5, units=6, stack=2) for p in Precision}
FOUR = {p: stored(model, Storage.DENSE4) for p, model in PLAIN.items()}
#: Layers of 8 and of 4 bits.
MIXED = {p: stored(model, Storage.DENSE8, Storage.DENSE4) for p, model in PLAIN.items()}


def exported(model, folder):
    files = write_c(model, golden_vector(model))
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return [folder / name for name in files if name.endswith(".c") and name != "main.c"]


def text_of(model):
    return {
        name: content.decode() for name, content in write_c(model, golden_vector(model)).items()
    }


@pytest.mark.parametrize("command", [("gcc", *SANITIZERS), ("clang",)], ids=["gcc", "clang"])
@pytest.mark.parametrize("models", [FOUR, MIXED], ids=["all", "mixed"])
@pytest.mark.parametrize("precision", Precision)
def test_the_self_test_passes(precision, models, command, tmp_path):
    require(command[0])
    sources = exported(models[precision], tmp_path)
    program = tmp_path / "selftest"
    compile_c([*command, "-std=c99", "-O2", "-o", str(program)], sources, tmp_path)
    done = subprocess.run([program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "PASS: 0 differing values\n")


def test_tiles_of_4_bits_are_written_as_such():
    for precision, model in FOUR.items():
        width = "8" if precision is Precision.W8A8 else "16"
        text = text_of(model)["model.c"]
        products = sum(len(a.terms) for cl in model.layers for a in cl.affines.values())
        arrays = re.findall(
            r"int8_t (\w+)\[(\d+) \* EDGERNN_TILE4_BYTES \+ EDGERNN_READ_AHEAD\]", text
        )
        assert len(arrays) == text.count("EDGERNN_DENSE4") == products
        tiles = sum(int(count) for _, count in arrays)
        assert text.count(f"EDGERNN_TILE4_{width}(") == tiles
        assert not re.search(r"EDGERNN_TILE(8|16)\(|EDGERNN_DENSE8", text)


def test_kernels_know_4_bits_where_a_model_needs_them():
    for model, four in ((PLAIN, 0), (FOUR, 1), (MIXED, 1)):
        header = text_of(model[Precision.W8A8])["edgernn_storage.h"]
        assert re.findall(r"#define EDGERNN_HAS_INT4 (\d)", header) == [str(four)]
        assert re.findall(r"#define EDGERNN_HAS_SPARSE (\d)", header) == ["0"]


def test_kernels_without_4_bits_are_refused(tmp_path):
    require("gcc")
    exported(FOUR[Precision.W8A8], tmp_path)
    command = ["gcc", "-std=c99", *WARNINGS, "-DEDGERNN_HAS_INT4=0", "-c", "model.c"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert (
        "model.c: expected kernels for 4-bit weights, got none. Set EDGERNN_HAS_INT4 to 1"
        in done.stderr
    )
