"""Which reader understands which class of Keras layer; every other class is refused by name."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from typing import Any, Final

from edgernn_export.keras_reader.findings import Context, Findings, class_of, owner_of
from edgernn_export.keras_reader.layers.config import is_builtin, registered_name
from edgernn_export.keras_reader.layers.convolution import (
    OWN_LAYERS,
    read_conv1d,
    read_depthwise,
    read_pooling,
    read_separable,
    read_whole_pooling,
    read_zero_padding,
)
from edgernn_export.keras_reader.layers.dense import (
    read_activation,
    read_dense,
    read_dense_rows,
    read_embedding,
    read_function_class,
    read_prelu,
    read_softmax,
    read_time_distributed,
)
from edgernn_export.keras_reader.layers.layer_parts import LayerPart, UnknownPart
from edgernn_export.keras_reader.layers.neutral import (
    read_flatten,
    read_neutral,
    read_permute,
    read_repeat,
    read_resampling,
    read_reshape,
)
from edgernn_export.keras_reader.layers.recurrent import read_cell, read_recurrent, read_rnn
from edgernn_export.keras_reader.layers.scaling import (
    read_batch_normalization,
    read_layer_normalization,
    read_normalization,
    read_rescaling,
)

#: Which reader understands which class of keras.layers.
READERS: dict[str, Callable[[Any, Context], tuple[LayerPart, ...]]] = {
    "Activation": read_activation,
    "ActivityRegularization": read_neutral,
    "AlphaDropout": read_neutral,
    "AveragePooling1D": read_pooling,
    "BatchNormalization": read_batch_normalization,
    "Conv1D": read_conv1d,
    "Cropping1D": read_resampling,
    "Dense": read_dense,
    "DepthwiseConv1D": read_depthwise,
    "Dropout": read_neutral,
    "ELU": read_function_class,
    "Embedding": read_embedding,
    "Flatten": read_flatten,
    "GRU": read_recurrent,
    "GRUCell": read_cell,
    "GaussianDropout": read_neutral,
    "GaussianNoise": read_neutral,
    "GlobalAveragePooling1D": read_whole_pooling,
    "GlobalMaxPooling1D": read_whole_pooling,
    "Identity": read_neutral,
    "LSTM": read_recurrent,
    "LSTMCell": read_cell,
    "LayerNormalization": read_layer_normalization,
    "LeakyReLU": read_function_class,
    "Masking": read_neutral,
    "MaxPooling1D": read_pooling,
    "Normalization": read_normalization,
    "PReLU": read_prelu,
    "Permute": read_permute,
    "RNN": read_rnn,
    "ReLU": read_function_class,
    "RepeatVector": read_repeat,
    "Rescaling": read_rescaling,
    "Reshape": read_reshape,
    "SeparableConv1D": read_separable,
    "SimpleRNN": read_recurrent,
    "SimpleRNNCell": read_cell,
    "Softmax": read_softmax,
    "SpatialDropout1D": read_neutral,
    "ThresholdedReLU": read_function_class,
    "TimeDistributed": read_time_distributed,
    "UpSampling1D": read_resampling,
    "ZeroPadding1D": read_zero_padding,
}
#: What other formats describe and Keras has no layer for.
_DESCRIBED: dict[str, Callable[[Any, Context], tuple[LayerPart, ...]]] = {
    "DenseRows": read_dense_rows,
}
#: Layers that may give their values another shape, and do nothing else.
_SHAPES = (read_flatten, read_neutral, read_permute, read_reshape)
#: Layers that take several tensors, which `layers.merging` reads.
JOINING = ("Add", "Average", "Concatenate", "Maximum", "Minimum", "Multiply", "Subtract")
#: Layers of attention, which `layers.attention` reads.
ATTENTION = ("AdditiveAttention", "Attention", "MultiHeadAttention")
#: All that are read.
SUPPORTED = tuple(sorted((*READERS, *JOINING, *ATTENTION)))
#: Operations that layer normalization is written with in other formats, and nothing else.
ROOT: Final = "Sqrt"
RECIPROCAL: Final = "Reciprocal"
_RECURRENT_NAME = re.compile(r"RNN|LSTM|GRU|Bidirectional")
_NO_ROOT: Final = (
    "Integer models have roots and quotients in layer normalization only: train with that, or "
    "without them."
)
_CURES = {
    "Bidirectional": "A stream has no last step to begin at. Quantize the network for whole chunks "
    "with edgernn_export.quantize or: edgernn quantize; or train a forward layer.",
    "ConvLSTM1D": "Flatten each reading (keras.layers.TimeDistributed(keras.layers.Flatten())) "
    "and train with a Dense layer and an LSTM.",
    ROOT: _NO_ROOT,
    RECIPROCAL: _NO_ROOT,
    "QuantizeInput": "Convert the trained network with edgernn_export.compress.qat.integer_model.",
    "Lambda": "Select the last step by x[:, -1] or return_sequences=False. Do any other "
    "computation outside the model, or train without it.",
}


def read_layer(layer: Any, context: Context) -> tuple[LayerPart, ...]:
    """Read one layer with the reader of exactly its class; subclasses are refused."""
    name = class_of(layer)
    if name in READERS and is_builtin(layer):
        return READERS[name](layer, context)
    if name in _DESCRIBED and hasattr(layer, "origin") and layer.origin:
        return _DESCRIBED[name](layer, context)
    own = OWN_LAYERS.get(registered_name(layer) or "")
    if own is not None:
        return own.read(layer, context)
    refuse_class(layer, context.findings)
    recurrent = _RECURRENT_NAME.search(name) is not None
    return (UnknownPart(owner=owner_of(layer), recurrent=recurrent),)


def is_shape_only(layer: Any) -> bool:
    """Whether a layer does nothing to values but give them another shape."""
    return is_builtin(layer) and READERS.get(class_of(layer)) in _SHAPES


def refuse_class(layer: Any, findings: Findings) -> None:
    """Note that no reader supports the class of a layer."""
    name = class_of(layer)
    if hasattr(layer, "stored_class"):
        stranger = layer.custom
    else:
        ours = type(layer).__module__.startswith("keras.")
        stranger = None if ours else f"{type(layer).__module__}.{type(layer).__qualname__}"
    got = f"the class {stranger}" if stranger else name
    cure = _CURES.get(name, "Train with a supported layer instead.")
    if not stranger and name in SUPPORTED:  # an operation on tensors that is called as a layer
        got = f"the operation {name}{' with a constant' * (name in JOINING)}"
        if name in READERS:
            cure = f"Use the layer keras.layers.{name} instead."
    near = [] if name in SUPPORTED else difflib.get_close_matches(name, SUPPORTED, cutoff=0.55)
    such = f", such as {', '.join(near)}" if near else ""
    findings.add(owner_of(layer), f"a supported layer (docs/reference/support.md){such}", got, cure)
