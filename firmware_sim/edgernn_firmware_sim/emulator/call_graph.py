"""The most stack a function can need, from the compiler's own call graph.

gcc writes it with ``-fcallgraph-info=su``: one ``.ci`` file per source, with the stack frame of
every function it compiled and an edge for every call it left in. Assembly is not seen.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NoReturn

from edgernn_firmware_sim.emulator.tools import EmulationError

_NODE: Final = re.compile(r'node: \{ title: "([^"]+)" label: "([^"]*)"')
_EDGE: Final = re.compile(r'edge: \{ sourcename: "([^"]+)" targetname: "([^"]+)"')
_FRAME: Final = re.compile(r"\\n(\d+) bytes \(([^)]*)\)")


@dataclass(slots=True)
class _Graph:
    frames: dict[str, int] = field(default_factory=dict)
    dynamic: set[str] = field(default_factory=set)
    calls: dict[str, set[str]] = field(default_factory=dict)


def static_stack_bytes(files: Iterable[Path], entry: str) -> int:
    """Bytes of stack on the deepest path of calls from a function, its own frame included.

    Args:
        files: ``.ci`` files of everything the function can reach.
        entry: name of the function.

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
        below = max((deepest(callee) for callee in sorted(graph.calls.get(name, ()))), default=0)
        path.pop()
        known[name] = graph.frames[name] + below
        return known[name]

    return deepest(entry)


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
