"""Networks that read chunks in both directions, sorted into passes of one direction each.

A recurrent layer joins the first pass of its direction that comes after everything it reads, so
that two bidirectional layers take three passes. Layers that compute from one step join the last
pass that they read from; layers that only rearrange or scale values are repeated in every reader.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from edgernn.model.program_sets.passes import PassDirection
from edgernn_export.keras_reader.findings import Findings, class_of, owner_of
from edgernn_export.keras_reader.flat_network import FlatNetwork, check_arguments
from edgernn_export.keras_reader.graph import Call, CallResult
from edgernn_export.keras_reader.layers.config import is_builtin, registered_name
from edgernn_export.keras_reader.layers.convolution import OWN_LAYERS
from edgernn_export.keras_reader.layers.operations import is_operation
from edgernn_export.keras_reader.layers.readers import is_shape_only
from edgernn_export.keras_reader.states import state_count
from edgernn_export.keras_reader.stored.layer import StoredLayer

BIDIRECTIONAL: Final = "Bidirectional"
#: Layers that carry values from step to step.
_RECURRENT: Final = ("GRU", "LSTM", "RNN", "SimpleRNN")
_HOLDING: Final = (
    "AveragePooling1D", "Conv1D", "DepthwiseConv1D", "MaxPooling1D", "SeparableConv1D",
)  # fmt: skip
#: Layers whose work the layer behind them does.
_FOLDED: Final = ("BatchNormalization", "Concatenate", "GetItem", "Normalization", "Rescaling",
                  "ZeroPadding1D")  # fmt: skip
#: What joins the halves of a Bidirectional.
_MERGES: Final = {"concat": "Concatenate", "sum": "Add", "ave": "Average", "mul": "Multiply"}


@dataclass(slots=True, kw_only=True, eq=False)
class DirectedPass:
    """Calls that run over the steps of a chunk in one direction.

    Attributes:
        direction: of the steps.
        members: its calls by identity, those that are repeated in several passes left out.
        given: what it takes of earlier passes: their number and the tensor.
        inputs: the same tensors as its own calls read them.
        needed: the tensors that later passes, or the answer, take of it.
        results: the same tensors as its own calls give them.
        calls: all its calls, in an order in which they can be applied.
    """

    direction: PassDirection
    members: set[int] = field(default_factory=set)
    given: list[tuple[int, CallResult]] = field(default_factory=list)
    inputs: list[CallResult] = field(default_factory=list)
    needed: list[CallResult] = field(default_factory=list)
    results: list[CallResult] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a tensor comes from.

    Attributes:
        number: of the last pass that it needs; -1 if it needs the readings alone.
        turned: its steps come in the reverse order of the chunk's.
    """

    number: int = -1
    turned: bool = False


def has_directions(calls: Sequence[Call]) -> bool:
    """Whether a layer of a network reads its steps backward."""
    return any(
        _is(call.layer, (BIDIRECTIONAL,))
        or (_is(call.layer, _RECURRENT) and bool(getattr(call.layer, "go_backwards", False)))
        for call in calls
    )


def directed(flat: FlatNetwork, owner: str, findings: Findings) -> list[DirectedPass]:
    """Sort the calls of a network into passes; the last one gives all its outputs.

    Args:
        flat: the network; its calls of Bidirectional become calls of both halves.
        owner: how reasons name the model.
        findings: receives reasons.
    """
    sorter = _Sorter(_split(flat, findings), findings)
    for call in flat.calls:
        sorter.place(call)
    places = [sorter.of(tensor) for tensor in flat.outputs]
    if any(place.turned for place in places):
        findings.add(
            owner,
            "outputs in the order of the readings",
            "outputs in the reverse order, those of a layer with go_backwards=True and "
            "return_sequences=True",
            "Put the layer into a Bidirectional, or reverse the outputs after the model.",
        )
    final = max((place.number for place in places), default=-1)
    if final < 0:
        return []
    passes = sorter.passes[: final + 1]
    passes[final].needed = list(flat.outputs)
    for number in reversed(range(len(passes))):
        _collect(passes, number)
    kept = [number for number, one in enumerate(passes) if one.needed]
    new = {number: index for index, number in enumerate(kept)}
    for number in kept:
        passes[number].given = [(new[source], tensor) for source, tensor in passes[number].given]
    return [passes[number] for number in kept]


