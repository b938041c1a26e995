"""Packages of the generated C, written to a folder, and how CMake builds them."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgernn.model.integer_model import IntegerModel
from edgernn_export import export
from tests.support.native.compilers import WARNINGS

STAND_INS = Path(__file__).with_name("stand_ins")

#: A program with the networks `one` and `two`.
BOTH = """\
#include "one.h"
#include "two.h"

static one_state_t one;
static two_state_t two;

int main(void)
{
    return one_self_test(&one) + two_self_test(&two) == 0 ? 0 : 1;
}
"""


def write_package(
    model: IntegerModel, folder: Path, package: str, name: str = "net", prefix: str = "model"
) -> Path:
    """Write one package; return its folder."""
    return export(model, folder, ["c"], name=name, package=package, prefix=prefix)["c"]


def expect_another_output(folder: Path) -> None:
    """Change the first output that the self-test of a package expects."""
    (file,) = (folder / "src").glob("*_test_vectors.h")
    text, changes = re.subn(
        r"(golden_y\[\d+\] = {\s+)(-?\d+)", lambda m: f"{m[1]}{int(m[2]) ^ 1}", file.read_text()
    )
    assert changes == 1
    file.write_text(text)


def run(
    command: list[str], folder: Path, extra: Mapping[str, str] | None = None, text: str = ""
) -> str:
    """Run a command that must succeed; return what it prints."""
    done = subprocess.run(
        command, cwd=folder, env=extra, input=text, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
    return done.stdout


def cmake_build(source: Path, build: Path, *definitions: str, **environment: str) -> Path:
    """Configure and build with every warning an error; return the build folder."""
    extra = {**os.environ, **environment}
    warned = f"-DCMAKE_C_FLAGS={' '.join(WARNINGS)}"
    configure = ["cmake", "-S", str(source), "-B", str(build), "-Werror=dev", warned, *definitions]
    run(configure, source, extra)
    run(["cmake", "--build", str(build), "-j2"], source, extra)
    return build


def yaml(text: str) -> dict[str, Any]:
    """The mapping that a file in block style with plain or double-quoted values stands for."""
    root: dict[str, Any] = {}
    levels = [root]
    for line in text.splitlines():
        found = re.fullmatch(r'((?:  )*)([a-z_]+):(?: ("(?:[^"\\]|\\.)*"|[A-Za-z][\w/.-]*))?', line)
        assert found, line
        indent, key, value = found.groups()
        del levels[len(indent) // 2 + 1 :]
        assert len(levels) == len(indent) // 2 + 1
        if value is None:
            levels.append({})
            levels[-2][key] = levels[-1]
        else:
            levels[-1][key] = json.loads(value) if value.startswith('"') else value
    return root
