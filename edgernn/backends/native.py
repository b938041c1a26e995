"""Executes .edgernn files with the C kernels of ``edgernn/native``, as compiled for this machine.

The extension module ``edgernn._native`` is built when the package is installed where there is a C
compiler. It holds the kernels for several instruction sets and takes the best one of the
processor it runs on; all give the same bits.
"""

from __future__ import annotations

import enum
import importlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgernn.backends.base import State, Stream
from edgernn.backends.clipping import warn_clipped
from edgernn.backends.native_layout import LAYOUTS, StorageChoice
from edgernn.backends.rows import ChannelPolicies, StreamRows
from edgernn.backends.streams.native_rows import NativeRows
from edgernn.errors import BackendUnavailable, EdgeRnnError
from edgernn.graph.lowering import lowered
from edgernn.graph.ops import Function
from edgernn.graph.schedule import schedule
from edgernn.graph.vector_calls import INPUT, SCRATCH, Place, VectorCall, VectorInstruction
from edgernn.model.affine import Affine, Affine8, Term8, Term16
from edgernn.model.formats import Int16Array, OperandArray, Precision
from edgernn.model.functions.curves import CurveTable
from edgernn.model.integer_model import IntegerModel
from edgernn.model.layers import (
    LSTM,
    Dense,
    GRUAfter,
    GRUBefore,
    Layer,
    SimpleRNN,
    held_codes,
)
from edgernn.model.program_sets.program_set import ProgramSet
from edgernn.model.scales import LeakConstants, NormalizationConstants, ScaleVector
from edgernn.model.storage import Storage, arranged, kept_tiles, padded, tile_index

#: Environment variable that names the instruction set where the option does not.
ISA_VARIABLE: Final = "EDGERNN_ISA"
#: In the order of native_kind in ``extension/program/program.h``; any other layer is operations.
_KINDS: Final = (SimpleRNN, LSTM, GRUBefore, GRUAfter, Dense)
#: In the order of native_call in the same file.
_CALLS: Final = tuple(VectorCall)
#: In the order of edgernn_activation in ``native/edgernn_tables.h``.
_ACTIVATIONS: Final = ("linear", "relu", "tanh", "sigmoid", "hard_sigmoid")
#: What the C layer wants to hear of layers that have no cell.
_NO_CELL: Final = 10


def _module() -> Any:
    """The extension module.

    Raises:
        BackendUnavailable: it was not built, or not for this machine.
    """
    try:
        return importlib.import_module("edgernn._native")
    except ImportError as error:
        raise BackendUnavailable(
            f"backend 'native': expected the compiled module edgernn._native, got none "
            f"({error!s:.120}). Run 'edgernn doctor', which prints the command that builds it; or "
            "use backend='reference'."
        ) from error


def is_available() -> bool:
    """Whether the extension module is installed and can be loaded."""
    try:
        _module()
    except BackendUnavailable:
        return False
    return True


def isas() -> list[str]:
    """Instruction sets that this build and this processor have, the fastest first.

    Raises:
        BackendUnavailable: the extension module is missing.
    """
    names: list[str] = _module().isas()
    return names


def open_native(
    path: Path, isa: str = "auto", layout: str = "fast", program: str = ""
) -> NativeBackend:
    """Open an .edgernn file.

    Args:
        path: the file.
        isa: one of `isas`; "auto" takes the environment variable EDGERNN_ISA, or the fastest.
        layout: "fast" holds sparse and 4-bit weights in a byte each where steps are faster so;
            "stored" takes less memory, all weights stay as the file stores them. Same results.
        program: which program of a file of several.

    Raises:
        FormatError: the file breaks FORMAT.md.
        EdgeRnnError: no such layout.
        BackendUnavailable: the extension module is missing, or has no such instruction set.
    """
    model = ProgramSet.load(path)[program] if program else IntegerModel.load(path)
    return NativeBackend(model, isa, layout)


