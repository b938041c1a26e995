"""Quantize a trained network, evaluate it and export it to the formats that devices run.

    from edgernn_export import evaluate, export, quantize

    model = quantize("model.keras", calibration=streams, precision="w8a8")
    model.save("model.edgernn")
    print(evaluate(model, "test.csv", "demand", float_model="model.keras").table())
    export(model, "build/", formats=("tflite", "onnx", "c"))

Convert:
    quantize             convert a Keras model to an edgernn.IntegerModel
    quantize_programs    the same for an encoder and a decoder; returns an edgernn.ProgramSet
    export               write .tflite, .onnx and C99 sources
    prepare              raw readings with times -> what the model reads, for training
    evaluate             compare with the float network and with targets
    attention_shares     what attention of an integer model looks at, step by step
    draw_shares          the same as a picture

Read weights alone:
    torch_layout    say what the tensors of a state dict of PyTorch are
    flax_layout     the same for parameters of Flax
    read_layout     the same from a file
    WeightLayout    what these return: layers, in the order of application

Make a network smaller, before quantization:
    compress.pruning         MagnitudePruning: sparse weights, during training
    compress.structured      remove_units, remove_inputs, factorize, GroupLasso
    compress.qat             qat_model, integer_model: quantization-aware training
    compress.distillation    Distiller: train a small network on the outputs of a large one
    compress.pytorch         qat_module, ModulePruner, DistillationLoss: the same in PyTorch

Train and search:
    training      train, evaluate and distill recipes; find_recipe, recipe_names
    datasets      hapt, hapt_binary, fsdd, etth1
    search        search for networks within the limits of a device

With scikit-learn:
    EdgeRNNRegressor     train, quantize and predict as an estimator
    EdgeRNNClassifier    the same for classes

Look inside:
    inspection    gate_traces, memory, gradients, and experiments on training

Devices and extensions:
    simulation    simulate, board_costs: firmware in an emulator
    cells         register_keras_cell: read your own cells from Keras

Importing this package loads NumPy only. Its packages, Keras and the libraries of the writers are
imported when they are used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from edgernn_export import former_names
from edgernn_export.attention.shares import attention_shares, draw_shares
from edgernn_export.calibration.raw_tables import prepare
from edgernn_export.evaluation.evaluator import evaluate
from edgernn_export.quantizer.program_sets.programs import quantize_programs
from edgernn_export.quantizer.quantizer import quantize
from edgernn_export.writers.exporter import export

if TYPE_CHECKING:
    from edgernn_export.sklearn_wrappers import EdgeRNNClassifier, EdgeRNNRegressor
    from edgernn_export.weight_files.weight_layout import (
        WeightLayout,
        flax_layout,
        read_layout,
        torch_layout,
    )

former_names.install()

__all__ = [
    "EdgeRNNClassifier",
    "EdgeRNNRegressor",
    "WeightLayout",
    "attention_shares",
    "draw_shares",
    "evaluate",
    "export",
    "flax_layout",
    "prepare",
    "quantize",
    "quantize_programs",
    "read_layout",
    "torch_layout",
]

#: Packages that are imported when they are used.
_LAZY = ("cells", "compress", "datasets", "inspection", "search", "simulation", "training")
#: Name -> the package that has it, imported when it is used.
_LAZY_NAMES = {
    **dict.fromkeys(("EdgeRNNClassifier", "EdgeRNNRegressor"), "edgernn_export.sklearn_wrappers"),
    **dict.fromkeys(
        ("WeightLayout", "flax_layout", "read_layout", "torch_layout"),
        "edgernn_export.weight_files.weight_layout",
    ),
}

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        """Import a package, or what has a name, on its first use."""
        if name in _LAZY:
            return import_module(f"{__name__}.{name}")
        if name in _LAZY_NAMES:
            return getattr(import_module(_LAZY_NAMES[name]), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """The public names."""
    return sorted([*__all__, *_LAZY])
