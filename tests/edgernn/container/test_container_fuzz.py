"""Damaged files: each loads to a valid model or ends in one FormatError, fast and small."""

from __future__ import annotations

import dataclasses
import random
import time
import tracemalloc
from collections import Counter

import numpy as np
import pytest

from edgernn.container.defects import FormatDefect
from edgernn.container.file import parsed, to_bytes
from edgernn.container.frame import MAX_HEADER_BYTES
from edgernn.errors import FormatError
from edgernn.model.formats import Precision
from tests.support.container.examples import example_model, example_network, example_programs
from tests.support.container.mutations import MUTATIONS
from tests.support.container.surgery import edit_header, frame, join, resealed
from tests.support.models.general import general_model, general_network
from tests.support.models.integer import CELLS, random_layer, random_model
from tests.support.models.networks import random_network, residual_network, two_input_network
from tests.support.models.programs import pair, shared
from tests.support.models.rates import RATES, strided_network

FILES_PER_MUTATION = 2_000
FILES = [
    to_bytes(random_model(cell, precision, units=4, common=common, stack=2))
    for cell in CELLS
    for precision in Precision
    for common in (True, False)
]
FILES += [to_bytes(random_model(cell, units=4), "1") for cell in CELLS]
NETWORKS = [
    to_bytes(network)
    for precision in Precision
    for network in (
        residual_network(precision, units=4),
        two_input_network(precision, units=4),
        random_network(precision, seed=4, layers=5),
        strided_network(precision, RATES[2]),
    )
]
NETWORKS += [
    to_bytes(model)
    for precision in Precision
    for model in (
        general_network(precision, seed=1),
        general_model("general_lstm", precision, seed=3, cell_function="softsign"),
    )
]
FILES += 2 * NETWORKS
PROGRAMS = [to_bytes(programs(precision)) for precision in Precision for programs in (pair, shared)]
FILES += 2 * PROGRAMS
#: What is no hang, on any machine; a file takes about a millisecond.
LONGEST_S = 20.0


def outcome(data: bytes) -> str:
    """The defect, or `valid` for a file that is read and written back unchanged."""
    try:
        model = parsed(data)
    except FormatError as error:
        assert len(str(error)) < 1000
        return FormatDefect(error.defect).value
    version = "1" if b'"edgernn_schema":"1"' in data else None
    assert to_bytes(model, version) == data
    return "valid"


@pytest.mark.parametrize("mutate", MUTATIONS, ids=lambda mutate: mutate.__name__)
def test_damaged_files(mutate, record_property):
    rng = random.Random(f"edgernn {mutate.__name__}")
    outcomes: Counter[str] = Counter()
    longest = 0.0
    begin = time.process_time()
    for _ in range(FILES_PER_MUTATION):
        data = resealed(mutate(rng, rng.choice(FILES)))
        start = time.process_time()
        outcomes[outcome(data)] += 1
        longest = max(longest, time.process_time() - start)
    rate = FILES_PER_MUTATION / (time.process_time() - begin)
    record_property("outcomes", dict(outcomes))
    print(f"{mutate.__name__}: {rate:.0f} files/s, slowest {longest * 1e3:.1f} ms, {outcomes}")
    assert longest < LONGEST_S
    assert outcomes.total() == FILES_PER_MUTATION
    assert len(outcomes) >= 2 or mutate.__name__ == "truncate", "the damage is too uniform to tell"
    assert outcomes["valid"] < FILES_PER_MUTATION


def test_the_fuzz_is_long_enough_and_reaches_most_defects():
    assert FILES_PER_MUTATION * len(MUTATIONS) >= 20_000
    rng = random.Random(1)
    reached = {outcome(resealed(m(rng, rng.choice(FILES)))) for m in MUTATIONS for _ in range(300)}
    assert "valid" in reached
    # Two defects belong to paths and sizes, one to a wrong checksum, others take luck.
    assert len(reached - {"valid"}) >= len(FormatDefect) - 6


@pytest.mark.parametrize(
    "model", [example_model(), example_network(), example_programs()], ids="345"
)
def test_no_single_flipped_bit_is_accepted(model):
    data = to_bytes(model)
    accepted = []
    for bit in range(8 * len(data)):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        if outcome(bytes(changed)) == "valid":
            accepted.append(bit)
    assert accepted == []