class NativeBackend:
    """One model, laid out for one instruction set (see `edgernn.backends.base.Backend`).

    Streams over it may run in several threads at a time, each stream in one of them.

    Attributes:
        isa: the instruction set in use.
    """

    name = "native"

    def __init__(self, model: IntegerModel, isa: str = "auto", layout: str = "fast") -> None:
        """Lay out the model's weights; `isa` and `layout` as in `open_native`."""
        if layout not in LAYOUTS:
            raise EdgeRnnError(
                f"backend 'native': expected layout {' or '.join(LAYOUTS)}, got {layout!r:.40}."
            )
        known = isas()
        wanted = os.environ.get(ISA_VARIABLE) or "auto" if isa == "auto" else isa
        if wanted not in ("auto", *known):
            raise BackendUnavailable(
                f"backend 'native': expected isa auto, {', '.join(known)}, got {wanted!r:.40}. "
                f"Set the option isa or the variable {ISA_VARIABLE} to one of these."
            )
        self.interface = interface = model.interface()

        def report(channel: int, value: float) -> None:
            warn_clipped(interface, channel, value)

        program = _program(model, known[0] if wanted == "auto" else wanted, layout, report)
        self._program = program
        self.isa: str = program.isa()
        #: Makes a stream in the zero state, in memory of the extension module.
        self.new_stream: Callable[[], Stream] = program.stream

    def step(self, q_x: OperandArray, state: State) -> tuple[Int16Array, State]:
        """Advance one stream by one reading; see `Backend.step`."""
        q_ys, state = self.run(q_x[None], state)
        return q_ys[0], state

    def run(self, q_xs: OperandArray, state: State) -> tuple[Int16Array, State]:
        """Advance one stream by T readings; see `Backend.run`."""
        stream = self.new_stream()
        stream.state = tuple([np.ascontiguousarray(q, np.int16) for q in state])
        codes = np.ascontiguousarray(q_xs, self.interface.code_dtype)
        return stream.advance(codes), stream.state

    def rows(self, policies: ChannelPolicies, padded: bool, /) -> StreamRows | None:
        """See `RowsBackend.rows`; None for windows, rates, tokens and masks."""
        interface = self.interface
        source = interface.input
        if padded or interface.window or interface.rate or source.vocabulary:
            return None
        if source.mask is not None:
            return None
        return NativeRows(self._program, interface, policies)

    def run_sequences(
        self, q_xs: Sequence[OperandArray], last: bool = False, threads: int = 1
    ) -> list[Int16Array]:
        """Run whole streams in one call; see `SequenceBackend.run_sequences`."""
        dtype = self.interface.code_dtype
        codes = [np.ascontiguousarray(q, dtype) for q in q_xs]
        order = sorted(range(len(codes)), key=lambda b: -len(codes[b]))
        found: list[Int16Array] = [np.empty((0, 0), dtype=np.int16)] * len(codes)

        def run(which: list[int]) -> None:
            q_ys = self._program.run_sequences([codes[b] for b in which], last)
            for b, one in zip(which, q_ys[:, None] if last else q_ys, strict=True):
                found[b] = one

        parts = [order[start::threads] for start in range(min(threads, len(order)))]
        if len(parts) > 1:
            from concurrent.futures import ThreadPoolExecutor  # takes a while to import

            with ThreadPoolExecutor(len(parts)) as executor:
                list(executor.map(run, parts))
        else:
            run(order)
        return found

    def close(self) -> None:
        """Nothing to release."""


def _program(
    model: IntegerModel, isa: str, layout: str, report: Callable[[int, float], None]
) -> Any:
    """The model in the form of the extension module; ``report`` hears of clipped readings."""
    step, readings = model.precision.input_step, model.step_readings
    chosen = StorageChoice(model, isa, layout)
    return _module().Program(
        isa,
        8 * model.precision.operand_dtype.itemsize,
        model.step_width,
        model.output.width,
        tuple(_layer(layer, chosen) for layer in model.layers),
        np.tile(model.input.offset, readings),
        np.tile(step * model.input.scale, readings),
        model.output.scale,
        report,
        _routes(model),
        _start(model),
        _vocabulary(model),
    )


