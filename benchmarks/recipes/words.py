"""Whole words on an emulated core: an encoder, a decoder and the search of beams, all in C."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.pages.markdown import Record
from edgernn.errors import EdgeRnnError
from edgernn.model.program_sets.program_set import ProgramSet
from edgernn_export.datasets import Part
from edgernn_firmware_sim.emulator import run_firmware
from edgernn_firmware_sim.targets import cores
from tests.support.native.word_programs import MOST, WIDTH, answers, requests, sources

CORE: Final = "cortex-m55"
WORDS: Final = 24


def word_costs(programs: ProgramSet, part: Part, *, core: str = CORE, count: int = WORDS) -> Record:
    """Let the emulated core write words, and compare tokens and costs with those of Python.

    Args:
        programs: an encoder and a decoder of tokens.
        part: whose sources are read, evenly spread; those of more than 25 letters are left out.
        core: name of the core.
        count: of words.

    Raises:
        EdgeRnnError: tokens or costs differ.
        EmulationError: the firmware cannot be built, or faults.
    """
    read = [x[:steps, 0].astype(int).tolist() for x, steps in zip(part.x, part.steps, strict=True)]
    fitting = [letters for letters in read if len(letters) <= MOST]
    words = fitting[:: max(1, len(fitting) // count)][:count]
    asked, wanted = requests(words), answers(programs, words, "native")
    with tempfile.TemporaryDirectory() as folder:
        run = run_firmware(
            sources(programs), cores()[core], asked.astype("<i2").tobytes(), len(asked),
            Path(folder), lambda _: None,
        )  # fmt: skip
    got = np.frombuffer(run.output, "<i2").reshape(wanted.shape)
    differing = int(np.any(got != wanted, axis=1).sum())
    if differing:
        raise EdgeRnnError(
            f"{programs.name}, {core}: expected the tokens and costs of Python for all "
            f"{len(words)} words, got others for {differing}."
        )
    counts = run.instructions
    return {
        "core": core,
        "beams": WIDTH,
        "words": len(words),
        "differing": differing,
        "letters": float(np.mean([len(letters) for letters in words])),
        "tokens": float(wanted[:, 0].mean()),
        "instructions": {
            "least": counts.least,
            "mean": run.work.per_step(run.work.instructions),
            "most": counts.most,
        },
        "flash_bytes": run.sizes.flash_bytes,
        "ram_bytes": run.struct_bytes + max(run.stack_bytes, run.static_stack_bytes),
    }
