"""Sparse and 4-bit weights, read back, against other readers, and damaged."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

import numpy as np
import pytest

import edgernn
from edgernn.container.defects import FormatDefect as D
from edgernn.container.file import from_bytes, to_bytes
from edgernn.container.stored.tensors import packed
from edgernn.model.formats import Precision
from edgernn.model.storage import Storage, tile_index
from tests.edgernn.container.test_container_fuzz import outcome, peak_bytes
from tests.support.container.mutations import MUTATIONS
from tests.support.container.surgery import resealed, resized, split
from tests.support.models.integer import CELLS, random_model
from tests.support.models.stored import densified, stored

pytestmark = pytest.mark.device

DENSE8, SPARSE8, DENSE4 = Storage
MIXES = ((SPARSE8,), (DENSE4,), (SPARSE8, DENSE4), (DENSE4, DENSE8, SPARSE8))
SPARSE = stored(random_model("lstm", inputs=6, units=10, common=True), SPARSE8, seed=3)
FOUR = stored(random_model("lstm", inputs=6, units=9, common=True), DENSE4)


@pytest.mark.parametrize("mix", MIXES, ids=lambda mix: "-".join(s.value for s in mix))
@pytest.mark.parametrize("precision", Precision)
def test_round_trip(mix, precision):
    for cell, common, width in itertools.product(CELLS, (True, False), (1, 5, 8)):
        base = random_model(cell, precision, common=common, inputs=width, units=width + 2)
        model = stored(base, *mix)
        data = to_bytes(model)
        loaded = from_bytes(data)
        assert loaded == model
        assert loaded.storages == model.storages
        assert to_bytes(loaded) == data
        old = to_bytes(model, "2")
        assert split(old)[0]["__metadata__"]["edgernn_schema"] == "2"
        assert from_bytes(old) == model


def test_storage_is_part_of_a_models_identity():
    model = densified(SPARSE)
    assert model != SPARSE
    assert model.sha256 != SPARSE.sha256


def by_hand_4(halves: np.ndarray, columns: int) -> np.ndarray:
    """FORMAT.md 5.4, value by value."""
    rows = []
    for row in halves:
        values = [value for byte in row for value in (int(byte) % 16, int(byte) // 16)]
        rows.append([v - 16 if v > 7 else v for v in values[:columns]])
    return np.array(rows)


def by_hand_sparse(
    weights: np.ndarray, index: np.ndarray, rows: int, parts: list[int]
) -> np.ndarray:
    """FORMAT.md 5.5, weight by weight."""
    columns = []
    for part in parts:
        columns += [(len(columns) + i, i < part) for i in range(-(-part // 4) * 4)]
    real = [place for place, is_real in columns if is_real]
    full = np.zeros((-(-rows // 4) * 4, len(columns)), int)
    at, tile = 0, 0
    for group in range(-(-rows // 4)):
        count = int(index[at]) + 1
        for place in index[at + 1 : at + 1 + count]:
            for i, weight in enumerate(weights[tile]):
                full[4 * group + i // 4, 4 * int(place) + i % 4] = weight
            tile += 1
        at += 1 + count
    assert (at, tile) == (len(index), len(weights))
    return full[:rows, real]


@pytest.mark.parametrize("precision", Precision)
@pytest.mark.parametrize("cell", CELLS)
def test_safetensors_reads_what_format_md_says(cell, precision):
    safetensors_numpy = pytest.importorskip("safetensors.numpy", reason="device environment")
    base = random_model(cell, precision, inputs=6, units=9)
    model = stored(base, DENSE4, SPARSE8)
    tensors = safetensors_numpy.load(to_bytes(model))
    seen = set()
    for layer in model.layers:
        for name, affine in layer.affines.items():
            for index, term in enumerate(affine.terms):
                prefix = f"{layer.name}/{name}/{index}"
                held = tensors[f"{prefix}/weights"]
                rows, columns = term.weights.shape
                if term.storage is DENSE4:
                    assert held.dtype == np.uint8
                    found = by_hand_4(held, columns)
                else:
                    assert held.dtype == np.int8
                    parts = {"xh": [layer.inputs, layer.units]}.get(term.source.value, [columns])
                    found = by_hand_sparse(held, tensors[f"{prefix}/tiles"], rows, parts)
                np.testing.assert_array_equal(found, term.weights, err_msg=prefix)
                seen.add(term.storage)
    assert seen == {DENSE4, SPARSE8}


def test_the_examples_of_format_md():
    path = Path(edgernn.__file__).parent / "container" / "FORMAT.md"
    text = " ".join(path.read_text(encoding="utf-8").split())
    halves = packed(np.array([[1, -2, 7]], np.int8)).tobytes().hex(" ")
    assert f"1, −2, 7 is the bytes `{halves}`" in text
    blocks = np.zeros((2, 3, 4, 4), np.int8)
    blocks[0, [0, 2]] = 1
    index = tile_index(blocks).tobytes().hex(" ")
    assert f"`{index}`" in text


def test_files_get_smaller():
    base = random_model("gru_after", inputs=64, units=64)
    dense, four = len(to_bytes(base)), len(to_bytes(stored(base, DENSE4)))
    sparse = len(to_bytes(stored(base, SPARSE8, density=0.2)))
    weights = sum(
        t.weights.size for la in base.layers for a in la.affines.values() for t in a.terms
    )
    assert dense - four == pytest.approx(weights / 2, rel=0.02)
    assert dense - sparse == pytest.approx(weights * 0.78, rel=0.05)


FILES = [to_bytes(SPARSE), to_bytes(FOUR)] + [
    to_bytes(stored(random_model(cell, precision, inputs=6, units=6, common=common), *mix))
    for cell in ("simple_rnn", "gru_before")
    for precision in Precision
    for common in (True, False)
    for mix in MIXES
]


@pytest.mark.parametrize("mutate", MUTATIONS, ids=lambda mutate: mutate.__name__)
def test_damaged_files(mutate):
    rng = random.Random(f"storage {mutate.__name__}")
    outcomes = {outcome(mutate(rng, rng.choice(FILES))) for _ in range(250)}
    assert outcomes - {"valid"}


def test_damaged_indices_and_halves():
    rng = random.Random("storage tensors")
    reached = set()
    for _ in range(2_000):
        data = rng.choice(FILES)
        header, section = split(data)
        name = rng.choice([k for k in header if k.endswith(("/tiles", "/weights"))])
        low, high = header[name]["data_offsets"]
        content = bytearray(section[low:high])
        for _ in range(rng.choice((1, 1, 2, 5))):
            value = rng.choice((0, 1, 2, 3, 4, 127, 128, 255, rng.randrange(256)))
            content[rng.randrange(len(content))] = value
        if name.endswith("/tiles") and rng.random() < 0.3:
            content = content[: rng.randrange(1, len(content) + 1)]
        shape = [len(content)] if name.endswith("/tiles") else header[name]["shape"]
        reached.add(outcome(resealed(resized(data, name, bytes(content), shape))))
    assert reached >= {"valid", D.BAD_TILES, D.NOT_CANONICAL, D.INVALID_MODEL, D.SHAPE_MISMATCH}


def test_a_large_sparse_model_takes_a_few_times_its_weights():
    base = random_model("simple_rnn", units=600, inputs=200)
    data = to_bytes(stored(base, SPARSE8, density=0.02))
    weights = sum(t.weights.size for a in base.layers[0].affines.values() for t in a.terms)
    assert len(data) < weights / 10
    assert peak_bytes(data) < 8 * weights + 4 * 2**20
