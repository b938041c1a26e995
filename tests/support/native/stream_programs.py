"""One program that runs many generated models over files of codes."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgernn.model.formats import Int16Array
from edgernn.model.integer_model import IntegerModel
from edgernn_export.writers.c.kernels.files import STORAGE_HEADER
from tests.support.models.grid import grid, reference_stream, special
from tests.support.models.integer import random_codes
from tests.support.models.matrix import TRAINED
from tests.support.native.compilers import NATIVE, compile_c, write_model

HARNESS = Path(__file__).with_name("stream_main.c")
ENTRY = """\
#include <stddef.h>

typedef struct {
    void (*init)(void);
    void (*step)(const void *x, int16_t *y);
    void *state;
    size_t ram_bytes;
    size_t state_bytes;
    size_t input_bytes;
    size_t outputs;
} entry;
"""
MODEL = """\
#include "{p}.h"

static {p}_state_t {p}_state;

static void {p}_run_init(void)
{{
    {p}_init(&{p}_state);
}}

static void {p}_run_step(const void *x, int16_t *y)
{{
    {p}_step(&{p}_state, (const {p}_input_t *)x, y);
}}
"""
ROW = (
    "    {{{p}_run_init, {p}_run_step, &{p}_state, sizeof {p}_state, {u}_STATE_BYTES, "
    "{u}_INPUTS * sizeof({p}_input_t), {u}_OUTPUTS}},"
)


def stream_models() -> dict[str, IntegerModel]:
    """Every cell and corner of the zero-LSB grid, and the trained models."""
    trained = {path.stem: IntegerModel.load(path) for path in sorted(TRAINED.glob("*.edgernn"))}
    return {**grid(), **special(), **{f"trained-{k}": v for k, v in trained.items()}}


def write_sources(models: dict[str, IntegerModel], folder: Path) -> list[Path]:
    """Write the C of all models and the table of the harness; return what to compile."""
    prefixes = [f"m{index}" for index in range(len(models))]
    sources = {HARNESS}
    for prefix, model in zip(prefixes, models.values(), strict=True):
        sources.update(write_model(model, folder, prefix))
    shutil.copyfile(NATIVE / STORAGE_HEADER, folder / STORAGE_HEADER)  # for all of them
    rows = "\n".join(ROW.format(p=p, u=p.upper()) for p in prefixes)
    table = ENTRY + "".join(MODEL.format(p=p) for p in prefixes)
    table += f"\nstatic const entry entries[{len(prefixes)}] = {{\n{rows}\n}};\n"
    (folder / "stream_table.h").write_text(table)
    return sorted(path for path in sources if not path.name.endswith("_self_test.c"))


def build(command: list[str], sources: list[Path], folder: Path, name: str) -> Path:
    """Compile the program; the sources' folder holds the table."""
    program = folder / name
    compile_c([*command, "-I", str(folder), "-o", str(program)], sources, folder)
    return program


def write_codes(models: dict[str, IntegerModel], folder: Path, steps: int) -> None:
    """Write one file of input codes per model."""
    folder.mkdir()
    for index, model in enumerate(models.values()):
        (folder / f"{index}.in").write_bytes(random_codes(model, steps).tobytes())


def run(
    program: Path, folder: Path, runner: Sequence[str] = (), *, every: int | None = None
) -> list[bytes]:
    """Run all models, by way of a runner; return output and state of every step by model.

    Args:
        program: from `build`.
        folder: with the codes.
        runner: what runs the program.
        every: steps of a stream; all of them by default.
    """
    command = [*runner, str(program), *([] if every is None else [str(every)])]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return [(folder / f"{i}.out").read_bytes() for i in range(len(list(folder.glob("*.in"))))]


def expected(model: IntegerModel, steps: int, *, every: int | None = None) -> Int16Array:
    """Output and state of every step by the reference, int16 [steps, O + state].

    Args:
        model: the model.
        steps: how many.
        every: steps of a stream, a divisor of all: the reference takes all streams at once.
    """
    codes = random_codes(model, steps)
    if every is not None:
        codes = codes.reshape(-1, every, codes.shape[1]).swapaxes(0, 1)
    stream = reference_stream(model, codes)
    rows = np.concatenate([stream[n] for n in ["y", *(s.name for s in model.states)]], axis=-1)
    return rows if every is None else rows.swapaxes(0, 1).reshape(steps, -1)


def host_outputs(model: IntegerModel, codes: npt.NDArray[np.integer], folder: Path) -> Int16Array:
    """What the C of one model answers on this machine to a stream of codes, int16 [T, O].

    Args:
        model: the model.
        codes: [T, I], as `Interface.quantize` gives them.
        folder: for the sources and the program; made if missing.
    """
    folder.mkdir(exist_ok=True)
    program = build(["gcc", "-std=c99", "-O2"], write_sources({"": model}, folder), folder, "host")
    (folder / "0.in").write_bytes(codes.astype(model.code_dtype).tobytes())
    (rows,) = run(program, folder)
    answers = np.frombuffer(rows, np.uint8).reshape(len(codes), -1)
    return np.ascontiguousarray(answers[:, : 2 * model.output.width]).view(np.int16)
