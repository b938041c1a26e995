"""The benchmark of emulated cores writes what it measured, of one and of two products a gate."""

import re

from benchmarks import instructions
from edgernn.model.formats import Precision
from tests.support.models.hand_made import core_named

SMALL = {
    "GRU-8/3": ("gru_after", 8, 3, 1),
    "GRU-8/3 of two products": ("gru_after", 8, 3, 2),
    "LSTM-4/3": ("lstm", 4, 3, 1),
}


def test_the_document_has_both_kinds_of_gates_side_by_side(monkeypatch, tmp_path, capsys):
    core_named("rv32imc")
    monkeypatch.setattr(instructions, "NETWORKS", SMALL)
    out = tmp_path / "instructions.md"
    assert instructions.main(["--cores", "rv32imc", "--out", str(out)]) == 0
    text = out.read_text(encoding="utf-8")
    assert capsys.readouterr().out == text
    assert f"Written by `{instructions.COMMAND}`" in text
    assert text.count("| core | GRU-8/3, ") == 3
    rows = re.findall(r"^\| rv32imc \| ([\d,]+) \(.*?\) \| ([\d,]+) \(", text, re.M)
    assert len(rows) == len(Precision)
    for one, two in rows:
        assert int(one.replace(",", "")) < int(two.replace(",", ""))


def test_networks_have_the_products_of_their_names():
    for name, (*_, products) in instructions.NETWORKS.items():
        recurrent = instructions.network(name, Precision.W8A8).layers[0]
        gates = recurrent.affines["gates" if "LSTM" in name else "zr"]
        assert len(gates.terms) == products == (2 if "two products" in name else 1)


def test_every_shape_of_two_products_stands_beside_that_of_one():
    shapes = set(instructions.NETWORKS.values())
    assert any(products == 2 for *_, products in shapes)
    for cell, units, inputs, products in shapes:
        assert products == 1 or (cell, units, inputs, 1) in shapes
