"""TFLite and ONNX files of networks give the reference's bits, with ports and without."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from edgernn.backends.onnx import OPTIMIZATIONS
from edgernn.backends.onnx_file import METADATA_KEY, sealed
from edgernn.backends.step_graph import step_ports
from edgernn.container import interface_json
from edgernn.graph.lowering import lowered_model
from edgernn.graph.ops import CodesOf, Concatenation, Extremum, Scaling, Slice
from edgernn.model.formats import UNIT, Precision
from edgernn.model.integer_model import IntegerModel
from edgernn.model.interface import Port
from edgernn.model.merges import Merge, MergeOperation
from edgernn.model.routes import MODEL_INPUT
from edgernn.model.scales import ScaleVector
from edgernn_export.writers.onnx.graph import GraphBuilder
from edgernn_export.writers.onnx.interpreter import NodeEmitter, NodeRows
from edgernn_export.writers.onnx.tables import Tables
from edgernn_export.writers.onnx.writer import write_onnx_exact
from edgernn_export.writers.tflite.graph import Graph
from edgernn_export.writers.tflite.interpreter import OperatorEmitter
from tests.exactness import test_zero_lsb_onnx, test_zero_lsb_tflite
from tests.support.models.grid import labelled, reference_stream
from tests.support.models.integer import random_codes, random_layer
from tests.support.models.networks import (
    Wiring,
    networks,
    random_network,
    two_input_network,
    wired_model,
)
from tests.support.runtimes import RUNTIMES, require

TFLITE_STEPS = 190
ONNX_STEPS = dict.fromkeys(OPTIMIZATIONS, 60) | {"disabled": 6}


def ports(rng: np.random.Generator, width: int, names: Sequence[str]) -> tuple[Port, ...]:
    """Ports of those names over that many channels."""
    ends = np.sort(rng.choice(np.arange(1, width), len(names) - 1, replace=False))
    widths = np.diff([0, *ends, width]).tolist()
    return tuple(Port(name=n, width=w) for n, w in zip(names, widths, strict=True))


def ported(model: IntegerModel, seed: int) -> IntegerModel:
    """The same model with three inputs and two outputs that cut through what layers read."""
    rng = np.random.default_rng(seed)
    return replace(
        model,
        input=replace(model.input, ports=ports(rng, model.input.width, ("a", "b", "x"))),
        output=replace(model.output, ports=ports(rng, model.output.width, ("a", "state"))),
    )


def edges(precision: Precision) -> IntegerModel:
    """Merges with every number at the ends of its range, of codes and of what saturates."""
    rng, w = np.random.default_rng(5), Wiring(5)
    cell = w.add(random_layer(rng, "lstm", "cell", 5, 5, precision, reach=40), w.part(MODEL_INPUT))
    last = cell
    whole = np.array([32767, -32767, 1, 0, 16384], np.int16)
    for shift in (1, 2, 3, 14, 30):
        bias = np.array([32767, -32768, 0, 5, -5], np.int16) * (shift != 14)
        term = ScaleVector(multiplier=whole, shift=shift, bias=bias)
        # 2**14 at a shift of 14 changes nothing.
        same = ScaleVector(multiplier=np.full(5, 16384, np.int16), shift=14, bias=0 * whole)
        for operation in MergeOperation:
            product = operation is MergeOperation.PRODUCT
            merge = Merge(
                name=f"{operation.value}_{shift}", inputs=10, units=5, operation=operation,
                terms=(term, same), shift=shift if product else 0, output_scale=0.01,
            )  # fmt: skip
            source = MODEL_INPUT if shift == 2 else last
            last = w.add(merge, w.part(source), w.part(cell))
    head = random_layer(rng, "dense", "head", 5, 3, precision, first=False)
    head_at = w.add(head, w.part(last))
    read = {part.source for route in w.routes for part in route}
    unread = [w.part(source) for source in range(len(w.layers)) if source not in read]
    return wired_model(w, precision, (w.part(head_at), *unread[:-1]), "edges", (), ())


def models() -> dict[str, IntegerModel]:
    """The grid of networks, more of them with ports, and what neither has."""
    made = networks()
    for seed in range(20, 26):
        precision = list(Precision)[seed % 2]
        kind = ("tame", "hostile")[seed // 2 % 2]
        model = random_network(precision, seed=seed, kind=kind, layers=9)
        made[f"ported-{seed}"] = ported(model, seed)
    for precision in Precision:
        made[f"labelled-{precision.value}"] = labelled(made[f"network-0-tame-{precision.value}"])
        two = two_input_network(precision)
        made[f"labelled-ports-{precision.value}"] = labelled(two)
        made[f"edges-{precision.value}"] = edges(precision)
    return made


def test_tflite(tmp_path):
    require(*RUNTIMES)
    assert test_zero_lsb_tflite.compare(models(), tmp_path, TFLITE_STEPS) > 1_000_000


def test_onnx(tmp_path):
    assert test_zero_lsb_onnx.compare(models(), tmp_path, ONNX_STEPS) > 100_000


def test_the_models_reach_every_operation_and_saturate():
    reached = {type(op) for model in models().values() for op in lowered_model(model).ops}
    assert reached >= {CodesOf, Concatenation, Extremum, Scaling, Slice}
    for precision in Precision:
        y = reference_stream(edges(precision), random_codes(edges(precision), TFLITE_STEPS))["y"]
        assert (y.min(), y.max()) == (-32768, 32767)


def whole_tflite(model: IntegerModel) -> bytes:
    """A file whose operators are those of the whole graph, one for one."""
    graph, dtype = Graph(model.name), model.precision.operand_dtype.name
    x = graph.tensor("x", model.input.width, dtype, UNIT.scale)
    states = [graph.tensor(s.name, s.units, "int16", s.format.scale) for s in model.states]
    emitter = OperatorEmitter(graph, model.precision, UNIT.scale)
    (y,), after = emitter(lowered_model(model), ((x,),), states)
    inputs = {s.name: tensor for s, tensor in zip(model.states, states, strict=True)}
    outputs = {f"{s.name}_out": tensor for s, tensor in zip(model.states, after, strict=True)}
    interface = interface_json.dumps(model.interface())
    return graph.finish({"x": x} | inputs, {"y": y} | outputs, interface.encode())


def whole_onnx(model: IntegerModel) -> bytes:
    """A file whose nodes are those of the whole graph, one for one."""
    g = GraphBuilder(model.name)
    tables = Tables(g, model.precision)
    x = g.input("x", model.precision.operand_dtype, [1, model.input.width])
    states = [g.input(s.name, np.int16, [1, s.units]) for s in model.states]
    wide = [g.cast(state, np.int32) for state in states]
    emitter = NodeEmitter(g, tables)
    operand = NodeRows(tables.model_input(x), model.input.width)
    (y,), after = emitter(lowered_model(model), ((operand,),), wide)
    g.output(g.cast(y, np.int16), "y", np.int16, [1, model.output.width])
    for spec, tensor in zip(model.states, after, strict=True):
        g.output(g.cast(tensor, np.int16), f"{spec.name}_out", np.int16, [1, spec.units])
    return sealed(g.to_bytes({METADATA_KEY: interface_json.dumps(model.interface())}))


WHOLE = [f"{name}-{p.value}" for name in ("residual", "network-1-hostile") for p in Precision]


@pytest.mark.parametrize("written", [whole_tflite, whole_onnx])
def test_the_operations_of_the_whole_graph(written, tmp_path, monkeypatch):
    chosen = {name: networks()[name] for name in WHOLE}
    chosen |= {f"edges-{p.value}": edges(p) for p in Precision}
    if written is whole_tflite:
        require(*RUNTIMES)
        monkeypatch.setattr(test_zero_lsb_tflite, "write_tflite", written)
        assert test_zero_lsb_tflite.compare(chosen, tmp_path, 50) > 30_000
    else:
        monkeypatch.setattr(test_zero_lsb_onnx, "write_onnx_exact", written)
        levels = {"all": 50, "disabled": 10}
        assert test_zero_lsb_onnx.compare(chosen, tmp_path, levels) > 10_000


def test_the_definition_of_the_operators_gives_the_same_bits():
    from onnx import load_from_string
    from onnx.reference import ReferenceEvaluator

    for precision in Precision:
        model = ported(random_network(precision, seed=20, layers=9), 20)
        evaluator = ReferenceEvaluator(load_from_string(write_onnx_exact(model)))
        tensors = step_ports(model)
        q_xs = random_codes(model, 10)
        expected = reference_stream(model, q_xs)
        state = {spec.name: np.zeros((1, spec.units), np.int16) for spec in model.states}
        for t in range(len(q_xs)):
            fed = {p.name: q_xs[t : t + 1, p.channels] for p in tensors.inputs}
            found = dict(zip(evaluator.output_names, evaluator.run(None, fed | state), strict=True))
            for port in tensors.outputs:
                wanted = expected["y"][t : t + 1, port.channels]
                assert np.array_equal(found[port.name], wanted), (port.name, t)
            state = {name: found[f"{name}_out"] for name in state}
            for name, values in state.items():
                assert (values.dtype, values.tolist()) == (np.int16, [expected[name][t].tolist()])
