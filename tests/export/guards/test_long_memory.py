"""Units that remember for longer than their state can: found where they are, nowhere else."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from edgernn.errors import LongMemoryWarning
from edgernn.model.formats import FloatArray
from edgernn_export.calibration.statistics import calibrate
from edgernn_export.float_model.float_run import run
from edgernn_export.float_model.model import FloatModel
from edgernn_export.guards.long_memory import LongMemory, long_memory
from edgernn_export.quantizer.quantizer import quantize
from edgernn_firmware_sim.reference.reference import Reference
from tests.support.models.float import float_model, stream
from tests.support.models.remembering import averages, gru_latch, latch_stream, lstm_latch

PRECISIONS = ("w8a8", "w8a16")


def found(
    model: FloatModel, xs: FloatArray, precision: str = "w8a8", longest: int | None = None
) -> tuple[LongMemory, ...]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LongMemoryWarning)
        integer = quantize(model, xs, precision, state="16", progress=False)
    return long_memory(model, calibrate(model, [xs[None]]), integer.layers, longest)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize(
    ("model", "steps"),
    [
        (gru_latch(8.0), 2982),
        (gru_latch(12.0), 162756),
        (gru_latch(12.0, reset_after=False), 162756),
        (lstm_latch(8.0), 2982),
        (lstm_latch(12.0), 162756),
    ],
)
def test_a_latch_is_found_with_the_steps_it_holds(
    model: FloatModel, steps: int, precision: str
) -> None:
    (record,) = found(model, latch_stream(), precision)
    assert (record.layer, record.units) == (model.layers[0].name, (0,))
    assert record.steps[0] == pytest.approx(steps, rel=0.01)


def test_slow_averages_are_told_from_fast_ones() -> None:
    rng = np.random.default_rng(1)
    xs = (np.sin(np.arange(20_000) / 3000) * 0.5 + rng.normal(size=20_000) * 0.5)[:, None]
    (record,) = found(averages(5000.0, 50.0, 20.0, 20_000.0), xs)
    assert record.units == (3, 0)
    assert record.steps == (pytest.approx(20_001, rel=0.01), pytest.approx(5001, rel=0.01))


@pytest.mark.parametrize("precision", PRECISIONS)
def test_what_is_found_does_freeze_and_is_warned_of(precision: str) -> None:
    """The finding is true: 20,000 steps on, the integers are somewhere else."""
    model = gru_latch(12.0)
    with pytest.warns(LongMemoryWarning, match="gru: .* got 1 with a longer memory: 0") as caught:
        integer = quantize(model, latch_stream(), precision, state="16", progress=False)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    offered = np.zeros((20_000, 2))
    offered[:, 1] = 1.0
    offered[0] = [1.0, -0.1]
    truth = run(model, offered[None])[0][0]
    interface = integer.interface()
    given = interface.dequantize(Reference(integer).run(interface.quantize(offered))[0])
    assert given[0, 0] == pytest.approx(truth[0, 0], abs=0.04)
    assert abs(given[-1, 0] - truth[-1, 0]) > 0.3


def test_a_message_names_the_longest_and_counts_the_rest() -> None:
    record = LongMemory(layer="gru", units=(7, 3, 1, 0, 2, 5), steps=(1e6, 2e4, 9e3, 8e3, 7e3, 6e3))
    assert "got 6 with a longer memory: 7 (no end), 3 (2e4 steps)" in str(record)
    assert "and 1 more. They freeze" in str(record)


def test_windows_end_before_the_state_freezes() -> None:
    assert found(gru_latch(12.0), latch_stream(), longest=60) == ()
    assert found(gru_latch(12.0), latch_stream(), longest=100_000) != ()


@pytest.mark.parametrize("gate", ["sigmoid", "hard_sigmoid"])
@pytest.mark.parametrize("cell", ["lstm", "gru_after", "gru_before"])
def test_ordinary_layers_are_no_alarm(cell: str, gate: str) -> None:
    """Keras's bias of forget gates is in these networks; none of 24 layers may be reported."""
    for seed in range(4):
        model = float_model(cell, seed=seed, gate=gate, units=24, stack=2)
        assert found(model, stream(1500, 3, seed=seed)) == ()


@pytest.mark.filterwarnings("ignore:calibration. expected every channel to vary")
def test_a_unit_that_never_moves_is_no_alarm() -> None:
    xs = latch_stream()
    xs[:, 1] = 0.0
    assert found(gru_latch(12.0), xs) == ()
