"""The committed codes of the packaged demo model are what the scalar twin computes today."""

from __future__ import annotations

from tests.golden import packaged_demo


def test_golden_codes_are_up_to_date() -> None:
    committed = packaged_demo.PATH.read_text(encoding="utf-8")
    assert committed == packaged_demo.build(), f"rebuild with: {packaged_demo.COMMAND}"
