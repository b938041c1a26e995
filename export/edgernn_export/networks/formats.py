"""The formats of trained networks, one row each; adding one is a row and a function."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from edgernn_export.file_contents.contents import TFLITE_MARK, Contents, fields_of
from edgernn_export.float_model.model import FloatModel
from edgernn_export.float_model.program_sets.chunks import FloatChunks
from edgernn_export.float_model.program_sets.programs import FloatPrograms

#: What a format's reader returns: a network over one stream, over chunks, or over several streams.
AnyNetwork = FloatModel | FloatChunks | FloatPrograms
Labels = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkFormat:
    """A format of trained networks.

    Attributes:
        name: how messages call it.
        accepted: what is passed, for the error that lists all formats.
        holds: whether a path is of this format, by its content.
        alive: top-level modules and names of classes whose objects are of this format, those of
            subclasses too.
        holds_bytes: whether bytes are of this format.
        read: reads a path or an object, with labels and the options that are given.
        options: names of arguments that this format takes besides names and units of channels.
    """

    name: str
    accepted: str
    holds: Callable[[Contents], bool]
    alive: tuple[tuple[str, str], ...]
    read: Callable[..., AnyNetwork]
    options: frozenset[str] = frozenset()
    holds_bytes: Callable[[bytes], bool] = lambda _: False

    def is_alive(self, source: Any) -> bool:
        """Whether an object is of this format; its library is not imported to ask."""
        if isinstance(source, bytes):
            return self.holds_bytes(source)
        classes = ((base.__module__, base.__name__) for base in type(source).__mro__)
        return any(
            module.partition(".")[0] == top and name == wanted
            for module, name in classes
            for top, wanted in self.alive
        )


def _is_keras(contents: Contents) -> bool:
    from edgernn_export.keras_reader.stored.kind import holds_keras

    return holds_keras(contents)


def _keras(source: Any, labels: Labels, **options: Any) -> AnyNetwork:
    from edgernn_export.keras_reader.program_sets.passes import read_whole

    return read_whole(source, labels=labels, **options)


def _onnx(
    source: Any, labels: Labels, input_values: Any = None, input_shapes: Any = None
) -> AnyNetwork:
    from edgernn_export.onnx_reader.reader import stored_onnx

    return _keras(stored_onnx(source, input_values, input_shapes), labels)


def _tflite(source: Any, labels: Labels) -> AnyNetwork:
    from edgernn_export.tflite_reader.reader import stored_tflite

    return _keras(stored_tflite(source), labels)


def _is_program(contents: Contents) -> bool:
    from edgernn_export.torch_reader.source import holds_program

    return holds_program(contents)


def _torch(source: Any, labels: Labels, example: Any = None, readings: Any = None) -> AnyNetwork:
    from edgernn_export.torch_reader.reader import torch_network

    return _keras(torch_network(source, example, readings), labels)


def _is_weights(contents: Contents) -> bool:
    from edgernn_export.weight_files.tensors.tensor_file import holds_tensors

    return holds_tensors(contents)


def _weights(source: Any, labels: Labels, layout: Any = None) -> AnyNetwork:
    from edgernn_export.weight_files.weights_reader import weights_network

    return _keras(weights_network(source, layout), labels)


#: Asked in this order: a Keras model may be a torch module as well.
FORMATS: Final = (
    NetworkFormat(
        name="Keras",
        accepted="Keras models (.keras, HDF5, SavedModel, JSON with weights)",
        holds=_is_keras,
        alive=(("keras", "Model"), ("tf_keras", "Model"), ("tensorflow", "Model")),
        read=_keras,
        options=frozenset({"weights"}),
    ),
    NetworkFormat(
        name="ONNX",
        accepted="ONNX models (.onnx)",
        holds=lambda contents: contents.onnx,
        holds_bytes=lambda content: content.startswith(b"\x08") and 7 in fields_of(content),
        alive=(("onnx", "ModelProto"),),
        read=_onnx,
        options=frozenset({"input_values", "input_shapes"}),
    ),
    NetworkFormat(
        name="TFLite",
        accepted="TFLite models of real numbers (.tflite)",
        holds=lambda contents: contents.tflite,
        holds_bytes=lambda content: content[4:8] == TFLITE_MARK,
        alive=(),
        read=_tflite,
    ),
    NetworkFormat(
        name="PyTorch",
        accepted="PyTorch modules, and programs of torch.export.save (.pt2)",
        holds=_is_program,
        alive=(("torch", "Module"), ("torch", "ExportedProgram")),
        read=_torch,
        options=frozenset({"example", "readings"}),
    ),
    NetworkFormat(
        name="weights",
        accepted="weights and their layout (.safetensors, .pt, .npz, dictionaries of arrays)",
        holds=_is_weights,
        alive=(("builtins", "dict"),),
        read=_weights,
        options=frozenset({"layout"}),
    ),
)
