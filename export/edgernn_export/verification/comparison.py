"""Run a model through every runtime and count the values that differ from the reference."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np

from edgernn.cli.style import table
from edgernn.display import record_repr, report_html
from edgernn.errors import EdgeRnnError, ShapeError
from edgernn.install import hint
from edgernn.model.formats import Int16Array, OperandArray
from edgernn.model.integer_model import IntegerModel
from edgernn_export.verification.executors import REFERENCE, Executor, Trace, select, trace
from edgernn_export.writers.exporter import export
from edgernn_export.writers.file_formats import SESSION_FORMATS

RAN: Final = "ran"
NOT_INSTALLED: Final = "not installed"
FAILED: Final = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeOutcome:
    """What one executor did.

    Attributes:
        runtime: distribution.
        variant: its configuration.
        version: of the distribution, None where it is not installed.
        status: "ran", "not installed" or "failed".
        compared: values compared with the reference, outputs and states of every step.
        differing: how many of them differ.
        step_us: median microseconds per step, None where it did not run.
        message: why it failed.
    """

    runtime: str
    variant: str
    version: str | None
    status: str
    compared: int = 0
    differing: int = 0
    step_us: float | None = None
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """All outcomes over one stream.

    Attributes:
        model: name of the integer model.
        model_sha256: its hash.
        precision: `IntegerModel.precision_label`.
        steps: length of the stream.
        outcomes: the reference first.
        file_bytes: size of the model and of each file exported for a runtime that ran, by format.
    """

    model: str
    model_sha256: str
    precision: str
    steps: int
    outcomes: tuple[RuntimeOutcome, ...]
    file_bytes: tuple[tuple[str, int], ...]

    __repr__ = record_repr
    _repr_html_ = report_html

    @property
    def differing(self) -> int:
        """Differing values over all executors that ran."""
        return sum(outcome.differing for outcome in self.outcomes)

    @property
    def passed(self) -> bool:
        """At least one runtime ran, none failed and nothing differs from the reference."""
        others = [o.status for o in self.outcomes[1:]]
        return RAN in others and FAILED not in others and self.differing == 0

    def heading(self) -> str:
        """What was compared, for people."""
        return f"{self.model} {self.precision}, {self.steps} steps, all outputs and states compared"

    def table(self) -> str:
        """Plain text for people; the last line counts the differing values."""
        lines = [self.heading(), *outcome_table("back-end", self.outcomes)]
        if all(outcome.status != RAN for outcome in self.outcomes[1:]):
            lines.append(f"No runtime ran. Install one with: {hint('tflite')}")
        lines.append(f"differing values: {self.differing}")
        return "\n".join(lines)

    def to_json(self) -> str:
        """All figures as one JSON object."""
        record = asdict(self) | {
            "file_bytes": dict(self.file_bytes),
            "differing": self.differing,
            "passed": self.passed,
        }
        return json.dumps(record, allow_nan=False)


def outcome_table(title: str, outcomes: Iterable[RuntimeOutcome]) -> list[str]:
    """One line for each runtime below the headings."""
    headings = (title, "version", "compared", "differing", "µs/step")
    return table(headings, map(_row, outcomes), "<>>>>")


def _row(outcome: RuntimeOutcome) -> tuple[object, ...]:
    head = (f"{outcome.runtime} ({outcome.variant})", outcome.version or "")
    if outcome.status != RAN:
        return (*head, f"{outcome.status}{outcome.message and f': {outcome.message}'}")
    step_us = "" if outcome.step_us is None else f"{outcome.step_us:.1f}"
    return (*head, outcome.compared, outcome.differing, step_us)


def verify(
    model: IntegerModel,
    q_xs: OperandArray,
    runtimes: Sequence[str] | None = None,
    progress: Callable[[str], None] | None = None,
    files: Mapping[str, Path] | None = None,
) -> Verification:
    """Stream codes through the reference and every runtime, bit for bit.

    The model is exported again for the runtimes that are installed; each runs in a separate
    process.

    Args:
        model: the integer model.
        q_xs: operand codes [T, I], T >= 1.
        runtimes: distributions to run, all by default; the reference always runs.
        progress: told the name of what runs next.
        files: files of the model by backend; only those backends run, with these files. By default
            everything is exported again.

    Raises:
        ShapeError: the stream has no step.
        EdgeRnnError: an unknown runtime, or the reference itself failed.
    """
    least = model.step_readings
    if len(q_xs) < least:
        raise ShapeError(
            f"verify: expected at least {f'{least} readings' if least > 1 else 'one reading'}, "
            f"got {len(q_xs) or 'none'}."
        )
    executors = select(None if runtimes is None else list(runtimes))
    if files is not None:
        executors = tuple(e for e in executors if e.backend in files)
    tell = progress or (lambda _: None)
    with tempfile.TemporaryDirectory(prefix="edgernn-verify-") as folder:
        if files is None:
            files = _files(model, Path(folder), executors)
        else:
            files = {"reference": model.save(Path(folder) / "reference.edgernn"), **files}
        codes = Path(folder) / "codes.npy"
        np.save(codes, q_xs)
        out = Path(folder) / "trace.npz"
        written = files

        def run(executor: Executor) -> Trace:
            return trace(executor, written[executor.backend], codes, out)

        tell(REFERENCE.runtime)
        wanted = run(REFERENCE)
        outcomes = [compared(REFERENCE, wanted, wanted)]
        for executor in executors:
            tell(f"{executor.runtime} ({executor.variant})")
            outcomes.append(outcome_of(executor, run, wanted))
        sizes = tuple((f, path.stat().st_size) for f, path in files.items() if f != "native")
    return Verification(
        model=model.name,
        model_sha256=model.sha256,
        precision=model.precision_label,
        steps=len(q_xs) // least,
        outcomes=tuple(outcomes),
        file_bytes=tuple(("edgernn" if f == "reference" else f, size) for f, size in sizes),
    )


def _files(model: IntegerModel, folder: Path, executors: Sequence[Executor]) -> dict[str, Path]:
    """One file per backend that runs: what no runtime reads needs no writer's libraries either."""
    original = model.save(folder / "model.edgernn")
    run = {executor.backend for executor in executors if executor.version is not None}
    formats = [name for name in SESSION_FORMATS if name in run]
    exported = export(model, folder, formats, name="model") if formats else {}
    return {"reference": original, "native": original, **exported}


