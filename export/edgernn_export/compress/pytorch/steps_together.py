"""A recurrent layer under training whose steps are computed together, not one by one.

A loop over the steps costs PyTorch some hundred small operations for each of them. So the reference
runs the stream in NumPy, which gives the states before every step. From these, the clauses compute
all steps at once, and each must end in the state that the next one began with: then these are the
states of the clauses, by induction. Where that does not hold, or units meet between matrix
products, the loop runs instead.

Gradients through time are a recursion over the steps backward. Between matrix products every unit
is on its own, so how a value changes another one is a factor for each unit and step. All factors
are found at once, and the recursion multiplies by them and by the transposed matrices alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from edgernn.graph.lowering import lowered
from edgernn.graph.op_graph import OpGraph
from edgernn.graph.ops import AffineResult, Concatenation, Normalization, Slice
from edgernn_export.compress.qat.integer_side.layer_integers import Integers
from edgernn_export.compress.qat.integer_side.sequences import recurrent
from edgernn_export.compress.qat.interpreter import Inputs, Maps
from edgernn_export.compress.qat.maps.float_weights import RECURRENT
from edgernn_export.compress.qat.maps.training_maps import ReadyMap
from edgernn_firmware_sim.reference.events import Quiet
from edgernn_firmware_sim.reference.interpreter import StepInterpreter

#: Steps from which on this is faster than the loop.
_FEW: Final = 4


def recurrent_together(
    integers: Integers,
    weights: Mapping[str, Any],
    maps: Maps,
    codes: Tensor,
    states: Sequence[Tensor],
) -> tuple[Tensor, list[Tensor]]:
    """What `recurrent` gives, with the same gradients.

    Args:
        integers: of the layer.
        weights: its variables by name.
        maps: with their integer weights, for this pass.
        codes: [B, T, I].
        states: codes [B, H] before the first step.

    Returns:
        Codes [B, T, H], and the states after the last step.
    """
    found = None
    if codes.shape[1] >= _FEW and _units_apart(integers.step.graph):
        found = _together(integers, weights, maps, codes, states)
    return found or recurrent(integers, weights, maps, codes, states)


def _units_apart(graph: OpGraph) -> bool:
    """Whether every unit is on its own between matrix products."""
    for op in graph.ops:
        width = op.result.width
        if isinstance(op, Concatenation) and op.result.operand:
            continue  # what a matrix product reads
        if isinstance(op, (Concatenation, Normalization)):
            return False
        if isinstance(op, Slice):
            if op.start % width or op.reads[0].width % width:
                return False
        elif not isinstance(op, AffineResult) and any(v.width != width for v in op.reads):
            return False
    return True


def _together(
    integers: Integers,
    weights: Mapping[str, Any],
    maps: Maps,
    codes: Tensor,
    states: Sequence[Tensor],
) -> tuple[Tensor, list[Tensor]] | None:
    """All steps at once; None where they do not end in the states of the reference."""
    batch, steps, _ = codes.shape
    in_time = codes.transpose(0, 1)
    after = _states_of_reference(integers, weights, in_time, states)
    before = [
        torch.cat((start.detach()[None], later[:-1])).flatten(0, 1)
        for start, later in zip(states, after, strict=True)
    ]
    trained = torch.is_grad_enabled()
    cut = {name: _CutMap(ready) for name, ready in maps.items()}
    given = tuple(state.requires_grad_(trained) for state in before)
    flat: Inputs = {
        name: products.flatten(0, 1) for name, products in integers.of_input(maps, in_time).items()
    }
    _, made = integers.step(cut, flat, given, integers.constants(weights))  # type: ignore[arg-type]
    expected = (later.flatten(0, 1) for later in after)
    if not all(torch.equal(new.detach(), old) for new, old in zip(made, expected, strict=True)):
        return None
    if trained:
        products = [product for one in cut.values() for product in one.products]
        made = _through_time(made, given, states, products, steps)
    shown = [new.reshape(steps, batch, -1) for new in made]
    return shown[0].transpose(0, 1), [new[-1] for new in shown]


def _states_of_reference(
    integers: Integers, weights: Mapping[str, Any], in_time: Tensor, states: Sequence[Tensor]
) -> list[Tensor]:
    """The states after every step, [T, B, H] each, as the reference computes them."""
    with torch.no_grad(), np.errstate(invalid="ignore"):  # weights may be NaN
        layer = integers.unproven_layer(weights)
        operands = integers.operand(in_time).cpu().numpy().astype(np.int32)
    step = StepInterpreter(lowered(integers.model.precision, (layer,)), Quiet())
    now = [state.detach().cpu().numpy().astype(np.int32) for state in states]
    found = [np.empty((len(operands), *state.shape), np.float32) for state in now]
    for index, operand in enumerate(operands):
        step((operand,), now)
        for kept, state in zip(found, now, strict=True):
            kept[index] = state
    return [torch.from_numpy(kept).to(in_time.device) for kept in found]


@dataclass(frozen=True, slots=True, eq=False)
class _Product:
    """A product of a state's operand with a matrix, in a step: `made` is `operand` @ `matrix`."""

    operand: Tensor
    matrix: Tensor
    made: Tensor


