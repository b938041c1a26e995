"""Processes, turns, figures and limits of the benchmark; no test depends on a time."""

from pathlib import Path

import numpy as np
import pytest

from edgernn.bench import BenchLimits, machine, workers
from edgernn.bench.contenders import LeftOut, called, chunked, function_named, stepped
from edgernn.bench.file_sizes import FileSize
from edgernn.bench.own_backends import departure, stream_counts
from edgernn.bench.probe import Probe
from edgernn.bench.timings import take_rounds, throughput_of, timings_of
from edgernn.bench.verdict import BoardFigures, checks, judged
from edgernn.cli.bench_text import figure
from edgernn.errors import BackendMismatch, BackendUnavailable, EdgeRnnError

pytestmark = pytest.mark.device


class Clock:
    """Time that passes only when a contender takes it."""

    def __init__(self, monkeypatch):
        self.now = 0
        monkeypatch.setattr(workers.time, "perf_counter_ns", lambda: self.now)

    def spend(self, nanoseconds):
        self.now += nanoseconds


class FakeWorker:
    """Contenders whose times are known."""

    def __init__(self, name, log, *labels):
        self.name, self.log = name, log
        self.contenders = {
            "net": [
                {"label": label, "calls": True, "steps": 2, "departure": None, "note": ""}
                for label in labels
            ]
        }

    def take_calls(self, network, index):
        self.log.append((self.name, index))
        return [1000.0 * (index + 1), 3000.0 * (index + 1)]


def test_a_function_runs_in_another_process_and_its_noise_stays_there(capfd):
    assert workers.in_process("operator:add", 2, 3) == 5
    assert workers.in_process("operator:add", Path("a"), "b") == "ab"
    assert workers.in_process("builtins:print", "noise") is None
    assert capfd.readouterr().out == ""


def test_an_interrupt_ends_a_process_that_is_busy(monkeypatch):
    started = []
    popen = workers.subprocess.Popen
    monkeypatch.setattr(
        workers.subprocess, "Popen", lambda *a, **k: started.append(popen(*a, **k)) or started[-1]
    )

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(workers.Worker, "_ask", interrupted)
    with pytest.raises(KeyboardInterrupt):
        workers.in_process("time:sleep", 60)
    assert started[0].returncode == -9


