"""Networks in C: the reference's bits on the host and its variants; windows, ports, memory."""

from __future__ import annotations

import dataclasses
import subprocess

import numpy as np
import pytest

from edgernn.model.formats import Precision
from edgernn.model.interface import OutputSpec, Port, Window
from edgernn.model.merges import MergeOperation
from edgernn.model.routes import MODEL_INPUT
from edgernn_export.writers.c.border import port_names
from edgernn_export.writers.c.packages import COptions, open_c_writer
from edgernn_export.writers.c.source import write_c
from edgernn_export.writers.c.step import c_step
from edgernn_export.writers.file_formats import golden_vector
from tests.exactness.test_c_windows import compiled, run, wanted
from tests.support.models.integer import random_codes, random_layer
from tests.support.models.networks import (
    Wiring,
    head_network,
    merge_chain,
    networks,
    random_merge,
    two_input_network,
    wired_model,
)
from tests.support.native import stream_programs as programs
from tests.support.native.compilers import SANITIZERS, compile_c, require, write_model
from tests.support.native.variants import common

STEPS = 220


@pytest.fixture(scope="module")
def models():
    heads = {f"head-{p.value}": head_network(p) for p in Precision}
    return {**networks(), **heads, **{f"merges-{p.value}": merge_chain(p) for p in Precision}}


@pytest.fixture(scope="module")
def sources(models, tmp_path_factory):
    folder = tmp_path_factory.mktemp("networks")
    return folder, programs.write_sources(models, folder)


@pytest.fixture(scope="module")
def expected(models):
    return [programs.expected(model, STEPS).tobytes() for model in models.values()]


@pytest.mark.parametrize("variant", common())
def test_every_variant_of_the_host(variant, sources, models, expected, tmp_path):
    require(*variant.tools)
    checked = not variant.runner and variant.command[0] == "gcc"
    command = [*variant.command, "-std=c99", "-O2", *(SANITIZERS if checked else ())]
    folder, files = sources
    program = programs.build(command, files, folder, f"networks-{variant.name}")
    programs.write_codes(models, tmp_path / "codes", STEPS)
    got = programs.run(program, tmp_path / "codes", variant.runner)
    names = list(models)
    assert [name for name, g, w in zip(names, got, expected, strict=True) if g != w] == []
    assert sum(map(len, got)) // 2 > 100_000  # values


@pytest.mark.parametrize("precision", Precision, ids=lambda p: p.value)
@pytest.mark.parametrize("window", [Window(steps=1), Window(steps=5, hop=3)], ids=str)
def test_windows_of_networks(window, precision, tmp_path):
    """The head of one of them reads the last input, and what a layer made before the states."""
    for index, network in enumerate((head_network(precision), two_input_network(precision))):
        model = dataclasses.replace(network, window=window)
        assert c_step(model).head_reads_input == (index == 0)
        program = compiled(model, tmp_path / str(index), *SANITIZERS)
        codes = random_codes(model, 40)
        for padded in (False, True):
            np.testing.assert_array_equal(run(program, codes, padded), wanted(model, codes, padded))


# ---------------------------------------------------------------- memory


def test_vectors_share_memory_when_they_are_not_there_at_the_same_time():
    rng, precision = np.random.default_rng(0), Precision.W8A8
    w = Wiring(3)
    a = w.add(random_layer(rng, "gru_after", "a", 3, 6, precision), w.part(MODEL_INPUT))
    b = w.add(random_layer(rng, "dense", "b", 6, 5, precision, first=False), w.part(a))
    c = w.add(random_layer(rng, "dense", "c", 5, 7, precision, first=False), w.part(b))
    d = w.add(random_layer(rng, "dense", "d", 7, 5, precision, first=False), w.part(c))
    merge = random_merge(rng, "both", MergeOperation.MAXIMUM, 2, 5)
    both = w.add(merge, w.part(b), w.part(d))
    model = wired_model(w, precision, (w.part(both),), "shared", (), ())
    step = c_step(model)
    assert [layer.made for layer in step.layers[1:]] == [
        "state->value", "state->value + 5", "state->value + 5", "y",
    ]  # fmt: skip
    assert step.values == 5 + 7  # d lies where c was; the merge reads b and d where they lie
    assert step.output == []


