"""Generated C on this computer: built with the host's compiler, its self-test and a stream run."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

import edgernn
from edgernn.backends.streams.collected_streams import unmasked
from edgernn.backends.streams.value_stream import new_stream
from edgernn.errors import EdgeRnnError, FormatError
from edgernn.model.formats import Int16Array, OperandArray
from edgernn.model.integer_model import IntegerModel
from edgernn_export.verification.comparison import (
    FAILED,
    NOT_INSTALLED,
    RAN,
    RuntimeOutcome,
    Verification,
)
from edgernn_firmware_sim.emulator.runner import carried_in_c
from edgernn_firmware_sim.reference.backend import ReferenceBackend

#: In the order in which they are looked for.
_COMPILERS: Final = ("cc", "gcc", "clang")
_FLAGS: Final = ("-std=c99", "-O2", "-w")
#: Generated files with a `main` of their own.
_PROGRAMS: Final = ("main.c", "selftest_host.c")
_SELF_TEST: Final = "_self_test.c"
_TIMEOUT_S: Final = 600
_NO_COMPILER: Final = RuntimeOutcome(
    runtime="C", variant="no compiler", version=None, status=NOT_INSTALLED
)

#: Reads codes from stdin; writes for each reading whether there is an answer, it, and the state.
_PROGRAM: Final = """\
#include <stdio.h>
#include <string.h>

#include "{prefix}.h"
#include "{vectors}"

#if defined({upper}_GOLDEN_VALUES)
#define GOLDEN_VALUES {upper}_GOLDEN_VALUES
#elif defined({upper}_GOLDEN_ANSWERS)
#define GOLDEN_VALUES ({upper}_GOLDEN_ANSWERS * {upper}_OUTPUTS)
#else
#define GOLDEN_VALUES ({upper}_GOLDEN_STEPS * {upper}_OUTPUTS)
#endif

static {prefix}_state_t state;

static int stream(void)
{{
#ifdef {upper}_PROGRAMS
    return 1; /* of one model alone */
#else
    {prefix}_input_t x[{upper}_INPUTS];
    int16_t y[{upper}_OUTPUTS] = {{0}};
    memset(&state, 0xA5, sizeof state); /* init must write all that a step reads */
    {prefix}_init(&state);
#if defined({upper}_MASKED)
    {prefix}_masked_output(y);
#endif
    while (fread(x, sizeof x[0], {upper}_INPUTS, stdin) == {upper}_INPUTS) {{
        unsigned char answered = 1;
#if defined({upper}_WINDOW_STEPS) || defined({upper}_RATE_READINGS)
        answered = (unsigned char){prefix}_step(&state, x, y);
#else
        {prefix}_step(&state, x, y);
#endif
        fwrite(&answered, 1, 1, stdout);
        fwrite(y, sizeof y[0], {upper}_OUTPUTS, stdout);
        fwrite(&state, 1, {upper}_STATE_BYTES, stdout);
    }}
    return fflush(stdout);
#endif
}}

