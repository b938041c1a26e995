"""Registered cells, one of a package outside among them: one answer everywhere, 0 LSB."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from edgernn.backends.native import NativeBackend, isas
from edgernn.backends.onnx import OPTIMIZATIONS
from edgernn.model.integer_model import IntegerModel
from edgernn.model.layers import ENTRY_POINTS
from edgernn_export.writers.c.source import write_c
from edgernn_export.writers.file_formats import golden_vector, probe_codes
from edgernn_firmware_sim.emulator import emulate
from edgernn_firmware_sim.reference.events import Recorder
from edgernn_firmware_sim.reference.reference import Reference
from tests.exactness import test_zero_lsb_onnx, test_zero_lsb_tflite
from tests.exactness.twin.cells import Twin
from tests.exactness.twin_comparison import compare
from tests.support.models import coupled_lstm
from tests.support.models.grid import reference_stream
from tests.support.models.hand_made import CORES, core_named
from tests.support.models.integer import random_codes
from tests.support.models.registered import (
    ALL_CELLS,
    STACKS,
    UNBOUNDED,
    WIDENED,
    registered_models,
    stacked_cells,
    wide_registered_models,
)
from tests.support.native.compilers import SANITIZERS, require
from tests.support.native.stream_programs import build, expected, run, write_codes, write_sources
from tests.support.runtimes import RUNTIMES
from tests.support.runtimes import require as require_runtimes

STEPS, STREAMS = 300, 60
MAIN_CORES = ("cortex-m0", "cortex-m4", "cortex-m55", "rv32imc")


def test_the_twin():
    compared = sum(
        compare(model, streams=3, steps=100, seed=index)[0]
        for index, model in enumerate(registered_models().values())
    )
    assert compared > 100_000


@pytest.mark.long
def test_the_twin_of_wide_states():
    models, compared = wide_registered_models(), Counter()
    for index, (name, model) in enumerate(models.items()):
        kind = name.partition("-")[0]
        compared[kind] += compare(model, streams=4, steps=80, seed=index)[0]
        recorder, twin = Recorder(), Twin(model)
        codes = random_codes(model, 20)
        Reference(model, recorder).run(codes)
        twin.run(codes.tolist())
        saturated = sum(tensor.saturated for tensor in recorder.tensors.values())
        assert saturated == twin.events["sat16"] + twin.events["sat8"], name
    assert set(compared) == set(WIDENED)
    assert min(compared.values()) >= 25_000


def test_wide_and_narrow_files(tmp_path):
    """A narrow layer has no member, so that its file is that of a cell without a choice."""
    for models, wide in ((registered_models(), False), (wide_registered_models(), True)):
        for name, model in models.items():
            path = model.save(tmp_path / f"{name}.edgernn")
            assert (b'\\"wide\\":true' in path.read_bytes()) is wide
            assert b'\\"wide\\":false' not in path.read_bytes()
            assert IntegerModel.load(path) == model


@pytest.mark.parametrize("kind", ALL_CELLS)
def test_streams_reach_both_signs_and_saturate(kind):
    for name in (name for name in registered_models() if name.startswith(f"{kind}-")):
        model = registered_models()[name]
        recorder = Recorder()
        ys, _ = Reference(model, recorder).run(random_codes(model, STEPS))
        assert ys.min() < 0 < ys.max(), name
        if name.endswith("w8a8-hostile"):
            assert any(e.saturated for e in recorder.tensors.values()), name


def test_tflite(tmp_path):
    require_runtimes(*RUNTIMES)
    assert test_zero_lsb_tflite.compare(registered_models(), tmp_path, STEPS) > 500_000


def test_onnx(tmp_path):
    steps = dict.fromkeys(OPTIMIZATIONS, STEPS // 2) | {"disabled": 10}
    assert test_zero_lsb_onnx.compare(registered_models(), tmp_path, steps) > 150_000


def test_native():
    pytest.importorskip("edgernn._native", reason="needs the compiled extension")
    compared, differing = 0, []
    for (name, model), isa in itertools.product(registered_models().items(), isas()):
        codes = random_codes(model, STEPS)
        wanted = reference_stream(model, codes)
        stream = NativeBackend(model, isa=isa).new_stream()
        for t, row in enumerate(codes):
            got = [stream.advance(row[None])[0], *stream.state]
            compared += sum(array.size for array in got)
            if any(not np.array_equal(g, w[t]) for g, w in zip(got, wanted.values(), strict=True)):
                differing.append((name, isa, t))
    assert differing == []
    assert compared > 150_000


def test_c_on_the_host(tmp_path):
    """A million values of every cell: the reference takes all streams at once, at little cost."""
    require("gcc")
    models = registered_models()
    files = write_sources(models, tmp_path)
    program = build(["gcc", "-std=c99", "-O2", *SANITIZERS], files, tmp_path, "registered")
    write_codes(models, tmp_path / "codes", STEPS * STREAMS)
    got = run(program, tmp_path / "codes", every=STEPS)
    compared, differing = Counter(), []
    for (name, model), answers in zip(models.items(), got, strict=True):
        wanted = expected(model, STEPS * STREAMS, every=STEPS)
        compared[name.partition("-")[0]] += wanted.size
        if answers != wanted.tobytes():
            differing.append(name)
    assert differing == []
    assert set(compared) == set(ALL_CELLS)
    assert min(compared.values()) >= 10**6


@pytest.mark.parametrize("stack", STACKS)
def test_stacked_cells_saturate(stack):
    model = stacked_cells("w8a8", stack)
    recorder = Recorder()
    stream = reference_stream(model, probe_codes(model, 40, seed=5))
    Reference(model, recorder).run(probe_codes(model, 40, seed=5))
    assert all(values.min() < values.max() for values in stream.values())
    hostile = {name.partition(".")[0] for name, e in recorder.tensors.items() if e.saturated}
    assert hostile >= set(STACKS[stack]) - set(UNBOUNDED)


@pytest.mark.parametrize(
    ("stack", "precision", "core"),
    [
        *(("first", "w8a8", core) for core in CORES),
        *(("first", "w8a16", core) for core in MAIN_CORES),
        *(("second", "w8a8", core) for core in MAIN_CORES),
        ("second", "w8a16", "cortex-m4"),
    ],
)
def test_all_cells_on_every_core(stack, precision, core, tmp_path):
    model = stacked_cells(precision, stack)
    codes = probe_codes(model, 40, seed=5)
    files = write_c(model, golden_vector(model))
    result = emulate(model, files, core_named(core), codes, tmp_path)
    assert (result.differing, result.first_difference) == (0, "")
    assert result.compared == 40 * (2 + sum(spec.units for spec in model.states))
    assert result.stack_bytes <= result.static_stack_bytes


def test_files_hold_them(tmp_path):
    for name, model in registered_models().items():
        path = tmp_path / f"{name}.edgernn"
        model.save(path)
        assert IntegerModel.load(path) == model
        before = path.read_bytes()
        IntegerModel.load(path).save(path)
        assert path.read_bytes() == before


def test_a_file_finds_the_package_of_its_cell(tmp_path):
    path = registered_models()["coupled_lstm-w8a8-tame"].save(tmp_path / "a.edgernn")
    program = f"import edgernn; print(edgernn.IntegerModel.load({str(path)!r}).layers[0].kind)"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    command = [sys.executable, "-c", program]

    def loaded():
        return subprocess.run(
            command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
        )

    strange = loaded()
    assert "edgernn.errors.FormatError" in strange.stderr
    assert "or a cell registered by a package, got 'coupled_lstm'. Import the" in strange.stderr
    assert strange.stderr.rstrip().endswith(f"in the group {ENTRY_POINTS!r}.")
    (tmp_path / "their_cells.py").write_text(Path(coupled_lstm.__file__).read_text())
    installed = tmp_path / "their_cells-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: their-cells\nVersion: 1.0\n")
    entry = f"[{ENTRY_POINTS}]\ncoupled_lstm = their_cells\n"
    (installed / "entry_points.txt").write_text(entry)
    assert loaded().stdout == "coupled_lstm\n", loaded().stderr
