"""Examples in docstrings are run."""

import doctest
import importlib
import pkgutil

import pytest


def modules_of(package_name):
    package = importlib.import_module(package_name)
    names = [m.name for m in pkgutil.walk_packages(package.__path__, package_name + ".")]
    return [package_name, *(name for name in names if not name.endswith("__main__"))]


@pytest.mark.parametrize("package", ["edgernn", "edgernn_firmware_sim", "edgernn_export"])
def test_examples_hold(package):
    failed = {}
    for name in modules_of(package):
        result = doctest.testmod(importlib.import_module(name), verbose=False)
        if result.failed:
            failed[name] = result.failed
    assert failed == {}
