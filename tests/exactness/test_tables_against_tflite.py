"""Sigmoid and tanh of NUMERICS.md section 3 are TFLite's own int16 kernels at scale 2^-10.

All 65,536 inputs go through a two-operator file in every runtime and with every resolver, each
in a process of its own: the runtimes cannot share one.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.exactness.twin import scalar

BUILDER = """
import sys
import flatbuffers
from ai_edge_litert import schema_py_generated as s

COUNT = 65536

def tensor(name, scale):
    t = s.TensorT()
    t.name, t.shape, t.type, t.buffer = name, [COUNT], s.TensorType.INT16, 0
    t.quantization = s.QuantizationParametersT()
    t.quantization.scale, t.quantization.zeroPoint = [scale], [0]
    return t

def operator(index):
    o = s.OperatorT()
    o.opcodeIndex, o.inputs, o.outputs = index, [0], [1 + index]
    return o

def opcode(builtin):
    c = s.OperatorCodeT()
    c.builtinCode = c.deprecatedBuiltinCode = builtin
    c.version = 3
    return c

graph = s.SubGraphT()
graph.tensors = [tensor("z", 2.0**-10), tensor("sigmoid", 2.0**-15), tensor("tanh", 2.0**-15)]
graph.inputs, graph.outputs = [0], [1, 2]
graph.operators = [operator(0), operator(1)]
model = s.ModelT()
model.version, model.description = 3, "table test"
model.operatorCodes = [opcode(s.BuiltinOperator.LOGISTIC), opcode(s.BuiltinOperator.TANH)]
model.subgraphs, model.buffers = [graph], [s.BufferT()]
builder = flatbuffers.Builder(1024)
builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
open(sys.argv[1], "wb").write(bytes(builder.Output()))
"""

RUNNER = """
import importlib, sys
import numpy as np

module, resolver, model, result = sys.argv[1:]
tflite = importlib.import_module(module)
interpreter = tflite.Interpreter(
    model_path=model,
    num_threads=1,
    experimental_op_resolver_type=getattr(tflite.OpResolverType, resolver),
)
interpreter.allocate_tensors()
z = np.arange(-32768, 32768).astype(np.int16)
interpreter.set_tensor(interpreter.get_input_details()[0]["index"], z)
interpreter.invoke()
outputs = {d["name"]: interpreter.get_tensor(d["index"]) for d in interpreter.get_output_details()}
np.savez(result, **outputs)
"""

RUNTIMES = ("tflite_runtime", "ai_edge_litert")
RESOLVERS = ("AUTO", "BUILTIN_WITHOUT_DEFAULT_DELEGATES", "BUILTIN_REF")


def python(script: str, *arguments: str) -> None:
    quiet = {**os.environ, "OMP_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        env=quiet,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def table_model(tmp_path_factory) -> Path:
    if importlib.util.find_spec("ai_edge_litert") is None:
        pytest.skip("the file is built with ai-edge-litert's schema: pip install ai-edge-litert")
    path = tmp_path_factory.mktemp("tables") / "tables.tflite"
    python(BUILDER, str(path))
    return path


@pytest.mark.parametrize("resolver", RESOLVERS)
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_kernels_equal_the_tables_on_every_input(table_model, tmp_path, runtime, resolver):
    if importlib.util.find_spec(runtime) is None:
        pytest.skip(f"{runtime} is not installed: pip install 'edgernn[tflite]'")
    result = tmp_path / "result.npz"
    python(RUNNER, f"{runtime}.interpreter", resolver, str(table_model), str(result))
    compared = differing = 0
    with np.load(result) as outputs:
        for name in ("sigmoid", "tanh"):
            expected = np.array([getattr(scalar, name)(z) for z in range(-32768, 32768)])
            assert outputs[name].dtype == np.int16
            compared += expected.size
            differing += int(np.count_nonzero(outputs[name] != expected))
    assert (compared, differing) == (2 * 65536, 0)
