"""No file imports another that imports it again, be it inside a function or through a package."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
#: Package -> the folder that holds it.
BASES = {"edgernn": "", "edgernn_firmware_sim": "firmware_sim", "edgernn_export": "export"}
#: The one look upwards: records that save themselves import their container when they are asked to.
UPWARDS = {
    ("edgernn.model.integer_model", "edgernn.container.file"),
    ("edgernn.model.program_sets.program_set", "edgernn.container.file"),
}


def modules_of(package):
    """Every file of a package by the name of its module."""
    base = ROOT / BASES[package]
    found = {}
    for path in sorted((base / package).rglob("*.py")):
        parts = path.relative_to(base).with_suffix("").parts
        found[".".join(parts).removesuffix(".__init__")] = path
    return found


def executed(node):
    """All nodes below one, without what only type checkers see."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING"):
            for other in child.orelse:
                yield other
                yield from executed(other)
        else:
            yield child
            yield from executed(child)


def imported(name, tree, is_package):
    """Full names that a module imports, at its top and in its functions."""
    for node in executed(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = name.split(".")
            origin = parts[: len(parts) - node.level + is_package] if node.level else []
            origin = ".".join([*origin, *([node.module] if node.module else [])])
            yield from (f"{origin}.{alias.name}" for alias in node.names)


def packages_around(name):
    parts = name.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts))]


def imports_within(modules):
    """Module -> the modules of the same package that importing it executes."""
    graph = {}
    for name, path in modules.items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        edges = set()
        for target in imported(name, tree, path.name == "__init__.py"):
            # `from a import b` is the module a.b where there is one, else a name in a.
            module = target if target in modules else target.rpartition(".")[0]
            if module in modules:
                foreign = [p for p in packages_around(module) if p not in packages_around(name)]
                edges |= {module, *foreign}
        graph[name] = edges - {name}
    return graph


def circles(graph):
    """Groups of modules of which each imports all others, by way of each other."""

    def reached(start):
        seen, waiting = set(), [start]
        while waiting:
            new = graph.get(waiting.pop(), set()) - seen
            seen |= new
            waiting += new
        return seen

    reach = {name: reached(name) for name in graph}
    groups = {frozenset(o for o in reach[n] if n in reach[o]) for n in graph if n in reach[n]}
    return sorted(map(set, groups), key=sorted)


@pytest.mark.parametrize("package", BASES)
def test_no_files_import_each_other(package):
    graph = imports_within(modules_of(package))
    assert len(graph) > 5
    for low, high in UPWARDS if package == "edgernn" else ():
        graph[low].remove(high)  # which fails where the exception is no more needed
    assert circles(graph) == []


@pytest.mark.parametrize(
    ("first", "second", "found"),
    [
        ("import p.b", "from p.a import x", True),
        ("def f():\n    from p import b", "def g():\n    from . import a", True),
        ("from .b import x", "from p import other", False),
        ("from p.q.c import x", "", True),
        ("from p.b import x\nfrom typing import TYPE_CHECKING", "if TYPE_CHECKING:\n    import p.a",
         False),
        ("import p.b", "from p.q.c import x", True),
    ],
)  # fmt: skip
def test_circles_are_recognised(tmp_path, first, second, found):
    texts = {"p": "", "p.a": first, "p.b": second, "p.q": "import p.a", "p.q.c": ""}
    modules = {}
    for name, text in texts.items():
        path = tmp_path / ("__init__.py" if name in ("p", "p.q") else f"{name}.py")
        path = path if name != "p.q" else tmp_path / "q" / "__init__.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        modules[name] = path
    assert bool(circles(imports_within(modules))) == found
