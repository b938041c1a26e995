"""Rules about files that no linter checks."""

import re
import subprocess
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
#: Most lines of a Python file of the product, and of one of the tests.
MAX_PRODUCT_LINES, MAX_TEST_LINES = 400, 500
#: Fewest lines of a Python file of the product that is no row of a table.
MIN_PRODUCT_LINES = 60
#: Most files that lie directly in a folder of the product, tables aside.
MAX_FOLDER_FILES = 12
PRODUCT = ("edgernn", "export", "firmware_sim")
#: Folders of which every file is one of its kind, however short.
TABLES = {
    "edgernn/cells": "a layer each",
    "edgernn/cells/memories": "a layer each",
    "edgernn/cli": "a subcommand each",
    "export/edgernn_export/cli": "a subcommand each",
    "export/edgernn_export/datasets": "a public data set each",
    "export/recipes": "an example system each",
    "firmware_sim/edgernn_firmware_sim/cli": "a subcommand each",
    "firmware_sim/edgernn_firmware_sim/reference": "a section of NUMERICS.md each",
    "firmware_sim/edgernn_firmware_sim/targets/boards": "a board each",
}
#: C kernels lie by instruction set, not by number.
KERNELS = ("edgernn/native", "edgernn/extension")
MACHINE_PATH = re.compile(r"(?<![\w.\-$}~/])/(?:work|root|tmp|home|Users)/\w")
REGISTRY = re.compile(
    r"pypi\.(?:org|python\.org)|pythonhosted\.org|--(?:extra-)?index-url|--find-links"
)
SELF = "tests/packaging/test_hygiene.py"


def project_files():
    """Return every file git tracks or would track."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    return [ROOT / name for name in listing.stdout.split("\0") if name and (ROOT / name).is_file()]


def text_lines(path):
    """Return numbered lines, none for a binary file."""
    raw = path.read_bytes()
    return [] if b"\0" in raw else list(enumerate(raw.decode("utf-8").splitlines(), 1))


def breaches(pattern):
    return [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in project_files()
        if path.relative_to(ROOT).as_posix() != SELF
        for number, line in text_lines(path)
        if pattern.search(line)
    ]


def test_no_machine_paths():
    assert breaches(MACHINE_PATH) == []


def test_no_registry_hosts():
    assert breaches(REGISTRY) == []


@pytest.mark.parametrize(
    "text",
    [f'"/{"root"}/model.keras"', f"see /{'tmp'}/out.csv", f"=/{'home'}/me", f"(/{'work'}/x"],
)
def test_machine_paths_are_recognised(text):
    assert MACHINE_PATH.search(text)


@pytest.mark.parametrize(
    "text", [f"build/{'work'}/x", f"~/{'root'}/x", "$HOME/tmp/x", "and/or", "/tmporary"]
)
def test_other_paths_are_left_alone(text):
    assert not MACHINE_PATH.search(text)


@pytest.mark.parametrize("text", ["https://pypi.org/simple", "pip install --index-url x"])
def test_registries_are_recognised(text):
    assert REGISTRY.search(text)


def test_python_files_stay_short():
    long = {}
    for path in project_files():
        name = path.relative_to(ROOT)
        limit = MAX_TEST_LINES if name.parts[0] == "tests" else MAX_PRODUCT_LINES
        lines = len(text_lines(path)) if path.suffix == ".py" else 0
        if lines > limit:
            long[str(name)] = lines
    assert long == {}


def product_files():
    """Paths of the product's files, relative to the root."""
    names = (path.relative_to(ROOT) for path in project_files())
    return [name for name in names if name.parts[0] in PRODUCT]


def test_product_files_are_no_slivers():
    short = {
        name.as_posix()
        for name in product_files()
        if name.suffix == ".py"
        and name.name not in ("__init__.py", "__main__.py")
        and name.parent.as_posix() not in TABLES
        and len(text_lines(ROOT / name)) < MIN_PRODUCT_LINES
    }
    assert short == set()


def test_product_folders_can_be_taken_in_at_a_glance():
    counts = Counter(name.parent.as_posix() for name in product_files())
    full = {folder for folder, count in counts.items() if count > MAX_FOLDER_FILES}
    assert full - set(KERNELS) - set(TABLES) == set()


def test_every_table_is_there():
    assert [folder for folder in TABLES if not (ROOT / folder).is_dir()] == []


def test_every_file_has_an_owner():
    assert [p for p in project_files() if re.search(r"(^|_)utils?(_|$)", p.stem)] == []


def test_test_files_have_unique_names():
    names = [p.name for p in project_files() if p.name.startswith("test_")]
    assert sorted(names) == sorted(set(names))


def test_test_folders_are_not_packages():
    assert [p for p in project_files() if p.name == "__init__.py" and "tests" in p.parts] == []
