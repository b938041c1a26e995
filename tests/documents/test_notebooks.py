"""The notebooks run from top to bottom, and say the same as when their outputs were stored."""

import json
import re

import pytest

from tests.support.documents import ROOT, run_command

FOLDER = ROOT / "docs" / "examples" / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
#: Numbers differ from processor to processor, and addresses from run to run.
NUMBER = re.compile(r"0x[0-9a-f]+|[-+]?\d[\d.,]*")


def cells(path):
    return json.loads(path.read_text(encoding="utf-8"))["cells"]


def words(cell):
    """What a cell prints on standard output, without its numbers and spaces."""
    text = "".join(
        "".join(output["text"])
        for output in cell.get("outputs", ())
        if output.get("name") == "stdout"
    )
    return "".join(NUMBER.sub("", text).split())


def pictures(cell):
    return sum("image/png" in output.get("data", {}) for output in cell.get("outputs", ()))


def test_there_are_three():
    assert [path.stem for path in NOTEBOOKS] == ["compare", "inside", "streaming"]


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_links_of_notebooks_lead_somewhere(notebook):
    text = "".join("".join(c["source"]) for c in cells(notebook) if c["cell_type"] == "markdown")
    targets = re.findall(r"\]\(([^)#]+)", text)
    assert targets
    assert [target for target in targets if not (FOLDER / target).exists()] == []


@pytest.mark.slow
@pytest.mark.tf
@pytest.mark.parametrize(
    "notebook",
    [
        pytest.param(path, id=path.stem, marks=[pytest.mark.long] * (path.stem != "compare"))
        for path in NOTEBOOKS
    ],
)
def test_notebooks_run(notebook, tmp_path):
    copy = tmp_path / notebook.name
    copy.write_bytes(notebook.read_bytes())
    done = run_command(f"jupyter execute --inplace {notebook.name}", tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    stored, ran = cells(notebook), cells(copy)
    assert [words(cell) for cell in ran] == [words(cell) for cell in stored]
    assert [pictures(cell) for cell in ran] == [pictures(cell) for cell in stored]
    assert sum(map(pictures, ran)) > 0
    assert "".join(map(words, ran)).count("identical:False") == 0
