"""Lines from a serial port: a pseudo-terminal stands for the wire."""

import math
import os
import time
import tty

import pytest

from edgernn.connections.registry import make_source

pytest.importorskip("serial")


@pytest.fixture
def wire():
    """Write to what a port at the other end reads."""
    master, slave = os.openpty()
    tty.setraw(slave)
    yield master, os.ttyname(slave)
    for end in (master, slave):
        os.close(end)


def source(port, **table):
    errors = []
    made = make_source(
        {"kind": "serial", "port": port} | table, "serve.toml, [[source]] 1", ("a", "b"), errors
    )
    assert errors == []
    made.open(None)
    return made


def collect(made, count, wait_s=5.0):
    arrivals, end = [], time.monotonic() + wait_s
    while len(arrivals) < count and time.monotonic() < end:
        arrivals += made.read(10, 0.05).arrivals
    return arrivals


def test_rows_and_json_after_the_line_that_was_under_way(wire):
    master, port = wire
    made = source(port, key="bench")
    assert made.read(1, 0.0).arrivals == []  # opens the port
    os.write(master, b"5,2\r\n1.5,2\r\n")
    assert [a.values for a in collect(made, 1)] == [[1.5, 2.0]]
    os.write(master, b'{"key": "x", "a": 3, "b": 4}\n[5, 6]\n7,')
    arrivals = collect(made, 2)
    assert [(a.key, a.values) for a in arrivals] == [("x", [3.0, 4.0]), ("bench", [5.0, 6.0])]
    os.write(master, b"8\n")
    assert [a.values for a in collect(made, 1)] == [[7.0, 8.0]]
    made.close()


def test_a_header_of_a_board_that_starts_with_the_port(wire):
    master, port = wire
    made = source(port, skip_first_line=False)
    assert made.read(1, 0.0).arrivals == []
    os.write(master, b"b;a;note\n1,5;2;x\n")
    (arrival,) = collect(made, 1)
    assert arrival.values == [2.0, 1.5] and arrival.passed == {"note": "x"}
    made.close()


def test_noise_and_endless_lines_are_one_problem_each(wire):
    master, port = wire
    made = source(port, skip_first_line=False, max_line_bytes=64)
    made.read(1, 0.0)
    os.write(master, b"1,2\n\xff\x00\x80\xfe\n")
    for _ in range(20):
        os.write(master, b"9" * 100)
        made.read(1, 0.01)
    os.write(master, b"\n3,4\n5,nan\n")
    arrivals = collect(made, 3)
    problems = [a.problem for a in arrivals if a.problem]
    assert any("expected a line of at most 64 bytes, got 2000 bytes" in p for p in problems)
    assert [a.values for a in arrivals if not a.problem][-1] == [3.0, 4.0]
    assert arrivals[-1].values[0] == 5.0 and math.isnan(arrivals[-1].values[1])
    made.close()


def test_a_port_that_is_unplugged_comes_back(tmp_path, caplog):
    name = tmp_path / "ttyUSB0"
    master, slave = os.openpty()
    tty.setraw(slave)
    made = source(str(name), skip_first_line=False)
    assert made.read(1, 0.1).arrivals == []  # not there yet
    assert f"expected the serial port {name}, got" in caplog.text
    name.symlink_to(os.ttyname(slave))
    made._file._try_at_s = 0.0
    made.read(1, 0.0)
    os.write(master, b"1,2\n")
    assert [a.values for a in collect(made, 1)] == [[1.0, 2.0]]
    os.close(master)
    os.close(slave)
    name.unlink()
    assert collect(made, 1, 0.3) == []
    master, slave = os.openpty()
    tty.setraw(slave)
    name.symlink_to(os.ttyname(slave))
    made._file._try_at_s = 0.0
    made.read(1, 0.0)
    os.write(master, b"3,4\n")
    assert [a.values for a in collect(made, 1)] == [[3.0, 4.0]]
    made.close()
    os.close(master)
    os.close(slave)
