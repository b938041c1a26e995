"""Programs in C whose states are wide: shared by two of them, and handed over."""

from __future__ import annotations

import pytest

from edgernn.model.formats import LOW, Precision
from edgernn.model.program_sets.handovers import Handover
from edgernn.model.program_sets.program_set import ProgramSet
from tests.exactness.test_programs_c import assert_walks, built
from tests.support.models.general import WIDENED, general_model
from tests.support.models.programs import UNITS, head_of, program
from tests.support.native.compilers import SANITIZERS, require


def wide_programs(kind: str, precision: Precision) -> ProgramSet:
    """An encoder, and a decoder with two heads, which begins with the encoder's high parts.

    The encoder's low part begins as the decoder's is.
    """
    layers = [
        general_model(kind, precision, seed=seed, units=UNITS, wide=True, reach="hostile").layers[0]
        for seed in (7, 8)
    ]
    encode, decode = (
        program(name, layer, precision, layer=of, seed=seed)
        for seed, (name, of, layer) in enumerate(
            zip(("encode", "decode"), "ab", layers, strict=True)
        )
    )
    wide = layers[0].widened
    names = [spec.name.replace("b.", "a.") for spec in decode.states]
    taken = [name for name in names if not name.endswith(LOW)]
    handovers = [
        Handover(program="decode", state=name.replace("a.", "b."), source="encode", value=name)
        for name in taken
    ]
    handovers.append(
        Handover(program="encode", state=f"a.{wide}{LOW}", source="decode", value=f"b.{wide}{LOW}")
    )
    refine = head_of(decode, "refine", seed=3)
    return ProgramSet(name="wide", programs=(encode, decode, refine), handovers=tuple(handovers))


@pytest.mark.parametrize("precision", Precision, ids=lambda p: p.value)
@pytest.mark.parametrize("kind", WIDENED)
def test_walks(kind, precision, tmp_path):
    require("gcc")
    programs = wide_programs(kind, precision)
    walk = built(programs, tmp_path / "c", "gcc", "-std=c99", "-O1", *SANITIZERS)
    for seed in range(3):
        assert_walks(walk, programs, seed=seed)
