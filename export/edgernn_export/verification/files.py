"""Verify existing exported files: their integrity, their golden vector, and a model's stream."""

from __future__ import annotations

import itertools
import json
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from edgernn.backends.onnx_file import read_onnx
from edgernn.backends.tflite_file import read_either
from edgernn.display import record_repr, report_html
from edgernn.errors import EdgeRnnError, FormatError
from edgernn.install import hint
from edgernn.model.formats import OperandArray
from edgernn.model.integer_model import IntegerModel
from edgernn.model.program_sets.program_set import ProgramInterfaces, ProgramSet
from edgernn_export.verification.chunk_walk import Chunks
from edgernn_export.verification.comparison import (
    FAILED,
    NOT_INSTALLED,
    RAN,
    RuntimeOutcome,
    Verification,
    differing_values,
    outcome_table,
    verify,
)
from edgernn_export.verification.compiled_c import c_sources, run_self_test, run_stream
from edgernn_export.verification.executors import Executor, golden_trace, select
from edgernn_export.verification.program_comparison import verify_programs
from edgernn_export.verification.program_walk import Walk

EDGERNN: Final = "edgernn"
TFLITE: Final = "tflite"
ONNX: Final = "onnx"
C: Final = "c"
#: Tells what is going to run.
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class FileVerification:
    """What was found about one exported file, or folder of C.

    Attributes:
        file: its name.
        kind: "tflite", "onnx" or "c".
        model_sha256: of the model that it says it was written from.
        wanted_sha256: of the model it was compared with; None without one.
        golden: every runtime, or the compiler, on the golden vector in the file.
        stream: every runtime, or the compiled C, on the model's stream; None without a model, or
            with another one.
        verified: the checks that passed.
        not_verified: the open questions, and how to answer them.
    """

    file: str
    kind: str
    model_sha256: str
    wanted_sha256: str | None
    golden: tuple[RuntimeOutcome, ...]
    stream: Verification | None
    verified: tuple[str, ...]
    not_verified: tuple[str, ...]

    __repr__ = record_repr
    _repr_html_ = report_html

    @property
    def differing(self) -> int:
        """Differing values over everything that ran."""
        of_golden = sum(outcome.differing for outcome in self.golden)
        return of_golden + (0 if self.stream is None else self.stream.differing)

    @property
    def passed(self) -> bool:
        """Something ran, nothing failed or differs, and the model is the one given."""
        states = [outcome.status for outcome in self.golden]
        of_model = self.wanted_sha256 in (None, self.model_sha256)
        of_stream = self.stream is None or self.stream.passed
        ran = RAN in states and FAILED not in states
        return of_model and of_stream and ran and self.differing == 0

    def table(self) -> str:
        """Plain text for people; the last line counts the differing values."""
        lines = [f"{self.file}: written from model {self.model_sha256}"]
        if self.wanted_sha256 not in (None, self.model_sha256):
            lines.append(f"FAIL: the given model is {self.wanted_sha256}, a different one")
        lines += outcome_table("golden vector", self.golden)
        if all(outcome.status == NOT_INSTALLED for outcome in self.golden):
            lines.append(f"No runtime ran. {_install(self.kind)}")
        if self.stream is not None:
            lines += ["", *self.stream.table().splitlines()[:-1], ""]
        lines += [f"verified: {sentence}" for sentence in self.verified]
        lines += [f"not verified: {sentence}" for sentence in self.not_verified]
        of_another = self.wanted_sha256 not in (None, self.model_sha256)
        lines.append(f"differing values: {self.differing}" + ", from another model" * of_another)
        return "\n".join(lines)

    def to_json(self) -> str:
        """All figures as one JSON object."""
        record: dict[str, Any] = asdict(self) | {
            "stream": None if self.stream is None else json.loads(self.stream.to_json()),
            "differing": self.differing,
            "passed": self.passed,
        }
        return json.dumps(record, allow_nan=False)


_NO_MODEL: Final = (
    "results for other inputs than the golden ones, because this file does not contain the "
    "integer model. Pass the original with: --model MODEL.edgernn"
)


def kind_of(path: Path) -> str:
    """What a path holds, by its content: "edgernn", "tflite", "onnx" or "c".

    Raises:
        OSError: the file cannot be read.
    """
    if path.is_dir():
        return C
    with path.open("rb") as file:
        head = file.read(9)
    if head[4:8] == b"TFL3":
        return TFLITE
    if path.suffix == ".tflite":  # damaged; its reader says how
        return TFLITE
    # A protocol buffer that begins with ir_version, where an .edgernn file has a length and "{".
    return (
        ONNX if head[8:9] != b"{" and (head[:1] == b"\x08" or path.suffix == ".onnx") else EDGERNN
    )


