"""The extension module itself: it refuses what it is not made for, and stays within its arrays."""

import dataclasses
import importlib
import itertools
import os
import subprocess
import sys
from importlib import util
from pathlib import Path

import numpy as np
import pytest

from edgernn.backends.native import NativeBackend
from edgernn.model.formats import Precision
from edgernn_firmware_sim.reference.backend import ReferenceBackend
from tests.support.models.integer import random_codes, random_layer, random_model
from tests.support.native.compilers import SANITIZERS, WARNINGS, require
from tests.support.native.fuzz import arguments, fuzz
from tests.support.native.programs import require_native

ROOT = Path(__file__).resolve().parents[3]
MODEL = random_model("lstm", Precision.W8A16)


@pytest.fixture(autouse=True)
def _native():
    require_native()


@pytest.fixture
def hook():
    """The build hook as a module."""
    spec = util.spec_from_file_location(
        "native_build_hook", ROOT / "edgernn" / "extension" / "build_hook.py"
    )
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def module():
    return importlib.import_module("edgernn._native")


def test_spoilt_programs_are_refused_or_run():
    accepted, refused = fuzz(module(), 150)
    assert refused > 1000
    assert accepted > 100


@pytest.mark.long
def test_no_access_outside_an_array_is_seen_by_the_sanitizers(hook, tmp_path):
    require("gcc")
    tools = hook.find_toolchain({"CC": "gcc"})
    command = ("gcc", *SANITIZERS, "-fno-omit-frame-pointer")
    hook.compile_extension(tools._replace(command=command), tmp_path / "sanitized.so")
    library = subprocess.run(
        ["gcc", "-print-file-name=libasan.so"], capture_output=True, text=True, check=True
    ).stdout.strip()
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.native.fuzz", tmp_path / "sanitized.so", "200"],
        cwd=ROOT,
        env=os.environ
        | {"LD_PRELOAD": library, "ASAN_OPTIONS": "detect_leaks=0", "PYTHONMALLOC": "malloc"}
        | {"PYTHONPATH": os.pathsep.join([".", "export", "firmware_sim"])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    accepted, refused = map(int, done.stdout.split())
    assert min(accepted, refused) > 100


@pytest.mark.parametrize("compiler", ["gcc", pytest.param("clang", marks=pytest.mark.long)])
def test_it_compiles_without_a_warning(hook, compiler, tmp_path):
    require(compiler)
    tools = hook.find_toolchain({"CC": compiler})
    # Python's own headers are not pedantic.
    flags = [flag for flag in WARNINGS if flag != "-Wpedantic"]
    hook.compile_extension(tools._replace(command=(compiler, *flags)), tmp_path / "module.so")
    assert (tmp_path / "module.so").stat().st_size > 10_000


def codes(*shape):
    return np.zeros(shape, np.int16)


@pytest.mark.parametrize(
    "x",
    [
        None, 3, "x", object(), np.zeros(3), codes(2), codes(4), codes(1, 3), codes(6)[::2],
        np.zeros(3, np.int8), np.zeros(3, np.uint16), np.zeros(3, ">i2"), np.ma.zeros(3, np.int16),
        np.array([0, 0, 1], np.int16), np.array([0, 0, -32768], np.int16), [0, 0, 0],
    ],
)  # fmt: skip
def test_codes_it_does_not_take_leave_the_stream(x):
    stream = NativeBackend(MODEL).new_stream()
    stream.step_codes(np.array([400, 800, -1200], np.int16))
    before = [stream.held.tolist(), stream.last.tolist(), *(q.tolist() for q in stream.state)]
    assert stream.step_codes(x) is None
    if isinstance(x, np.ndarray):
        assert stream.run_codes(x[None]) is None or x.strides == (4,)
    after = [stream.held.tolist(), stream.last.tolist(), *(q.tolist() for q in stream.state)]
    assert before == after


@pytest.mark.parametrize("method", ["step", "run", "step_codes", "run_codes"])
def test_a_closed_stream_takes_nothing(method):
    stream = NativeBackend(MODEL).new_stream()
    stream.close()
    for x in (np.zeros(3), np.zeros((2, 3)), codes(3), codes(2, 3)):
        assert getattr(stream, method)(x) is None


@pytest.mark.parametrize(
    "state",
    [
        (), (bytes(16),), (bytes(16), bytes(15)), (bytes(16), bytes(17)), (bytes(16),) * 3,
        (bytes(16), np.zeros(8)), (bytes(16), 5), bytes(32), 5, None,
    ],
)  # fmt: skip
def test_a_state_of_another_size_is_refused(state):
    stream = module().Program(*arguments(MODEL, "auto")).stream()
    stream.step_codes(np.array([400, 800, -1200], np.int16))
    before = [q.tolist() for q in stream.state]
    with pytest.raises((TypeError, ValueError)):
        stream.state = state
    with pytest.raises((TypeError, ValueError)):
        stream.restore((state, None, None))
    assert [q.tolist() for q in stream.state] == before
    assert [len(q) for q in before] == [8, 8]


def test_streams_are_made_by_programs_alone():
    stream = module().Program(*arguments(MODEL, "auto")).stream()
    with pytest.raises(TypeError, match="cannot create"):
        type(stream)()
    with pytest.raises(TypeError):
        type("Sub", (type(stream),), {})


def test_a_model_may_have_many_layers():
    model = random_model("gru_after", outputs=0)
    rng = np.random.default_rng(0)
    widths = [8, *rng.integers(1, 9, 99).tolist(), 2]
    layers = [
        random_layer(rng, "dense", f"dense_{i}", *pair, Precision.W8A8, first=False)
        for i, pair in enumerate(itertools.pairwise(widths))
    ]
    output = random_model("gru_after", outputs=2).output
    model = dataclasses.replace(model, layers=(*model.layers, *layers), output=output)
    q_xs, state = random_codes(model, 20), model.interface().initial_state()
    (got, h), (wanted, wanted_h) = (
        backend(model).run(q_xs, state) for backend in (NativeBackend, ReferenceBackend)
    )
    assert got.tolist() == wanted.tolist()
    assert h[0].tolist() == wanted_h[0].tolist() != state[0].tolist()


def test_weights_that_no_kernel_could_count_are_refused():
    """Never touched, so that they take no memory."""
    weights, rows = np.zeros(2**31, np.int8), bytes(4 * 4 * 65536)
    gates = (10, rows, ((0, weights, rows),))
    layer = (1, 65536, 65536, 3, 10, (gates,))
    reals = bytes(8 * 65536)
    with pytest.raises(ValueError, match="weights: expected at most 2147483647 bytes, got 21474"):
        module().Program("auto", 8, 65536, 65536, (layer,), reals, reals, reals, print, ())


def test_names_of_isas_are_checked():
    for isa in ("", "mmx", "portable "):
        with pytest.raises(ValueError, match=r"Program: expected one of isas\(\)"):
            module().Program(isa, *arguments(MODEL, "auto")[1:])
    with pytest.raises(TypeError):
        module().Program(isa="auto")


def test_none_is_counted_whatever_headers_the_binary_was_compiled_with():
    session = NativeBackend(MODEL).new_stream()
    q_x = random_codes(MODEL, 1)[0]
    for refused in (lambda: session.step("no reading"), session.reset, session.close):
        before = sys.getrefcount(None)
        for _ in range(1000):
            refused()
        assert abs(sys.getrefcount(None) - before) < 500
    assert session.step_codes(q_x) is None  # closed
    sources = (ROOT / "edgernn" / "extension").rglob("*.c")
    assert [p.name for p in sources if "Py_RETURN_" in p.read_text(encoding="ascii")] == []
