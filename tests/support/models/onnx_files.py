"""ONNX models for tests: made by hand, or by the exporter of PyTorch."""

import io
import warnings

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def model_of(nodes, inputs, outputs, weights=None, opset=21, **more):
    """The bytes of a model.

    Args:
        nodes: of helper.make_node.
        inputs: name -> shape, with names for open sizes; a type may follow the shape.
        outputs: names.
        weights: name -> array.
        opset: version.
    """

    def told(name, entry):
        shape, kind = entry if isinstance(entry, tuple) else (entry, TensorProto.FLOAT)
        return helper.make_tensor_value_info(name, kind, shape)

    graph = helper.make_graph(
        nodes,
        "network",
        [told(name, entry) for name, entry in inputs.items()],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(np.asarray(v), k) for k, v in (weights or {}).items()],
    )
    opsets = [helper.make_opsetid("", opset)]
    return helper.make_model(graph, opset_imports=opsets, **more).SerializeToString()


def torch_file(module, example, **options):
    """The bytes that PyTorch's exporter of TorchScript writes."""
    import torch

    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module, example, file, dynamo=False, **options)
    return file.getvalue()


def reference_outputs(data, feeds):
    """What ONNX's own reference evaluator computes."""
    from onnx.reference import ReferenceEvaluator

    return ReferenceEvaluator(onnx.load_model_from_string(data)).run(None, feeds)


def runtime_outputs(data, feeds):
    """What ONNX Runtime computes."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(data, options).run(None, feeds)
