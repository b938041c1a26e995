"""Run programs that share states through every runtime, and count the values that differ."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgernn.model.program_sets.program_set import ProgramSet
from edgernn_export.verification.chunk_walk import Chunks
from edgernn_export.verification.comparison import Verification, compared, outcome_of
from edgernn_export.verification.executors import (
    REFERENCE,
    Executor,
    Trace,
    select,
    walk_trace,
)
from edgernn_export.verification.program_walk import Walk
from edgernn_export.writers.exporter import export_files
from edgernn_export.writers.file_formats import SESSION_FORMATS


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramVerification(Verification):
    """All outcomes over one walk.

    Attributes:
        program_steps: steps of each program, by name.
        beginnings: how often a program began, with what others had left.
        chunks: how many chunks all passes answered; 0 for programs over an endless stream.
    """

    program_steps: tuple[tuple[str, int], ...]
    beginnings: int
    chunks: int = 0

    def heading(self) -> str:
        """What was compared, for people."""
        if self.chunks:
            passes = ", ".join(name for name, _ in self.program_steps)
            return (
                f"{self.model} {self.precision}, {self.chunks} chunks, {self.steps} steps of the "
                f"passes {passes}, all outputs compared"
            )
        steps = ", ".join(f"{name} {count}" for name, count in self.program_steps)
        return (
            f"{self.model} {self.precision}, {self.steps} steps ({steps}) and "
            f"{self.beginnings} begins, all outputs and states compared"
        )


def verify_programs(
    programs: ProgramSet,
    walk: Walk | Chunks,
    runtimes: Sequence[str] | None = None,
    progress: Callable[[str], None] | None = None,
    files: Mapping[str, Mapping[str, Path]] | None = None,
) -> ProgramVerification:
    """Take a walk over the programs with the reference and with every runtime, bit for bit.

    Args:
        programs: the set.
        walk: beginnings and steps, or chunks for the passes of a set.
        runtimes: distributions to run, all by default; the reference always runs.
        progress: told the name of what runs next.
        files: of the programs, by backend and program; only those backends run, with these files.
            By default everything is exported again.

    Raises:
        EdgeRnnError: an unknown runtime, or the reference itself failed.
    """
    executors = select(None if runtimes is None else list(runtimes))
    if files is not None:
        executors = tuple(e for e in executors if e.backend in files)
    tell = progress or (lambda _: None)
    with tempfile.TemporaryDirectory(prefix="edgernn-verify-") as folder:
        original = programs.save(Path(folder) / "programs.edgernn")
        if files is None:
            files = _files(programs, original, executors)
        else:
            files = {"reference": dict.fromkeys(programs.names, original), **files}
        written = files
        walk_file, out = Path(folder) / "walk.npz", Path(folder) / "trace.npz"
        walk.save(walk_file)

        def run(executor: Executor) -> Trace:
            return walk_trace(executor, original, written[executor.backend], walk_file, out)

        tell(REFERENCE.runtime)
        wanted = run(REFERENCE)
        outcomes = [compared(REFERENCE, wanted, wanted)]
        for executor in executors:
            tell(f"{executor.runtime} ({executor.variant})")
            outcomes.append(outcome_of(executor, run, wanted))
        sizes = {
            "edgernn": original.stat().st_size,
            **{
                form: sum(path.stat().st_size for path in set(of_programs.values()))
                for form, of_programs in written.items()
                if form in SESSION_FORMATS
            },
        }
    return ProgramVerification(
        model=programs.name,
        model_sha256=programs.sha256,
        precision="/".join(dict.fromkeys(model.precision_label for model in programs.programs)),
        steps=sum(walk.steps.values()),
        outcomes=tuple(outcomes),
        file_bytes=tuple(sizes.items()),
        program_steps=tuple(walk.steps.items()),
        beginnings=walk.beginnings,
        chunks=len(walk.codes) if isinstance(walk, Chunks) else 0,
    )


def _files(
    programs: ProgramSet, original: Path, executors: Sequence[Executor]
) -> dict[str, Mapping[str, Path]]:
    """The file of every program by backend: the set's own, or one that is exported for it."""
    run = {executor.backend for executor in executors if executor.version is not None}
    formats = [name for name in SESSION_FORMATS if name in run]
    files: dict[str, Mapping[str, Path]] = {
        name: dict.fromkeys(programs.names, original) for name in ("reference", "native")
    }
    written = export_files(programs, original.parent, formats, name="programs") if formats else {}
    for form, entry in written.items():
        of_programs = entry.files if len(entry.files) > 1 else entry.files * len(programs.names)
        files[form] = dict(zip(programs.names, of_programs, strict=True))
    return files
