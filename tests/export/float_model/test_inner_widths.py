"""Cells whose inner vectors have a width of their own: what may be declared, and what follows."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest

import edgernn
from edgernn.backends.native import NativeBackend
from edgernn.cells import (
    PREACTIVATION,
    RELU_EXPONENTS,
    X_AND_H,
    Affine,
    Exponent,
    LayerRecord,
    NormalizationConstants,
    QFormat,
    ScaleVector,
    Source,
    cell_record,
    register_cell,
    x_and_h,
)
from edgernn.cli import main
from edgernn.container.defects import FormatDefect
from edgernn.container.file import from_bytes, to_bytes
from edgernn.errors import FormatError, ModelError, UnsupportedModelError
from edgernn.graph.lowering import LOWERINGS
from edgernn.model.layers import LAYERS
from edgernn_export.float_model import float_run
from edgernn_export.float_model.cell_plans import plan_of, weight_shapes
from edgernn_export.float_model.own_cells import FloatCell
from edgernn_export.quantizer.quantizer import quantize
from edgernn_export.quantizer.report import quantization_report
from edgernn_export.writers.onnx.writer import write_onnx_exact
from edgernn_firmware_sim.reference.events import Quiet
from edgernn_firmware_sim.reference.reference import Reference
from edgernn_firmware_sim.targets.reduced_models import narrower
from tests.support.container.surgery import drop, edit_record, put, refused
from tests.support.models.float import stream
from tests.support.models.integer import random_codes
from tests.support.models.registered import float_cell, float_network

KIND = "projected_lstm"


def quantized(kind):
    return quantize(float_network(kind), stream(300, 3), progress=False)


@pytest.fixture(scope="module")
def model():
    return quantized(KIND)


@cell_record
class NormalizedBottleneck(LayerRecord):
    """h' = projection of tanh(gain * norm(entry)), all but the projection in the inner width."""

    kind: ClassVar[str] = "normalized_bottleneck"
    shape: ClassVar = {
        "entry": (1, X_AND_H),
        "projection": (1, frozenset({(Source.RH,)})),
    }
    scale_shape: ClassVar = {"gain": 1}
    offsets: ClassVar = frozenset({"gain"})
    norm_shape: ClassVar = {"norm": 1}
    inner: ClassVar = {"depth": ("entry", "gain", "norm", Source.RH)}
    exponents: ClassVar = {
        "entry_exponent": Exponent(values=("entry",), allowed=RELU_EXPONENTS),
        "state_exponent": Exponent(values=("projection",), allowed=RELU_EXPONENTS),
    }

    depth: int
    entry_exponent: int
    state_exponent: int
    gain: ScaleVector
    norm: NormalizationConstants
    entry: Affine
    projection: Affine

    @property
    def states(self):
        return (self.state("h", QFormat(bits=16, frac_bits=self.state_exponent)),)


def lower(g, layer, x, states):
    (h,) = states
    form = QFormat(bits=16, frac_bits=layer.entry_exponent)
    even = g.normalized(
        g.affine("entry", layer.entry, x_and_h(g, x, h), form), "norm", layer.norm, "even"
    )
    m = g.tanh(g.scaled(even, "gain", layer.gain, "z", PREACTIVATION), "m")
    h_new = g.affine("projection", layer.projection, {Source.RH: g.operand(m, "o_m")}, h.format)
    return h_new, (h_new,)


@pytest.fixture
def bottleneck(monkeypatch):
    """A network of that cell, which nobody knows afterwards."""
    for table, key in ((LAYERS, NormalizedBottleneck.kind), (LOWERINGS, NormalizedBottleneck)):
        monkeypatch.setitem(table, key, None)
        monkeypatch.delitem(table, key)
    register_cell(NormalizedBottleneck, lower)
    rng = np.random.default_rng(2)
    options = {"depth": 10, "epsilon": 1e-3}
    weights = {
        name: rng.normal(size=shape) * (shape[1] ** -0.5 if len(shape) == 2 else 0.5)
        for name, shape in weight_shapes("normalized_bottleneck", 3, 5, options).items()
    }
    cell = FloatCell.of("normalized_bottleneck", "a", options, weights)
    names = tuple("abcde")
    return replace(float_network(KIND), layers=(cell,), output_names=names, output_units=("",) * 5)