def _is(layer: Any, names: Sequence[str]) -> bool:
    return class_of(layer) in names and is_builtin(layer)


def _holds(layer: Any) -> bool:
    """Whether a layer keeps earlier steps, other than recurrent ones."""
    return _is(layer, _HOLDING) or registered_name(layer) in OWN_LAYERS


def _inner(layer: Any) -> Any:
    """The layer that TimeDistributed applies to every step, or the layer itself."""
    wrapped = getattr(layer, "layer", None) if _is(layer, ("TimeDistributed",)) else None
    return wrapped or layer


def _split(flat: FlatNetwork, findings: Findings) -> set[int]:
    """Put two halves and what joins them in the place of every Bidirectional.

    Returns:
        Identities of the calls of second halves, whose outputs Keras reverses.
    """
    found: set[int] = set()
    made: dict[tuple[int, int], CallResult] = {}

    def renewed(tensor: CallResult) -> CallResult:
        return made.get((id(tensor.call), tensor.index), tensor)

    calls: list[Call] = []
    for call in flat.calls:
        call.inputs = tuple(renewed(tensor) for tensor in call.inputs)
        if not _is(call.layer, (BIDIRECTIONAL,)):
            calls.append(call)
            continue
        _check(call, findings)
        halves = [
            Call(layer=half, inputs=call.inputs[:1])
            for half in (call.layer.forward_layer, call.layer.backward_layer)
        ]
        calls += halves
        found.add(id(halves[1]))
        results = [CallResult(call=half, index=0) for half in halves]
        mode = call.layer.merge_mode
        if mode in _MERGES:
            calls.append(Call(layer=_joint(call.layer, mode), inputs=tuple(results)))
            results = [CallResult(call=calls[-1], index=0)]
        count = max(state_count(half.layer) for half in halves)
        results += [
            CallResult(call=half, index=1 + index) for half in halves for index in range(count)
        ]
        made |= {(id(call), index): result for index, result in enumerate(results)}
    flat.calls = calls
    flat.outputs = tuple(renewed(tensor) for tensor in flat.outputs)
    return found


def _joint(layer: Any, mode: str) -> StoredLayer:
    """The layer that joins two halves."""
    kind = _MERGES[mode]
    config = {"name": layer.name, "trainable": True, "dtype": None}
    if kind == "Concatenate":
        config["axis"] = -1
    entry = {"class_name": kind, "config": config, "module": "keras.layers"}
    return StoredLayer(entry, keras2=False, findings=Findings())


def _check(call: Call, findings: Findings) -> None:
    """Note what a Bidirectional cannot be."""
    layer = call.layer
    check_arguments(call, findings)
    if len(call.inputs) > 1:
        findings.add(
            owner_of(layer),
            "a Bidirectional that starts from the zero state",
            "one with initial_state",
            "Train it without initial_state.",
        )
    for half in (layer.forward_layer, layer.backward_layer):
        if not _is(half, _RECURRENT):
            findings.add(
                owner_of(layer),
                "a recurrent layer of Keras in each direction",
                owner_of(half),
                "Train with LSTM, GRU, SimpleRNN or RNN inside.",
            )


