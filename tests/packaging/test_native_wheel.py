"""Wheels with the extension module: for this machine, without a compiler, for Raspberry Pis."""

import os
import shutil
import subprocess
import sys
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest

import edgernn
from edgernn.model.integer_model import IntegerModel
from edgernn_firmware_sim.reference.backend import ReferenceBackend
from tests.support.arm.roots import MACHINES, run_python
from tests.support.models.integer import random_codes
from tests.support.native.compilers import require

ROOT = Path(__file__).resolve().parents[2]
TRAINED = ROOT / "tests" / "golden" / "trained"
EXTENSION = "edgernn/_native.abi3.so"
STEPS = 2000
#: What the extension takes from Python, all of it in the stable ABI of 3.11. Names that end in
#: _SizeT are missing: headers of 3.13 take the others instead, whose '#' formats fail on 3.11.
STABLE = {
    "PyBuffer_Release", "PyBytes_FromStringAndSize", "PyCMethod_New", "PyDict_Size", "PyErr_Clear",
    "PyErr_Format", "PyErr_NoMemory", "PyErr_SetString", "PyEval_RestoreThread",
    "PyEval_SaveThread", "PyExc_TypeError", "PyExc_ValueError", "PyFloat_AsDouble", "PyFloat_Type",
    "PyImport_ImportModule", "PyList_Append", "PyList_GetItem", "PyList_New", "PyList_Size",
    "PyList_Type", "PyModuleDef_Init", "PyModule_AddObjectRef", "PyModule_GetState",
    "PyObject_Call", "PyObject_CallObject", "PyObject_GC_UnTrack", "PyObject_GetAttr",
    "PyObject_GetAttrString", "PyObject_GetBuffer", "PyObject_RichCompareBool", "PyTuple_GetItem",
    "PyTuple_Size", "PyTuple_Type", "PyType_FromModuleAndSpec", "PyType_GenericAlloc",
    "PyType_GetFlags", "PyType_GetModuleState", "PyType_GetSlot", "PyUnicode_FromString",
    "PyUnicode_InternFromString", "_Py_Dealloc", "_Py_NoneStruct",
    "PyBytes_AsString", "PyBytes_AsStringAndSize", "PyBytes_Size", "PyBytes_Type",
    "PyErr_SetObject", "PyExc_IndexError", "PyExc_KeyError", "PyExc_RuntimeError",
    "PyList_SetItem", "PyLong_AsLongLong", "PyLong_AsSsize_t", "PyLong_FromLongLong",
    "PyLong_FromSize_t", "PyLong_FromSsize_t", "PyLong_FromUnsignedLong", "PyMem_Realloc",
    "PyObject_Hash", "PyObject_Size",
    "PyBool_FromLong", "PyCallable_Check", "PyErr_Occurred", "PyLong_AsDouble",
    "PyLong_AsLong", "PyLong_AsUnsignedLongLong", "PyLong_FromUnsignedLongLong", "PyMem_Calloc",
    "PyMem_Free",
    "PyMem_Malloc", "PyObject_CallFunctionObjArgs", "PyObject_CheckBuffer", "PyObject_IsTrue",
    "PyTuple_New", "PyTuple_Pack", "PyTuple_SetItem", "PyType_IsSubtype",
    "PyArg_ParseTuple", "PyObject_CallFunction", "PyObject_CallMethod", "Py_BuildValue",
}  # fmt: skip
LIBC = {
    "calloc", "free", "getauxval", "ldexp", "memcmp", "memcpy", "memmove", "memset", "mmap",
    "mmap64", "mremap", "munmap", "raise", "realloc", "strchr", "strcmp",
}  # fmt: skip
#: Oldest glibc that a wheel runs on: that of Debian 10.
GLIBC = (2, 28)