def test_parts_of_operands_end_in_zeros_and_within_the_buffer():
    w = Wiring(6)
    rng, precision = np.random.default_rng(0), Precision.W8A16
    parts = [w.part(MODEL_INPUT, slice(3)), w.part(MODEL_INPUT, slice(3, 6))]
    gru = random_layer(rng, "gru_after", "gru", 6, 4, precision)
    state = w.add(gru, *parts)
    wide = random_layer(rng, "dense", "wide", 9, 30, precision, first=False)
    parts = [w.part(state), w.part(MODEL_INPUT, slice(5))]
    out = w.add(wide, *parts)
    model = wired_model(w, precision, (w.part(out),), "parts", (), ())
    step = c_step(model)
    assert step.feeds[0] == [
        "edgernn_codes16(x, 3, state->operands);",
        "edgernn_codes16(x + 3, 3, state->operands + 3);",
        "state->operands[7] = 0;",
    ]
    # 4 codes of the state and 5 of the input, which 3 zeros follow.
    assert step.feeds[1][1] == "edgernn_codes16(x, 5, state->operands + 4);"
    assert step.operands == 12


# ---------------------------------------------------------------- ports


def named(model, inputs, outputs, *, softmax=()):
    source = dataclasses.replace(model.input, ports=tuple(Port(name=n, width=w) for n, w in inputs))
    ports = tuple(Port(name=n, width=w, softmax=n in softmax) for n, w in outputs)
    sink = dataclasses.replace(model.output, ports=ports, softmax=bool(softmax))
    return dataclasses.replace(model, input=source, output=sink)


def test_macros_say_which_channels_are_whose(tmp_path):
    require("gcc")
    model = named(
        two_input_network(), [("left*/", 2), ("LEFT--", 3)], [("a b", 1), ("é", 4)], softmax=["é"]
    )
    sources = write_model(model, tmp_path)
    names = [
        f"MODEL_{name}_{what}"
        for name in ("INPUT_LEFT__", "INPUT_LEFT___1", "OUTPUT_A_B", "OUTPUT__")
        for what in ("FIRST", "WIDTH")
    ]
    prints = "".join(f'    printf("%d ", {name});\n' for name in names)
    text = (
        f'#include <stdio.h>\n#include "model.h"\nint main(void)\n{{\n{prints}    return 0;\n}}\n'
    )
    (tmp_path / "ports.c").write_text(text)
    program = tmp_path / "ports"
    command = ["gcc", "-std=c99", "-Wall", "-Werror", "-I", str(tmp_path), "-o", str(program)]
    compile_c(command, [tmp_path / "ports.c", *sources], tmp_path)
    done = subprocess.run([program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0", "2", "2", "3", "0", "1", "1", "4"]
    header = (tmp_path / "model.h").read_text("ascii")
    assert (
        "Of _, y are logits of a softmax: the largest one of each is its predicted class." in header
    )


def test_names_of_macros_are_unique():
    names = ("a", "A", "a_1", "a-1", "ä", "ö")
    made = port_names([Port(name=name, width=1) for name in names])
    assert made[0] == "A"
    assert len({*made}) == len(names)
    assert all(name.isascii() and name.replace("_", "a").isalnum() for name in made)


def test_a_model_of_one_input_has_no_macros_of_ports():
    model = head_network(Precision.W8A8)
    header = write_c(model, golden_vector(model))["model.h"]
    assert b"_FIRST" not in header
    assert isinstance(model.output, OutputSpec)
    assert model.output.ports == ()


@pytest.mark.parametrize("package", ["cmake", "arduino", "platformio", "esp-idf", "zephyr"])
def test_packages_name_the_macros(package):
    model = two_input_network()
    files = open_c_writer(COptions(package=package), "net")[0](model, golden_vector(model))
    assert b"`MODEL_INPUT_A_FIRST`, `MODEL_INPUT_B_FIRST`" in files["README.md"]
    assert "src/edgernn_ops.c" not in files  # no layer goes operation by operation
    assert b"edgernn_lstm" in files["src/model.c"]
