"""The most stack a function can need, from the compiler's own call graph.

gcc writes it with ``-fcallgraph-info=su``: one ``.ci`` file per source, with the stack frame of
every function it compiled and an edge for every call it left in. Assembly is not seen. Which of
these calls are tail calls, made when the caller has given its frame back, only the image shows.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NoReturn

from edgernn.errors import EmulationError
from edgernn_firmware_sim.emulator.instructions import Instruction, plain_name

_NODE: Final = re.compile(r'node: \{ title: "([^"]+)" label: "([^"]*)"')
_EDGE: Final = re.compile(r'edge: \{ sourcename: "([^"]+)" targetname: "([^"]+)"')
_FRAME: Final = re.compile(r"\\n(\d+) bytes \(([^)]*)\)")


@dataclass(slots=True)
class _Graph:
    frames: dict[str, int] = field(default_factory=dict)
    dynamic: set[str] = field(default_factory=set)
    calls: dict[str, set[str]] = field(default_factory=dict)


#: Caller and callee, by their plain names.
TailCalls = frozenset[tuple[str, str]]


def tail_calls(listing: Mapping[int, Instruction]) -> TailCalls:
    """Pairs of functions of which the first only ever jumps to the second.

    A pair with any call, and a caller with any call through a register, is left out: its frame is
    then counted, which can only make the bound larger.
    """
    starts: dict[int, str] = {}
    function = ""
    for address in sorted(listing):
        if listing[address].function != function:
            function = starts[address] = listing[address].function
    jumps: set[tuple[str, str]] = set()
    calls: set[tuple[str, str]] = set()
    unsure = set()
    for instruction in listing.values():
        if instruction.kind == "call" and instruction.target is None:
            unsure.add(instruction.function)
        if instruction.target in starts:
            pair = (instruction.function, starts[instruction.target])
            (calls if instruction.kind == "call" else jumps).add(pair)
    return frozenset(pair for pair in jumps - calls if pair[0] not in unsure)


def static_stack_bytes(files: Iterable[Path], entry: str, tails: TailCalls = frozenset()) -> int:
    """Bytes of stack on the deepest path of calls from a function, its own frame included.

    Args:
        files: ``.ci`` files of everything the function can reach.
        entry: name of the function.
        tails: of the image; a caller's frame does not count below these.

    Raises:
        EmulationError: the bound does not exist or is not known: recursion, a frame of variable
            size, a call through a pointer, a function without a frame in the files.
    """
    graph = _read(files)
    known: dict[str, int] = {}
    path: list[str] = []

    def deepest(name: str) -> int:
        if name in path:
            _refuse([*path, name], "no recursion", "a function that calls itself")
        if name in known:
            return known[name]
        path.append(name)
        if name == "__indirect_call":
            _refuse(path, "only calls by name", "a call through a pointer")
        if name in graph.dynamic:
            _refuse(path, "stack frames of fixed size", "one of variable size")
        if name not in graph.frames:
            _refuse(path, "the stack frame of every function", "none of a library function")
        own = graph.frames[name]
        most = own
        for callee in sorted(graph.calls.get(name, ())):
            is_tail = (_short(name), _short(callee)) in tails
            most = max(most, deepest(callee) + (0 if is_tail else own))
        path.pop()
        known[name] = most
        return most

    return deepest(entry)


def _short(title: str) -> str:
    """Of `file.c:function.isra.0`, the plain name of the function."""
    return plain_name(title.rpartition(":")[2])


def _refuse(path: list[str], expected: str, got: str) -> NoReturn:
    raise EmulationError(
        f"stack of {path[0]}: expected {expected}, got {got} ({' > '.join(path)})."
    )


def _read(files: Iterable[Path]) -> _Graph:
    graph = _Graph()
    for path in files:
        text = path.read_text(encoding="utf-8")
        for name, label in _NODE.findall(text):
            # A node without a frame is a function that another file defines.
            frame = _FRAME.search(label)
            if frame is not None:
                graph.frames[name] = int(frame[1])
                if frame[2] != "static":
                    graph.dynamic.add(name)
        for caller, callee in _EDGE.findall(text):
            graph.calls.setdefault(caller, set()).add(callee)
    return graph
