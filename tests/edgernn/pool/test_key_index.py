"""Both indices, in C and in Python, do what a dictionary and a list would."""

import gc
import random
import sys
import weakref

import numpy as np
import pytest

from edgernn.pool import key_index
from tests.support.native.programs import require_native

pytestmark = pytest.mark.device


def native(ordered):
    require_native()
    return key_index.new_index(ordered)


KINDS = [key_index.KeyIndex, native]


class Model:
    """What an index should know, in the plainest form."""

    def __init__(self):
        self.rows, self.used, self.changed, self.high = {}, [], set(), 0

    def use(self, keys, now):
        for key in keys:
            if key in self.rows:
                self.used = [(k, t) for k, t in self.used if k != key] + [(key, now)]
                self.changed.add(key)


def rows_of(index, keys):
    rows = np.full(len(keys), -7, np.int32)
    assert index.find(keys, rows) == np.count_nonzero(rows == -1)
    return rows.tolist()


def random_key(rng):
    """Few hashes, many keys: 0 and 2**61 - 1 have one hash, as have 1, 1.0 and True."""
    number = rng.randrange(40)
    return rng.choice(
        [
            number,
            float(number),
            f"k{number}",
            (number, "x"),
            number * (2**61 - 1),
            -1,
            -2,
            None,
            b"b",
        ]
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("seed", range(6))
def test_against_a_dictionary(kind, ordered, seed):
    rng, index, model = random.Random(seed), kind(ordered), Model()
    for now in range(300):
        keys = [random_key(rng) for _ in range(rng.randrange(1, 70 if now % 9 == 0 else 6))]
        known = list(dict.fromkeys(key for key in keys if key in model.rows))
        new = list(dict.fromkeys(key for key in keys if key not in model.rows))
        match rng.randrange(6):
            case 0 | 1:
                rows = np.empty(len(new), np.int32)
                index.add(new, rows, float(now))
                assert len(set(rows.tolist())) == len(new)
                assert not set(rows.tolist()) & set(model.rows.values())
                model.rows.update(zip(new, rows.tolist(), strict=True))
                model.used += [(key, now) for key in new]
                model.high = max(model.high, len(model.rows))
            case 2:
                rows = np.empty(len(keys), np.int32)
                assert index.use(keys, rows, float(now)) == sum(k not in model.rows for k in keys)
                assert rows.tolist() == [model.rows.get(key, -1) for key in keys]
                model.use(keys, now)
            case 3:
                index.remove(known)
                for key in known:
                    del model.rows[key]
                    model.changed.discard(key)
                model.used = [(k, t) for k, t in model.used if k in model.rows]
            case 4:
                index.mark(known)
                model.changed.update(known)
            case 5:
                assert set(index.take_changed()) == model.changed
                model.changed = set()
        assert rows_of(index, keys) == [model.rows.get(key, -1) for key in keys]
        assert [key in index for key in keys] == [key in model.rows for key in keys]
        assert len(index) == len(model.rows) and set(index.keys()) == set(model.rows)
        assert index.high == model.high  # rows are used again
        if ordered:
            assert index.oldest(10**9) == [key for key, _ in model.used]
            assert index.oldest(3) == [key for key, _ in model.used[:3]]
            before = now - rng.randrange(40)
            assert index.idle(float(before)) == sum(t < before for _, t in model.used)


@pytest.mark.parametrize("kind", KINDS)
def test_many_keys(kind):
    index, count = kind(False), 20_000
    rng = np.random.default_rng(0)
    keys = [*rng.permutation(count).tolist(), *(f"sensor/{i}" for i in range(count))]
    rows = np.empty(2 * count, np.int32)
    index.add(keys, rows, 0.0)
    assert rows.tolist() == list(range(2 * count))
    index.remove(keys[::2])
    assert rows_of(index, keys[:6]) == [-1, 1, -1, 3, -1, 5]
    assert rows_of(index, keys[1::2]) == list(range(1, 2 * count, 2))


@pytest.mark.parametrize("kind", KINDS)
def test_a_key_that_is_not_hashable(kind):
    index = kind(True)
    rows = np.empty(2, np.int32)
    for call in (index.find, lambda *a: index.use(*a, 0.0)):
        with pytest.raises(TypeError, match="unhashable"):
            call(["a", []], rows)
    with pytest.raises(KeyError):
        index.remove(["never there"])


def test_what_the_native_index_refuses():
    index = native(True)
    with pytest.raises(TypeError, match="expected a list or a tuple"):
        index.find("ab", np.empty(2, np.int32))
    for rows in (np.empty(3, np.int32), np.empty(2)):
        with pytest.raises(ValueError, match="expected an int32 for each key"):
            index.find(["a", "b"], rows)
    with pytest.raises((ValueError, BufferError)):
        index.find(["a", "b"], np.empty(4, np.int32)[::2])


class Meddler:
    """A key whose comparison uses the index."""

    def __init__(self, index):
        self.index = index

    def __hash__(self):
        return hash("a")

    def __eq__(self, other):
        self.index.remove(["a"])
        return True


def test_a_comparison_must_leave_the_index_alone():
    index = native(True)
    rows = np.empty(1, np.int32)
    index.add(["a"], rows, 0.0)
    with pytest.raises(RuntimeError, match="keys whose comparison leaves the pool alone"):
        index.find([Meddler(index)], rows)
    assert rows_of(index, ["a"]) == [0]


@pytest.mark.parametrize("kind", KINDS)
def test_keys_are_kept_and_let_go(kind):
    class Key:
        pass

    index, key = kind(True), Key()
    key.index = index  # a circle, which only the collector can end
    alive, rows = weakref.ref(key), np.empty(1, np.int32)
    index.add([key], rows, 0.0)
    before = sys.getrefcount(key)
    index.use([key], rows, 1.0)
    index.remove([key])
    assert sys.getrefcount(key) < before
    index.add([key], rows, 2.0)
    del key, index
    gc.collect()
    assert alive() is None
