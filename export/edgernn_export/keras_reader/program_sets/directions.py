"""Networks that read chunks in both directions, sorted into passes of one direction each.

A recurrent layer joins the first pass of its direction that comes after everything it reads, so
that two bidirectional layers take three passes. Layers that compute from one step join the last
pass that they read from; layers that only rearrange or scale values are repeated in every reader.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from edgernn.model.program_sets.passes import PassDirection
from edgernn_export.keras_reader.findings import Findings, class_of, owner_of
from edgernn_export.keras_reader.flat_network import FlatNetwork
from edgernn_export.keras_reader.graph import Call, CallResult
from edgernn_export.keras_reader.layers.config import registered_name
from edgernn_export.keras_reader.layers.convolution import OWN_LAYERS
from edgernn_export.keras_reader.layers.operations import is_operation
from edgernn_export.keras_reader.layers.readers import is_shape_only
from edgernn_export.keras_reader.program_sets.halves import (
    BIDIRECTIONAL,
    RECURRENT,
    is_of,
    split_halves,
)

_HOLDING: Final = (
    "AveragePooling1D", "Conv1D", "DepthwiseConv1D", "MaxPooling1D", "SeparableConv1D",
)  # fmt: skip
#: Layers whose work the layer behind them does.
_FOLDED: Final = ("BatchNormalization", "Concatenate", "GetItem", "Normalization", "Rescaling",
                  "ZeroPadding1D")  # fmt: skip


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
        is_of(call.layer, (BIDIRECTIONAL,))
        or (is_of(call.layer, RECURRENT) and bool(getattr(call.layer, "go_backwards", False)))
        for call in calls
    )


def directed(flat: FlatNetwork, owner: str, findings: Findings) -> list[DirectedPass]:
    """Sort the calls of a network into passes; the last one gives all its outputs.

    Args:
        flat: the network; its calls of Bidirectional become calls of both halves.
        owner: how reasons name the model.
        findings: receives reasons.
    """
    reversing, after = split_halves(flat, findings), dict[int, list[Call]]()
    while True:
        sorter = _Sorter(reversing, Findings(wording=findings.wording), after)
        for call in _in_turn(flat.calls, after):
            sorter.place(call)
        if sorter.after == after:
            break
        after = sorter.after  # some layers have to come in later passes: sort again
    findings.reasons += [one for one in sorter.findings.reasons if one not in findings.reasons]
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


def _holds(layer: Any) -> bool:
    """Whether a layer keeps earlier steps, other than recurrent ones."""
    return is_of(layer, _HOLDING) or registered_name(layer) in OWN_LAYERS


def _inner(layer: Any) -> Any:
    """The layer that TimeDistributed applies to every step, or the layer itself."""
    wrapped = getattr(layer, "layer", None) if is_of(layer, ("TimeDistributed",)) else None
    return wrapped or layer


class _Sorter:
    """Assigns calls to passes, in an order in which they can be applied.

    Attributes:
        passes: those found so far.
        findings: receives reasons.
        after: recurrent calls by identity -> those whose passes come before theirs.
    """

    def __init__(
        self, reversing: set[int], findings: Findings, after: dict[int, list[Call]]
    ) -> None:
        self.passes: list[DirectedPass] = []
        self.findings = findings
        self.after = dict(after)
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
            self.findings.add(
                owner_of(call.layer),
                "inputs whose steps come in one order",
                "one of them in the reverse order, from a layer with go_backwards=True",
                "Put this layer into a Bidirectional, which restores the order.",
            )
        way = turned == {True}
        layer = call.layer
        if is_of(layer, RECURRENT):
            backward = bool(getattr(layer, "go_backwards", False)) != way
            others = [self._places[id(other)].number for other in self.after.get(id(call), ())]
            number = self._joined(call, max([number, *(one + 1 for one in others)]), backward)
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
        """Whether every pass that reads a call does its work on its own.

        The last step is taken where it is made: it is another one for passes that turn round.
        """
        if class_of(call.layer) == "GetItem" and _takes_a_step(call):
            return False
        layer = _inner(call.layer)
        if is_operation(layer):
            return len(call.inputs) == 1
        return is_shape_only(layer) or is_of(layer, _FOLDED)

    def _put_after(self, call: Call, number: int) -> bool:
        """Whether layers that a slice reads can come in a later pass than the others.

        The slice is taken there then, next to the outputs of the others: the last step in time is
        the last one of that pass.
        """
        direction = self.passes[number].direction
        sources = _sources(call)
        same = [self.passes[self._places[id(one)].number].direction is direction for one in sources]
        first = [one for one, is_first in zip(sources, same, strict=True) if is_first]
        later = [one for one, is_first in zip(sources, same, strict=True) if not is_first]
        known = any(id(one) in self.after for one in sources)
        if not later or known or any(_leads_to(one, first) for one in later):
            return False
        self.after |= {id(one): first for one in later}
        return True

    def _check_slice(self, call: Call, number: int, turned: bool) -> None:
        """The last step in time is the first one that a backward pass takes."""
        backward = self.passes[number].direction is PassDirection.BACKWARD
        if backward != turned and _takes_a_step(call):
            if self._put_after(call, number):
                return
            self.findings.add(
                owner_of(call.layer),
                "a slice of features",
                "a slice that takes one step of the outputs of a backward layer",
                self.findings.wording.last_of_backward,
            )


def _in_turn(calls: Sequence[Call], after: Mapping[int, Sequence[Call]]) -> Iterator[Call]:
    """All calls behind those that they read, and behind those that come before them."""
    left, done = list(calls), set[int]()
    among = {id(call) for call in calls}
    while left:
        waiting = []
        for call in left:
            before = [*(t.call for t in call.inputs), *after.get(id(call), ())]
            if all(id(one) in done or id(one) not in among for one in before):
                done.add(id(call))
                yield call
            else:
                waiting.append(call)
        left = waiting


def _leads_to(call: Call, others: Sequence[Call]) -> bool:
    """Whether a call is needed for one of others."""
    left, seen = list(others), set[int]()
    while left:
        one = left.pop()
        if one is call:
            return True
        if id(one) not in seen:
            seen.add(id(one))
            left += [tensor.call for tensor in one.inputs]
    return False


def _sources(call: Call) -> list[Call]:
    """The recurrent calls nearest to what a call reads."""
    found: list[Call] = []
    left, seen = [tensor.call for tensor in call.inputs], set[int]()
    while left:
        one = left.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if one.layer is not None and is_of(one.layer, RECURRENT):
            found.append(one)
        else:
            left += [tensor.call for tensor in one.inputs]
    return found


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
