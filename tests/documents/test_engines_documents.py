"""spark.md and kafka.md: calls fit the functions, recipes are short and have the options shown."""

import ast
import inspect
import json
import os
import re
import shlex
import shutil
import subprocess

import numpy as np
import pytest

import edgernn
from edgernn.engines import quix, spark
from tests.support.documents import ROOT, blocks, commands
from tests.support.models.integer import random_model

PAGES = {"docs/guides/spark.md": spark, "docs/guides/kafka.md": quix}
RECIPES = {"docs/guides/spark.md": "spark_stream.py", "docs/guides/kafka.md": "quix_stream.py"}
FOLDER = ROOT / "docs/examples/engines"
ENGINES = ROOT / ".venv-engines/bin"


def calls_of_predict(text):
    return [
        node
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "predict"
    ]


def check_calls(module, text):
    """Every call of predict has arguments that the function takes."""
    calls = calls_of_predict(text)
    assert calls
    for call in calls:
        named = {keyword.arg: None for keyword in call.keywords}
        inspect.signature(module.predict).bind(*[None] * len(call.args), **named)


@pytest.mark.parametrize("page", PAGES)
def test_programs_call_predict_as_it_is(page):
    for block in blocks(page):
        if block.language == "python":
            check_calls(PAGES[page], block.text)
    check_calls(PAGES[page], (FOLDER / RECIPES[page]).read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", RECIPES)
def test_recipes_are_short_and_have_the_options_of_the_page(page):
    recipe = (FOLDER / RECIPES[page]).read_text(encoding="utf-8")
    assert len(recipe.splitlines()) <= 60
    known = set(re.findall(r'add_argument\("(--[a-z]+)"', recipe))
    texts = [block.text for block in blocks(page) if block.language in ("bash", "text")]
    lines = [line for text in [*texts, recipe] for line in text.splitlines()]
    shown = [shlex.split(line)[1:] for line in lines if line.strip().startswith("python ")]
    assert len(shown) >= 3
    for words in shown:
        assert words[0] == RECIPES[page]
        assert {word for word in words if word.startswith("--")} <= known


#: Prints keys, numbers and outputs of the predictions that Spark committed.
PRINT_ROWS = """
import json
from pathlib import Path
import pyarrow.parquet
from tests.support.engines.spark_contract import OUTPUTS, committed_files
for path in committed_files(Path("predictions")):
    for row in pyarrow.parquet.read_table(path).to_pylist():
        print(json.dumps([row["key"], row["sequence"], [row[name] for name in OUTPUTS]]))
"""


def run_engines(words, folder):
    """Run a program with the Python that has the engines."""
    path = os.pathsep.join([str(ENGINES), os.environ["PATH"]])
    environment = os.environ | {
        "PATH": path,
        "PYTHONPATH": str(ROOT),
        "SPARK_LOCAL_IP": "127.0.0.1",
    }
    return subprocess.run(
        words, cwd=folder, env=environment, timeout=600, text=True, capture_output=True, check=False
    )


@pytest.mark.long
def test_the_command_of_the_spark_page_and_an_update_of_the_model(tmp_path):
    if not ENGINES.exists():
        pytest.skip("needs .venv-engines: make .venv-engines/.stamp")
    shutil.copy(FOLDER / "spark_stream.py", tmp_path)
    (tmp_path / "readings").mkdir()
    command = shlex.split(commands("docs/guides/spark.md")[0])
    xs = np.random.default_rng(0).uniform(-2, 2, (20, 3))
    models, blob = [random_model("gru_after"), random_model("gru_after", seed=9)], b""
    want, more = {}, []
    for part, model in enumerate(models):
        model.save(tmp_path / "model.edgernn")
        session = edgernn.load(model)
        names = session.interface.input.names
        if blob:
            session.from_bytes(blob, migrate=True)
        numbers = range(10 * part + 1, 10 * part + 11)
        want |= {n: session.step(xs[n - 1]).tolist() for n in numbers}
        blob = session.to_bytes()
        lines = [",".join(["pump", str(n), *map(repr, xs[n - 1].tolist())]) for n in numbers]
        text = "\n".join([",".join(["key", "sequence", *names]), *lines])
        (tmp_path / f"readings/{part}.csv").write_text(text + "\n")
        if part:
            done = run_engines(command, tmp_path)
            assert done.returncode != 0 and "migrate=True" in done.stderr
            done = run_engines([*command, "--migrate", "--shards", "32"], tmp_path)
            assert done.returncode != 0 and "shards=16" in done.stderr
            more = ["--migrate"]
        done = run_engines([*command, *more], tmp_path)
        assert done.returncode == 0, done.stderr
    lines = run_engines(["python", "-c", PRINT_ROWS], tmp_path).stdout.splitlines()
    rows = sorted(map(json.loads, lines))
    assert rows == [["pump", n, want[n]] for n in range(1, 21)]
