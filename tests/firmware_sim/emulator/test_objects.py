"""Object files that are kept: the bytes that a compiler makes, never those of other files."""

import os
import shutil

from edgernn_firmware_sim.emulator import objects
from edgernn_firmware_sim.emulator.objects import compile_objects

COMMAND = ("gcc", "-O1", "-fstack-usage", "-fcallgraph-info=su", "-c")


def written(folder, *, answer=42, header="answer.h", inner=""):
    folder.mkdir()
    (folder / header).write_text(f"{inner}\nenum {{ ANSWER = {answer} }};\n")
    (folder / "one.c").write_text(f'#include "{header}"\nint one(void) {{ return ANSWER; }}\n')
    (folder / "two.c").write_text("int two(void) { return 2; }\n")
    return folder


def counted(monkeypatch):
    """The sources of every call of a compiler."""
    calls, execute = [], objects.execute

    def run(owner, command, folder, meanings=None):
        calls.append([word for word in command if word.endswith(".c")])
        return execute(owner, command, folder, meanings)

    monkeypatch.setattr(objects, "execute", run)
    monkeypatch.setattr(objects, "_kept", objects.OrderedDict())
    return calls


def results(folder):
    return {
        path.name: path.read_bytes()
        for suffix in ("o", "ci", "su")
        for path in folder.glob(f"*.{suffix}")
    }


def made(folder, command=COMMAND):
    return compile_objects("test", command, ["one.c", "two.c"], folder)


def test_the_same_files_are_compiled_once(tmp_path, monkeypatch):
    calls = counted(monkeypatch)
    assert made(written(tmp_path / "a")) == ["one.o", "two.o"]
    made(written(tmp_path / "b"))
    assert calls == [["one.c", "two.c"]]
    assert results(tmp_path / "a") == results(tmp_path / "b")
    assert len(results(tmp_path / "b")) == 6


def test_another_header_source_or_command_is_compiled(tmp_path, monkeypatch):
    calls = counted(monkeypatch)
    first, other = written(tmp_path / "a"), written(tmp_path / "b", answer=43)
    made(first)
    made(other)
    assert calls[1:] == [["one.c"]]
    assert results(first)["one.o"] != results(other)["one.o"]
    (other / "two.c").write_text("int two(void) { return 3; }\n")
    made(other)
    assert calls[2:] == [["two.c"]]
    made(other, ("gcc", "-O2", *COMMAND[2:]))
    assert calls[3:] == [["one.c", "two.c"]]
    made(first)  # and the first files are still kept
    assert len(calls) == 4


def test_another_program_of_the_same_name_counts(tmp_path, monkeypatch):
    calls = counted(monkeypatch)
    made(written(tmp_path / "a"))
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "gcc").symlink_to(shutil.which("gcc"))
    monkeypatch.setenv("PATH", str(programs), prepend=os.pathsep)
    made(written(tmp_path / "b"))
    assert calls == [["one.c", "two.c"]] * 2


def test_a_header_that_another_one_includes_counts(tmp_path, monkeypatch):
    calls = counted(monkeypatch)
    for name, value in (("a", 1), ("b", 2)):
        folder = written(tmp_path / name, inner='#include "deep.h"')
        (folder / "deep.h").write_text(f"enum {{ DEEP = {value} }};\n")
        made(folder)
    assert calls == [["one.c", "two.c"], ["one.c"]]


def test_a_header_that_is_gone_counts(tmp_path, monkeypatch):
    calls = counted(monkeypatch)
    made(written(tmp_path / "a"))
    folder = written(tmp_path / "b", header="other.h")
    (folder / "one.c").write_bytes((tmp_path / "a" / "one.c").read_bytes())
    (folder / "answer.h").write_text('#include "other.h"\n')
    made(folder)
    assert calls == [["one.c", "two.c"], ["one.c"]]


def test_what_is_used_least_is_dropped(tmp_path, monkeypatch):
    calls = counted(monkeypatch)
    monkeypatch.setattr(objects, "_MOST_KEPT", 2)
    folder = written(tmp_path / "a")
    for name in ("one.c", "two.c"):
        compile_objects("test", COMMAND, [name], folder)
    compile_objects("test", COMMAND, ["one.c"], folder)
    (folder / "three.c").write_text("int three(void) { return 3; }\n")
    compile_objects("test", COMMAND, ["three.c"], folder)
    compile_objects("test", COMMAND, ["one.c", "two.c"], folder)
    assert calls == [["one.c"], ["two.c"], ["three.c"], ["two.c"]]
