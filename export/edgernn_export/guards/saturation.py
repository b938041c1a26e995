"""What saturates when the integer model runs over its own calibration, where it changes an answer.

The reference runs over a bounded part of the calibration streams. A saturation counts where it
moves what follows: that of a gate deep in the flat part of its sigmoid or tanh does not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from edgernn.graph.lowering import lowered
from edgernn.graph.op_graph import OpGraph
from edgernn.graph.ops import (
    Activation,
    Blend,
    Curve,
    Function,
    GatedSum,
    LeakySum,
    Op,
    Rescaling,
    Scaling,
    Slice,
    Sum,
    Value,
)
from edgernn.model.affine import Source
from edgernn.model.formats import (
    INT16_MAX,
    LOW_BITS,
    PREACTIVATION,
    FloatArray,
    Int16Array,
)
from edgernn.model.integer_model import IntegerModel
from edgernn.model.layers import (
    LSTM,
    CellActivation,
    Dense,
    DenseActivation,
    GRUAfter,
    GRUBefore,
    Layer,
    SimpleRNN,
)
from edgernn.model.merges import Merge
from edgernn_export.guards.recorded_run import recorded_run
from edgernn_firmware_sim.reference.arithmetic import Int32, sat16
from edgernn_firmware_sim.reference.events import Names, Quiet
from edgernn_firmware_sim.reference.reference import Reference, State

#: Bounds of the part of calibration that is looked at: steps of one piece of a stream, readings in
#: all, weights times readings, and lengths of stream, each of which takes a run of its own.
PIECE_STEPS: Final = 512
_READINGS: Final = 1 << 13
_PRODUCTS: Final = 1 << 28
_LENGTHS: Final = 4
#: A pre-activation that saturation moves by less than this, seen through tanh(z/2), does no harm.
_VISIBLE: Final = 2.0**-7
#: Arguments from which on sigmoid and tanh are flat.
_FLAT_FROM: Final = 8.0
#: Codes that rounding alone explains.
_ROUNDED: Final = 4
#: Layers whose tensors are known by name.
_KNOWN: Final = (SimpleRNN, LSTM, GRUBefore, GRUAfter, Dense, Merge)
_SOURCES: Final = frozenset(source.value for source in Source)

_WIDER: Final = (
    "Use range_method='minmax' and calibrate on streams that cover all operating conditions."
)
_CANCEL: Final = (
    "Large products of input and state cancel each other and saturate before they are added. "
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SaturatedTensor:
    """One tensor of the integer model that saturates in calibration.

    Attributes:
        tensor: "<layer>.<tensor>".
        share: of its values that a saturation changed so that answers can differ.
        cure: the fix.
    """

    tensor: str
    share: float
    cure: str

    def __str__(self) -> str:
        """One line for people."""
        return (
            f"{self.tensor}: expected values within their format in calibration, got "
            f"{self.share:.2%} saturated. {self.cure}"
        )


def pieces(
    blocks: Sequence[FloatArray], products: int, *, windows: bool = False, every: int = 1
) -> list[FloatArray]:
    """The part of calibration streams that is looked at, cut into pieces of at most `PIECE_STEPS`.

    Args:
        blocks: float64 [B, T, I].
        products: multiplications of one step of the model.
        windows: the blocks are windows, which stay whole.
        every: readings of a step of the model.
    """
    largest = sorted(blocks, key=lambda block: -block.shape[0] * block.shape[1])[:_LENGTHS]
    steps = max(1, min(_READINGS, _PRODUCTS // products) // len(largest))
    readings = steps * every
    longest = max(b.shape[1] for b in blocks) if windows else min(PIECE_STEPS, steps) * every
    return [_cut(block, readings, longest) for block in largest]


def _cut(block: FloatArray, readings: int, longest: int) -> FloatArray:
    """Pieces of one length, evenly spread over streams and time, [P, L, I]."""
    streams, length, _ = block.shape
    steps = min(length, longest)
    places = [(b, t) for b in range(streams) for t in range(0, length - steps + 1, steps)]
    wanted = min(len(places), max(1, readings // steps))
    chosen = np.unique(np.linspace(0, len(places) - 1, wanted).round().astype(int))
    return np.stack([block[b, t : t + steps] for b, t in (places[i] for i in chosen)])


def saturations(model: IntegerModel, streams: Sequence[FloatArray]) -> tuple[SaturatedTensor, ...]:
    """What saturates over streams [B, T, I], each from the zero state (see `watched_run`)."""
    return watched_run(model, streams)[0]


def watched_run(
    model: IntegerModel,
    streams: Sequence[FloatArray],
    starts: Sequence[State] | None = None,
) -> tuple[tuple[SaturatedTensor, ...], list[Int16Array], list[State]]:
    """Run the reference over streams [B, T, I], each from its beginning.

    Args:
        model: the integer model.
        streams: float64 [B, T, I].
        starts: what each block begins with, int16 [B, H] each; its beginning where None.

    Returns:
        What saturates; the outputs of each block, int16 [B, T, O], of windows [B, 1, O], of models
        with a rate their answers; and the state after it.
    """
    watch = _Watch(model)
    outputs, states = [], []
    reference, interface = Reference(model, watch), model.interface()
    unwatched = Reference(model)
    for number, block in enumerate(streams):
        codes = interface.quantize(block)
        if starts is None:
            codes, state = unwatched.begun(codes)
        else:
            state = starts[number]
        answers, state = recorded_run(model, reference, watch, codes, state)
        outputs.append(answers if model.window is None else answers[:, -1:])
        states.append(state)
    found = tuple(
        SaturatedTensor(tensor=name, share=moved / seen, cure=watch.cure(name))
        for name, (seen, moved) in watch.counts.items()
        if moved
    )
    return found, outputs, states


def saturated_beginnings(
    model: IntegerModel, taken: Mapping[str, Sequence[FloatArray]]
) -> Iterator[SaturatedTensor]:
    """States of a program that do not hold what they take over.

    Args:
        model: the program.
        taken: by state, what it takes over in its codes [B, H], unsaturated.
    """
    for spec in model.states:
        codes = np.concatenate(taken.get(spec.name, [np.empty((0, spec.units))]))
        share = float(np.mean(np.abs(codes) > INT16_MAX + _ROUNDED)) if len(codes) else 0.0
        if share:
            yield SaturatedTensor(
                tensor=f"{spec.name} at the start",
                share=share,
                cure=f"The state holds values up to {INT16_MAX * spec.format.scale:.3g}: train "
                "with an initial state within this range, for example after a tanh.",
            )


class _Watch(Quiet):
    """Counts, per tensor, the values that saturation changed so that it shows."""

    def __init__(self, model: IntegerModel) -> None:
        self._layers = {layer.name: layer for layer in model.layers}
        graphs = {layer.name: lowered(model.precision, (layer,)) for layer in model.layers}
        self._cells = {
            layer.name: (_flat_values(graphs[layer.name]), _rectified(graphs[layer.name]))
            for layer in model.layers
            if not isinstance(layer, _KNOWN)
        }
        #: Rectified leaky sums by the names of their results, and of what they take in.
        self._leaky = {
            op.result.name: op
            for graph in graphs.values()
            for op in graph.ops
            if isinstance(op, LeakySum) and op.rectified
        }
        self._entries = frozenset(op.entry.name for op in self._leaky.values())
        #: Layers whose tensors do not count in the steps at hand.
        self.unheard: frozenset[str] = frozenset()
        #: tensor -> values seen, values moved.
        self.counts: dict[str, tuple[int, int]] = {}
        #: What the terms of the map at hand add up to without saturation; None in `w8a8`.
        self._terms: FloatArray | None = None
        #: Whether anything of the map at hand saturated.
        self._acted = False
        #: Parts of sums that are looked at as a whole, without and with saturation: of a
        #: reset-after GRU's candidate, and what leaky sums take in.
        self._parts: dict[str, tuple[FloatArray, Int32]] = {}

    def sat16(self, name: str, wide: Int32) -> Int32:
        narrow = sat16(wide)
        owner, tensor, *_ = name.split(".")
        if name in self._leaky:
            self._count_rectified(self._leaky[name], wide, narrow)
        elif owner in self._cells:
            self._count(name, self._moved_in_cell(name, wide.astype(np.float64), narrow))
        elif isinstance(self._layers[owner], Merge):
            self._count(name, np.abs(wide - narrow) > _ROUNDED)
        elif tensor == "c":
            self._count(name, wide != narrow)
        elif tensor == "r*d":
            self._parts[tensor] = (wide.astype(np.float64), narrow)
        elif tensor == "n":
            self._count(name, _moved_flat(self._candidate(), narrow))
        return narrow

    def sat16_each(self, names: Names, wide: Int32) -> Int32:
        narrow = sat16(wide)
        self._acted |= bool(np.any(wide != narrow))
        layer, affine, *rest = names[0].split(".")
        if rest and rest[-1] in _SOURCES:
            terms = self._layers[layer].affines[affine].terms
            (term,) = (t for t in terms if t.source.value == rest[-1])
            before = 0.0 if self._terms is None else self._terms
            self._terms = before + wide * (term.multiplier / 2.0**15)
        else:
            self._finish(names, wide, narrow)
        return narrow

    def see_each(self, names: Names, tensors: Int32) -> Int32:
        self._finish(names, tensors, tensors)
        return tensors

    def _finish(self, names: Names, wide: Int32, narrow: Int32) -> None:
        """An affine map is done: compare its rows with what they are without saturation."""
        true = wide.astype(np.float64) if self._terms is None else self._terms
        acted, self._terms, self._acted = self._acted, None, False
        owner, affine, *_ = names[0].split(".")
        layer = self._layers[owner]
        if isinstance(layer, GRUAfter) and affine in ("n_x", "n_h"):  # what matters is their sum
            self._parts[affine] = (true, narrow)
            return
        if f"{owner}.{affine}" in self._entries:
            self._parts[f"{owner}.{affine}"] = (true, narrow)
            return
        if not acted:
            moved = np.zeros(narrow.shape, dtype=bool)
        elif owner in self._cells:
            moved = self._moved_in_cell(f"{owner}.{affine}", true, narrow)
        else:
            moved = _moved(layer, true, narrow)
        for name, part in zip(names, np.split(moved, len(names), axis=-1), strict=True):
            self._count(name, part)

    def _moved_in_cell(self, name: str, true: FloatArray, narrow: Int32) -> Any:
        """Where a value of a registered cell shows its saturation."""
        flat, rectified = self._cells[name.partition(".")[0]]
        if name in flat:
            return _moved_flat(true, narrow)
        if name in rectified:
            true, narrow = np.maximum(true, 0.0), np.maximum(narrow, np.int32(0))
        return np.abs(true - narrow) > _ROUNDED

    def _count_rectified(self, op: LeakySum, wide: Int32, narrow: Int32) -> None:
        """Compare the part above 0 of a leaky sum with that of a sum over all inputs."""
        true, entry = self._parts[op.entry.name]
        whole = wide + (true - entry) * np.exp2(op.constants.shift.astype(np.float64) - LOW_BITS)
        shown = np.maximum(wide, 0)
        self._count(op.entry.name, np.abs(np.maximum(whole, 0.0) - shown) > _ROUNDED)
        self._count(op.result.name, shown - np.maximum(narrow, 0) > _ROUNDED)

    def _candidate(self) -> FloatArray:
        """The sum a + r*d of clause 7.7 without saturation of a and d."""
        a, _ = self._parts["n_x"]
        d, q_d = self._parts["n_h"]
        _, reset = self._parts["r*d"]
        grown: FloatArray = np.divide(
            d, q_d, out=np.ones(d.shape), where=np.abs(d - q_d) > _ROUNDED
        )
        return a + reset * grown

    def _count(self, name: str, moved: Any) -> None:
        if name.partition(".")[0] in self.unheard:
            return
        seen, before = self.counts.get(name, (0, 0))
        self.counts[name] = (seen + moved.size, before + int(np.count_nonzero(moved)))

    def cure(self, name: str) -> str:
        """What to do about a tensor that saturates."""
        owner, tensor, *_ = name.split(".")
        layer = self._layers[owner]
        if isinstance(layer, Merge):
            return _WIDER
        if owner in self._cells:
            whole = layer.affines.get(tensor)
            several = whole is not None and len(whole.terms) > 1
            return f"{_CANCEL}Use precision w8a8, which adds them first." if several else _WIDER
        if isinstance(layer, GRUAfter) and tensor == "n":
            return f"{_CANCEL}Train it with reset_after=False."
        if tensor in ("c", "out") or not _flat(layer):
            return _WIDER
        if isinstance(layer, GRUBefore) and tensor == "n":
            return f"{_CANCEL}Use precision w8a8, which adds them first."
        return f"{_CANCEL}Use operand_scales='common' or precision w8a8, which add them first."


def _flat_values(graph: OpGraph) -> frozenset[str]:
    """Values of a cell that go, alone or in sums, into curves with flat ends and nowhere else."""
    carried = {state.after.name for state in graph.carried}
    shown = carried | {value.name for value in graph.outputs}
    flat: set[str] = set()
    for op in reversed(graph.ops):
        for value in op.reads:
            into = isinstance(op, Activation) and op.function.bounded
            into |= isinstance(op, Curve) and op.function.flat_ends
            into |= isinstance(op, (Blend, GatedSum)) and value in _fine_gates(op)
            passes = isinstance(op, (Slice, Sum, Rescaling)) or _keeps_ends(op)
            passed = passes and op.result.name in flat - shown
            if value.format == PREACTIVATION and (into or passed):
                flat.add(value.name)
            else:
                shown.add(value.name)
    return frozenset(flat - shown)


def _keeps_ends(op: Op) -> bool:
    """Whether a scaling within one format leaves saturated values where curves are flat."""
    if not isinstance(op, Scaling) or op.value.format != op.result.format:
        return False
    least = np.abs(op.scale.multiplier.astype(np.float64)) * (2.0**15 / 2.0**op.scale.shift)
    reach: FloatArray = (least - np.abs(op.scale.bias.astype(np.float64))) * PREACTIVATION.scale
    return bool(reach.min() >= _FLAT_FROM)


def _rectified(graph: OpGraph) -> frozenset[str]:
    """Values of a cell of which nothing but the part above 0 goes on."""
    shown = {state.after.name for state in graph.carried} | {v.name for v in graph.outputs}
    found: set[str] = set()
    for op in reversed(graph.ops):
        into = isinstance(op, Activation) and op.function is Function.RELU
        into |= isinstance(op, Slice) and op.result.name in found - shown
        (found if into else shown).update(value.name for value in op.reads)
    return frozenset(found - shown)


def _fine_gates(op: Blend | GatedSum) -> list[Value]:
    """Pre-activations of which a wide update takes the sigmoid."""
    gates = [op.share] if isinstance(op, Blend) else [op.loss, op.gain]
    return [gate.value for gate in gates if gate.fine]


def _flat(layer: Layer) -> bool:
    """Whether a layer's affine results go into curves with flat ends."""
    if isinstance(layer, SimpleRNN):
        return layer.activation is CellActivation.TANH
    if isinstance(layer, Dense):
        return layer.activation in (DenseActivation.TANH, DenseActivation.SIGMOID)
    return True


def _moved(layer: Layer, true: FloatArray, narrow: Int32) -> Any:
    """Where a layer would continue with another value without saturation."""
    if _flat(layer):
        return _moved_flat(true, narrow)
    if getattr(layer, "activation") in (CellActivation.RELU, DenseActivation.RELU):  # noqa: B009
        true, narrow = np.maximum(true, 0.0), np.maximum(narrow, np.int32(0))
    return np.abs(true - narrow) > _ROUNDED


def _moved_flat(true: FloatArray, narrow: Int32) -> Any:
    half = PREACTIVATION.scale / 2
    return np.abs(np.tanh(true * half) - np.tanh(narrow * half)) > _VISIBLE
