"""The commands of docs/recipes/prices.md are accepted, its program runs, its options exist."""

import shlex

import numpy as np

from edgernn.cli.commands import command_parser
from edgernn_export.datasets.series.price_forecast import INPUTS
from edgernn_export.datasets.series.price_tables import INDICES
from edgernn_export.training import find_recipe
from tests.support.documents import ROOT, blocks, commands
from tests.support.models.integer import random_model

DOCUMENT = "docs/recipes/prices.md"


def test_commands_are_accepted():
    found = commands(DOCUMENT)
    assert len(found) == 4
    for command in found:
        args = command_parser("train").parse_args(shlex.split(command)[2:])
        options = dict(text.split("=") for text in args.set)
        find_recipe(args.recipe).configured(options)
        assert options.get("index", "sp500") in INDICES
        assert options.get("inputs", "close") in INPUTS


def test_the_program_forecasts_ten_days(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    model = random_model("gru_after", inputs=1, outputs=1)
    (tmp_path / "build/price").mkdir(parents=True)
    model.save("build/price/price.edgernn")
    lines = [f"2020-01-{day:02},{1000 + day}" for day in range(1, 20)]
    (tmp_path / "closes.csv").write_text("Date,Close\n" + "\n".join(lines) + "\n")
    (program,) = (block for block in blocks(DOCUMENT) if block.language == "python")
    names = {}
    exec(compile(program.text, DOCUMENT, "exec"), names)
    assert names["changes"].shape == (10,)
    assert names["changes"][0] == names["tomorrow"][0]
    said = np.array(capsys.readouterr().out.strip("[]\n ").split(), float)
    np.testing.assert_allclose(said, 1019 * np.exp(np.cumsum(names["changes"])), rtol=1e-4)


def test_the_page_names_all_options():
    text = (ROOT / DOCUMENT).read_text(encoding="utf-8")
    for recipe in ("price", "price_textbook"):
        for option in find_recipe(recipe).options:
            assert f"| `{option}` |" in text
