"""Loops over the steps as recurrent operators: cells of torch, and cells written by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np

from edgernn_export.operator_reader.loops.written_cells import WrittenCell, written_cells
from edgernn_export.operator_reader.operators import OperatorNode, ValueName, leading_to
from edgernn_export.torch_reader.loops.step_values import StepValues
from edgernn_export.torch_reader.loops.written_out import (
    ZEROS,
    CarriedResult,
    Loop,
    Sizes,
    loop_of,
    named_body,
)

#: Operators of cells, and how many states they carry.
CELLS: Final = {"gru_cell": 1, "lstm_cell": 2, "rnn_relu_cell": 1, "rnn_tanh_cell": 1}


def without_loops(
    nodes: Sequence[OperatorNode],
    outputs: tuple[str, ...],
    sizes: Sizes,
    constants: Mapping[str, Any],
) -> tuple[list[OperatorNode], tuple[str, ...], list[int]]:
    """Operators and outputs in which loops over steps are recurrent operators.

    Args:
        nodes: operators, in the order in which they are run.
        outputs: names of results of the network.
        sizes: of values by name.
        constants: weights by name.

    Returns:
        The operators, the outputs, and how many steps each loop has.
    """
    made, steps = list(nodes), list[int]()
    while (loop := loop_of(made, sizes)) is not None:
        found = _rolled(loop, outputs, sizes, constants)
        if found is None:
            made = _refused(loop, made)
            break
        made, outputs = found
        steps.append(loop.steps)
    return leading_to(outputs, made), outputs, steps


def _refused(loop: Loop, nodes: Sequence[OperatorNode]) -> list[OperatorNode]:
    """The operators, those that take a step of a loop of which no cell is known for one reason."""
    first = next(node for node in loop.body if _carries(node.inputs))
    return [
        replace(node, kind="unknown_loop", name=first.name, origin=first.origin)
        if node.outputs[0] in loop.readings
        else node
        for node in nodes
    ]


def _rolled(
    loop: Loop, outputs: tuple[str, ...], sizes: Sizes, constants: Mapping[str, Any]
) -> tuple[list[OperatorNode], tuple[str, ...]] | None:
    """The operators with one recurrence in the place of a loop; None if no cell is known."""
    axes = [size for place, size in enumerate(sizes[loop.source]) if place != loop.axis]
    body = _with_cells(loop, named_body(loop), constants, axes[-1] if axes else None)
    if body is None:
        return None
    begin = _node("step_of", loop, (ValueName(loop.source), loop.axis), loop.step, body[0])
    after = _after(loop, outputs, body[0])
    if after is None:
        return None
    nodes, renamed = after
    return [*loop.before, begin, *body, *nodes], renamed


def _node(
    kind: str, loop: Loop, inputs: tuple[Any, ...], output: str, like: OperatorNode, **more: Any
) -> OperatorNode:
    """A separate operator for a loop, named after an operator of the loop."""
    return replace(
        like,
        kind=kind,
        inputs=inputs,
        outputs=(output,),
        attributes={"places": {}, "sizes": (), "source": loop.source} | more,
    )


def _with_cells(
    loop: Loop, body: list[OperatorNode], constants: Mapping[str, Any], width: int | None
) -> list[OperatorNode] | None:
    """The body in which nothing is carried any more but by cells."""
    place_of = {node.outputs[0]: place for place, node in enumerate(body)}
    done: set[int] = set()
    made: list[OperatorNode] = []
    for place, node in enumerate(body):
        if node.kind in CELLS:
            states = node.inputs[1] if isinstance(node.inputs[1], list) else [node.inputs[1]]
            own = [place]
            if CELLS[node.kind] > 1:
                own = [_part(body, node.outputs[0], index) for index in range(CELLS[node.kind])]
            if all(
                isinstance(s, CarriedResult) and s.place == p
                for s, p in zip(states, own, strict=True)
            ):
                starts = [_start(loop, state.place, constants) for state in states]
                inputs = (node.inputs[0], starts, *node.inputs[2:])
                attributes = {**node.attributes, "in_loop": True}
                made.append(replace(node, inputs=inputs, attributes=attributes))
                done |= set(own)
                continue
        made.append(node)
    if any(_carries(node.inputs) for node in made):
        widths = {} if width is None else {loop.step: width}
        values = StepValues(body, constants, widths)
        left = loop.carried - done
        cells = written_cells(values.algebra, left, values.new_state)
        if left != {place for cell in cells for place in cell.states}:
            return None
        made = _with_written(loop, made, cells, place_of, constants)
    return None if any(_carries(node.inputs) for node in made) else made


def _with_written(
    loop: Loop,
    body: list[OperatorNode],
    cells: Sequence[WrittenCell],
    place_of: Mapping[str, int],
    constants: Mapping[str, Any],
) -> list[OperatorNode]:
    """The body with recurrent operators in the place of the results that cells compute."""
    made: list[OperatorNode] = []
    results = {cell.states[0]: cell for cell in cells}
    for node in body:
        place = place_of[node.outputs[0]]
        cell = results.get(place)
        if cell is not None:
            starts = [_start(loop, state, constants) for state in cell.states]
            inputs = ([ValueName(name) for name in cell.readings], starts)
            made.append(_node("written_cell", loop, inputs, node.outputs[0], node, cell=cell))
        elif not _carries(node.inputs):
            made.append(node)
    return _alive(made, loop)


def _alive(body: list[OperatorNode], loop: Loop) -> list[OperatorNode]:
    """The operators whose inputs exist: what only cells needed inside is gone."""
    known: set[str] = {loop.step}
    own = {node.outputs[0] for node in loop.body}
    made = []
    for node in body:
        if all(name in known or name not in own for name in node.reads()):
            known |= set(node.outputs)
            made.append(node)
    return made


def _part(body: Sequence[OperatorNode], name: str, index: int) -> int:
    """The place of a part of a result; -1 where nothing takes it."""
    for place, node in enumerate(body):
        if node.kind == "getitem" and node.inputs == (ValueName(name), index):
            return place
    return -1


def _start(loop: Loop, place: int, constants: Mapping[str, Any]) -> ValueName | None:
    """What a state begins with; None for zeros."""
    name = loop.starts[place][0]
    maker = next((node for node in loop.before if name in node.outputs), None)
    zeros = maker is not None and maker.kind in ZEROS
    if zeros or (name in constants and not np.any(constants[name])):
        return None
    return ValueName(name)


def _carries(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return any(_carries(item) for item in value)
    return isinstance(value, CarriedResult)


def _after(
    loop: Loop, outputs: tuple[str, ...], like: OperatorNode
) -> tuple[list[OperatorNode], tuple[str, ...]] | None:
    """The operators behind a loop, which read all its steps or the last one; None for others."""
    made: list[OperatorNode] = []
    last: dict[str, str] = {}
    good = True

    def renamed(value: Any) -> Any:
        nonlocal good
        if isinstance(value, ValueName):
            if value.name in loop.results:
                step, place = loop.results[value.name]
                good = good and step == loop.steps - 1
                result = loop.body[place].outputs[0]
                if result not in last:
                    last[result] = f"{result}_last"
                    inputs = (ValueName(result), ValueName(loop.source), loop.axis)
                    made.append(_node("last_of_loop", loop, inputs, last[result], like))
                return ValueName(last[result])
            good = good and value.name not in loop.readings
            return value
        return [renamed(item) for item in value] if isinstance(value, list) else value

    for node in loop.after:
        place = _all_steps(loop, node)
        if place is not None:
            result = ValueName(loop.body[place].outputs[0])
            inputs = (result, ValueName(loop.source), loop.axis, node.inputs[1] or 0)
            made.append(replace(node, kind=f"{node.kind}_of_loop", inputs=inputs))
            continue
        inputs = tuple(renamed(value) for value in node.inputs)
        made.append(replace(node, inputs=inputs))
    names = tuple(renamed(ValueName(name)).name for name in outputs)
    return (made, names) if good else None


def _all_steps(loop: Loop, node: OperatorNode) -> int | None:
    """The place whose results of all steps an operator puts in a row; None for any other."""
    if node.kind not in ("cat", "stack") or not isinstance(node.inputs[0], list):
        return None
    listed = [loop.results.get(getattr(one, "name", "")) for one in node.inputs[0]]
    if len(listed) != loop.steps or any(one is None for one in listed):
        return None
    found = [one for one in listed if one is not None]
    places = {place for _, place in found}
    in_order = [step for step, _ in found] == list(range(loop.steps))
    return places.pop() if in_order and len(places) == 1 else None