def _start(model: IntegerModel) -> bytes | None:
    """What streams begin with, all states one behind another; None: zeros."""
    if not any(spec.start for spec in model.states):
        return None
    return b"".join(spec.initial().tobytes() for spec in model.states)


def _vocabulary(model: IntegerModel) -> bytes | None:
    """How many tokens each code of a step tells apart, 0 of a real one; None where none is one."""
    sizes = model.input.vocabulary * model.step_readings
    return np.array(sizes, dtype=np.int32).tobytes() if sizes else None


def _routes(model: IntegerModel) -> tuple[tuple[tuple[int, int, int], ...], ...]:
    """What the layers and the output read; none where each reads the operands of the one before."""
    if not model.routes and not any(layer.reads_values for layer in model.layers):
        return ()
    return tuple(
        tuple((part.source, part.start, part.width) for part in route) for route in model.wiring
    )


def _layer(layer: Layer, layout: StorageChoice) -> tuple[object, ...]:
    """(kind, inputs, units, activation, cell exponent, maps), of operations with their step."""
    if type(layer) not in _KINDS:
        return _operations(layer, layout)
    if isinstance(layer, (SimpleRNN, Dense)):
        activation: enum.Enum = layer.activation
    else:
        assert isinstance(layer, (LSTM, GRUBefore, GRUAfter))  # the other kinds with a kernel
        activation = layer.gate_activation
    exponent = layer.cell_exponent if isinstance(layer, LSTM) else _NO_CELL
    maps = tuple(_map(layer, affine, layout) for affine in layer.affines.values())
    kind = _KINDS.index(type(layer))
    number = _ACTIVATIONS.index(activation.value)
    return kind, layer.inputs, layer.units, number, exponent, maps


def _operations(layer: Layer, layout: StorageChoice) -> tuple[object, ...]:
    """A layer without a kernel: maps with their rows, and its step.

    The step is (scratch, operands behind the input, widths of the states, output, instructions,
    values of the input that the scratch begins with, constants that scale, and, if there are any,
    those that normalize, whether the output is input codes, tables, curves and leaks).
    """
    short = all(isinstance(affine, Affine8) for affine in layer.affines.values())
    step = schedule(lowered(Precision.W8A8 if short else Precision.W8A16, (layer,)))
    widths = [spec.units for spec in layer.states]
    starts = [sum(widths[:vector]) for vector in range(len(widths))]
    values = layer.inputs if layer.reads_values else 0
    of_maps = list(layer.affines)
    named = {
        VectorCall.SCALE: list(layer.scales),
        VectorCall.NORMALIZE: list(layer.normalizations),
        VectorCall.EMBED: list(layer.tables),
        VectorCall.CURVE: list(layer.curves),
        VectorCall.LEAKY_SUM: list(layer.leaks),
        VectorCall.ADDITIVE_SCORES: list(layer.scales),
    }

    def place(one: Place | None) -> int:
        if one is None:
            return 0
        if one.vector == INPUT:
            return -1 - one.start
        return -1 - values - one.start if one.vector == SCRATCH else starts[one.vector] + one.start

    def instruction(one: VectorInstruction) -> tuple[int, ...]:
        option = one.option
        if isinstance(option, Function):
            option = _ACTIVATIONS.index(option.value)
        elif isinstance(option, str):
            option = named.get(one.call, of_maps).index(option)
        reads = [place(read) for read in one.reads] + [0, 0, 0]
        if one.call is VectorCall.ROW:
            reads, option = [0, 0], one.reads[0].start
        count = (one.result or one.reads[0]).width
        if one.call is VectorCall.PUSH:
            option = one.reads[0].width
        call = _CALLS.index(one.call), count, option or 0, *reads[:2], place(one.result)
        if not one.numbers:
            return call
        shares = sum(number << (2 * at) for at, number in enumerate(one.numbers))
        return *call, *reads[2:5], shares

    maps = tuple((a.rows, _map(layer, a, layout)) for a in layer.affines.values())
    calls = tuple(map(instruction, step.instructions))
    scales = tuple(map(_scale, layer.scales.values()))
    norms = tuple(map(_normalization, layer.normalizations.values()))
    output = place(step.outputs[0])
    room = values + step.scratch
    held = bool(held_codes((layer,)))
    tables = tuple(_table(getattr(layer, name)) for name in layer.tables)
    curves = tuple(map(_curve, layer.curves.values()))
    leaks = tuple(map(_leak, layer.leaks.values()))
    more: tuple[object, ...] = ()
    if curves or leaks:
        more = norms, held, tables, curves, leaks
    elif tables:
        more = norms, held, tables
    elif norms or held:
        more = norms, held
    own = room, step.operands, tuple(widths), output, calls, values, scales, *more
    return len(_KINDS), layer.inputs, layer.units, 0, _NO_CELL, maps, own


