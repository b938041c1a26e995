"""One layer as C: its constants, its carried vectors, its line in the step."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

from edgernn.graph.lowering import lowered
from edgernn.graph.schedule import schedule
from edgernn.graph.vector_calls import INPUT, Place, StepSchedule, VectorCall
from edgernn.model.formats import Precision
from edgernn.model.layers import (
    LSTM,
    Dense,
    Embedding,
    GRUAfter,
    GRUBefore,
    Layer,
    SimpleRNN,
)
from edgernn.model.storage import padded
from edgernn_export.writers.c import operations
from edgernn_export.writers.c.affine import affine_map
from edgernn_export.writers.c.constants import Check, check_member, identifier, record
from edgernn_export.writers.c.operations import (
    Span,
    Vectors,
    curve_records,
    leak_records,
    norm_records,
    scale_records,
    start_record,
    statements,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """The hand-written C of one kind of layer.

    Attributes:
        stem: of the struct and the step function, before the operand width.
        file: source file in ``edgernn/native``.
        scratch: int16 values of scratch per unit.
    """

    stem: str
    file: str
    scratch: int


#: Layers with a kernel of their own.
KERNELS: Final[dict[type, Kernel]] = {
    SimpleRNN: Kernel(stem="edgernn_simple_rnn", file="edgernn_simple_rnn.c", scratch=0),
    LSTM: Kernel(stem="edgernn_lstm", file="edgernn_lstm.c", scratch=4),
    GRUBefore: Kernel(stem="edgernn_gru_before", file="edgernn_gru.c", scratch=3),
    GRUAfter: Kernel(stem="edgernn_gru_after", file="edgernn_gru.c", scratch=4),
    Dense: Kernel(stem="edgernn_dense", file="edgernn_dense.c", scratch=0),
}


@dataclass(frozen=True, kw_only=True)
class CLayer:
    """A layer record with its place in the model.

    Attributes:
        index: position in the model; in programs that share states, of the layer in all of them.
        layer: the record.
        precision: of the model.
        made: C expression of the place of its output; states stay in place.
        inputs: where the values lie that it reads; none where it reads operands.
        carried: members of the state that another program's layer has, too; none where it has its
            own.
    """

    index: int
    layer: Layer
    precision: Precision
    made: str = "y"
    inputs: tuple[Span, ...] = ()
    carried: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """C identifier, unique in the model."""
        return f"layer{self.index}_{identifier(self.layer.name)}"

    @property
    def kernel(self) -> Kernel | None:
        """The C it runs; None: operation by operation."""
        return KERNELS.get(type(self.layer))

    @property
    def files(self) -> tuple[str, ...]:
        """Source files of what it calls, in ``edgernn/native``."""
        if self.kernel is not None:
            return (self.kernel.file, *[operations.SOURCE] * bool(self.layer.starts))
        if isinstance(self.layer, Embedding):
            return (operations.TOKENS_SOURCE,)
        return (operations.SOURCE, *operations.other_files(self.scheduled))

    @property
    def headers(self) -> tuple[str, ...]:
        """Headers that declare it, in addition to those of every kernel."""
        if self.kernel is not None:
            return (operations.HEADER,) * bool(self.layer.starts)
        if isinstance(self.layer, Embedding):
            return (operations.TOKENS_HEADER,)
        return (operations.HEADER, *operations.other_files(self.scheduled).values())

    @cached_property
    def scheduled(self) -> StepSchedule:
        """The step of a layer without a kernel."""
        return schedule(lowered(self.precision, (self.layer,)))

    @property
    def width(self) -> str:
        """Operand width in bits, as it ends names of kernels."""
        return "8" if self.precision is Precision.W8A8 else "16"

    @property
    def operands(self) -> int:
        """Operand codes in the layer's buffer, padding included."""
        if self.layer.reads_values and not self.layer.affines:
            return 0
        hidden = padded(self.layer.units) if self.layer.states else 0
        if self.kernel is None:
            hidden = padded(self.scheduled.operands)
        return padded(self.layer.inputs) + hidden

    @property
    def scratch(self) -> int:
        """int16 values of scratch."""
        if isinstance(self.layer, Embedding):
            return 0
        if self.kernel is None:
            return self.scheduled.scratch
        return self.kernel.scratch * self.layer.units

    @property
    def vectors(self) -> list[str]:
        """Members of the state for the carried vectors: h, or h and c."""
        own = [*self.carried]
        return own or [f"{self.name}_{spec.name.rpartition('.')[2]}" for spec in self.layer.states]

    @property
    def vector_widths(self) -> dict[str, int]:
        """Length of each of them."""
        return dict(zip(self.vectors, (spec.units for spec in self.layer.states), strict=True))

    @property
    def resets(self) -> list[str]:
        """The statements with which a stream begins."""
        return [
            f"edgernn_repeat(&{self._row_name(vector)}_rows, {spec.units}, state->{vector});"
            if spec.start
            else f"edgernn_zero16(state->{vector}, {spec.units});"
            for vector, spec in zip(self.vectors, self.layer.states, strict=True)
        ]

    def _row_name(self, vector: str) -> str:
        """What the row is named after with which a state begins: a layer without choice has one."""
        return vector if self.layer.starts else self.name

    @property
    def input_places(self) -> tuple[Place, ...]:
        """The parts of its input that it reads as values."""
        if self.kernel is not None:
            return ()
        step = self.scheduled
        places = (*(place for one in step.instructions for place in one.reads), *step.outputs)
        return tuple(place for place in places if place.vector == INPUT)

    @property
    def has_state_output(self) -> bool:
        """Whether the output is the layer's first state; else it has a separate vector."""
        if self.kernel is None:
            (output,) = self.scheduled.outputs
            return (output.vector, output.start, output.width) == (0, 0, self.layer.units)
        return bool(self.vectors)

    @property
    def calls(self) -> list[str]:
        """The statements that run the layer."""
        if self.kernel is None:
            step, layer = self.scheduled, self.layer
            vectors = Vectors(states=self.vectors, inputs=self.inputs)
            if isinstance(layer, Embedding):
                ((place,),) = [one.reads for one in step.instructions]
                return [
                    operations.embed(self.name, vectors.address(place), layer.inputs, self.made)
                ]
            names = {
                VectorCall.SCALE: [*layer.scales],
                VectorCall.NORMALIZE: [*layer.normalizations],
                VectorCall.CURVE: [*layer.curves],
                VectorCall.LEAKY_SUM: [*layer.leaks],
                VectorCall.ADDITIVE_SCORES: [*layer.scales],
            }
            calls = statements(step, self.name, layer.inputs, self.width, vectors, names)
            of = vectors.address(step.outputs[0])
            copied = f"edgernn_copy16({of}, {layer.units}, {self.made});"
            return [*calls, *([] if self.has_state_output else [copied])]
        arguments = [f"&{self.name}", "state->operands"]
        if self.scratch:
            arguments.append("state->z")
        arguments += [f"state->{v}" for v in self.vectors] or [self.made]
        return [f"{self.kernel.stem}{self.width}_step({', '.join(arguments)});"]

    def constants(self) -> tuple[str, list[Check]]:
        """Weights and constants, and the checks of all of them."""
        layer = self.layer
        blocks = [f"/* {layer.kind}: {layer.inputs} inputs, {layer.units} units */\n"]
        members, checks = [], []
        for member, value in self._members() if self.kernel else ():
            members.append(str(value) if isinstance(value, int) else f"EDGERNN_{value.upper()}")
            checks.append(check_member(f"{self.name}.{member}", value))
        for name, affine in layer.affines.items():
            c_map = affine_map(self.name, name, layer, affine)
            blocks.append(c_map.arrays)
            members.append(c_map.initializer)
            checks += c_map.checks
        if self.kernel is not None:
            blocks.append(record(f"{self.kernel.stem}{self.width}", self.name, members))
        elif members:
            fields = "".join(f"    edgernn_map{self.width} {name};\n" for name in layer.affines)
            blocks.append(record(f"struct {{\n{fields}}}", self.name, members))
        if isinstance(layer, Embedding):
            text, of_table = operations.embedding_record(self.name, layer)
            blocks.append(text)
            checks += of_table
        for vector, spec in zip(self.vectors, layer.states, strict=True):
            if spec.start:
                text, of_start = start_record(self._row_name(vector), spec.start)
                blocks.append(text)
                checks += of_start
        if layer.scales:
            text, of_scales = scale_records(self.name, layer.scales)
            blocks.append(text)
            checks += of_scales
        if layer.normalizations:
            text, of_norms = norm_records(self.name, layer.normalizations)
            blocks.append(text)
            checks += of_norms
        if layer.curves:
            text, of_curves = curve_records(self.name, layer.curves)
            blocks.append(text)
            checks += of_curves
        if layer.leaks:
            text, of_leaks = leak_records(self.name, layer.leaks)
            blocks.append(text)
            checks += of_leaks
        return "\n".join(blocks), checks

    def _members(self) -> list[tuple[str, int | str]]:
        """Members of the kernel's struct before its maps: numbers, and activations by name."""
        layer = self.layer
        units = ("units", layer.units)
        if isinstance(layer, Dense):
            return [units, ("activation", layer.activation.value)]
        shape = [("inputs", layer.inputs), units]
        if isinstance(layer, SimpleRNN):
            return [*shape, ("activation", layer.activation.value)]
        assert isinstance(layer, (LSTM, GRUBefore, GRUAfter))  # the other kinds with a kernel
        gate = ("gate", layer.gate_activation.value)
        if isinstance(layer, LSTM):
            return [*shape, gate, ("cell_exponent", layer.cell_exponent)]
        return [*shape, gate]