class _Sorter:
    """Assigns calls to passes, in an order in which they can be applied."""

    def __init__(self, reversing: set[int], findings: Findings) -> None:
        self.passes: list[DirectedPass] = []
        self._findings = findings
        self._places: dict[int, _Place] = {}
        self._reversing = reversing

    def of(self, tensor: CallResult) -> _Place:
        """Where a tensor comes from; a tensor of no known call is an input."""
        place = self._places.get(id(tensor.call), _Place())
        return replace(place, turned=place.turned and tensor.index == 0)

    def place(self, call: Call) -> None:
        """Find the pass of a call."""
        given = [self.of(tensor) for tensor in call.inputs]
        number = max((place.number for place in given), default=-1)
        turned = {place.turned for place in given}
        if len(turned) > 1:
            self._findings.add(
                owner_of(call.layer),
                "inputs whose steps come in one order",
                "one of them in the reverse order, from a layer with go_backwards=True",
                "Put this layer into a Bidirectional, which restores the order.",
            )
        way = turned == {True}
        layer = call.layer
        if _is(layer, _RECURRENT):
            backward = bool(getattr(layer, "go_backwards", False)) != way
            number = self._joined(call, number, backward)
            sequences = bool(getattr(layer, "return_sequences", False))
            way = sequences and backward != self._restores(call)
        elif _holds(_inner(layer)):
            number = self._joined(call, number, way)
        elif number >= 0 and not self._is_repeated(call):
            self.passes[number].members.add(id(call))
        if class_of(layer) == "GetItem" and number >= 0:
            self._check_slice(call, number, way)
        self._places[id(call)] = _Place(number, way)

    def _joined(self, call: Call, number: int, backward: bool) -> int:
        """The first pass of a direction after a number, or a new one."""
        direction = PassDirection.BACKWARD if backward else PassDirection.FORWARD
        for index, one in enumerate(self.passes):
            if index >= number and one.direction is direction:
                break
        else:
            index = len(self.passes)
            self.passes.append(DirectedPass(direction=direction))
        self.passes[index].members.add(id(call))
        return index

    def _restores(self, call: Call) -> bool:
        """Whether a backward layer gives its steps in the order of the readings."""
        return id(call) in self._reversing or bool(getattr(call.layer, "reordered", False))

    @staticmethod
    def _is_repeated(call: Call) -> bool:
        """Whether every pass that reads a call does its work on its own."""
        layer = _inner(call.layer)
        if is_operation(layer):
            return len(call.inputs) == 1
        return is_shape_only(layer) or _is(layer, _FOLDED)

    def _check_slice(self, call: Call, number: int, turned: bool) -> None:
        """The last step in time is the first one that a backward pass takes."""
        backward = self.passes[number].direction is PassDirection.BACKWARD
        if backward != turned and _takes_a_step(call):
            self._findings.add(
                owner_of(call.layer),
                "a slice of features",
                "a slice that takes one step of the outputs of a backward layer",
                self._findings.wording.last_of_backward,
            )


def _takes_a_step(call: Call) -> bool:
    """Whether a slice has a number among its keys."""

    def numbers(value: Any) -> bool:
        if isinstance(value, (list, tuple)):
            return any(numbers(item) for item in value)
        return isinstance(value, int) and not isinstance(value, bool)

    return any(numbers(value) for value in (call.arguments or {}).values())


def _collect(passes: list[DirectedPass], number: int) -> None:
    """Find the calls of a pass from its results, and what it takes of earlier ones."""
    one, known = passes[number], dict[int, Call]()
    taken: dict[tuple[int, int], CallResult] = {}

    def elsewhere(call: Call) -> int | None:
        owner = next((n for n, p in enumerate(passes) if id(call) in p.members), None)
        return None if owner == number else owner

    def make(call: Call) -> None:
        waiting = [call]  # no recursion: a network may have thousands of calls in a row
        while waiting:
            call = waiting[-1]
            missing = [
                entry.call
                for entry in call.inputs
                if entry.call.inputs and id(entry.call) not in known
                and elsewhere(entry.call) is None
            ]  # fmt: skip
            if id(call) not in known and missing:
                waiting += missing[::-1]
                continue
            if id(call) not in known:
                inputs = tuple(renewed(entry) for entry in call.inputs)
                known[id(call)] = replace(call, inputs=inputs)
                one.calls.append(known[id(call)])
            waiting.pop()

    def renewed(tensor: CallResult) -> CallResult:
        call = tensor.call
        owner = elsewhere(call)
        if owner is not None:
            key = id(call), tensor.index
            if key not in taken:
                taken[key] = CallResult(call=Call(layer=None), index=0)
                one.given.append((owner, tensor))
                if not any(_same(tensor, other) for other in passes[owner].needed):
                    passes[owner].needed.append(tensor)
            return taken[key]
        if not call.inputs:
            return tensor
        if id(call) not in known:
            make(call)
        return CallResult(call=known[id(call)], index=tensor.index)

    one.results = [renewed(tensor) for tensor in one.needed]
    one.inputs = list(taken.values())


def _same(tensor: CallResult, other: CallResult) -> bool:
    return tensor.call is other.call and tensor.index == other.index
