"""Cycle estimates: prices of executed instructions, as a range."""

import pytest

from edgernn.errors import TargetError
from edgernn_firmware_sim.targets import boards, cores
from edgernn_firmware_sim.targets.costs import KINDS, Costs, estimate, parse_costs

TABLE = {"accuracy": "judged", "error_percent": 0, "instruction": [1, 1]}


def price(core, kind, *, taken=0, registers=0):
    """Cycles of one instruction by the table of a core, without the judged error."""
    costs = next(c.costs[core] for c in cores().values() if core in c.costs)
    exact = Costs(core=core, error_percent=0, accuracy="-", cycles=costs.cycles)
    result = estimate(exact, {kind: 1}, taken=taken, registers=registers)
    return result.low_cycles, result.high_cycles


@pytest.mark.parametrize(
    ("core", "kind", "extras", "cycles"),
    [
        ("cortex-m0", "load", {}, (2, 2)),
        ("cortex-m0", "paired_load", {}, (2, 2)),
        ("cortex-m0", "store_many", {"registers": 5}, (6, 6)),
        ("cortex-m0", "return_many", {"registers": 5, "taken": 1}, (9, 9)),
        ("cortex-m0", "branch", {"taken": 1}, (3, 3)),
        ("cortex-m0", "branch", {}, (1, 1)),
        ("cortex-m0", "call", {"taken": 1}, (4, 4)),
        ("cortex-m0", "return", {"taken": 1}, (3, 3)),
        ("cortex-m0plus", "branch", {"taken": 1}, (2, 2)),
        ("cortex-m0plus", "call", {"taken": 1}, (3, 3)),
        ("cortex-m0plus", "return", {"taken": 1}, (2, 2)),
        ("cortex-m0plus", "return_many", {"registers": 5, "taken": 1}, (8, 8)),
        ("cortex-m3", "load", {}, (2, 2)),
        ("cortex-m3", "paired_load", {}, (1, 1)),
        ("cortex-m3", "load_many", {"registers": 2}, (3, 3)),
        ("cortex-m3", "store", {}, (1, 1)),
        ("cortex-m3", "mac", {}, (2, 2)),
        ("cortex-m3", "long_multiply", {}, (3, 5)),
        ("cortex-m3", "long_mac", {}, (5, 7)),
        ("cortex-m3", "branch", {"taken": 1}, (2, 4)),
        ("cortex-m4", "mac", {}, (1, 1)),
        ("cortex-m4", "long_mac", {}, (1, 1)),
        ("cortex-m4", "branch", {"taken": 1}, (2, 4)),
        ("cortex-m7", "mac", {}, (0.87, 0.87)),
        ("cortex-m33", "load", {}, (1.15, 1.15)),
        ("cortex-m55", "vector", {}, (1, 2)),
        ("rv32imc", "load", {}, (1.4, 1.4)),
        ("rv32imc", "branch", {"taken": 1}, (3, 3)),
    ],
)
def test_prices_are_those_of_the_documented_tables(core, kind, extras, cycles):
    assert price(core, kind, **extras) == pytest.approx(cycles)


def test_every_price_and_every_estimate_is_a_range():
    for core in cores().values():
        for costs in core.costs.values():
            assert all(0 < costs.of(kind)[0] <= costs.of(kind)[1] for kind in KINDS)
            result = estimate(costs, dict.fromkeys(KINDS, 3.0), taken=7, registers=9)
            assert 0 < result.low_cycles <= result.high_cycles
            assert result.accuracy


def test_the_judged_error_widens_a_narrow_range_and_leaves_a_wide_one():
    cycles = {"instruction": (1.0, 1.0), "divide": (2.0, 12.0)}
    costs = Costs(core="x", error_percent=20, accuracy="-", cycles=cycles)
    narrow = estimate(costs, {"alu": 100}, taken=0, registers=0)
    assert (narrow.low_cycles, narrow.high_cycles) == pytest.approx((80, 120))
    wide = estimate(costs, {"divide": 10}, taken=0, registers=0)
    assert (wide.low_cycles, wide.high_cycles) == pytest.approx((20, 120))


def test_the_memory_factor_multiplies_and_time_follows_the_clock():
    costs = parse_costs("x", {"c": TABLE})["c"]
    result = estimate(costs, {"alu": 1000}, taken=0, registers=0, memory_factor=1.5)
    assert (result.low_cycles, result.high_cycles, result.memory_factor) == (1500, 1500, 1.5)
    assert result.ms(1_000_000) == (1.5, 1.5)


@pytest.mark.parametrize("factor", (0.99, 0.0, -1.0, float("nan"), float("inf")))
def test_a_memory_factor_below_one_is_refused(factor):
    costs = parse_costs("x", {"c": TABLE})["c"]
    with pytest.raises(TargetError, match="memory factor: expected at least 1"):
        estimate(costs, {}, taken=0, registers=0, memory_factor=factor)


def test_boards_with_m0plus_are_priced_as_m0plus():
    for name in ("pico", "mkr1000"):
        board = boards()[name]
        assert board.core == "cortex-m0plus"
        assert board.core in cores()[board.emulated_as].costs
    assert price("cortex-m0plus", "call", taken=1) < price("cortex-m0", "call", taken=1)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({}, r"^x: expected a table for each core, got \{\}\."),
        ([1], r"^x: expected a table for each core, got \[1\]\."),
        ({"c": 3}, r"^x\.c\.accuracy: expected a text, got None\."),
        ({"c": TABLE | {"accuracy": ""}}, r"^x\.c\.accuracy: expected a text, got ''\."),
        ({"c": TABLE | {"error_percent": 100}}, r"^x\.c\.error_percent: expected .*, got 100\."),
        ({"c": TABLE | {"error_percent": True}}, r"^x\.c\.error_percent: expected .*, got True\."),
        ({"c": {k: TABLE[k] for k in ("accuracy", "error_percent")}}, r"^x\.c: .*, got none\."),
        ({"c": TABLE | {"lode": [1, 1]}}, r"^x\.c: expected 'instruction' and .*, got .*lode\."),
        ({"c": TABLE | {"load": [2, 1]}}, r"^x\.c\.load: expected \[low, high\] .*got \[2, 1\]\."),
        ({"c": TABLE | {"load": [-1, 1]}}, r"^x\.c\.load: expected \[low, high\]"),
        ({"c": TABLE | {"load": 2}}, r"^x\.c\.load: expected \[low, high\] .*got 2\."),
        ({"c": TABLE | {"load": [1]}}, r"^x\.c\.load: expected \[low, high\] .*got \[1\]\."),
        ({"c": TABLE | {"load": ["1", "2"]}}, r"^x\.c\.load: expected \[low, high\]"),
        ({"c": TABLE | {"load": [True, True]}}, r"^x\.c\.load: expected \[low, high\]"),
    ],
)
def test_a_wrong_table_is_refused_by_entry(table, message):
    with pytest.raises(TargetError, match=message):
        parse_costs("x", table)