def test_constants_are_counted_in_an_inner_width(bottleneck, tmp_path):
    (cell,) = bottleneck.layers
    w, xs, h = cell.by_name, np.random.default_rng(3).normal(size=(1, 300, 3)), np.zeros(5)
    assert (w["gain"].shape, w["gain.offset"].shape, w["projection.rh"].shape) == (
        (10,), (10,), (5, 10)
    )  # fmt: skip
    wanted = []
    for x in xs[0]:
        z = w["entry.x"] @ x + w["entry.h"] @ h + w["entry.bias"]
        even = (z - z.mean()) / np.sqrt(z.var() + 1e-3)
        m = np.tanh(w["gain"] * even + w["gain.offset"])
        h = w["projection.rh"] @ m + w["projection.bias"]
        wanted.append(h)
    got, _ = float_run.run(bottleneck, xs)
    assert np.abs(got[0] - wanted).max() < 1e-12
    integers = quantize(bottleneck, xs, "w8a16", progress=False)
    assert from_bytes(to_bytes(integers)) == integers
    codes = random_codes(integers, 100)
    answers, _ = Reference(integers).run(codes)
    path = tmp_path / "a.onnx"
    path.write_bytes(write_onnx_exact(integers))
    with edgernn.load(path) as session:
        ys = session.run(codes * integers.input.scale + integers.input.offset)
    assert np.array_equal(np.rint(ys / integers.output.scale), answers)
    pytest.importorskip("edgernn._native", reason="needs the compiled extension")
    assert np.array_equal(NativeBackend(integers).new_stream().advance(codes), answers)


@pytest.mark.parametrize(
    ("inner", "message"),
    [
        ({"depth": ()}, "that have the width depth, got none"),
        ({"depth": ("entry", Source.X)}, r"that have the width depth, got Source\.X"),
        ({"depth": ("entry", "exit")}, "that have the width depth, got exit"),
        (
            {"depth": ("entry", "projection")},
            "expected a map whose number of rows depends on the units",
        ),
    ],
)
def test_declarations_that_say_nothing_are_refused(inner, message, monkeypatch):
    monkeypatch.setattr(NormalizedBottleneck, "inner", inner)
    with pytest.raises(ModelError, match=rf"NormalizedBottleneck\.inner: .*{message}"):
        register_cell(NormalizedBottleneck, lower)
    assert NormalizedBottleneck.kind not in LAYERS


@pytest.mark.parametrize("width", [None, 0, 2.5, "wide", True])
def test_an_inner_width_is_an_integer(width):
    options = {"cells": width, "gate_activation": "sigmoid"}
    wanted = rf"{KIND}: expected the option cells to be a width, .* got {width!r}\. Pass options"
    with pytest.raises(UnsupportedModelError, match=wanted):
        weight_shapes(KIND, 3, 4, options)
    cell = float_cell(KIND, "a", 3, 4)
    with pytest.raises(UnsupportedModelError, match=wanted):
        replace(cell, options=tuple(options.items()))


def test_what_is_normalised_at_once_is_counted_in_it(bottleneck):
    wanted = (
        "expected at most 256 depth, because at most 256 elements are normalized together, got 257"
    )
    with pytest.raises(UnsupportedModelError, match=wanted):
        plan_of(bottleneck.layers[0].kind, 3, 300, (("depth", 257), ("epsilon", 1e-3)))
    assert plan_of(bottleneck.layers[0].kind, 3, 300, (("depth", 256), ("epsilon", 1e-3)))


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (12, r"first\.gates: expected 48 rows, got 52"),
        (0, r"first: expected inputs >= 1 and units >= 1 and cells >= 1, got inputs=3, units=7, c"),
    ],
)
def test_records_count_their_rows(cells, message, model):
    with pytest.raises(ModelError, match=message):
        replace(model.layers[0], cells=cells)


CELLS = ("layers", 0, "cells")


