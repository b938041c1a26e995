"""The programs and commands of docs/guides/generate.md run, and its C draws the same tokens."""

from __future__ import annotations

import shlex
import subprocess

import pytest

import edgernn
from edgernn.cli import main
from edgernn.decoding import sample
from edgernn_export.writers.c.source import write_c
from edgernn_export.writers.file_formats import golden_vector
from tests.support.documents import blocks, commands
from tests.support.models.writers_of_text import translator
from tests.support.native.compilers import compile_c, require

pytestmark = pytest.mark.tf

DOCUMENT = "docs/guides/generate.md"
MAIN = """
#include <stdio.h>
static void put(int16_t token)
{
    printf("%d ", token);
}
int main(void)
{
    write_tokens(3, 5, put);
    return 0;
}
"""


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::edgernn.errors.EdgeRnnWarning")
def test_the_page_runs(tmp_path, monkeypatch, capsys):
    import keras

    require("gcc")
    monkeypatch.chdir(tmp_path)
    keras.utils.set_random_seed(4)
    program, pair = [block.text for block in blocks(DOCUMENT) if block.language == "python"]
    names = {}
    exec(compile(program, DOCUMENT, "exec"), names)
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 3
    translator().save("pair.edgernn")
    exec(compile(pair, DOCUMENT, "exec"), {})
    capsys.readouterr()
    said = []
    for command in commands(DOCUMENT):
        assert main(shlex.split(command)[1:]) == 0
        said.append(capsys.readouterr().out)
    assert said[0] == "the " + printed[0] + "\n"
    assert said[1] == "the " + printed[1] + "\n"
    model = names["model"]
    for name, content in write_c(model, golden_vector(model)).items():
        (tmp_path / "c" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "c" / name).write_bytes(content)
    (block,) = [block.text for block in blocks(DOCUMENT) if block.language == "c"]
    prototype = "void write_tokens(int16_t token, uint32_t seed, void (*put)(int16_t token));\n\n"
    block = block.replace("void write_tokens", f"{prototype}void write_tokens", 1)
    (tmp_path / "c" / "main.c").write_text(block + MAIN)
    sources = [p.relative_to(tmp_path / "c") for p in (tmp_path / "c").rglob("*.c")]
    kept = [source for source in sources if source.name != "selftest_host.c"]
    compile_c(["gcc", "-O1", "-std=c99", "-o", "run"], kept, tmp_path / "c")
    done = subprocess.run([str(tmp_path / "c" / "run")], capture_output=True, check=True)
    with edgernn.load("letters.edgernn") as session:
        wanted = sample(session, first=3, max_tokens=20, temperature=0.7, top_k=5, seed=5)
    assert tuple(map(int, done.stdout.split())) == wanted.tokens
