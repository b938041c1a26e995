"""What the executed instructions were: per class, per function, and as a basis of estimates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgernn.errors import EmulationError
from edgernn_firmware_sim.emulator.instructions import (
    CLASSES,
    Instruction,
    classify_arm,
    classify_riscv,
    parse_listing,
)
from edgernn_firmware_sim.emulator.tools import beside, execute
from edgernn_firmware_sim.targets import Core
from edgernn_firmware_sim.targets.costs import Costs, Estimate, estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """Executed instructions of all steps of a stream; every split adds up to the same total.

    Attributes:
        steps: calls of ``model_step``.
        instructions: executed by all of them.
        classes: how many of each class (values of `CLASSES`); branches are
            counted as ``branch taken`` and ``branch not taken``. Largest first.
        functions: how many in each function, its callees not included. Largest first.
        kinds: how many of each kind (keys of `CLASSES`).
        taken: how often the next instruction was not the following one in memory.
        registers: moved by instructions that move several.
    """

    steps: int
    instructions: int
    classes: Mapping[str, int]
    functions: Mapping[str, int]
    kinds: Mapping[str, int]
    taken: int
    registers: int

    def per_step(self, count: int) -> float:
        """Mean over the stream of a count of all steps."""
        return count / self.steps

    def estimate(self, costs: Costs, memory_factor: float = 1.0) -> Estimate:
        """Estimated cycles of one step, mean over the stream."""
        return estimate(
            costs,
            {kind: self.per_step(count) for kind, count in self.kinds.items()},
            taken=self.per_step(self.taken),
            registers=self.per_step(self.registers),
            memory_factor=memory_factor,
        )


#: How often an address was executed, and how often what followed was not behind it.
Addresses = Mapping[int, tuple[int, int]]


def read_listing(core: Core, image: Path) -> dict[int, Instruction]:
    """Disassemble an image with the binutils of its compiler."""
    is_arm = core.compiler.startswith("arm")
    # objdump does not see in the image that vector instructions are Helium's; the encodings of
    # older cores mean the same there.
    options = ["-marmv8.1-m.main"] if is_arm else []
    command = [beside(core.compiler, "objdump"), "-d", "--no-show-raw-insn", *options, image.name]
    text = execute(core.name, command, image.parent)
    return parse_listing(text, classify_arm if is_arm else classify_riscv)


def read_addresses(path: Path) -> dict[int, tuple[int, int]]:
    """Read what the plugin wrote for every executed address."""
    rows = (line.split() for line in path.read_text(encoding="ascii").splitlines())
    return {int(address, 16): (int(count), int(taken)) for address, count, taken in rows}


def join(steps: int, addresses: Addresses, listing: Mapping[int, Instruction]) -> Work:
    """Join counts by address with the disassembly.

    Args:
        steps: calls of ``model_step`` behind the counts.
        addresses: executed addresses.
        listing: the image's instructions by address.

    Raises:
        EmulationError: something was executed that the disassembly does not have.
    """
    classes: Counter[str] = Counter()
    functions: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    left = registers = 0
    for address, (count, taken) in addresses.items():
        instruction = listing.get(address)
        if instruction is None:
            raise EmulationError(
                f"disassembly: expected an instruction at {address:#x}, which was executed "
                f"{count} times, got none."
            )
        kinds[instruction.kind] += count
        functions[instruction.function] += count
        left += taken
        registers += instruction.registers * count
        if instruction.kind == "branch":
            classes["branch taken"] += taken
            classes["branch not taken"] += count - taken
        else:
            classes[CLASSES[instruction.kind]] += count
    return Work(
        steps=steps,
        instructions=sum(kinds.values()),
        classes=_largest_first(classes),
        functions=_largest_first(functions),
        kinds=_largest_first(kinds),
        taken=left,
        registers=registers,
    )


def _largest_first(counts: Counter[str]) -> dict[str, int]:
    """Without zeros; equal counts by name, so that every run gives the same order."""
    positive = ((name, count) for name, count in counts.items() if count)
    return dict(sorted(positive, key=lambda item: (-item[1], item[0])))
