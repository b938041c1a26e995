"""One thing, one name: types, modules, errors."""

import ast
from collections import defaultdict
from pathlib import Path

import edgernn
from edgernn import errors

ROOT = Path(__file__).parents[2]
PACKAGES = [
    ROOT / "edgernn",
    ROOT / "export" / "edgernn_export",
    ROOT / "firmware_sim" / "edgernn_firmware_sim",
]
FILES = [path for package in PACKAGES for path in sorted(package.rglob("*.py"))]
#: Names of types that are still defined more than once.
KNOWN_TWICE = {"Arrays", "IntArray", "Operands", "State", "States", "Tell", "Tensor"}


def top_level(path):
    return ast.parse(path.read_text(encoding="utf-8")).body


def types_of(path):
    """Names of the public classes and type aliases that a file defines."""
    for node in top_level(path):
        if isinstance(node, ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
            if name[0].isupper() and not name.isupper():
                yield name


def test_no_two_types_have_one_name():
    homes = defaultdict(list)
    for path in FILES:
        for name in types_of(path):
            if not name.startswith("_"):
                homes[name].append(path)
    assert {name for name, paths in homes.items() if len(paths) > 1} == KNOWN_TWICE


def passed_on(package):
    """Names that a package takes from modules of their name, and hides these with."""
    for node in top_level(package / "__init__.py"):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from (a.name for a in node.names if a.name == node.module.rpartition(".")[2])


def test_no_module_has_the_name_of_what_its_package_passes_on():
    packages = [path.parent for path in FILES if path.name == "__init__.py"]
    hidden = {f"{package.name}.{name}" for package in packages for name in passed_on(package)}
    assert hidden == set()


def test_every_error_and_warning_is_public_and_in_the_tree():
    defined = {n.name for n in top_level(Path(errors.__file__)) if isinstance(n, ast.ClassDef)}
    assert defined == set(errors.__all__)
    assert defined <= set(edgernn.__all__)
    assert [name for name in errors.__all__ if f"{name} " not in errors.__doc__ + " "] == [
        "EdgeRnnError"  # which stands alone in its line
    ]
    assert all(hasattr(edgernn, name) for name in edgernn.__all__)


def test_errors_are_defined_in_one_place():
    elsewhere = [
        f"{path.relative_to(ROOT)}: {node.name}"
        for path in FILES
        if path != Path(errors.__file__)
        for node in top_level(path)
        if isinstance(node, ast.ClassDef)
        and {ast.unparse(base) for base in node.bases} & set(errors.__all__)
    ]
    assert elsewhere == []
