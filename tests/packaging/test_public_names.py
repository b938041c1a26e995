"""What `dir` and `help` show of the packages that people import."""

import importlib
import re

import pytest

import edgernn_export


@pytest.mark.parametrize("name", ["edgernn_export", "edgernn_export.compress"])
def test_dir_shows_public_names_and_the_docstring_explains_them(name):
    package = importlib.import_module(name)
    for found in dir(package):
        assert not found.startswith("_")
        assert getattr(package, found) is not None
        assert re.search(rf"^    (compress\.)?{found}\b", package.__doc__, re.MULTILINE), found
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = package.nothing


def test_names_in_the_docstring_exist():
    named = re.findall(r"^    ([a-z_.]+)  +[a-zA-Z]", edgernn_export.__doc__, re.MULTILINE)
    assert len(named) >= 13
    for path in named:
        found = edgernn_export
        for part in path.split("."):
            found = getattr(found, part, None) or importlib.import_module(
                f"{found.__name__}.{part}"
            )
