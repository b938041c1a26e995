"""search.md: its program runs, its commands parse, its defaults are those of the code."""

import pytest

from edgernn.cli.commands import command_parser
from edgernn_export.search import Space
from tests.support.documents import ROOT, blocks

RECIPE = """
from tests.support.training.training_runs import classifier

RECIPE = classifier(epochs=1)
"""


@pytest.mark.long
@pytest.mark.tf
def test_the_program_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_recipe.py").write_text(RECIPE, encoding="utf-8")
    (program,) = [block for block in blocks("docs/guides/search.md") if block.language == "python"]
    exec(compile(program.text, program.document, "exec"), {})
    assert "meets its limits: " in capsys.readouterr().out
    assert (tmp_path / "found" / "search.json").is_file()


def test_commands_parse():
    (block,) = [block for block in blocks("docs/guides/search.md") if block.language == "text"]
    lines = block.text.splitlines()
    assert len(lines) == 3
    for line in lines:
        name, command, *arguments = line.split()
        assert (name, command) == ("edgernn", "search")
        command_parser("search").parse(arguments)


def test_defaults_are_those_of_the_code():
    text = (ROOT / "docs" / "guides" / "search.md").read_text(encoding="utf-8")
    space = Space()
    for option, value in (
        ("cells", ",".join(space.cells)),
        ("units", ":".join(map(str, space.units))),
        ("layers", ",".join(map(str, space.layers))),
        ("precisions", ",".join(space.precisions)),
        ("densities", ",".join(f"{density:g}" for density in space.densities)),
        ("pattern", space.pattern),
    ):
        assert f"| `--{option}` | `{value}` |" in text
