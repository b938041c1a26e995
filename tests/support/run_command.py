"""`edgernn run` as tests call it: a model with names of its own, files and pipes of bytes."""

from __future__ import annotations

import dataclasses
import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

import edgernn
from edgernn.cli import main
from tests.support.models.integer import random_model

ROOT = Path(__file__).parents[2]
#: Readings of two channels; the output step of the models is 2**-10, which four decimals bear.
XS = [[20.5, 48.125], [21.0, 48.0], [20.75, 47.5]]


def named_model(folder, names=("temperature", "humidity"), **changes):
    """A model file with these channels, which take -1 to 61, and the output load."""
    model = random_model("lstm", inputs=len(names), outputs=1)
    channels = np.ones(len(names))
    model = dataclasses.replace(
        model,
        input=dataclasses.replace(
            model.input, names=names, scale=channels * 0.25, offset=channels * 30.0
        ),
        output=dataclasses.replace(model.output, names=("load",), **changes),
    )
    return model.save(folder / "m.edgernn")


def answers(model_file, xs=XS, policy="raise"):
    """What a session answers, as text."""
    with edgernn.load(model_file, on_bad_reading=policy) as session:
        return [f"{y:.4f}" for y in session.run(xs)[:, 0]]


class Pipe(io.RawIOBase):
    """Bytes that come line by line and cannot be sought."""

    def __init__(self, content):
        self._content = io.BytesIO(content)

    def readable(self):
        return True

    def readinto(self, buffer):
        line = self._content.readline(len(buffer))
        buffer[: len(line)] = line
        return len(line)


class RunCommand:
    """Calls the command in this process: exit code, lines on stdout, text on stderr."""

    def __init__(self, model_file, folder, monkeypatch, capsys):
        self.model_file, self.folder = model_file, folder
        self._monkeypatch, self._capsys = monkeypatch, capsys

    def __call__(self, content, *arguments, name="readings.txt", piped=False):
        content = content.encode() if isinstance(content, str) else content
        if piped:
            stdin = io.TextIOWrapper(io.BufferedReader(Pipe(content)), encoding="utf-8")
            self._monkeypatch.setattr(sys, "stdin", stdin)
        else:
            (self.folder / name).write_bytes(content)
            arguments = ("--input", str(self.folder / name), *arguments)
        code = main(["run", str(self.model_file), *arguments])
        captured = self._capsys.readouterr()
        return code, captured.out.splitlines(), captured.err


def started(*arguments, closing="", **popen):
    """The command in a process of its own, under a shell that closes streams, as with ">&-"."""
    paths = os.pathsep.join(str(ROOT / p) for p in ("", "export", "firmware_sim"))
    command = [sys.executable, "-m", "edgernn", *map(str, arguments)]
    if closing:
        command = ["sh", "-c", f'exec "$@" {closing}', "sh", *command]
    return subprocess.Popen(command, env=os.environ | {"PYTHONPATH": paths}, **popen)
