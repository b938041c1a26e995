"""Networks that take their state as inputs and give the next one as outputs.

That is how a stateful network is told to TFLite: x, h, c in; y, h', c' out. A session keeps the
state itself, so that such a network is read as the stateful one it stands for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from edgernn_export.cells.cell_readers import OWN
from edgernn_export.float_model.cell_plans import plan_of
from edgernn_export.keras_reader.findings import Findings, class_of, owner_of
from edgernn_export.keras_reader.graph import Call, CallResult, Given, LayerGraph
from edgernn_export.keras_reader.layers.config import registered_name
from edgernn_export.keras_reader.wording import Wording

#: Number of states of each recurrent layer and cell.
_STATES: Final = {"SimpleRNN": 1, "GRU": 1, "LSTM": 2}
_KEPT: Final = (
    "A session keeps the state: build the model without its states as inputs and outputs, "
    "and copy the weights."
)
_FROM_ELSEWHERE: Final = (
    "A session of one program starts from the zero state. If another stream computes the "
    "state, as an encoder does for a decoder, quantize both with "
    "edgernn_export.quantize_programs."
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Start:
    """A state that a call begins with, and the tensor that is it."""

    call: Call
    state: int
    tensor: CallResult


def starts_of(calls: Sequence[Call], given: Sequence[Given]) -> list[Start]:
    """The states that recurrent layers begin with, except those that are inputs of the network.

    Args:
        calls: of the network.
        given: its inputs.
    """
    inputs = {id(entry.tensor.call) for entry in given}
    found = []
    for call in calls:
        extra = call.inputs[1:]
        if len(extra) == state_count(call.layer) and not all(
            id(tensor.call) in inputs for tensor in extra
        ):
            found += [Start(call=call, state=k, tensor=tensor) for k, tensor in enumerate(extra)]
    return found


def stream_of(calls: Sequence[Call], starts: Sequence[Start]) -> Callable[[Call], int]:
    """Separates streams: calls that are connected by more than initial states.

    Args:
        calls: of the network.
        starts: what some of them begin with.

    Returns:
        A number for every call, one for all of a stream, inputs among them.
    """
    root: dict[int, int] = {}

    def find(call: Call) -> int:
        key = id(call)
        while root.setdefault(key, key) != key:
            key = root[key]
        return key

    begun = {(id(start.call), id(start.tensor)) for start in starts}
    for call in calls:
        for tensor in call.inputs:
            if (id(call), id(tensor)) not in begun:
                root[find(tensor.call)] = find(call)
    return find


def read_elsewhere(
    calls: Sequence[Call], starts: Sequence[Start], attends: Callable[[Call], bool]
) -> list[Call]:
    """The calls of attention whose keys and values are those of another stream than its query.

    Args:
        calls: of the network.
        starts: what some of them begin with.
        attends: whether a call is one of attention.
    """
    given = [
        Start(call=call, state=k, tensor=tensor)
        for call in calls
        if attends(call)
        for k, tensor in enumerate(call.inputs[1:])
        if tensor is not call.inputs[0]  # an input that attends to itself
    ]
    stream = stream_of(calls, [*starts, *given])
    found: list[Call] = []
    for one in given:
        apart = stream(one.tensor.call) != stream(one.call)
        if apart and not any(one.call is call for call in found):
            found.append(one.call)
    return found


def refuse_own_starts(calls: Sequence[Call], starts: Sequence[Start], findings: Findings) -> bool:
    """Note layers that begin with what was made of the stream that they read; whether any do."""
    stream = stream_of(calls, starts)
    own = [start for start in starts if stream(start.call) == stream(start.tensor.call)]
    for start in own:
        findings.add(
            owner_of(start.call.layer),
            "an initial state computed by another stream",
            "one computed by the stream that it reads",
            findings.wording.own_start,
        )
    return bool(own)


class States:
    """The states of one network.

    Attributes:
        any_given: some are inputs or outputs of the network.
    """

    def __init__(self, network: LayerGraph) -> None:
        """Tell the states among the outputs."""
        self._inputs = network.given
        several = len(network.outputs) > 1
        self._returned = [
            tensor
            for tensor in network.outputs
            if several and tensor.index > 0 and state_count(tensor.call.layer)
        ]
        self._given: list[CallResult] = []
        self._takers: list[Call] = []

    def follow(self, main: list[Call]) -> None:
        """Tell the states among the inputs: what only recurrent layers of the path start from."""
        starts = [entry.tensor.call for entry in self._inputs]
        for call in main:
            extra = call.inputs[1:]
            if not extra or len(extra) != state_count(call.layer):
                continue
            if all(any(tensor.call is start for start in starts) for tensor in extra):
                self._given += extra
                self._takers.append(call)

    @property
    def any_given(self) -> bool:
        """Whether a state is an input or an output."""
        return bool(self._given or self._returned)

    def takes(self, call: Call) -> bool:
        """Whether a call starts from states that are inputs."""
        return any(call is taker for taker in self._takers)

    def cure(self, call: Call, wording: Wording) -> str | None:
        """What to do about a call that starts from another state; None for other calls."""
        if state_count(call.layer):
            return _FROM_ELSEWHERE
        return wording.zero_state if class_of(call.layer) == "RNN" else None

    def is_given(self, tensor: CallResult) -> bool:
        """Whether an input is a state."""
        return any(tensor.call is state.call for state in self._given)

    def is_returned(self, tensor: CallResult) -> bool:
        """Whether an output is a state."""
        return any(tensor is state for state in self._returned)

    def check(self, main: list[Call], owner: str, findings: Findings) -> bool:
        """Whether the network passes on its whole state; note a reason if only part of it."""
        if not self.any_given:
            return False
        recurrent = [call for call in main if state_count(call.layer)]
        whole = len({id(state.call) for state in self._given}) == len(self._given) and all(
            self.takes(call) and self._gives(call) for call in recurrent
        )
        if not whole or len(self._returned) != len(self._given):
            self.refuse(main, owner, findings)
        return True

    def refuse(self, main: list[Call], owner: str, findings: Findings) -> None:
        """Note that part of the state is passed on."""
        total = sum(state_count(call.layer) for call in main)
        findings.add(
            owner,
            f"all {total} states of its recurrent layers as inputs and as outputs, or none",
            f"{len(self._given)} as inputs and {len(self._returned)} as outputs",
            _KEPT,
        )

    def _gives(self, call: Call) -> bool:
        indices = {tensor.index for tensor in self._returned if tensor.call is call}
        return indices == set(range(1, state_count(call.layer) + 1))


def state_count(layer: Any) -> int:
    """Number of states of a recurrent layer or cell; 0 for any other.

    Of registered cells those have some that stand for a layer of another format.
    """
    name = class_of(layer)
    if name == "RNN":
        cell, name = layer.cell, class_of(layer.cell)
        if getattr(layer, "origin", "") and registered_name(cell) == OWN:
            plan = plan_of(cell.kind, 1, cell.units, tuple(sorted(cell.options.items())))
            return len(plan.states)
    return _STATES.get(name.removesuffix("Cell"), 0)