int main(int count, char **arguments)
{{
    (void)arguments;
    if (count > 1) {{
        return stream();
    }}
    printf("%ld %ld %ld\\n", (long){prefix}_self_test(&state),
           (long)GOLDEN_VALUES, (long){check});
    return 0;
}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class CSources:
    """Generated C in a folder.

    Attributes:
        folder: with the sources.
        prefix: of files and symbols.
        model_sha256: of the model, as the header says.
        has_check: they have a check of their constants; the first that were written have none.
    """

    folder: Path
    prefix: str
    model_sha256: str
    has_check: bool


def c_sources(path: Path) -> CSources:
    """Find the sources in what `edgernn export --to c` wrote, plain or as a package.

    Raises:
        FormatError: there are none.
    """
    for folder in (path, path / "src"):
        for test in sorted(folder.glob(f"*{_SELF_TEST}")):
            prefix = test.name.removesuffix(_SELF_TEST)
            header = folder / f"{prefix}.h"
            if not header.is_file():
                continue
            text = header.read_text(encoding="ascii", errors="replace")
            found = re.search(r"^ \* model sha256 +([0-9a-f]{64})$", text, re.M)
            if found is not None and re.fullmatch(r"[A-Za-z]\w*", prefix):
                return CSources(
                    folder=folder,
                    prefix=prefix,
                    model_sha256=found[1],
                    has_check=f"{prefix}_check(" in text,
                )
    raise FormatError(
        f"folder '{path.name}': expected C code written by edgernn, with a header and a "
        "self-test of one model, got none. Write it with: edgernn export MODEL.edgernn --to c"
    )


def run_self_test(sources: CSources) -> RuntimeOutcome:
    """Build the sources, check their constants and run their self-test."""
    compiler = _compiler()
    if compiler is None:
        return _NO_COMPILER
    base = _outcome(compiler, "self-test")
    try:
        with tempfile.TemporaryDirectory(prefix="edgernn-verify-") as folder:
            said = _execute([_build(sources, compiler, Path(folder))])
        differing, compared, changed = map(int, said.split())
    except EdgeRnnError as error:
        return replace(base, message=str(error))
    if changed:
        message = "expected the exported constants, got others. Export the model again."
        return replace(base, message=message)
    return replace(base, status=RAN, compared=compared, differing=differing)


def run_stream(sources: CSources, model: IntegerModel, q_xs: OperandArray) -> Verification:
    """Stream codes [T, I] through the built sources and through the reference.

    Outputs and states of every step are compared; for windows, which steps have an output, the
    outputs, and the kept state: readings until the output, where the next one goes, and the codes.
    """
    compiler = _compiler()
    of_c = _NO_COMPILER if compiler is None else _streamed(sources, compiler, model, q_xs)
    reference = RuntimeOutcome(
        runtime="reference",
        variant="NumPy",
        version=edgernn.__version__,
        status=RAN,
        compared=of_c.compared,
    )
    return Verification(
        model=model.name,
        model_sha256=model.sha256,
        precision=model.precision_label,
        steps=len(q_xs),
        outcomes=(reference, of_c),
        file_bytes=(),
    )


def _outcome(compiler: Path, variant: str) -> RuntimeOutcome:
    """What there is to say before anything ran."""
    return RuntimeOutcome(
        runtime="C",
        variant=f"{variant}, {compiler.name}",
        version=_version(compiler),
        status=FAILED,
    )


def _streamed(
    sources: CSources, compiler: Path, model: IntegerModel, q_xs: OperandArray
) -> RuntimeOutcome:
    base = _outcome(compiler, "stream")
    due, wanted = _wanted(model, q_xs)
    outputs = model.output.width
    codes = 0 if model.rate is None else model.step_width
    if model.window is not None:
        codes = model.window.steps * model.input.width
    words = wanted.shape[1] - codes
    carried = model.code_dtype.newbyteorder("<")
    row = np.dtype([("due", "u1"), ("words", "<i2", (words,)), ("codes", carried, (codes,))])
    size = row.itemsize * len(wanted)
    try:
        with tempfile.TemporaryDirectory(prefix="edgernn-verify-") as folder:
            program = _build(sources, compiler, Path(folder))
            got = _execute([program, "stream"], np.ascontiguousarray(q_xs).tobytes())
        if len(got) != size:
            raise EdgeRnnError(f"expected {size} bytes from the program, got {len(got)}")
    except EdgeRnnError as error:
        return replace(base, message=str(error))
    rows = np.frombuffer(got, dtype=row)
    values = np.concatenate([rows["words"], rows["codes"]], axis=1)
    other = values != wanted
    other[~due, :outputs] = False  # there is no answer yet
    unanswered = int(np.count_nonzero(~due)) * outputs
    return replace(
        base,
        status=RAN,
        compared=len(wanted) + wanted.size - unanswered,
        differing=int(np.count_nonzero((rows["due"] != 0) != due) + np.count_nonzero(other)),
    )


def _wanted(model: IntegerModel, q_xs: OperandArray) -> tuple[npt.NDArray[np.bool_], Int16Array]:
    """Which readings are answered [T]; outputs and the states in C [T, O + S]."""
    stream = new_stream(ReferenceBackend(model))
    every = model.window is None and model.rate is None
    rows = []
    for t, q_x in enumerate(q_xs):
        q_y = unmasked(stream.advance_one(q_x))
        rows.append(np.concatenate([q_y, *carried_in_c(model, t, stream.state)]))
    due = np.ones(len(q_xs), dtype=np.bool_)
    if not every:
        due[:] = False
        due[_answered(model, len(q_xs))] = True
    return due, np.array(rows, dtype=np.int16)


def _answered(model: IntegerModel, readings: int) -> range:
    """Which readings are answered, where not every one is."""
    if model.window is not None:
        return range(model.window.steps - 1, readings, model.window.hop)
    assert model.rate is not None
    return model.rate.answered(readings)


def _compiler() -> Path | None:
    for name in _COMPILERS:
        if (found := shutil.which(name)) is not None:
            return Path(found)
    return None


def _version(compiler: Path) -> str:
    said = _execute([compiler, "-dumpversion"]).decode(errors="replace").strip()
    return said.splitlines()[0] if said else "unknown"


def _build(sources: CSources, compiler: Path, folder: Path) -> Path:
    main = folder / "edgernn_verify.c"
    prefix = sources.prefix
    check = f"{prefix}_check()" if sources.has_check else "0"
    # Of one source and one header, the self-test holds the vectors.
    vectors = f"{prefix}_test_vectors.h"
    if not (sources.folder / vectors).is_file():
        vectors = prefix + _SELF_TEST
    fields = {"prefix": prefix, "upper": prefix.upper(), "check": check, "vectors": vectors}
    main.write_text(_PROGRAM.format(**fields), encoding="ascii")
    files = sorted(p for p in sources.folder.glob("*.c") if p.name not in (*_PROGRAMS, vectors))
    program = folder / "program"
    _execute([compiler, *_FLAGS, "-I", sources.folder.resolve(), "-o", program, main,
              *(p.resolve() for p in files)])  # fmt: skip
    return program


def _execute(command: Sequence[str | Path], given: bytes = b"") -> bytes:
    """Run a program; its stdout.

    Raises:
        EdgeRnnError: it failed, or took minutes; the message contains its last words.
    """
    name = Path(command[0]).name
    try:
        done = subprocess.run(
            [str(part) for part in command], input=given, capture_output=True, check=False,
            timeout=_TIMEOUT_S,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise EdgeRnnError(
            f"expected {name} to finish within {_TIMEOUT_S} s, got a timeout"
        ) from None
    except OSError as error:
        raise EdgeRnnError(f"expected {name} to run, got {error}") from error
    if done.returncode != 0:
        words = done.stderr.decode(errors="replace").strip().splitlines()
        fault = next((line for line in words if "error" in line), words[-1] if words else "nothing")
        raise EdgeRnnError(
            f"expected exit status 0 from {name}, got {done.returncode}: {fault:.300}"
        )
    return done.stdout