@pytest.mark.parametrize(
    ("edit", "defect", "message"),
    [
        (put(*CELLS, 0), FormatDefect.BAD_RECORD, r"cells: expected an integer in \[1, 65536\]"),
        (put(*CELLS, "13"), FormatDefect.BAD_RECORD, r"\.cells: expected an integer"),
        (drop(*CELLS), FormatDefect.BAD_RECORD, "exactly the members affines, cell_exponent, ce"),
        (put(*CELLS, 12), FormatDefect.SHAPE_MISMATCH, r"weights': expected shape \(48, 10\)"),
    ],
)
def test_files_say_the_width(edit, defect, message, model):
    refused(edit_record(to_bytes(model), edit), defect, message)


def test_a_width_has_an_end(model, monkeypatch):
    monkeypatch.setattr("edgernn.container.file.MAX_WIDTH", 12)
    with pytest.raises(FormatError, match="cells <= 12, got inputs=3, units=7, cells=13"):
        to_bytes(model)


def test_info_tells_it(model, tmp_path, capsys):
    assert main(["info", str(model.save(tmp_path / "m.edgernn"))]) == 0
    assert model.state_bytes == 2 * (7 + 13 + 5 + 11)
    assert "gate activation sigmoid, cells 13" in capsys.readouterr().out


def test_narrower_models_have_fewer_of_everything(model):
    cut = narrower(model, 4)
    assert [(layer.units, layer.cells) for layer in cut.layers[:2]] == [(4, 7), (2, 4)]
    first, before = cut.layers[0].gates.terms[0].weights, model.layers[0].gates.terms[0].weights
    rows = [gate * 13 + cell for gate in range(4) for cell in range(7)]
    assert np.array_equal(first[:, :3], before[rows, :3])
    Reference(cut).run(random_codes(cut, 5))
    for kind in ("peephole_lstm", "layer_norm_lstm"):
        cut = narrower(quantized(kind), 4)
        assert [layer.units for layer in cut.layers] == [4, 2, 2]
        Reference(cut).run(random_codes(cut, 5))


class Tap(Quiet):
    """Keeps the values of some tensors, stacked in time."""

    def __init__(self, *names):
        self.seen = {name: [] for name in names}

    def sat16(self, name, wide):
        return self._take(name, super().sat16(name, wide))

    def sat16_each(self, names, wide):
        return self._take(names[0], super().sat16_each(names, wide))

    def see(self, name, tensor):
        return self._take(name, tensor)

    def see_each(self, names, tensors):
        return self._take(names[0], tensors)

    def _take(self, name, narrow):
        if name in self.seen:
            self.seen[name].append(narrow.copy())
        return narrow


@pytest.mark.parametrize(
    ("precision", "of_operand", "of_map"), [("w8a8", 256, 0.5), ("w8a16", 4, 1)]
)
def test_the_bound_of_clause_7_19(precision, of_operand, of_map):
    integers = quantize(float_network(KIND), stream(300, 3), precision, progress=False)
    layer = integers.layers[0]
    tap = Tap("first.m", "first.projection")
    Reference(integers, tap).run(random_codes(integers, 400))
    m, h = (np.array(values).reshape(400, -1) for values in tap.seen.values())
    affine, (term,) = layer.projection, layer.projection.terms
    if precision == "w8a8":
        step, bias = term.multiplier * 2.0**-affine.shift, affine.bias * 2.0**-affine.shift
    else:
        step = term.multiplier * np.exp2(-15.0 - term.shift)
        bias = term.bias * step
    w = term.weights * step[:, None] / (256 if precision == "w8a8" else 2)
    off = np.abs(h - (m @ w.T + bias))
    bound = of_operand * np.abs(w).sum(axis=1) + of_map
    assert np.abs(h).max() < 32767
    assert 0.1 < (off / bound).max() <= 1


def test_guards_and_reports_see_both_states(model):
    network = float_network(KIND)
    (kept,) = network.layers[0].plan.kept
    assert (kept.state, kept.value, kept.complement) == (1, "f", False)
    report = quantization_report(network, model, stream(200, 3))
    names = {tensor.name for tensor in report.tensors}
    assert {"first.projection", "first.c", "second.projection", "second.c", "out.out"} <= names