def build(out, *, root=ROOT, kind="--wheel", **environment):
    """Build; return the process and the files in ``out``."""
    done = subprocess.run(
        [sys.executable, "-m", "build", kind, "--no-isolation", "--outdir", out, root],
        env={k: v for k, v in os.environ.items() if k != "CC"} | environment,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done, sorted(out.glob("*"))


def built(out, **environment):
    done, files = build(out, **environment)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = files
    return wheel, done.stdout + done.stderr


def unpacked(wheel, folder):
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def fresh(folder, code, **environment):
    """Output of a new interpreter that finds edgernn in a folder."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder, env=os.environ | {"PYTHONPATH": str(folder)} | environment,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


WHERE = """
import edgernn, importlib.resources, numpy as np
path = importlib.resources.files("edgernn") / "data" / "demo.edgernn"
session = edgernn.load(path)
xs = np.ones((50, 1))
assert np.array_equal(session.run(xs), edgernn.load(path, "reference").run(xs))
print(edgernn.__file__, session)
"""


def test_the_wheel_of_this_machine_holds_the_extension_and_pip_installs_it(tmp_path):
    require("gcc")
    wheel, said = built(tmp_path / "dist")
    assert wheel.name.startswith("edgernn-0.1.0-cp311-abi3-linux_")
    assert "edgernn._native for " in said
    with zipfile.ZipFile(wheel) as archive:
        assert [n for n in archive.namelist() if n.endswith(".so")] == [EXTENSION]
        assert not any("edgernn/extension" in n for n in archive.namelist())
    site = tmp_path / "site"
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index"]
    subprocess.run([*command, "--target", site, wheel], check=True, capture_output=True)
    assert "on native, " in (said := fresh(site, WHERE))
    assert said.startswith(str(site))


@pytest.mark.parametrize(
    ("environment", "reason"),
    [
        ({"EDGERNN_PURE": "1"}, "EDGERNN_PURE is set"),
        ({"CC": "no-such-compiler"}, "no C compiler found (no-such-compiler)"),
    ],
)
def test_without_a_compiler_the_wheel_is_pure_and_works(tmp_path, environment, reason):
    wheel, said = built(tmp_path / "dist", **environment)
    assert wheel.name == "edgernn-0.1.0-py3-none-any.whl"
    assert f"edgernn is built without its native backend: {reason}. " in said
    with zipfile.ZipFile(wheel) as archive:
        assert not any(n.endswith(".so") for n in archive.namelist())
    assert "on reference, " in fresh(unpacked(wheel, tmp_path / "site"), WHERE)


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"EDGERNN_TARGET": "sparc"}, "EDGERNN_TARGET: expected aarch64 or armv7l, got 'sparc'."),
        ({"EDGERNN_TARGET": "aarch64", "PATH": ""}, "expected aarch64-linux-gnu-gcc on the path"),
        ({"CC": "false"}, "false -dumpmachine: expected exit 0, got 1"),
    ],
)
def test_a_compiler_that_fails_fails_the_build(tmp_path, environment, message):
    done, files = build(tmp_path / "dist", **environment)
    assert done.returncode != 0
    assert message in done.stdout + done.stderr
    assert files == []


def copied_tree(folder):
    """The sources alone, without what was built among them."""
    for name in ("pyproject.toml", "README.md", "LICENSE", ".gitignore"):
        folder.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, folder)
    ignore = shutil.ignore_patterns("__pycache__", "*.so")
    for name in ("edgernn", "export", "firmware_sim"):
        shutil.copytree(ROOT / name, folder / name, ignore=ignore)
    return folder


@pytest.mark.long
def test_an_editable_install_has_the_extension_beside_the_sources(tmp_path):
    require("gcc")
    tree, out = copied_tree(tmp_path / "tree"), tmp_path / "dist"
    code = "import sys; from hatchling.build import build_editable; build_editable(sys.argv[1])"
    subprocess.run([sys.executable, "-c", code, out], cwd=tree, check=True, capture_output=True)
    (wheel,) = out.iterdir()
    with zipfile.ZipFile(wheel) as archive:
        assert not any(n.endswith((".so", ".c")) for n in archive.namelist())
    assert (tree / EXTENSION).is_file()
    path = os.pathsep.join(str(tree / p) for p in ("", "export", "firmware_sim"))
    assert "on native, " in fresh(tree, WHERE, PYTHONPATH=path)


@pytest.mark.long
def test_the_source_archive_builds_the_same_extension(tmp_path):
    require("gcc")
    done, (archive,) = build(tmp_path / "dist", kind="--sdist", root=copied_tree(tmp_path / "tree"))
    assert done.returncode == 0, done.stderr
    (tmp_path / "unpacked").mkdir()
    subprocess.run(["tar", "-xf", archive, "-C", tmp_path / "unpacked"], check=True)
    (tree,) = (tmp_path / "unpacked").iterdir()
    from_archive = build(tmp_path / "a", root=tree)[1][0]
    from_tree = build(tmp_path / "b")[1][0]
    contents = [zipfile.ZipFile(w).read(EXTENSION) for w in (from_archive, from_tree)]
    assert contents[0] == contents[1]


# ---------------------------------------------------------------- other machines


@pytest.fixture(scope="module", params=MACHINES)
def machine(request):
    machine = MACHINES[request.param]
    require(f"{machine.triple}-gcc")
    return machine


@pytest.fixture(scope="module")
def arm_wheel(machine, tmp_path_factory):
    return built(tmp_path_factory.mktemp(machine.target), EDGERNN_TARGET=machine.target)[0]


def undefined(extension):
    """(name, glibc version or None) of every symbol the extension takes from elsewhere."""
    listing = subprocess.run(
        ["nm", "-D", "--undefined-only", extension], check=True, capture_output=True, text=True
    ).stdout
    found = [line.split()[-1].partition("@GLIBC_") for line in listing.splitlines()]
    return {(name, version or None) for name, _, version in found}


def check_symbols(extension):
    linker = {"_ITM_deregisterTMCloneTable", "_ITM_registerTMCloneTable", "__gmon_start__"}
    linker.add("__cxa_finalize")
    symbols = undefined(extension)
    assert {name for name, _ in symbols} <= STABLE | LIBC | linker
    versions = [tuple(map(int, version.split("."))) for _, version in symbols if version]
    assert max(versions) <= GLIBC


def test_the_extension_needs_the_stable_abi_and_an_old_libc_alone(tmp_path):
    require("gcc", "nm")
    check_symbols(unpacked(built(tmp_path / "dist")[0], tmp_path / "site") / EXTENSION)


@pytest.mark.long
def test_a_cross_built_wheel_is_for_its_machine(machine, arm_wheel, tmp_path):
    assert arm_wheel.name == f"edgernn-0.1.0-cp311-abi3-linux_{machine.target}.whl"
    extension = unpacked(arm_wheel, tmp_path) / EXTENSION
    head = extension.read_bytes()[:20]
    assert head[:5] == b"\x7fELF" + (b"\x02" if machine.target == "aarch64" else b"\x01")
    assert int.from_bytes(head[18:20], "little") == machine.elf
    check_symbols(extension)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """Trained models of every cell and precision, with their streams by the reference."""
    folder = tmp_path_factory.mktemp("recorded")
    for path in TRAINED.glob("*.edgernn"):
        model = IntegerModel.load(path)
        shutil.copy(path, folder)
        session = edgernn.Session(ReferenceBackend(model))
        q_xs = random_codes(model, STEPS)
        streams = {"q_xs": q_xs, "q_ys": session.run_codes(q_xs), **session.state}
        reach = 1.2 * model.precision.input_high * model.input.scale
        noise = np.random.default_rng(4).uniform(-1, 1, (STEPS, model.input.width))
        xs = model.input.offset + noise * reach
        session.reset()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", edgernn.ClippedReadingsWarning)
            ys = session.run(xs)
        np.savez(folder / f"{path.stem}.npz", **streams, xs=xs, ys=ys, steps=ys[:100])
    return folder


#: Processor of QEMU -> instruction sets it has.
PROCESSORS = {
    "aarch64": {"cortex-a72": "neon portable", "cortex-a76": "dot neon portable"},
    "armv7l": {"cortex-a7": "neon portable"},
}


@pytest.mark.long
def test_a_cross_built_wheel_gives_the_reference_bits(machine, arm_wheel, recorded):
    require(machine.qemu, "mmdebstrap")
    for cpu, isas in PROCESSORS[machine.target].items():
        check = ROOT / "tests" / "support" / "arm" / "check.py"
        said = run_python(machine, cpu, arm_wheel, check, recorded).split("\n")
        count, found = said[0].split(" ", 1)
        assert (found, said[1:]) == (isas, [""])
        assert int(count) > 20_000 * len(isas.split())