def test_a_process_imports_nothing_by_chance_from_the_working_folder(tmp_path, monkeypatch):
    (tmp_path / "colorsys.py").write_text("raise SystemExit(9)\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(workers.sys, "path", [path for path in workers.sys.path if path])
    assert workers.in_process("colorsys:rgb_to_hls", 1, 1, 1) == [0.0, 1.0, 0.0]


def test_processes_are_not_pinned_where_that_is_forbidden(monkeypatch):
    def forbidden(*_):
        raise PermissionError

    if hasattr(machine.os, "sched_setaffinity"):
        assert machine.last_core() in machine.os.sched_getaffinity(0)
    monkeypatch.setattr(machine.os, "sched_setaffinity", forbidden, raising=False)
    monkeypatch.setattr(machine.os, "sched_getaffinity", lambda _: {0}, raising=False)
    assert machine.last_core() is None
    monkeypatch.delattr(machine.os, "sched_setaffinity")
    assert machine.last_core() is None


def test_errors_of_a_process_keep_their_kind():
    with pytest.raises(ImportError) as missing:
        workers.in_process("no_such_package.module:function")
    assert missing.value.name == "no_such_package"
    with pytest.raises(EdgeRnnError, match=r"^\[Errno 2\] No such file or directory: 'nowhere'$"):
        workers.in_process("os:listdir", "nowhere")
    with pytest.raises(EdgeRnnError, match="ended with 3"):
        workers.in_process("sys:exit", 3)
    with pytest.raises(BackendUnavailable, match="expected a file ending in"):
        workers.in_process("edgernn.backends:open_backend", "model.what")
    with pytest.raises(EdgeRnnError, match="expected MODULE:FUNCTION"):
        function_named("edgernn.backends")


def test_calls_are_timed_one_by_one_and_per_step(monkeypatch):
    clock = Clock(monkeypatch)
    contender = called("p", "f", "w", clock.spend, [100, 200, 300, 400], per_call=10)
    assert workers.call_ns(contender) == [10.0, 20.0, 30.0, 40.0]
    assert clock.now == 1000 + 100  # a quarter of the turn warms the caches
    assert contender.steps == 40
    assert workers.per_step_ns(contender) == 25.0


def test_turns_have_whole_periods_and_chunks_the_rows_again():
    seen = []
    contender = stepped("p", "f", seen.append, [1, 2, 3], period=7)
    assert contender.steps % 7 == 0
    assert contender.rows[:7] == [1, 2, 3, 1, 2, 3, 1]
    rows = np.arange(6.0).reshape(3, 2)
    chunks = chunked("p", "f", lambda chunk: None, rows, way="run")
    np.testing.assert_array_equal(chunks.rows[0][:4], rows[[0, 1, 2, 0]])
    assert chunks.steps == chunks.per_call * len(chunks.rows)


def test_every_round_gives_every_contender_one_turn():
    log, stages = [], []
    one = FakeWorker("one", log, ("a", "f", "step", ""), ("a", "f", "run", ""))
    two = FakeWorker("two", log, ("b", "f", "step, 2 streams", ""))
    both = [(one, True), (two, False)]
    samples = take_rounds(both, "net", 3, lambda *stage: stages.append(stage[1:]))
    assert log == [("one", 0), ("one", 1), ("two", 0)] * 3
    assert stages == [(1, 3), (2, 3), (3, 3)]
    (timing,) = timings_of(both, "net", samples)
    assert (timing.program, timing.exact, timing.calls) == ("a", True, 6)
    assert (timing.median_us, timing.p99_us, timing.run_us) == (2.0, 3.0, 4.0)
    (many,) = throughput_of(samples)
    assert (many.program, many.way, many.streams, many.steps_per_second) == ("b", "step", 2, 5e5)


def test_streams_are_powers_of_two_and_the_most():
    assert [stream_counts(most) for most in (1, 2, 5, 8)] == [
        [1],
        [1, 2],
        [1, 2, 4, 5],
        [1, 2, 4, 8],
    ]


def test_one_bit_that_differs_is_refused():
    ys = np.array([[np.nan, np.nan], [1.0, 2.0], [3.0, 4.0]])
    probe = Probe(xs=np.zeros((3, 1)), ys=ys)
    probe.check("me", ys.copy())
    probe.check("me", ys[:2].copy())
    ys[2, 1] = np.nextafter(4.0, 5.0)
    with pytest.raises(BackendMismatch, match=r"^bench, me: .* for 3 readings, got 1 of 6 values"):
        Probe(xs=probe.xs, ys=np.array([[np.nan] * 2, [1.0, 2.0], [3.0, 4.0]])).check("me", ys)
    ys[2, 1], ys[1, 0] = 4.0, np.nan
    with pytest.raises(BackendMismatch, match="got 1 of 6"):
        Probe(xs=probe.xs, ys=np.array([[np.nan] * 2, [1.0, 2.0], [3.0, 4.0]])).check("me", ys)


def test_error_is_a_share_of_the_standard_deviation_over_answered_readings():
    wanted = np.array([[np.nan, 1.0], [33.0, 1.0], [35.0, 1.0], [7.0, 1.0]])
    ys = np.array(
        [[9.0, 1.0], [33.0, 9.0], [35.5, 1.0]]
    )  # an output that never changes is no scale
    assert departure(ys, wanted) == pytest.approx(np.sqrt(0.5**2 / 2))
    assert departure(np.array([[9.0, 1.0]]), wanted) is None
    with pytest.raises(BackendUnavailable, match="not finite"):
        departure(np.array([[0.0, 1.0], [np.nan, 1.0]]), wanted)


def timing(program, p99_us, isa=""):
    label = (program, "w8a8", "step", isa)
    worker = FakeWorker(program, [], label)
    (found,) = timings_of([(worker, True)], "net", {label: [1000 * p99_us] * 4})
    return found


def test_the_slowest_named_backend_counts_by_its_fastest_instruction_set():
    found = [timing("native", 1.0, "fast"), timing("native", 9.0, "slow"), timing("onnx", 5.0)]
    assert judged(found, named=False) is found[0]
    assert judged(found, named=True) is found[2]
    assert judged([], named=True) is None


def test_limits_by_hand():
    sizes = [FileSize(name=".edgernn", bytes=1500, gzip_bytes=900)]
    boards = [BoardFigures(name="b", ms=0.2, flash_bytes=None)]
    limits = BenchLimits(max_ms=0.1, max_kb=1.5, min_kept=95)
    found = checks(limits, timing("native", 100.0), sizes, boards, kept=0.949)
    assert [(check.what, check.measured, check.kept) for check in found] == [
        ("step on native, p99", 0.1, True),
        ("step on b, estimate", 0.2, False),
        (".edgernn file", 1.5, True),
        ("flash on b", None, False),  # what is not known keeps no limit
        ("accuracy kept", pytest.approx(94.9), False),
    ]
    assert checks(BenchLimits(), None, sizes, boards, kept=None) == ()
    (none,) = checks(BenchLimits(max_ms=1), None, sizes, [], kept=None)
    assert (none.what, none.kept) == ("step on no back-end ran", False)


@pytest.mark.parametrize(("measured", "kept"), [(True, True), (False, False)])
def test_weights_alone_keep_no_limit_on_flash(measured, kept):
    board = {"target": "b", "high_ms": 0.1, "flash_bytes": 900, "measured": measured}
    found = checks(BenchLimits(max_kb=1), None, [], [BoardFigures.of(board)], kept=None)
    assert {check.what: check.kept for check in found}["flash on b"] is kept


@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf")])
def test_limits_that_are_none_are_refused(value):
    with pytest.raises(EdgeRnnError, match="bench max_kb: expected a number above 0"):
        BenchLimits(max_kb=value)


def test_figures_have_three_digits():
    numbers = (0, 0.00123, 0.551, 1.2345, 99.96, 1234.5)
    assert [figure(n) for n in numbers] == ["0", "0.0012", "0.551", "1.23", "100.0", "1,234"]
    assert LeftOut(what="a", why="b") == LeftOut(what="a", why="b")
