"""Color, tables and notes."""

import io
import sys

import pytest

from edgernn.cli import main
from edgernn.cli.progress import progress
from edgernn.cli.style import Style, bad, good, heading, styled, table, wants_color, width_of

pytestmark = pytest.mark.device


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("environment", "stream", "wanted"),
    [
        ({}, Terminal(), True),
        ({}, io.StringIO(), False),
        ({"NO_COLOR": "1"}, Terminal(), False),
        ({"NO_COLOR": ""}, Terminal(), True),
        ({"TERM": "dumb"}, Terminal(), False),
        ({"FORCE_COLOR": "1"}, io.StringIO(), True),
        ({"FORCE_COLOR": "0"}, io.StringIO(), False),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, io.StringIO(), False),
    ],
)
def test_color_is_for_terminals_unless_a_variable_decides(environment, stream, wanted):
    assert wants_color(stream, environment) is wanted


def test_color_is_off_outside_a_command_and_ends_with_it():
    plain = (heading("a"), good("b"), bad("c"))
    assert plain == ("a", "b", "c")
    with styled(Style(color=True)):
        assert (heading("a"), good("b")) == ("\x1b[1ma\x1b[0m", "\x1b[32mb\x1b[0m")
        assert bad("c", on_stderr=True) == "c"
    assert (heading("a"), good("b"), bad("c")) == plain


def test_colors_of_a_command(monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert main(["--help"]) == 0
    assert "\x1b[1mBuild\x1b[0m" in capsys.readouterr().out
    for plain in (["--help", "--no-color"], ["--no-color", "--help"]):
        assert main(plain) == 0
        assert "\x1b" not in capsys.readouterr().out
    assert main(["--no-color"]) == 2
    assert "Commands:" in capsys.readouterr().err
    assert main(["info", "--model", "demo", "--json"]) == 0
    assert "\x1b" not in capsys.readouterr().out
    assert main(["nothing"]) == 2
    assert capsys.readouterr().err.startswith("\x1b[31medgernn:\x1b[0m unknown command")


def test_figures_lean_to_the_right_and_color_takes_no_space():
    with styled(Style(color=True)):
        colored = table(
            ["model", "bytes", "kept", "check"],
            [("a", "1,024", "99.5 %", good("ok")), ("longer", 8, "–", bad("differs")), None,
             ("total", "1,032", "", "")],
        )  # fmt: skip
    plain = table(
        ["model", "bytes", "kept", "check"],
        [("a", "1,024", "99.5 %", "ok"), ("longer", 8, "–", "differs"), None,
         ("total", "1,032", "", "")],
    )  # fmt: skip
    assert plain == [
        "model   bytes    kept  check",
        "------  -----  ------  -------",
        "a       1,024  99.5 %  ok",
        "longer      8       –  differs",
        "------  -----  ------  -------",
        "total   1,032",
    ]
    assert [width_of(line) for line in colored] == [len(line) for line in plain]


def test_a_short_row_ends_in_a_free_cell():
    assert table(["runtime", "version"], [("onnx", "1"), ("tflite", "not installed: …")]) == [
        "runtime  version",
        "-------  ----------------",
        "onnx     1",
        "tflite   not installed: …",
    ]
    assert table(["runtime", "v", "µs"], [("onnx", 1, 2), ("tflite", "not installed")])[-1] == (
        "tflite   not installed"
    )


def test_progress_is_for_who_watches(monkeypatch):
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    with progress("quantize", 2) as tell:
        tell("read")
        tell("calibrate")
    assert "quantize 2/2 [0 s] calibrate" in stream.getvalue()
    assert stream.getvalue().endswith("\r\x1b[K")
    for style, other in ((Style(quiet=True), Terminal()), (Style(), io.StringIO())):
        monkeypatch.setattr(sys, "stderr", other)
        with styled(style), progress("quantize") as tell:
            tell("read")
        assert other.getvalue() == ""
