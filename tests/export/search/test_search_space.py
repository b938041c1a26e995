"""What a search may be asked: spaces, limits, targets, and what is refused by name."""

import math

import pytest

from edgernn.errors import SearchError, TargetError
from edgernn_export.search import Configuration, Cost, Limits, Space, find_hardware, parse_bytes
from edgernn_firmware_sim.targets import boards, cores
from tests.support.training.search_trainers import tiny_settings

COST = Cost(flash_bytes=41_200, ram_bytes=900, instructions=1000, low_ms=3.0, high_ms=5.5)


def test_space_lists_every_configuration_once():
    space = Space(units=(8, 24, 8), densities=(1.0, 0.5), learning_rates=(0.01, 0.001))
    found = list(space.configurations())
    assert len(found) == len(set(found)) == space.size == 2 * 3 * 2 * 3 * 2 * 2
    assert {c.units for c in found} == {8, 16, 24}
    smallest = list(space.smallest())
    assert {(c.units, c.learning_rate) for c in smallest} == {(8, 0.01)}
    assert len(smallest) == 2 * 2 * 3 * 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cells": ("GRU", "TCN")}, "search cells: expected one or more of SimpleRNN, LSTM, GRU"),
        ({"cells": ()}, "got none"),
        ({"precisions": ("w8a8", "w8a8")}, "search precisions: .* got w8a8, w8a8"),
        ({"layers": (1, 3)}, "search layers: expected one or more of 1, 2"),
        ({"pattern": "3x3"}, "search pattern: .* got 3x3"),
        ({"units": (8, 20, 8)}, "search units: expected LOW:HIGH:STEP .* got 8:20:8"),
        ({"units": (0, 8, 8)}, "got 0:8:8"),
        ({"units": (8, 8, 0)}, "got 8:8:0"),
        ({"densities": (0.0,)}, "search densities: expected numbers above 0 and at most 1, .* 0"),
        ({"densities": (math.nan,)}, "got nan"),
        ({"learning_rates": (-0.1,)}, "search learning rates: .* got -0.1"),
    ],
)
def test_space_refuses(changes, message):
    with pytest.raises(SearchError, match=message):
        Space(**changes)


def test_labels_name_what_differs():
    plain = Configuration(
        cell="GRU", units=16, layers=1, precision="w8a8", density=1.0, learning_rate=None
    )
    assert plain.label == "gru16-w8a8"
    space = Space(cells=("LSTM",), densities=(1.0, 0.25), learning_rates=(0.003,))
    labels = [c.label for c in space.configurations()]
    assert len(set(labels)) == len(labels)
    assert "lstm24x2-w8a16-d0.25-lr0.003" in labels


@pytest.mark.parametrize(
    ("text", "size"),
    [("16k", 16_000), ("16kB", 16_000), ("16KiB", 16_384), ("2Ki", 2048), ("1.5k", 1500),
     ("1M", 1_000_000), ("1Mi", 1 << 20), (" 700 ", 700)],
)  # fmt: skip
def test_sizes(text, size):
    assert parse_bytes(text) == size


@pytest.mark.parametrize("text", ["", "0", "-1k", "16q", "1.0001k", "k", "nan", "16 k B"])
def test_sizes_that_are_none(text):
    with pytest.raises(SearchError, match="size: expected bytes like 16000"):
        parse_bytes(text)


def test_limits_hold_the_high_end_of_the_time():
    assert Limits().over(COST) == ()
    assert Limits(flash_bytes=41_200, ram_bytes=900, step_ms=5.5).over(COST) == ()
    over = Limits(flash_bytes=32_000, ram_bytes=1000, step_ms=4).over(COST)
    assert [o.sentence for o in over] == ["estimated 5.5 ms > 4 ms", "flash 41,200 B > 32,000 B"]
    assert over[1].excess == pytest.approx(0.2875)


def test_unknown_time_keeps_no_limit():
    cost = Cost(flash_bytes=1, ram_bytes=1, instructions=None, low_ms=math.inf, high_ms=math.inf)
    (over,) = Limits(flash_bytes=10, step_ms=5).over(cost)
    assert over.sentence == "unknown time (too large to be emulated) > 5 ms"
    assert cost.record() == {
        "flash_bytes": 1, "ram_bytes": 1, "instructions": None, "low_ms": None, "high_ms": None,
    }  # fmt: skip


@pytest.mark.parametrize("name", ["flash_bytes", "ram_bytes", "step_ms"])
@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf])
def test_limits_refuse(name, value):
    with pytest.raises(SearchError, match=f"search {name}: expected a limit above 0"):
        Limits(**{name: value})


def test_hardware_has_a_clock():
    assert find_hardware("cortex-m0").clock_hz == boards()["microbit"].clock_hz
    assert find_hardware("cortex-m0").clock_source == "of microbit"
    assert find_hardware("pico").clock_hz == boards()["pico"].clock_hz
    assert find_hardware("pico").costs.core == "cortex-m0plus"
    assert find_hardware("pico", 50).clock_hz == 50_000_000
    assert all(find_hardware(name).clock_hz > 0 for name in [*cores(), "pico2-riscv", "uno-r4"])
    with pytest.raises(SearchError, match="expected a target with an emulated core, got 'esp32'"):
        find_hardware("esp32")


def test_hardware_refuses():
    with pytest.raises(TargetError, match=r"expected one of cortex-m0, .*pico.* got 'cortex-m1'"):
        find_hardware("cortex-m1")
    with pytest.raises(SearchError, match="--clock-mhz: expected a clock above 0, got -1"):
        find_hardware("pico", -1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"objective": "ram"}, "search objective: expected one of flash, ms, got 'ram'"),
        ({"sampler": "grid"}, "search sampler: expected one of tpe, nsga2"),
        ({"trials": 0}, "search trials: expected at least 1, got 0"),
        ({"workers": 0}, "search workers: expected at least 1"),
        ({"minutes": 0.0}, "search minutes: expected a number above 0"),
        ({"seed": -1}, "search seed: expected at least 0"),
    ],
)
def test_settings_refuse(changes, message, tmp_path):
    with pytest.raises(SearchError, match=message):
        tiny_settings(tmp_path, **changes)
