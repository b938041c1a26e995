"""Look inside recurrent networks: gates over a stream, memory of units, gradients, training.

    from edgernn_export.inspection import gate_traces, gradients, memory

    print(gate_traces(model, readings).table())
    print(memory(model).table())
    print(gradients(keras_network, compare=True).table())

Experiments on training, each with a table and a picture: forget_bias, clipping,
truncated_backpropagation.
"""

from edgernn_export.inspection.experiment import Experiment, Variant
from edgernn_export.inspection.gate_values import ValueTrace
from edgernn_export.inspection.gradient_norms import GradientNorms, Gradients, gradients
from edgernn_export.inspection.half_lives import Memory, StateMemory, memory
from edgernn_export.inspection.learning import (
    clipping,
    forget_bias,
    truncated_backpropagation,
)
from edgernn_export.inspection.traces import GateTraces, gate_traces

__all__ = [
    "Experiment",
    "GateTraces",
    "GradientNorms",
    "Gradients",
    "Memory",
    "StateMemory",
    "ValueTrace",
    "Variant",
    "clipping",
    "forget_bias",
    "gate_traces",
    "gradients",
    "memory",
    "truncated_backpropagation",
]
