"""Events of NUMERICS.md section 10, counted by hand and against the scalar twin."""

from __future__ import annotations

import numpy as np
import pytest

from edgernn.model.formats import Precision
from edgernn_firmware_sim.reference.events import Recorder, TensorEvents
from edgernn_firmware_sim.reference.reference import Reference
from tests.support.models.integer import CELLS, random_codes, random_model

#: Gates whose rows are stacked, by cell.
GATES = {
    "simple_rnn": (),
    "simple_rnn_relu": (),
    "lstm": ("gates.i", "gates.f", "gates.g", "gates.o"),
    "gru_after": ("zr.z", "zr.r"),
    "gru_before": ("zr.z", "zr.r"),
}


def codes(*rows: list[int]) -> np.ndarray:
    return np.array(rows, dtype=np.int32)


def test_saturations_and_ranges_by_hand():
    recorder = Recorder()
    assert recorder.sat16("a", codes([40_000, -3])).tolist() == [[32_767, -3]]
    assert recorder.sat16("a", codes([7, -40_000])).tolist() == [[7, -32_768]]
    assert recorder.sat8("b", codes([128, -128])).tolist() == [[127, -128]]
    assert recorder.see("c", codes([99_999, 5])).tolist() == [[99_999, 5]]
    assert recorder.tensors == {
        "a": TensorEvents(values=4, saturated=2, low=-40_000, high=40_000),
        "b": TensorEvents(values=2, saturated=1, low=-128, high=128),
        "c": TensorEvents(values=2, saturated=0, low=5, high=99_999),
    }


def test_stacked_tensors_are_told_apart():
    recorder = Recorder()
    wide = codes([40_000, 1, -2, 3], [40_001, 4, 5, -40_000])
    saturated = recorder.sat16_each(("i", "f"), wide)
    assert saturated.tolist() == [[32_767, 1, -2, 3], [32_767, 4, 5, -32_768]]
    recorder.see_each(("p", "q"), wide)
    assert recorder.tensors == {
        "i": TensorEvents(values=4, saturated=2, low=1, high=40_001),
        "f": TensorEvents(values=4, saturated=1, low=-40_000, high=5),
        "p": TensorEvents(values=4, saturated=0, low=1, high=40_001),
        "q": TensorEvents(values=4, saturated=0, low=-40_000, high=5),
    }


@pytest.mark.parametrize("precision", Precision)
@pytest.mark.parametrize("cell", CELLS)
def test_every_gate_of_every_layer_is_recorded(cell, precision):
    model = random_model(cell, precision, kind="hostile", stack=2)
    recorder = Recorder()
    Reference(model, recorder).run(random_codes(model, 200))
    saturated = 0
    for layer in ("0", "1"):
        for gate in GATES[cell]:
            name = f"{cell}_{layer}.{gate}"
            assert recorder.tensors[name].values == 200 * 8, name
            assert recorder.tensors[name].low < 0 < recorder.tensors[name].high, name
            # In `w8a16` a single product saturates before its multiplier (clause 5.2).
            product = recorder.tensors.get(f"{name}.xh", TensorEvents())
            saturated += recorder.tensors[name].saturated + product.saturated
        assert f"{cell}_{layer}.operand_h" in recorder.tensors or precision is Precision.W8A16
    assert bool(saturated) == bool(GATES[cell])