def verify_file(
    path: Path,
    model: IntegerModel | ProgramSet | None = None,
    stream: OperandArray | Walk | Chunks | None = None,
    runtimes: Sequence[str] | None = None,
    progress: Tell | None = None,
) -> FileVerification:
    """Verify a .tflite or .onnx file, or a folder of C that `edgernn export` wrote.

    Args:
        path: the file or folder.
        model: the integer model, or the set of programs, that it should be of; None checks the
            golden vectors alone.
        stream: operand codes [T, I], with a model; a walk or chunks, with
            programs.
        runtimes: distributions to run, all by default.
        progress: told the name of what runs next.

    Raises:
        FormatError: the file is damaged, or edgernn did not write it.
        EdgeRnnError: an unknown runtime.
        OSError: it cannot be read.
    """
    tell = progress or (lambda _: None)
    kind = kind_of(path)
    if kind == C:
        return _verify_c(path, model, stream, tell)
    told = None
    if kind == TFLITE:
        _, told = read_either(path)
    elif kind == ONNX:
        read_onnx(path)
    else:
        raise FormatError(
            f"file '{path.name}': expected a .tflite or .onnx file or a folder of C, got another "
            "kind of file."
        )
    executors = [e for e in select(None if runtimes is None else list(runtimes))
                 if e.backend == kind]  # fmt: skip
    if not executors:
        raise EdgeRnnError(
            f"verify: expected a backend that runs a .{kind} file, got {', '.join(runtimes or ())}."
        )
    with tempfile.TemporaryDirectory(prefix="edgernn-verify-") as folder:
        copy = Path(folder) / f"model.{kind}"
        shutil.copyfile(path, copy)
        programs = told.names if isinstance(told, ProgramInterfaces) else ("",)
        golden, sha256 = _golden(executors, copy, programs, tell)
        if isinstance(told, ProgramInterfaces):
            sha256 = told.sha256
        elif told is not None:
            sha256 = told.model_sha256
        sha256 = sha256 or "unknown"
        found = None
        if model is not None and sha256 == model.sha256:
            names = list(dict.fromkeys(e.runtime for e in executors))
            found = _streamed(model, stream, names, kind, copy, tell)
    return FileVerification(
        file=path.name,
        kind=kind,
        model_sha256=sha256,
        wanted_sha256=None if model is None else model.sha256,
        golden=golden,
        stream=found,
        verified=(
            "the file is byte for byte the one that was written (SHA-256).",
            *_found(golden, found),
        ),
        not_verified=(_NO_MODEL,) if model is None else (),
    )


def _streamed(
    model: IntegerModel | ProgramSet,
    stream: OperandArray | Walk | Chunks | None,
    names: Sequence[str],
    kind: str,
    file: Path,
    tell: Tell,
) -> Verification | None:
    """The runtimes compared with the reference, if there is a stream."""
    if isinstance(model, ProgramSet) and isinstance(stream, (Walk, Chunks)):
        files = {kind: dict.fromkeys(model.names, file)}
        return verify_programs(model, stream, names, tell, files=files)
    if isinstance(model, IntegerModel) and isinstance(stream, np.ndarray):
        return verify(model, stream, names, tell, files={kind: file})
    return None


def _golden(
    executors: Sequence[Executor], file: Path, programs: Sequence[str], tell: Tell
) -> tuple[tuple[RuntimeOutcome, ...], str]:
    """Every runtime on the file's golden vectors, and which model the file says it is of."""
    outcomes, sha256 = [], ""
    for executor, program in itertools.product(executors, programs):
        if program:
            executor = replace(
                executor,
                variant=f"{executor.variant}, {program}",
                options=(*executor.options, ("program", program)),
            )
        tell(f"{executor.runtime} ({executor.variant}), golden vector")
        base = RuntimeOutcome(
            runtime=executor.runtime,
            variant=executor.variant,
            version=executor.version,
            status=NOT_INSTALLED if executor.version is None else FAILED,
        )
        if executor.version is None:
            outcomes.append(base)
            continue
        try:
            found = golden_trace(executor, file, file.with_name("golden.npz"))
        except EdgeRnnError as error:
            outcomes.append(replace(base, message=str(error)))
            continue
        sha256 = found.model_sha256
        differing = differing_values(found.q_ys, found.wanted)
        outcomes.append(
            replace(
                base,
                status=RAN,
                compared=found.wanted.size,
                differing=differing,
                step_us=found.step_us,
            )
        )
    return tuple(outcomes), sha256


def _found(golden: Sequence[RuntimeOutcome], stream: Verification | None) -> tuple[str, ...]:
    """What the runs have shown."""
    sentences = []
    ran = [o for o in golden if o.status == RAN]
    if ran and not any(o.differing for o in ran):
        sentences.append(
            f"{len(ran)} of {len(golden)} configurations reproduce the golden vector in the file."
        )
    if stream is not None and stream.passed:
        sentences.append(f"they match the reference bit for bit over {stream.steps} steps.")
    return tuple(sentences)


def _verify_c(
    path: Path,
    model: IntegerModel | ProgramSet | None,
    stream: OperandArray | Walk | Chunks | None,
    tell: Tell,
) -> FileVerification:
    sources = c_sources(path)
    tell("C, golden vector")
    golden = run_self_test(sources)
    wanted = None if model is None else model.sha256
    found = None
    if (
        isinstance(model, IntegerModel)
        and isinstance(stream, np.ndarray)
        and sources.model_sha256 == wanted
    ):
        tell("C, stream")
        found = run_stream(sources, model, stream)
    not_verified = ["other compilers and cores; to check them, run: edgernn simulate --emulate."]
    if model is None:
        not_verified.insert(0, _NO_MODEL)
    elif isinstance(model, ProgramSet):
        not_verified.insert(0, "results for other inputs than the golden ones in the self-test.")
    return FileVerification(
        file=path.name,
        kind=C,
        model_sha256=sources.model_sha256,
        wanted_sha256=wanted,
        golden=(golden,),
        stream=found,
        verified=_found((golden,), found),
        not_verified=tuple(not_verified),
    )


def _install(kind: str) -> str:
    """How to install what runs a kind of file."""
    if kind == C:
        return "Install a C compiler, on Debian with: sudo apt-get install gcc libc6-dev"
    return f"Install one with: {hint(kind)}"
