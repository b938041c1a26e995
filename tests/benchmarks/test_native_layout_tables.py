"""The benchmark of layouts writes a row for every network and every kind of map; times are free."""

import re

import pytest

from benchmarks import native_layout
from edgernn.backends.native import isas
from edgernn.backends.native_layout import LIMITS
from tests.support.native.programs import require_native


def test_the_tables_have_every_form_and_every_kind_of_map(monkeypatch, capsys):
    require_native()
    measured = [isa for isa in isas() if (isa, 8) in LIMITS]
    if not measured:
        pytest.skip("needs an instruction set with limits")
    monkeypatch.setattr(native_layout, "NETWORKS", ("GRU-32/8",))
    monkeypatch.setattr(native_layout, "UNITS", (4,))
    monkeypatch.setattr(native_layout, "INPUTS", (4, 188))
    monkeypatch.setattr(native_layout, "MAP_ROUNDS", 2)
    assert native_layout.main([]) == 0
    networks, maps = [b for b in capsys.readouterr().out.split("\n\n") if b.startswith("| ")]
    times = r" \d\.\d{3} \| \d\.\d{3} \(\d\.\d\d\) \| \d\.\d{3} \(\d\.\d\d\) \|" * len(measured)
    rows = re.findall(rf"^\| GRU-32/8 \| `(\w+)` \| ([^|]+) \|{times}$", networks, re.M)
    forms = ["100%", "50%", "30%", "10%", "4 bits"]
    assert rows == [(precision, form) for precision in ("w8a8", "w8a16") for form in forms]
    lines = maps.splitlines()[2:]
    kinds = [re.match(r"\| `(\w+)` \| `(\w+)` \| (\d) \| 10 \|", line).groups() for line in lines]
    assert kinds == [(i, p, n) for i in measured for p in ("w8a8", "w8a16") for n in "12"]
    if "avx2" in measured:  # of 48 columns of tiles fewer than 18 for 4 rows pay: 30 % and 10 %
        (line,) = [line for line in lines if line.startswith("| `avx2` | `w8a16` | 1 |")]
        assert re.search(r"\| 10 \| 2, \d slower \| \d\.\d\d \(16×192, [13]0%\) \|", line)
