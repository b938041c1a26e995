"""TFLite models made by hand, and what the interpreter answers.

As a script (`python -m tests.support.models.tflite_files FOLDER`) it runs every FOLDER/*.tflite
over the arrays in the .npz beside it, in a process of its own, and writes what came out.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from edgernn_export.tflite_schema.codes import BuiltinOperator, TensorType
from edgernn_export.tflite_schema.options import OPTIONS
from edgernn_export.tflite_schema.tables import (
    FlatBuffer,
    FlatModel,
    FlatOperator,
    FlatOperatorCode,
    FlatQuantization,
    FlatSubGraph,
    FlatTensor,
)

#: Versions of operators that have what is left out here.
_VERSIONS = {"FULLY_CONNECTED": 6, "GATHER": 1}


def model_of(operators, inputs, outputs, weights=None, variables=None, quantized=None):
    """The bytes of a model.

    Args:
        operators: (kind, names of inputs or None, names of outputs[, name of options, fields]).
        inputs: name -> shape, with -1 for open sizes; a NumPy type may follow the shape.
        outputs: names.
        weights: name -> array.
        variables: name -> shape, of states that the interpreter keeps.
        quantized: name -> scale of weights that are kept in fewer bits.
    """
    return packed(tables_of(operators, inputs, outputs, weights, variables, quantized))


def packed(model):
    """The bytes of tables."""
    import flatbuffers

    builder = flatbuffers.Builder(1024)
    builder.Finish(model.pack(builder), b"TFL3")
    return bytes(builder.Output())


def tables_of(operators, inputs, outputs, weights=None, variables=None, quantized=None):
    """The tables of a model; as `model_of`."""
    buffers, tensors, places = [FlatBuffer()], [], {}
    variables, weights, quantized = variables or {}, weights or {}, quantized or {}

    def tensor(name, shape=None, dtype=np.float32, **more):
        places[name] = len(tensors)
        shape = None if shape is None else list(shape)
        code = TensorType[np.dtype(dtype).name.upper()]
        tensors.append(FlatTensor(shape=shape, type=code, name=name.encode(), **more))

    for name, entry in inputs.items():
        shape, dtype = entry if isinstance(entry[0], (tuple, list)) else (entry, np.float32)
        closed = [1 if size < 0 else size for size in shape]
        tensor(name, closed, dtype, shapeSignature=list(shape))
    for name, array in weights.items():
        array = np.asarray(array)
        buffers.append(FlatBuffer(data=array.tobytes()))
        scale = quantized.get(name)
        more = {} if scale is None else {
            "quantization": FlatQuantization(scale=scale, zeroPoint=[0] * len(scale))
        }  # fmt: skip
        tensor(name, array.shape, array.dtype, buffer=len(buffers) - 1, **more)
    for name, shape in variables.items():
        tensor(name, shape, isVariable=True)
    codes, made = [], []
    for kind, given, results, *options in operators:
        for name in results:
            if name not in places:
                tensor(name)
        if kind not in codes:
            codes.append(kind)
        entry = FlatOperator(
            opcodeIndex=codes.index(kind),
            inputs=[-1 if name is None else places[name] for name in given],
            outputs=[places[name] for name in results],
        )
        if options:
            entry.builtinOptionsType, table = OPTIONS[options[0]]
            entry.builtinOptions = table(**(options[1] if len(options) > 1 else {}))
        made.append(entry)
    return FlatModel(
        version=3,
        operatorCodes=[
            FlatOperatorCode(
                deprecatedBuiltinCode=min(BuiltinOperator[kind], 127),
                builtinCode=BuiltinOperator[kind],
                version=_VERSIONS.get(kind, 1),
            )
            for kind in codes
        ],
        subgraphs=[
            FlatSubGraph(
                tensors=tensors,
                inputs=[places[name] for name in inputs],
                outputs=[places[name] for name in outputs],
                operators=made,
                name=b"main",
            )
        ],
        buffers=buffers,
    )


def rnn_of(rng, given, result, inputs=4, units=3, function=4):
    """A recurrent operator, its weights, and its states, to stand behind or before others."""
    weights = {
        f"{result}_k": rng.normal(size=(units, inputs)).astype(np.float32) / 2,
        f"{result}_r": rng.normal(size=(units, units)).astype(np.float32) / 2,
        f"{result}_b": rng.normal(size=units).astype(np.float32) / 2,
    }
    operator = (
        "UNIDIRECTIONAL_SEQUENCE_RNN", [given, *weights, f"{result}_h"], [result],
        "SequenceRNNOptions", {"timeMajor": False, "fusedActivationFunction": function},
    )  # fmt: skip
    return operator, weights, {f"{result}_h": (1, units)}


def interpreted(folder):
    """Outputs of every FOLDER/*.tflite by stem: a list of arrays each.

    Args:
        folder: with a .npz of inputs "0", "1", ... beside each file.
    """
    from tests.support.runtimes import run_python

    run_python("-m", "tests.support.models.tflite_files", str(folder))
    found = {}
    for path in sorted(folder.glob("*.out.npz")):
        with np.load(path) as arrays:
            found[path.name.removesuffix(".out.npz")] = [arrays[key] for key in arrays]
    return found


def _main(folder):
    from ai_edge_litert.interpreter import Interpreter

    for path in sorted(folder.glob("*.tflite")):
        interpreter = Interpreter(model_path=str(path), num_threads=1)
        with np.load(path.with_suffix(".npz")) as arrays:
            given = [arrays[key] for key in arrays]
        for detail, array in zip(interpreter.get_input_details(), given, strict=True):
            interpreter.resize_tensor_input(detail["index"], array.shape)
        interpreter.allocate_tensors()
        interpreter.reset_all_variables()
        for detail, array in zip(interpreter.get_input_details(), given, strict=True):
            interpreter.set_tensor(detail["index"], array)
        interpreter.invoke()
        results = [interpreter.get_tensor(d["index"]) for d in interpreter.get_output_details()]
        np.savez(folder / f"{path.stem}.out.npz", *results)


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
