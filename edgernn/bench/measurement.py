"""Benchmark a model: compare the outputs first, then time all contenders in interleaved rounds."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from os import PathLike
from pathlib import Path
from typing import Any, Final

import numpy as np

from edgernn.bench.contenders import LeftOut, function_named
from edgernn.bench.file_sizes import file_sizes
from edgernn.bench.machine import last_core, machine_facts
from edgernn.bench.own_backends import MOST_STREAMS, stream_counts
from edgernn.bench.probe import probe_of, readings_from, readings_of
from edgernn.bench.programs import (
    OWN,
    PEERS,
    BenchProgram,
    chosen_programs,
    distributions,
    missing_text,
)
from edgernn.bench.result import RANDOM, Benchmark, outputs_text
from edgernn.bench.timings import BenchProgress, take_rounds, throughput_of, timings_of
from edgernn.bench.verdict import BenchLimits, BoardFigures, checks, judged
from edgernn.bench.workers import Worker, in_process
from edgernn.container.file import load_either
from edgernn.errors import BackendMismatch, BackendUnavailable, EdgeRnnError
from edgernn.model.formats import FloatArray
from edgernn.model.integer_model import IntegerModel
from edgernn.records.opening import TableOptions

#: Interleaved rounds where none are named.
ROUNDS: Final = 60
#: Functions of the workstation part, which are imported when they are needed.
_WORKSTATION: Final = {
    "export": "edgernn_export.bench.model_files:write_format",
    "file": "edgernn_export.bench.model_files:write_float",
    "float": "edgernn_export.bench.keras_peers:float_facts",
    "evaluate": "edgernn_export.bench.model_files:accuracy",
    "boards": "edgernn_export.simulation:board_costs",
}
_FORMATS: Final = ("tflite", "onnx")
_EXPORT_HINT: Final = (
    "export it on the workstation with: edgernn export MODEL.edgernn, and pass the files with "
    "--files"
)


def benchmark(
    model: IntegerModel | str | PathLike[str],
    *,
    float_model: Any = None,
    peers: bool = False,
    backends: Sequence[str] | None = None,
    files: Sequence[str | PathLike[str]] = (),
    data: FloatArray | str | PathLike[str] | None = None,
    table: TableOptions | None = None,
    boards: Sequence[str | PathLike[str]] = (),
    streams: int = 8,
    rounds: int = ROUNDS,
    limits: BenchLimits | None = None,
    evaluate: Mapping[str, Any] | None = None,
    progress: BenchProgress | None = None,
    **options: Any,
) -> Benchmark:
    """Benchmark a model on every installed back-end, after checking that all give the same bits.

    Each runtime has its own process, pinned to one core with one thread. All contenders take turns
    in interleaved rounds, so that a disturbance of the machine affects all of them alike.

    Args:
        model: the integer model, or the path of its .edgernn file.
        float_model: the network it was quantized from: a path, or whatever else
            `edgernn_export.quantize` reads. Outputs are then compared with it as well.
        peers: also time the float network and the stock INT8 conversion; needs `float_model` and
            the workstation part.
        backends: names of `edgernn.bench.programs.OWN`; all by default.
        files: .tflite and .onnx files of the model. By default they are exported; on a device
            without the workstation part, files next to the model with the same stem are used.
        data: readings [T, I] in physical units, or a table or .npy file with them; random readings
            over the calibrated range by default.
        table: how a table of text is to be read.
        boards: boards or cores to estimate instructions, time, memory and energy for.
        streams: most streams over the same weights to time.
        rounds: interleaved rounds.
        limits: compared with the figures, see `Benchmark.checks`.
        evaluate: arguments of `edgernn_export.evaluate` as paths and JSON values, "data" and
            "target" among them, to measure the accuracy that is kept.
        progress: called with what is done now, the number of finished stages and of all.
        **options: of the float network, as of `quantize`: ``weights``, ``layout`` and others.

    Returns:
        All figures.

    Raises:
        BackendMismatch: a back-end gives other bits, or a file is of another model.
        EdgeRnnError: a wrong argument, or a model that cannot be benchmarked.
    """
    path = None if isinstance(model, IntegerModel) else Path(model)
    loaded = model if isinstance(model, IntegerModel) else _one_model(Path(model))
    limits = limits or BenchLimits()
    _check(float_model, peers, streams, rounds, limits, evaluate)
    own = chosen_programs(backends)
    with tempfile.TemporaryDirectory(prefix="edgernn-bench-") as name, ExitStack() as stack:
        run = _Run(loaded, path, Path(name), progress or (lambda *_: None))
        run.take_readings(data, table or TableOptions())
        run.take_files([Path(file) for file in files])
        if float_model is not None:
            run.take_float(float_model, options)
        run.take_costs(boards, evaluate)
        if float_model is not None:
            run.open_keras(stack, peers)
        run.open_own(stack, own, stream_counts(streams))
        if peers:
            run.open_peers(stack)
        return run.result(rounds=rounds, named=backends is not None, limits=limits)


def _one_model(path: Path) -> IntegerModel:
    found = load_either(path)
    if isinstance(found, IntegerModel):
        return found
    raise EdgeRnnError(
        f"{path.name}: expected one model, got the programs {', '.join(found.names)}. "
        f"Benchmark one of them with: --program {found.names[0]}"
    )


def _check(
    float_model: Any,
    peers: bool,
    streams: int,
    rounds: int,
    limits: BenchLimits,
    evaluate: Mapping[str, Any] | None,
) -> None:
    if peers and float_model is None:
        raise EdgeRnnError(
            "bench peers: expected the float network to compare with, got none. "
            "Pass it with: --float NETWORK"
        )
    for name, value, most in (("streams", streams, MOST_STREAMS), ("rounds", rounds, 10_000)):
        if type(value) is not int or not 1 <= value <= most:
            raise EdgeRnnError(f"bench {name}: expected 1 to {most}, got {value!r:.40}.")
    limits.check_evaluation(float_model is not None, bool(evaluate))


class _Run:
    """One benchmark while it is made."""

    def __init__(
        self, model: IntegerModel, path: Path | None, folder: Path, progress: BenchProgress
    ) -> None:
        self.progress = progress
        self.model, self.path, self.folder = model, path, folder
        self.workers: list[tuple[Worker, bool]] = []
        self.left_out: list[LeftOut] = []
        self.files: dict[str, Path] = {}
        self.others: list[tuple[str, Path]] = []
        self.core = last_core()
        # Before the benchmark itself loads the machine.
        self.machine = machine_facts(self.core, distributions([*OWN.values(), *PEERS.values()]))
        self.edgernn = folder / "model.edgernn"
        self.float_model: Path | None = None
        self.options: dict[str, Any] = {}
        self.float_ys: str | None = None
        self.probe_file = folder / "probe.npz"
        self.readings = ""
        self.compared = 0
        self.boards: tuple[dict[str, Any], ...] = ()
        self.accuracy: dict[str, Any] | None = None
        model.save(self.edgernn)

    def take_readings(self, data: Any, table: TableOptions) -> None:
        """Choose the readings, and run the reference over them."""
        xs: FloatArray | None = None
        self.readings = RANDOM
        if isinstance(data, (str, PathLike)):
            xs, dropped = readings_from(Path(data), self.model.interface(), table)
            left_out = f", {dropped} incomplete readings left out" * bool(dropped)
            self.readings = f"{Path(data).name}{left_out}"
        elif data is not None:
            xs = readings_of(np.asarray(data), self.model.interface(), "bench data")
            self.readings = "an array"
        probe = probe_of(self.model, xs)
        probe.save(self.probe_file)
        self.compared = len(probe.xs)
        if xs is not None and len(xs) > self.compared:
            self.readings = f"the first of {self.readings}"

    def take_files(self, files: Sequence[Path]) -> None:
        """Use the files given, export others, or take those next to the model."""
        for file in files:
            kind = file.suffix.removeprefix(".")
            if kind not in _FORMATS or not file.is_file():
                raise EdgeRnnError(
                    f"bench files: expected existing .tflite or .onnx files, got '{file}'. "
                    "Export them with: edgernn export MODEL.edgernn"
                )
            self.files[kind] = file
        for kind in _FORMATS:
            if kind not in self.files:
                self._export(kind)

    def _export(self, kind: str) -> None:
        self.progress(f"export .{kind}", 0, 1)
        try:
            written = in_process(_WORKSTATION["export"], str(self.edgernn), kind, str(self.folder))
            self.files[kind] = Path(written)
        except (EdgeRnnError, ImportError) as error:
            beside = None if self.path is None else self.path.with_suffix(f".{kind}")
            if beside is not None and beside.is_file():
                self.files[kind] = beside
            else:
                self._leave_out(f".{kind} file", f"{_reason(error)}; {_EXPORT_HINT}")

    def take_float(self, float_model: Any, options: Mapping[str, Any]) -> None:
        """Make a file of the float network, if it is none."""
        self.options = {name: value for name, value in options.items() if value is not None}
        layout = self.options.get("layout", "")
        if isinstance(float_model, (str, PathLike)) and isinstance(layout, (str, PathLike)):
            self.float_model = Path(float_model)
            return
        write, options, self.options = function_named(_WORKSTATION["file"]), self.options, {}
        self.float_model = Path(write(float_model, options, self.probe_file, self.folder))

    def take_costs(
        self, targets: Sequence[str | PathLike[str]], evaluate: Mapping[str, Any] | None
    ) -> None:
        """Measure boards and accuracy: wrong names show before anything is opened or timed."""
        self.boards = self._boards(targets)
        self.accuracy = self._accuracy(evaluate)

    def open_keras(self, stack: ExitStack, peers: bool) -> None:
        """Run the float network; with peers, also keep its process and write their files."""
        order = {
            "keras": str(self.float_model),
            "options": self.options,
            "model": str(self.edgernn),
            "probe": str(self.probe_file),
            "folder": str(self.folder),
        }
        if not peers:
            self._take_float_facts(in_process(_WORKSTATION["float"], order))
            return
        missing = missing_text(PEERS["keras"])
        if missing:
            raise EdgeRnnError(f"bench peers: expected TensorFlow, got none: {missing}.")
        worker = self._open(stack, "keras", PEERS["keras"], order, exact=False)
        if worker is not None:
            self._take_float_facts(worker.facts)

    def _take_float_facts(self, facts: Mapping[str, Any]) -> None:
        self.float_ys = facts["float_ys"]
        self.others += [(title, Path(file)) for title, file in facts["files"]]
        self.left_out += [LeftOut(**one) for one in facts.get("left_out", ())]

    def open_own(
        self, stack: ExitStack, programs: Mapping[str, BenchProgram], streams: Sequence[int]
    ) -> None:
        """Open our back-ends; the first one also runs several streams."""
        files = {"edgernn": self.edgernn, **self.files}
        counts = list(streams)
        for name, program in programs.items():
            if missing := missing_text(program):
                self._leave_out(name, missing)
                continue
            if program.needs not in files:
                self._leave_out(name, f"no .{program.needs} file of the model; {_EXPORT_HINT}")
                continue
            order = {
                "file": str(files[program.needs]),
                "backend": program.backend,
                "options": dict(program.options),
                "program": name,
                "form": self.model.precision_label,
                "sha256": self.model.sha256,
                "probe": str(self.probe_file),
                "float_ys": self.float_ys,
                "streams": counts,
            }
            if self._open(stack, name, program, order, exact=True) is not None:
                counts = []

    def open_peers(self, stack: ExitStack) -> None:
        """Open the float network and stock conversions in each runtime."""
        for name, program in PEERS.items():
            if name == "keras":
                continue
            if missing := missing_text(program):
                self._leave_out(f"peers in {name}", missing)
                continue
            order = {
                "program": name,
                "runtime": program.package,
                "folder": str(self.folder),
                "probe": str(self.probe_file),
            }
            worker = self._open(stack, f"peers in {name}", program, order, exact=False)
            if worker is not None:
                self.others += [
                    (title, Path(file)) for title, file in worker.facts.get("files", ())
                ]

    def _open(
        self, stack: ExitStack, name: str, program: BenchProgram, order: Any, *, exact: bool
    ) -> Worker | None:
        """Start a process; None, and a reason, if the program cannot run the model."""
        self.progress(f"{name}: outputs compared", 0, 1)
        try:
            worker = Worker(name, program.opener, [self.model.name, order], self.core)
        except (BackendUnavailable, ImportError) as error:
            self._leave_out(name, _reason(error))
            return None
        stack.callback(worker.close)
        self.workers.append((worker, exact))
        self.left_out += worker.left_out
        return worker

    def _leave_out(self, what: str, why: str) -> None:
        self.left_out.append(LeftOut(what=what, why=why))

    def result(self, *, rounds: int, named: bool, limits: BenchLimits) -> Benchmark:
        """Time everything and collect the figures."""
        # Our back-ends stand first in tables; Keras was opened before them.
        self.workers.sort(key=lambda one: not one[1])
        model, network = self.model, self.model.name
        samples = take_rounds(self.workers, network, rounds, self.progress)
        timings = timings_of(self.workers, network, samples)
        exact = [timing for timing in timings if timing.exact and timing.way == "step"]
        counted = judged(exact, named)
        sizes = file_sizes(model, self.files, self.others, self.boards)
        figures = [BoardFigures.of(board) for board in self.boards]
        kept = None if self.accuracy is None else self.accuracy["kept"]
        return Benchmark(
            model=model.name,
            model_sha256=model.sha256,
            precision=model.precision_label,
            macs=model.macs,
            stream=outputs_text(model.window, model.rate),
            compared=self.compared,
            readings=self.readings,
            rounds=rounds,
            timings=timings,
            throughput=throughput_of(samples),
            sizes=sizes,
            state_bytes=model.state_bytes,
            memory_bytes={
                worker.name: worker.memory_bytes
                for worker, _ in self.workers
                if worker.memory_bytes is not None
            },
            boards=self.boards,
            accuracy=self.accuracy,
            counted="" if counted is None else counted.name,
            checks=checks(limits, counted, sizes, figures, kept),
            left_out=tuple(self.left_out),
            machine=self.machine,
        )

    def _boards(self, targets: Sequence[str | PathLike[str]]) -> tuple[dict[str, Any], ...]:
        if not targets:
            return ()
        costs = function_named(_WORKSTATION["boards"])
        try:
            found = costs(
                self.model, targets, progress=lambda stage: self.progress(f"boards: {stage}", 0, 1)
            )
        except BackendUnavailable as error:
            self._leave_out("instructions and time on boards", str(error))
            found = costs(self.model, targets, emulate=False)
        for cost in found:
            if cost.exact is False:
                raise BackendMismatch(
                    f"bench, {cost.target}: expected the reference's outputs, got others. "
                    "Find them with: edgernn simulate MODEL.edgernn --emulate "
                    f"--target {cost.target}"
                )
        return tuple(map(asdict, found))

    def _accuracy(self, evaluate: Mapping[str, Any] | None) -> dict[str, Any] | None:
        if not evaluate:
            return None
        self.progress("accuracy", 0, 1)
        order = {key: value for key, value in evaluate.items() if value is not None}
        network = None if self.float_model is None else str(self.float_model)
        found: dict[str, Any] = in_process(
            _WORKSTATION["evaluate"], str(self.edgernn), network, self.options, order
        )
        return found


def _reason(error: Exception) -> str:
    return f"{error.name} is not installed" if isinstance(error, ImportError) else str(error)
