"""The benchmark of 4-bit weights writes what it measured."""

import json
import re

from benchmarks import int4
from benchmarks.pages.stored_weights import int4_page
from tests.support.models.hand_made import core_named
from tests.support.native.programs import require_native


def test_the_document_has_both_forms_side_by_side(monkeypatch, tmp_path, capsys):
    require_native()
    core_named("cortex-m4")
    monkeypatch.setattr(int4, "CORES", ("cortex-m4",))
    monkeypatch.setattr(int4, "NETWORKS", ("GRU-32/8",))
    out = tmp_path / "int4.json"
    assert int4.main(["--out", str(out)]) == 0
    text = capsys.readouterr().out
    assert int4_page(json.loads(out.read_text(encoding="utf-8"))) == text
    assert "| GRU-32/8 | 3,968 | 1,984 (0.50) |" in text
    titles = re.findall(r"^## (.*)$", text, re.M)
    assert titles[1:] == ["`w4a8` compared with `w8a8`", "`w4a16` compared with `w8a16`"]
    rows = re.findall(r"^\| GRU-32/8 \| cortex-m4 \| (.*) \|$", text, re.M)
    assert len(rows) == 2
    for row in rows:
        eight, four, flash, less = (
            int(re.match(r"[\d,]+", c)[0].replace(",", "")) for c in row.split(" | ")
        )
        assert 3_968 < four < 1.3 * eight
        assert less < flash
        assert row.endswith(f"({less / flash:.2f})")
    assert (
        len(re.findall(r"^\| GRU-32/8 \| \d\.\d\d \| \d\.\d\d \(\d\.\d\d\) \|$", text, re.M)) == 2
    )