def test_damage_that_leaves_the_form_alone_is_named_damage():
    rng = random.Random(3)
    for data in FILES[:20]:
        changed = bytearray(data)
        changed[-1 - rng.randrange(8)] ^= 1 << rng.randrange(8)
        assert outcome(bytes(changed)) == FormatDefect.BAD_CHECKSUM


def peak_bytes(data: bytes) -> int:
    tracemalloc.start()
    try:
        outcome(data)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_damaged_files_take_little_memory():
    rng = random.Random(2)
    for mutate in MUTATIONS:
        for _ in range(40):
            data = mutate(rng, rng.choice(FILES))
            assert peak_bytes(data) < 4 * 2**20, mutate.__name__


FULL = MAX_HEADER_BYTES - 100
METADATA = '"__metadata__":{"edgernn_schema":"1","model":"{}"}'
GREEDY_HEADERS = {
    "empty arrays": "[" + "[]," * (FULL // 3) + "[]]",
    "empty objects": "[" + "{}," * (FULL // 3) + "{}]",
    "keys": "{" + METADATA + "".join(f',"{i:x}":0' for i in range(FULL // 11)) + "}",
    "escaped quotes": '"' + '\\"' * (FULL // 2),
    "open strings": '{"' + '\\"' * (FULL // 2 - 8),
    "backslashes": "\\" * FULL,
    "brackets": "[]" * (FULL // 2),
    "zeros": "[" + "0," * (FULL // 2) + "0]",
    "digits": "[" + "9" * FULL + "]",
    "spaces": " " * FULL,
    "astral string": '"' + "🌡" * (FULL // 4) + '"',
}


@pytest.mark.parametrize("name", GREEDY_HEADERS)
def test_the_largest_headers_stay_within_bounds(name):
    data = frame(GREEDY_HEADERS[name].encode(), b"")
    start = time.process_time()
    assert outcome(data) != "valid"
    assert time.process_time() - start < LONGEST_S
    assert peak_bytes(data) < 64 * 2**20


def assert_linear_time(small: bytes, large: bytes, expected: str) -> None:
    """What is four times as large takes about four times as long, not sixteen."""

    def least_s(data: bytes) -> float:
        times_s = []
        for _ in range(3):
            start = time.process_time()
            assert outcome(data) == expected
            times_s.append(time.process_time() - start)
        return min(times_s)

    assert least_s(large) < 9 * least_s(small)


def many_tensors(count: int) -> bytes:
    entry = {"data_offsets": [0, 0], "dtype": "I8", "shape": [1]}
    header = {"__metadata__": {"edgernn_schema": "1", "model": "{}"}}
    for index in range(count):
        header[f"{index:05}"] = {**entry, "data_offsets": [index, index + 1]}
    return join(header, bytes(count))


def test_many_tensors_take_linear_time():
    data = many_tensors(14_000)
    assert len(data) > 0.8 * MAX_HEADER_BYTES
    assert_linear_time(many_tensors(3_500), data, FormatDefect.BAD_RECORD)


def many_layers(count: int) -> bytes:
    model = random_model("lstm", units=4, outputs=2)
    head = random_layer(
        np.random.default_rng(0), "dense", "head", 2, 2, Precision.W8A8, first=False
    )
    layers = [dataclasses.replace(head, name=f"head{index}") for index in range(count)]
    return to_bytes(dataclasses.replace(model, layers=(*model.layers, *layers)))


def test_many_layers_take_linear_time():
    data = many_layers(1_300)
    assert len(data) > 0.5 * MAX_HEADER_BYTES
    assert_linear_time(many_layers(325), data, "valid")


def test_a_small_file_cannot_ask_for_a_large_allocation():
    def claim(header):
        for entry in header.values():
            if entry.get("dtype") == "I8":
                entry["shape"] = [8191, 8191]

    data = resealed(edit_header(FILES[0], claim))
    assert outcome(data) == FormatDefect.BAD_OFFSETS
    assert peak_bytes(data) < 2**20


def test_a_large_model_takes_a_few_times_its_file():
    data = to_bytes(random_model("lstm", units=500, inputs=64))
    assert len(data) > 2**20
    assert peak_bytes(data) < 4 * len(data) + 4 * 2**20
