"""Who imports whom, read from the source: what a fresh interpreter would only show when called."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FLOORS = {
    "edgernn": ROOT / "edgernn",
    "edgernn_firmware_sim": ROOT / "firmware_sim" / "edgernn_firmware_sim",
    "edgernn_export": ROOT / "export" / "edgernn_export",
}
#: Runs when the package is built, and is not in it.
BUILD_HOOK = ROOT / "edgernn" / "extension" / "build_hook.py"
# Third parties a floor may name inside functions; at the top of a module only numpy is free.
INSIDE_FUNCTIONS = {
    "edgernn": {
        "ai_edge_litert",
        "onnxruntime",
        "paho",
        "prometheus_client",
        "pymodbus",
        "pyspark",
        "quixstreams",
        "rich",
        "serial",
        "tflite_runtime",
    },
    "edgernn_firmware_sim": set(),
}
#: Who may import a framework: everything else of the workstation's floor works without it.
FRAMEWORKS = {
    "keras": {
        "bench",
        "cells",
        "compress",
        "demo",
        "inspection",
        "keras_reader",
        "sklearn_wrappers",
        "training",
    },
    "tensorflow": {"bench", "compress", "demo", "inspection", "keras_reader", "training"},
    "h5py": {"keras_reader"},
    "torch": {"compress", "torch_reader"},
    "jax": set(),
    "onnx": {"bench", "onnx_reader", "writers"},
    "onnxruntime": {"bench"},
    "flatbuffers": {"writers"},
    "safetensors": set(),
}
BELOW = {"edgernn": set(), "edgernn_firmware_sim": {"edgernn"}}


def imported_names(tree):
    """Yield the top-level name of every absolute import with its line number."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name.partition(".")[0], node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module.partition(".")[0], node.lineno


def strangers(floor, allowed):
    known = {"numpy", floor, "__future__"} | BELOW[floor] | allowed | sys.stdlib_module_names
    found = []
    for path in sorted(FLOORS[floor].rglob("*.py")):
        if path == BUILD_HOOK:
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for name, line in imported_names(tree):
            if name not in known:
                found.append(f"{path.relative_to(ROOT)}:{line} imports {name}")
    return found


@pytest.mark.parametrize("floor", sorted(INSIDE_FUNCTIONS))
def test_lower_floors_import_only_what_the_design_allows(floor):
    assert strangers(floor, INSIDE_FUNCTIONS[floor]) == []


def test_a_planted_import_is_seen():
    planted = ast.parse("def f():\n    from keras.layers import GRU\n    import os.path, scipy\n")
    assert list(imported_names(planted)) == [("keras", 2), ("os", 3), ("scipy", 3)]


@pytest.mark.parametrize("library", FRAMEWORKS)
def test_rooms_of_the_workstation_that_import_a_framework(library):
    floor = FLOORS["edgernn_export"]
    found = {
        path.relative_to(floor).parts[0].removesuffix(".py")
        for path in floor.rglob("*.py")
        if library in dict(imported_names(ast.parse(path.read_text(encoding="utf-8"))))
    }
    assert found == FRAMEWORKS[library]


@pytest.mark.parametrize("floor", sorted(FLOORS))
def test_every_floor_is_a_typed_package(floor):
    assert (FLOORS[floor] / "__init__.py").is_file()
    assert (FLOORS[floor] / "py.typed").is_file()