def outcome_of(
    executor: Executor, run: Callable[[Executor], Trace], wanted: Trace
) -> RuntimeOutcome:
    """What an executor does, where it is installed.

    Args:
        executor: runtime and configuration.
        run: runs it; an `EdgeRnnError` of it is an outcome.
        wanted: what the reference computed.
    """
    if executor.version is None:
        return RuntimeOutcome(
            runtime=executor.runtime, variant=executor.variant, version=None, status=NOT_INSTALLED
        )
    try:
        return compared(executor, run(executor), wanted)
    except EdgeRnnError as error:
        return RuntimeOutcome(
            runtime=executor.runtime,
            variant=executor.variant,
            version=executor.version,
            status=FAILED,
            message=str(error),
        )


def compared(executor: Executor, got: Trace, wanted: Trace) -> RuntimeOutcome:
    """The values of an executor compared with those of the reference."""
    differing = differing_values(got.q_ys, wanted.q_ys) + differing_values(
        got.q_states, wanted.q_states
    )
    return RuntimeOutcome(
        runtime=executor.runtime,
        variant=executor.variant,
        version=executor.version,
        status=RAN,
        compared=wanted.q_ys.size + wanted.q_states.size,
        differing=differing,
        step_us=got.step_us,
    )


def differing_values(got: Int16Array, wanted: Int16Array) -> int:
    """Values that differ; all of them where even shape or dtype do."""
    if got.shape != wanted.shape or got.dtype != wanted.dtype:
        return int(wanted.size)
    return int(np.count_nonzero(got != wanted))
