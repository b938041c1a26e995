"""From a module of PyTorch, or a file of torch.export, to a float model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from os import PathLike
from typing import Any, Final

from edgernn.errors import UnsupportedModelError
from edgernn_export.float_model.model import FloatModel
from edgernn_export.float_model.program_sets.chunks import FloatChunks
from edgernn_export.keras_reader.findings import Findings
from edgernn_export.keras_reader.program_sets.passes import read_described
from edgernn_export.keras_reader.stored.network import StoredModel
from edgernn_export.operator_reader.graphs.network import OperatorGraph, described_model
from edgernn_export.operator_reader.graphs.refusals import RefusalRules
from edgernn_export.operator_reader.operators import Handler, OperatorNode
from edgernn_export.operator_reader.values import Traced
from edgernn_export.torch_reader.capture import exported, with_another_step
from edgernn_export.torch_reader.examples import examples_of
from edgernn_export.torch_reader.graph import TorchProgram, program_of
from edgernn_export.torch_reader.handlers.constant_handlers import FOLDED, folded
from edgernn_export.torch_reader.handlers.convolution_handlers import CONVOLUTIONS
from edgernn_export.torch_reader.handlers.layer_handlers import LAYERS
from edgernn_export.torch_reader.handlers.normalization_handlers import NORMALIZATIONS
from edgernn_export.torch_reader.handlers.recurrent_handlers import RECURRENT
from edgernn_export.torch_reader.handlers.shape_handlers import SHAPES
from edgernn_export.torch_reader.source import open_torch
from edgernn_export.torch_reader.wording import TORCH, unsupported

#: What reads each operator that may depend on the readings.
HANDLERS: Final[dict[str, Handler]] = {
    **SHAPES,
    **LAYERS,
    **NORMALIZATIONS,
    **CONVOLUTIONS,
    **RECURRENT,
}


def _keeps(node: OperatorNode, value: Traced) -> bool:
    """Whether a result has the sizes of what it is made of, and its elements their places."""
    sizes = tuple(size if isinstance(size, int) else None for size in value.sizes)
    return node.kind not in SHAPES and node.attributes.get("sizes") == sizes


#: About operators that are refused.
RULES: Final = RefusalRules(
    foldable=frozenset(FOLDED), independent=frozenset({"conv1d", *RECURRENT}), keeping=_keeps
)


def read_torch(
    source: str | PathLike[str] | Any,
    example: Any = None,
    *,
    input_names: Sequence[str] | None = None,
    input_units: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    output_units: Sequence[str] | None = None,
) -> FloatModel | FloatChunks:
    """Read a network of PyTorch.

    Args:
        source: a torch.nn.Module, whose flags, weights and hooks do not change, a
            torch.export.ExportedProgram, or the path of a file of torch.export.save (.pt2).
        example: what a module is called with: a tensor or array, a tuple of them, or a mapping of
            keyword arguments; a few readings are enough, their values do not matter. Programs
            need none.
        input_names: one per feature; x0, x1, ... by default, of several inputs their names,
            numbered where they have more than one feature.
        input_units: physical units, one per feature; "" by default.
        output_names: one per output; y0, y1, ... by default, or as those of inputs.
        output_units: physical units, one per output; "" by default.

    Returns:
        The float model, or that of whole chunks for a network that reads backward.

    Raises:
        BackendUnavailable: torch is not installed.
        FileNotFoundError: there is nothing at the path.
        ShapeError: the number of names or units does not fit.
        UnsupportedModelError: there is no example, torch cannot export the module, or it holds
            something edgernn does not execute; the error lists everything found.

    Warns:
        StreamKindWarning: the states of the network are its inputs and outputs.
    """
    model = torch_network(source, example)
    labels: dict[str, Any] = {
        "input_names": input_names,
        "input_units": input_units,
        "output_names": output_names,
        "output_units": output_units,
    }
    return read_described(model, labels)


def torch_network(
    source: str | PathLike[str] | Any, example: Any = None, readings: Any = None
) -> StoredModel:
    """A network of PyTorch as calls of described layers.

    Args:
        source: as for `read_torch`.
        example: as for `read_torch`.
        readings: what the network reads, as calibration has it: an example is made of it where
            there is none.

    Raises:
        BackendUnavailable, FileNotFoundError, UnsupportedModelError: as there.
    """
    opened, name = open_torch(source)
    if hasattr(opened, "graph_signature"):
        return _of_program(opened, name)
    if example is not None or readings is None:
        return _of_module(opened, name, example)
    first: UnsupportedModelError | None = None
    for tried, whole in examples_of(readings, opened):
        try:
            return _of_module(opened, name, tried, windows=whole)
        except UnsupportedModelError as error:
            first = first or error
    if first is not None:
        raise first
    return _of_module(opened, name, None)


def _of_program(exported_program: Any, name: str) -> StoredModel:
    """The network of a program: for any number of steps, where its example alone fixed that."""
    findings = Findings(wording=TORCH)
    program = program_of(exported_program, findings)
    open_steps = program.with_open_steps()
    if open_steps is not None and not findings.reasons:
        try:
            return described_model(_graph(name, open_steps), Findings(wording=TORCH))
        except UnsupportedModelError:
            pass  # something in it is made for this number of steps
    return described_model(_graph(name, program), findings)


def _of_module(module: Any, name: str, example: Any, *, windows: bool = True) -> StoredModel:
    """The network of a module called with an example, which may be as long as its windows."""
    findings = Findings(wording=TORCH)
    program = program_of(exported(module, example, name), findings)
    if program.loops:
        program = _with_open_steps(program, module, example, name)
    try:
        return described_model(_graph(name, program), findings)
    except UnsupportedModelError as error:
        fixed = _of_fixed_sizes(program, module, example, name) if windows else None
        if fixed is None:
            raise error
        return fixed


def _with_open_steps(program: TorchProgram, module: Any, example: Any, name: str) -> TorchProgram:
    """A program of loops with open numbers of steps, if one step more is one round more."""
    steps = program.loops[0]
    longer = with_another_step(example, [given.sizes for given in program.inputs], steps)
    try:
        other = program_of(exported(module, longer, name), Findings(wording=TORCH))
    except UnsupportedModelError:
        return program
    kinds = [[node.kind for node in one.nodes] for one in (program, other)]
    if other.loops != tuple(count + 1 for count in program.loops) or kinds[0] != kinds[1]:
        return program
    inputs = tuple(
        replace(given, sizes=tuple(None if size == steps else size for size in given.sizes))
        for given in program.inputs
    )
    return replace(program, inputs=inputs)


def _of_fixed_sizes(
    program: TorchProgram, module: Any, example: Any, name: str
) -> StoredModel | None:
    """The network for windows as long as the example, where it reads no others; None for none."""
    if all(None not in given.sizes for given in program.inputs):
        return None
    findings = Findings(wording=TORCH)
    try:
        fixed = program_of(exported(module, example, name, fixed=True), findings)
        return described_model(_graph(name, fixed), findings)
    except UnsupportedModelError:
        return None


def _graph(name: str, program: TorchProgram) -> OperatorGraph:
    plain = name.replace("'", "_")
    return OperatorGraph(
        name=name,
        origin=f"'{plain}' (PyTorch)",
        inputs=program.inputs,
        constants=program.constants,
        nodes=program.nodes,
        outputs=program.outputs,
        handlers=HANDLERS,
        folded=folded,
        unsupported=lambda node: unsupported(node, HANDLERS),
        wording=TORCH,
        trimming=frozenset({"slice"}),
        rules=RULES,
    )
