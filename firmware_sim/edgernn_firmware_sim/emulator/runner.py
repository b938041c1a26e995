"""Runs a model as firmware on an emulated core and compares every value with the reference."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from edgernn.backends.base import State
from edgernn.backends.streams.collected_streams import unmasked
from edgernn.backends.streams.value_stream import new_stream
from edgernn.errors import EmulationError, ShapeError
from edgernn.model.formats import Int16Array, OperandArray
from edgernn.model.integer_model import IntegerModel
from edgernn_firmware_sim.emulator.build import (
    STACK_BYTES,
    build_image,
    packaged,
    step_stack_bytes,
)
from edgernn_firmware_sim.emulator.counts import PLUGIN, StepCounts, build_plugin, read_calls
from edgernn_firmware_sim.emulator.image import ImageSizes, check_symbols, read_sizes, read_symbols
from edgernn_firmware_sim.emulator.tools import execute, require
from edgernn_firmware_sim.emulator.work import Work, join, read_addresses, read_listing
from edgernn_firmware_sim.reference.backend import ReferenceBackend
from edgernn_firmware_sim.targets import Core

_QEMU: Final = (
    "-nographic", "-monitor", "none", "-serial", "null",
    "-semihosting-config", "enable=on,target=native",
)  # fmt: skip
#: Exit codes of firmware/semihosting.h.
_EXIT_CODES: Final = {
    2: "the harness could not read or write a file",
    3: f"a step needs more than {STACK_BYTES} bytes of stack",
    99: "the core faulted",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Emulation:
    """Results of one stream on one emulated core.

    Attributes:
        core: name of the core profile.
        steps: length of the stream.
        compared: outputs and state values of all steps.
        differing: how many of them differ from the reference.
        first_difference: place of the first of them; empty if there is none.
        instructions: executed by each step.
        work: these instructions by class and function, over all steps.
        macs: multiply-accumulates of an answer: of one step, or of all steps of a window.
        sizes: of the linked model.
        struct_bytes: size of the model's state struct, scratch included.
        stack_bytes: most stack that one step used.
        static_stack_bytes: most that any step can use, by the compiler's call graph.
    """

    core: str
    steps: int
    compared: int
    differing: int
    first_difference: str
    instructions: StepCounts
    work: Work
    macs: int
    sizes: ImageSizes
    struct_bytes: int
    stack_bytes: int
    static_stack_bytes: int

    @property
    def ram_bytes(self) -> int:
        """State, scratch and the stack that the model can need."""
        return self.struct_bytes + max(self.stack_bytes, self.static_stack_bytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class FirmwareRun:
    """What the harness wrote, and what QEMU counted.

    Attributes:
        output: outputs and state after each step, one behind another.
        instructions: see `Emulation`, also for those below.
        work: by class and function.
        sizes: of the linked model.
        struct_bytes: of its state struct.
        stack_bytes: most that one step used.
        static_stack_bytes: most that any step can use.
    """

    output: bytes
    instructions: StepCounts
    work: Work
    sizes: ImageSizes
    struct_bytes: int
    stack_bytes: int
    static_stack_bytes: int


def reference_trace(model: IntegerModel, q_xs: OperandArray) -> Int16Array:
    """Outputs of the reference after every step, and the state at that point.

    Args:
        model: the integer model.
        q_xs: operand codes [T, I].

    Returns:
        int16 [T, O + S]: outputs, then all state vectors in the order of `IntegerModel.states`;
        of a window model (padded) what C keeps: readings until the answer, where the next one
        goes, and the codes. Of a model with a rate these numbers come before the states, and the
        codes of a step behind them.
    """
    stream = new_stream(ReferenceBackend(model), padded=model.window is not None)
    rows = []
    for step, q_x in enumerate(q_xs):
        q_y = unmasked(stream.advance_one(q_x))
        rows.append(np.concatenate([q_y, *carried_in_c(model, step, stream.state)]))
    return np.array(rows, dtype=np.int16)


def carried_in_c(model: IntegerModel, step: int, state: State) -> State:
    """The values that C keeps of a stream, in its order (see `reference_trace`).

    Args:
        model: the integer model.
        step: the number of this reading, from 0.
        state: of a stream after it.
    """
    if model.window is not None:
        codes, due = state
        place = (step + 1) % model.window.steps
        ring = np.roll(codes.reshape(model.window.steps, -1), place, axis=0)
        return due, np.array([place], dtype=np.int16), ring.ravel()
    if model.rate is not None:
        codes, due, *states = state
        return due, -due % model.rate.readings, *states, codes
    return state


def emulate(
    model: IntegerModel,
    sources: Mapping[str, bytes],
    core: Core,
    q_xs: OperandArray,
    folder: Path,
    wanted: Int16Array | None = None,
    progress: Callable[[str], None] | None = None,
) -> Emulation:
    """Build firmware, stream codes through it under QEMU and compare.

    Args:
        model: the integer model the sources were generated from.
        sources: generated C by file name; of `write_c` with the prefix `model`.
        core: the emulated core.
        q_xs: operand codes [T, I], T >= 1.
        folder: an empty folder for everything that is built and written.
        wanted: `reference_trace` of the same stream, if the caller has it already.
        progress: receives the name of each stage as it starts.

    Raises:
        BackendUnavailable: a compiler or QEMU is missing; names the packages.
        ShapeError: the stream is empty.
        EmulationError: the firmware cannot be built, faults, or links what it must not.
    """
    if len(q_xs) == 0:
        raise ShapeError("emulate: expected at least one reading, got none.")
    tell = progress or (lambda _: None)
    if wanted is None:
        tell("reference")
        wanted = reference_trace(model, q_xs)
    content = q_xs.astype(q_xs.dtype.newbyteorder("<")).tobytes()
    run = run_firmware(sources, core, content, len(q_xs), folder, tell)
    got = _read_trace(core, model, run.output, wanted.shape)
    return Emulation(
        core=core.name,
        steps=len(q_xs),
        compared=wanted.size,
        differing=int(np.count_nonzero(got != wanted)),
        first_difference=_first_difference(model, got, wanted),
        instructions=run.instructions,
        work=run.work,
        macs=model.macs * model.answer_steps,
        sizes=run.sizes,
        struct_bytes=run.struct_bytes,
        stack_bytes=run.stack_bytes,
        static_stack_bytes=run.static_stack_bytes,
    )


def run_firmware(
    sources: Mapping[str, bytes],
    core: Core,
    content: bytes,
    steps: int,
    folder: Path,
    progress: Callable[[str], None],
) -> FirmwareRun:
    """Build firmware with the harness and run it under QEMU.

    Args:
        sources: C by file name, with what ``firmware/harness.c`` calls.
        core: the emulated core.
        content: of ``input.bin``: the inputs of all steps.
        steps: how many there are.
        folder: an empty folder for everything that is built and written.
        progress: receives the name of each stage as it starts.

    Raises:
        BackendUnavailable: a compiler or QEMU is missing; names the packages.
        EmulationError: the firmware cannot be built, faults, or links what it must not.
    """
    require(core)
    progress("compilers")
    image = build_image(core, sources, folder)
    symbols = read_symbols(core, image)
    check_symbols(core, list(symbols))
    progress("QEMU")
    (folder / "input.bin").write_bytes(content)
    _run(core, symbols["model_step"], folder)
    progress("comparison")
    listing = read_listing(core, image)
    stack_bytes, struct_bytes = np.fromfile(folder / "facts.bin", dtype="<u4").tolist()
    return FirmwareRun(
        output=(folder / "output.bin").read_bytes(),
        instructions=read_calls(folder / "calls.txt", steps),
        work=join(steps, read_addresses(folder / "addresses.txt"), listing),
        sizes=read_sizes(core, image),
        struct_bytes=struct_bytes,
        stack_bytes=stack_bytes,
        static_stack_bytes=step_stack_bytes(folder, listing),
    )


def _run(core: Core, entry: int, folder: Path) -> None:
    build_plugin(packaged("plugin", "insn_count.c"), folder)
    # Bit 0 of an Arm function symbol says Thumb; it is no part of the address.
    arguments = f"./{PLUGIN},entry={entry & ~1:#x},calls=calls.txt,addresses=addresses.txt"
    machine = ["-M", core.machine, *(["-bios", "none"] if core.machine == "virt" else [])]
    command = [core.emulator, *machine, *_QEMU, "-plugin", arguments, "-kernel", "firmware.elf"]
    execute(core.name, command, folder, _EXIT_CODES)


def _read_trace(
    core: Core, model: IntegerModel, content: bytes, shape: tuple[int, ...]
) -> Int16Array:
    """Rows of int16, of which only the codes at their ends may have had 8 bits."""
    words = shape[1] - sum(units for name, units in _carried(model) if name.endswith(".codes"))
    codes = model.code_dtype.newbyteorder("<")
    row = np.dtype([("words", "<i2", (words,)), ("codes", codes, (shape[1] - words,))])
    if len(content) != row.itemsize * shape[0]:
        raise EmulationError(
            f"{core.name}: expected {row.itemsize * shape[0]} bytes in output.bin, got "
            f"{len(content)}. The generated code and the model do not belong together."
        )
    rows = np.frombuffer(content, row)
    values: Int16Array = np.concatenate([rows["words"], rows["codes"]], axis=1).astype(np.int16)
    return values


def _first_difference(model: IntegerModel, got: Int16Array, wanted: Int16Array) -> str:
    if np.array_equal(got, wanted):
        return ""
    step, column = (int(i) for i in np.argwhere(got != wanted)[0])
    names = [f"output {i}" for i in range(model.output.width)]
    names += [f"{name}[{i}]" for name, units in _carried(model) for i in range(units)]
    return f"step {step}, {names[column]}: expected {wanted[step, column]}, got {got[step, column]}"


def _carried(model: IntegerModel) -> list[tuple[str, int]]:
    """The values that C keeps of a stream, in its order: names and numbers of values."""
    states = [(spec.name, spec.units) for spec in model.states]
    if model.window is not None:
        codes = model.window.steps * model.input.width
        return [("window.due", 1), ("window.next", 1), ("window.codes", codes)]
    if model.rate is not None:
        return [("rate.due", 1), ("rate.row", 1), *states, ("rate.codes", model.step_width)]
    return states
