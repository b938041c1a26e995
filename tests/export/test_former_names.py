"""Names that documents once showed still work, and say where they are now."""

import importlib
import sys

import pytest

from edgernn_export.former_names import FUNCTIONS, MODULES


@pytest.mark.tf
@pytest.mark.parametrize(("former", "present"), MODULES.items())
def test_a_former_module_passes_its_names_on(former, present, monkeypatch):
    monkeypatch.delitem(sys.modules, former, raising=False)
    with pytest.warns(DeprecationWarning, match=f"^{former} is now {present}") as caught:
        old = importlib.import_module(former)
    assert len(caught) == 1
    new = importlib.import_module(present)
    names = getattr(new, "__all__", [n for n in vars(new) if n[0].isupper() or n[0] == "w"])
    assert names
    assert all(getattr(old, name) is getattr(new, name) for name in names)
    with pytest.raises(AttributeError, match="nothing"):
        getattr(old, "nothing")  # noqa: B009 (an attribute alone is no use)


@pytest.mark.tf
@pytest.mark.parametrize(("former", "present"), FUNCTIONS.items())
def test_a_function_that_went_elsewhere(former, present, monkeypatch):
    module, name = former
    monkeypatch.delitem(sys.modules, module, raising=False)
    with pytest.warns(DeprecationWarning, match=f"{name} of {present}"):
        old = importlib.import_module(module)
    assert getattr(old, name) is getattr(importlib.import_module(present), name)


def test_the_warning_points_at_who_imports(tmp_path, monkeypatch):
    monkeypatch.delitem(sys.modules, "edgernn_export.structured", raising=False)
    program = compile("import edgernn_export.structured", "user.py", "exec")
    with pytest.warns(DeprecationWarning) as caught:
        exec(program, {})
    assert caught[0].filename == "user.py"


def test_the_former_name_of_a_data_source():
    datasets = importlib.import_module("edgernn_export.datasets")
    with pytest.warns(DeprecationWarning, match=r"datasets\.Source is now DataSource"):
        assert getattr(datasets, "Source") is datasets.DataSource  # noqa: B009
    with pytest.raises(AttributeError, match="nothing"):
        getattr(datasets, "nothing")  # noqa: B009 (an attribute alone is no use)
