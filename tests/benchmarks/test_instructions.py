"""The benchmark of emulated cores writes what it measured; so does the document that is kept."""

import json
import re
from itertools import product

import pytest

from benchmarks import instructions, layer_networks
from benchmarks.pages import instructions as pages
from edgernn.model.formats import Precision
from tests.support.documents import ROOT
from tests.support.models.hand_made import core_named

SMALL = {
    "GRU-8/3": ("gru_after", 8, 3, 1),
    "GRU-8/3 of two products": ("gru_after", 8, 3, 2),
    "LSTM-4/3": ("lstm", 4, 3, 1),
}
KERNELS = {"GRU-4/3": ("gru_after", 4, 3, 1)}
ONE, TWO = "GRU-128/64", "GRU-128/64 of two products"


def number(text):
    return int(text.replace(",", ""))


def test_the_document_has_all_kinds_side_by_side(monkeypatch, tmp_path, capsys):
    core_named("rv32imc")
    monkeypatch.setattr(instructions, "NETWORKS", SMALL)
    monkeypatch.setattr(instructions, "KERNEL_NETWORKS", KERNELS)
    monkeypatch.setattr(instructions, "WIDE_NETWORKS", {"GRU-4/3": "general_gru_after"})
    others = {"Conv1D": layer_networks.NETWORKS["Conv1D-32, 5 rows of 8, GRU-4"]}
    monkeypatch.setattr(layer_networks, "NETWORKS", others)
    out = tmp_path / "instructions.json"
    assert instructions.main(["--cores", "rv32imc", "--out", str(out)]) == 0
    text = capsys.readouterr().out
    assert pages.page(json.loads(out.read_text(encoding="utf-8"))) == text
    assert text.count("| core | GRU-8/3, ") == 3
    rows = re.findall(r"^\| rv32imc \| ([\d,]+) \(.*?\) \| ([\d,]+) \(", text, re.M)
    assert len(rows) == len(Precision)
    for one, two in rows:
        assert number(one) < number(two)
    pairs = re.findall(r"^\| rv32imc \| ([\d,]+) → ([\d,]+) \((\d\.\d\d)×\) \|$", text, re.M)
    assert len(pairs) == 4  # instructions and flash: by operations, and with wide states
    for fused, single, ratio in pairs:
        assert number(fused) != number(single)
        assert f"{number(single) / number(fused):.2f}" == ratio
    (row,) = re.findall(r"^\| Conv1D \| rv32imc \| (.*) \|$", text, re.M)
    assert len(row.split(" | ")) == 3 * len(Precision)


def test_networks_have_the_products_of_their_names():
    for name, shape in instructions.NETWORKS.items():
        recurrent = instructions.network(shape, Precision.W8A8).layers[0]
        gates = recurrent.affines["gates" if "LSTM" in name else "zr"]
        assert len(gates.terms) == shape[-1] == (2 if "two products" in name else 1)


def test_every_shape_of_two_products_stands_beside_that_of_one():
    shapes = set(instructions.NETWORKS.values())
    assert any(products == 2 for *_, products in shapes)
    for cell, units, inputs, products in shapes:
        assert products == 1 or (cell, units, inputs, 1) in shapes


@pytest.mark.parametrize("core", ["cortex-m4", "rv32imc"])
def test_a_second_product_takes_a_hundredth_at_most(core):
    core = core_named(core)
    counts = []
    for name in (ONE, TWO):
        model = instructions.network(instructions.NETWORKS[name], Precision.W8A8)
        counts.append(instructions.measure(name, model, core))
    one, two = (result.instructions.median for result in counts)
    assert one < two <= 1.01 * one
    text = (ROOT / "docs" / "results" / "instructions.md").read_text(encoding="utf-8")
    if f"- `{core.compiler}`: {instructions.version(core.compiler)}\n" in text:
        row = re.search(rf"^\| {core.name} \| (.*) \|$", text, re.M)[1].split(" | ")
        wanted = [row[list(instructions.NETWORKS).index(name)] for name in (ONE, TWO)]
        assert [pages.counts(instructions.figures(result)) for result in counts] == wanted


def test_layers_run_by_kernels_only_where_they_may():
    core = core_named("cortex-m4")
    (shape,) = KERNELS.values()
    for precision, fused in product(Precision, (True, False)):
        model = instructions.network(shape, precision)
        result = instructions.measure("GRU", model, core, fused=fused)
        named = {name for name in result.work.functions if name.startswith("edgernn_gru")}
        assert bool(named) == fused
