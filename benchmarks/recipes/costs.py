"""What the model of a recipe costs: bytes, instructions, time, and the boards that it fits."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, Final

from benchmarks.pages.markdown import Record
from edgernn.bench import benchmark
from edgernn.bench.machine import processor
from edgernn.errors import EdgeRnnError
from edgernn.model.integer_model import IntegerModel
from edgernn.model.program_sets.program_set import ProgramSet
from edgernn_export.simulation import BoardCost, board_costs
from edgernn_firmware_sim.targets import boards, cores
from edgernn_firmware_sim.targets.advice import weights_bytes

#: Interleaved rounds of the native steps.
ROUNDS: Final = 20


def costs(model: IntegerModel | ProgramSet) -> Record:
    """Costs of each program of a model; a model of one program has the name "".

    Args:
        model: the integer model, or the programs that share states.
    """
    programs = (
        {program.name: program for program in model.programs}
        if isinstance(model, ProgramSet)
        else {"": model}
    )
    in_chunks = isinstance(model, ProgramSet) and model.chunk is not None
    with tempfile.TemporaryDirectory() as folder:
        size = model.save(Path(folder) / "model.edgernn").stat().st_size
    return {
        "processor": processor(),
        "edgernn_bytes": size,
        "programs": {name: _program(program, in_chunks) for name, program in programs.items()},
    }


def _program(model: IntegerModel, in_chunks: bool) -> Record:
    found = board_costs(model, [*cores(), *boards()])
    if wrong := [cost.target for cost in found if cost.exact is False]:
        raise EdgeRnnError(
            f"recipe {model.name}: expected the reference's bits on every core, got others on "
            f"{', '.join(wrong)}."
        )
    return {
        "weight_bytes": weights_bytes(model),
        "state_bytes": model.state_bytes,
        "native_us": _native_us(model, in_chunks),
        "cores": {cost.target: _core(cost) for cost in found if not cost.board},
        "boards": {cost.target: _board(cost) for cost in found if cost.board},
    }


def _native_us(model: IntegerModel, in_chunks: bool) -> float:
    """Microseconds of a step with the fastest instruction set; bits are compared first.

    Args:
        model: the program.
        in_chunks: it runs over whole chunks (`Session.run`), not step by step (`Session.step`).
    """
    timed = benchmark(model, backends=("native",), streams=1, rounds=ROUNDS)
    steps = [timing for timing in timed.timings if timing.way == "step"]
    if in_chunks:
        return min(timing.run_us for timing in steps if timing.run_us is not None)
    return min(timing.median_us for timing in steps)


def _core(cost: BoardCost) -> Record:
    if cost.exact is None:
        return {"fits": False}  # the emulated machine has too little memory
    return {
        "fits": True,
        "instructions": cost.instructions_per_step,
        "flash_bytes": cost.flash_bytes,
        "ram_bytes": cost.ram_bytes,
        "stack_bytes": cost.stack_bytes,
    }


def _board(cost: BoardCost) -> Record:
    times: Any = None if cost.low_ms is None else [cost.low_ms, cost.high_ms]
    return {"fits": cost.fits, "ms": times}