class _CutMap:
    """A map whose products of states give no gradient to the states.

    Args:
        ready: the map.
    """

    def __init__(self, ready: ReadyMap) -> None:
        self._ready = ready
        #: The products it has made.
        self.products: list[_Product] = []

    def __call__(self, from_input: Tensor | None, q_state: Tensor | None = None) -> Tensor:
        """Codes [B, R], as the map gives them."""
        if q_state is None:
            alone: Tensor = self._ready(from_input)
            return alone
        made = self._ready.of_state(q_state.detach())
        matrix = next(term[RECURRENT] for term in self._ready.terms if RECURRENT in term)
        self.products.append(_Product(q_state, matrix.detach(), made))
        codes: Tensor = self._ready.codes(from_input, made)
        return codes


def _through_time(
    made: Sequence[Tensor],
    given: Sequence[Tensor],
    states: Sequence[Tensor],
    products: Sequence[_Product],
    steps: int,
) -> tuple[Tensor, ...]:
    """The new states [T*B, H], whose gradients pass through the steps before.

    Args:
        made: the new states.
        given: the states before the steps, [T*B, H] without a gradient so far.
        states: those before the first one, [B, H].
        products: of matrices with states, in their order.
        steps: T.
    """
    operands = list({id(one.operand): one.operand for one in products}.values())
    recursion = _Recursion(made, given, operands, products, steps)
    found: tuple[Tensor, ...] = _ThroughTime.apply(recursion, *states, *made, *operands)  # type: ignore[no-untyped-call]
    return found


class _ThroughTime(torch.autograd.Function):
    """The new states, unchanged; backward, the recursion over the steps."""

    @staticmethod
    def forward(ctx: Any, recursion: _Recursion, *values: Tensor) -> tuple[Tensor, ...]:
        """The new states."""
        ctx.recursion = recursion
        ctx.set_materialize_grads(False)
        count = len(recursion.made)
        return tuple(value.detach() for value in values[count : 2 * count])

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *upstream: Tensor | None) -> Any:
        """Gradients of the first states, of the new states and of the operands."""
        return None, *ctx.recursion(upstream)


class _Recursion:
    """Gradients through time.

    Args:
        made: the new states, [T*B, H].
        given: the states before the steps.
        operands: what matrix products read of states.
        products: these products, in their order.
        steps: T.
    """

    def __init__(
        self,
        made: Sequence[Tensor],
        given: Sequence[Tensor],
        operands: Sequence[Tensor],
        products: Sequence[_Product],
        steps: int,
    ) -> None:
        self.made = made
        self._given, self._operands, self._products = given, operands, products
        self._steps = steps

    def _factors(self, result: Tensor) -> dict[int, list[Tensor]]:
        """How a result changes with sources, by their place: per step, [B, n, H] of [T*B, n*H]."""
        sources = [*(one.made for one in self._products), *self._given]
        if not result.requires_grad:
            return {}
        with torch.enable_grad():
            found = torch.autograd.grad(
                result, sources, torch.ones_like(result), retain_graph=True, allow_unused=True
            )
        width = result.shape[-1]
        return {
            place: list(factor.float().reshape(self._steps, -1, factor.shape[-1] // width, width))
            for place, factor in enumerate(found)
            if factor is not None and factor.any()
        }

    def __call__(self, upstream: Sequence[Tensor | None]) -> list[Tensor | None]:
        """The gradients of the first states, the new states and the operands.

        Args:
            upstream: gradients of the new states from everything but the steps after them.
        """
        results = [*self.made, *self._operands]
        factors = [self._factors(result) for result in results]
        into: dict[int, list[tuple[int, list[Tensor]]]] = {}
        for place, found in enumerate(factors):
            for source, factor in found.items():
                into.setdefault(source, []).append((place, factor))
        reads = {id(operand): len(self.made) + at for at, operand in enumerate(self._operands)}
        at = [reads[id(one.operand)] for one in self._products]
        back = [one.matrix.T.contiguous() for one in self._products]
        rows = [
            None if one is None else one.reshape(self._steps, -1, one.shape[-1]) for one in upstream
        ]
        shares = [torch.zeros_like(result) for result in results]
        by_step = [share.view(self._steps, -1, share.shape[-1]).unbind() for share in shares]
        count, first = len(self.made), len(self._products)
        later: list[Tensor | None] = [None] * count
        for t in reversed(range(self._steps)):
            now = [share[t] for share in by_step]
            for place, given in enumerate(rows):
                for one in (later[place], None if given is None else given[t]):
                    if one is not None:
                        now[place] += one
            for index in reversed(range(first)):
                total = _sum_of(into.get(index, ()), now, t)
                if total is not None:
                    now[at[index]].addmm_(total.flatten(1), back[index])
            for place in range(count):
                total = _sum_of(into.get(first + place, ()), now, t)
                later[place] = None if total is None else total.flatten(1)
        return [*later, *shares]


def _sum_of(
    terms: Sequence[tuple[int, list[Tensor]]], now: Sequence[Tensor], t: int
) -> Tensor | None:
    """The gradient [B, n, H] of a source in step t, of those of the results it changes."""
    total: Tensor | None = None
    for place, factor in terms:
        share = now[place][:, None]
        total = factor[t] * share if total is None else total.addcmul_(factor[t], share)
    return total
