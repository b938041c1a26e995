"""Inputs and outputs of a model by their own names in exported files."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgernn.backends import open_backend
from edgernn.backends.step_graph import PortTensor, StepTensor, check_tensors, step_ports
from edgernn.errors import FormatError, ModelError, ShapeError
from edgernn.model.integer_model import IntegerModel
from edgernn.model.interface import Port
from edgernn.model.routes import RoutePart, within
from edgernn_export.writers.file_formats import golden_vector
from edgernn_export.writers.onnx.writer import write_onnx_exact
from edgernn_export.writers.tflite.writer import write_tflite
from edgernn_firmware_sim.reference.reference import Reference
from tests.support.models.integer import random_codes, random_model
from tests.support.models.networks import two_input_network
from tests.support.runtimes import official_schema

STATES = ("of_a.h", "of_a.c", "of_b.h")
WRITERS = {"tflite": write_tflite, "onnx": write_onnx_exact}


def renamed(inputs: tuple[str, str], outputs: tuple[str, str]) -> IntegerModel:
    model = two_input_network()
    ports = (
        tuple(replace(port, name=name) for port, name in zip(spec.ports, names, strict=True))
        for spec, names in ((model.input, inputs), (model.output, outputs))
    )
    source, sink = ports
    return replace(
        model, input=replace(model.input, ports=source), output=replace(model.output, ports=sink)
    )


def names(model: IntegerModel) -> tuple[list[str], list[str]]:
    tensors = step_ports(model)
    return [t.name for t in tensors.inputs], [t.name for t in tensors.outputs]


def test_a_tensor_per_port_or_x_and_y():
    tensors = step_ports(two_input_network().interface())
    assert tensors.inputs == (
        PortTensor(name="a", channels=slice(0, 3)),
        PortTensor(name="b", channels=slice(3, 5)),
    )
    assert [(t.name, t.width) for t in tensors.outputs] == [("head", 2), ("hidden", 3)]
    assert names(random_model("lstm")) == (["x"], ["y"])


def test_an_output_that_has_the_name_of_an_input():
    assert names(renamed(("a", "b"), ("b", "c"))) == (["a", "b"], ["b_out", "c"])
    assert names(renamed(("y", "x"), ("x", "z"))) == (["y", "x"], ["x_out", "z"])


@pytest.mark.parametrize(
    ("inputs", "outputs", "name"),
    [
        (("of_a.h", "b"), ("c", "d"), "of_a.h"),
        (("a", "b"), ("c", "of_b.h"), "of_b.h_out"),
        (("a", "b"), ("of_a.c_out", "d"), "of_a.c_out"),
        (("a", "b"), ("a", "a_out"), "a_out"),
        (("/a", "b"), ("c", "d"), "/a"),
    ],
)
def test_names_that_would_collide_are_refused(inputs, outputs, name):
    model = renamed(inputs, outputs)
    for write in WRITERS.values():
        with pytest.raises(ModelError, match=f"got '{name}'. Rename"):
            write(model)


def test_a_name_beside_a_single_input_or_output():
    model = random_model("lstm", outputs=3)
    ports = (Port(name="x", width=1), Port(name="z", width=2))
    assert names(replace(model, output=replace(model.output, ports=ports)))[1] == ["x_out", "z"]


def tflite_names(content: bytes) -> tuple[set[str], set[str]]:
    file = official_schema().Model.GetRootAs(content, 0)
    signature = official_schema().ModelT.InitFromObj(file).signatureDefs[0]
    return {t.name.decode() for t in signature.inputs}, {t.name.decode() for t in signature.outputs}


def onnx_names(content: bytes) -> tuple[set[str], set[str]]:
    import onnx

    graph = onnx.load_from_string(content).graph
    return {t.name for t in graph.input}, {t.name for t in graph.output}


@pytest.mark.parametrize("kind", WRITERS)
def test_a_file_has_a_tensor_for_each_port(kind, tmp_path):
    model = renamed(("a", "b"), ("b", "hidden"))
    content = WRITERS[kind](model, golden_vector(model))
    found = {"tflite": tflite_names, "onnx": onnx_names}[kind](content)
    assert found == ({"a", "b", *STATES}, {"b_out", "hidden", *(f"{n}_out" for n in STATES)})

    path = tmp_path / f"model.{kind}"
    path.write_bytes(content)
    backend = open_backend(path, kind)
    assert backend.interface.input.ports == model.input.ports
    q_xs = random_codes(model, 40)
    q_ys, state = Reference(model).run(q_xs)
    got, after = backend.run(q_xs, backend.interface.initial_state())
    assert np.array_equal(got, q_ys)
    assert all(np.array_equal(a, b) for a, b in zip(after, state, strict=True))
    first, _ = backend.step(q_xs[0], backend.interface.initial_state())
    second, _ = backend.step(q_xs[1], backend.interface.initial_state())
    assert (first.tolist(), first.base) == (q_ys[0].tolist(), None)
    assert second.tolist() != first.tolist()  # the first answer is the caller's own
    with pytest.raises(ShapeError, match="of shape"):
        backend.step(q_xs[0, :3], state)
    backend.close()


@pytest.mark.parametrize("swapped", ["input", "output"])
def test_ports_that_are_not_those_of_the_file(swapped):
    interface = two_input_network().interface()
    tensors = step_ports(interface)
    states: dict[str, StepTensor] = {s.name: ((1, s.units), "int16") for s in interface.states}
    inputs = {t.name: ((1, t.width), "int8") for t in tensors.inputs} | states
    outputs: dict[str, StepTensor] = {t.name: ((1, t.width), "int16") for t in tensors.outputs}
    outputs |= {f"{name}_out": tensor for name, tensor in states.items()}
    check_tensors("onnx", interface, inputs, outputs)
    spec = getattr(interface, swapped)
    other = replace(interface, **{swapped: replace(spec, ports=spec.ports[::-1])})
    check_tensors("onnx", other, inputs, outputs)  # the order is the interface's own affair
    name = spec.ports[0].name
    first = replace(spec.ports[0], width=spec.width - 1), replace(spec.ports[1], width=1)
    other = replace(interface, **{swapped: replace(spec, ports=first)})
    with pytest.raises(FormatError, match=rf"expected tensor '{name}' int(8|16) \[1, 4\], got"):
        check_tensors("onnx", other, inputs, outputs)


def test_elements_of_vectors_one_behind_another():
    def parts(*numbers: tuple[int, int, int]) -> tuple[RoutePart, ...]:
        return tuple(RoutePart(source=s, start=a, width=w) for s, a, w in numbers)

    assert within([3, 2, 4], 0, 9) == parts((0, 0, 3), (1, 0, 2), (2, 0, 4))
    assert within([3, 2, 4], 2, 4) == parts((0, 2, 1), (1, 0, 2), (2, 0, 1))
    assert within([3, 2, 4], 3, 2) == parts((1, 0, 2))
    assert within([3, 2, 4], 7, 1) == parts((2, 2, 1))
    for start in range(9):
        for width in range(1, 10 - start):
            flat = [(s, i) for s, n in enumerate([3, 2, 4]) for i in range(n)]
            found = [
                (p.source, i)
                for p in within([3, 2, 4], start, width)
                for i in range(p.start, p.start + p.width)
            ]
            assert found == flat[start : start + width]