def _scale(scale: ScaleVector) -> tuple[object, ...]:
    """(elements, shift, multipliers, offsets or None)."""
    bias = scale.bias.astype(np.int16).tobytes() if scale.has_bias else None
    return scale.width, scale.shift, scale.multiplier.astype(np.int16).tobytes(), bias


def _curve(curve: CurveTable) -> tuple[object, ...]:
    """(bits of a step, low, high, entries)."""
    return curve.step_bits, curve.low, curve.high, curve.entries.tobytes()


def _leak(leak: LeakConstants) -> tuple[object, ...]:
    """(elements, upper and lower halves of shares, shifts)."""
    return leak.width, leak.high.tobytes(), leak.low.tobytes(), leak.shift.tobytes()


def _table(table: npt.NDArray[np.int8]) -> tuple[object, ...]:
    """(rows, columns, entries)."""
    return *table.shape, table.tobytes()


def _normalization(made: NormalizationConstants) -> tuple[object, ...]:
    """(elements, least, most and square bits, gain, shift, epsilon)."""
    numbers = made.least_bits, made.most_bits, made.square_bits, made.gain, made.shift
    return made.width, *numbers, made.epsilon.astype(np.int32).tobytes()


def _map(layer: Layer, affine: Affine, layout: StorageChoice) -> tuple[object, ...]:
    """(shift, bias, terms) of `w8a8`, (terms,) of `w8a16`."""
    storages = enumerate(layout.storages(layer, affine))
    terms = tuple(_term(layer, affine.terms[i], storage) for i, storage in storages)
    if isinstance(affine, Affine8):
        return affine.shift, _rows(affine.bias, np.int32), terms
    return (terms,)


def _term(layer: Layer, term: Term8 | Term16, storage: Storage) -> tuple[object, ...]:
    """(first operand, weights, multiplier), of `w8a16` bias and shift, and how it is stored."""
    weights, stored = _stored(storage, arranged(term.weights, layer.parts(term.source)))
    head = layer.first_operand(term.source), weights
    if isinstance(term, Term8):
        return *head, _rows(term.multiplier, np.int32), *stored
    rows = _rows(term.multiplier, np.int16), _rows(term.bias, np.int32)
    shift = _rows(term.shift, np.uint8, fill=1)  # half_up needs one
    return *head, *rows, shift, *stored


def _stored(storage: Storage, filled: npt.NDArray[np.int8]) -> tuple[bytes, tuple[object, ...]]:
    """Weights; then nothing, or (index of tiles, bits of a weight)."""
    if storage is Storage.DENSE8:
        return filled.tobytes(), ()
    if storage is Storage.SPARSE8:
        return kept_tiles(filled).tobytes(), (tile_index(filled).tobytes(), 8)
    return filled.tobytes(), (None, 4)


def _rows(values: npt.NDArray[Any], dtype: npt.DTypeLike, fill: int = 0) -> bytes:
    """One value per row, in full tiles."""
    extra = padded(len(values)) - len(values)
    return np.pad(values, (0, extra), constant_values=fill).astype(dtype).tobytes()
