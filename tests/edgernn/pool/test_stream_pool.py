"""What a pool takes, and what it says of what it does not take."""

import dataclasses
import threading
import warnings

import numpy as np
import pytest

import edgernn
from edgernn import (
    ClippedReadingsWarning,
    EdgeRnnError,
    ReadingError,
    ShapeError,
    StateError,
    StreamKeyError,
    StreamPool,
)
from edgernn.backends.native import is_available
from edgernn.model.interface import Window
from edgernn.pool import key_index
from tests.support.models.integer import random_model
from tests.support.models.programs import pair

pytestmark = pytest.mark.device

BACKENDS = ["reference", *["native"] * is_available()]
MODEL = random_model("gru_after")
OTHER = random_model("gru_after", seed=1)
WIDTH = MODEL.interface().input.width


def readings(count, seed=0):
    return np.random.default_rng(seed).normal(size=(count, WIDTH))


@pytest.fixture(params=BACKENDS)
def pool(request):
    with StreamPool(MODEL, request.param) as pool:
        yield pool


def test_keys_are_streams(pool):
    keys = [f"k{i}" for i in np.random.default_rng(3).integers(0, 5, 40)]
    xs = readings(40)
    got = np.concatenate([pool.step_many(keys[:13], xs[:13]), pool.step_many(keys[13:], xs[13:])])
    assert len(pool) == 5 and set(pool.keys()) == set(keys) == set(pool.take_changed())
    assert pool.take_changed() == []
    for key in set(keys):
        mine = [b for b, other in enumerate(keys) if other == key]
        np.testing.assert_array_equal(got[mine], edgernn.load(MODEL, "reference").run(xs[mine]))


def test_every_form_of_keys_and_readings(pool):
    xs = readings(3)
    names = pool.interface.input.names
    wanted = pool.step_many([1, 2, 3], xs)
    table = [dict(zip(names, x, strict=True)) for x in xs]
    wide = np.zeros((3, 2 * WIDTH))
    wide[:, ::2] = xs
    for keys in ((1, 2, 3), np.array([1, 2, 3]), range(1, 4), {1: 0, 2: 0, 3: 0}, iter([1, 2, 3])):
        pool.reset([1, 2, 3])
        np.testing.assert_array_equal(pool.step_many(keys, xs), wanted)
    for same in (xs.tolist(), table, wide[:, ::2], xs.astype(object), np.asfortranarray(xs)):
        pool.reset(np.array([1, 2, 3]))
        np.testing.assert_array_equal(pool.step_many([1, 2, 3], same), wanted)
    assert len(pool) == 3 and 2 in pool and 2.0 in pool and "2" not in pool
    pool.drop(np.array([2]))
    assert len(pool) == 2 and 2 not in pool


def test_an_empty_batch(pool):
    assert pool.step_many([], np.empty((0, WIDTH))).shape == (0, 2)
    assert pool.export([]) == [] and pool.take_changed() == []


def test_a_refused_reading_is_refused_alone():
    xs = readings(4)
    xs[1, 0] = np.nan
    bad = np.zeros(4, bool)
    with StreamPool(MODEL, on_bad_reading="raise") as pool:
        ys = pool.step_many([*"abca"], xs, bad=bad)
        assert bad.tolist() == [False, True, False, False] and pool.bad_readings == 1
        assert np.isnan(ys[1]).all()
        alone = [edgernn.load(MODEL).run(xs[[0, 3]]), edgernn.load(MODEL).run(xs[[2]])]
        np.testing.assert_array_equal(ys[[0, 3, 2]], np.concatenate(alone))


def test_clipping_is_told_once_and_counted(pool):
    xs = readings(2)
    xs[:, 1] = 1e9
    with pytest.warns(ClippedReadingsWarning) as told:
        pool.step_many(["a", "b"], xs)
        pool.step_many(["c", "a"], xs)
    assert len(told) == 1 and told[0].filename == __file__
    assert pool.clipped_readings == (0, 4, 0)


def test_probabilities(pool):
    output = dataclasses.replace(MODEL.output, softmax=True)
    model = dataclasses.replace(MODEL, output=output)
    xs = readings(2)
    for backend in BACKENDS:
        with StreamPool(model, backend) as soft:
            got = soft.step_many(["a", "b"], xs, softmax=True)
        want = [edgernn.load(model, "reference").step(x, softmax=True) for x in xs]
        np.testing.assert_array_equal(got, want)
    with pytest.raises(EdgeRnnError, match="expected a model that ends in a softmax"):
        pool.step_many(["a"], xs[:1], softmax=True)


@pytest.mark.parametrize(
    ("keys", "kind", "said"),
    [
        ("ab", StreamKeyError, "expected a sequence of keys, got str. Pass \\[key\\] for one"),
        (7, StreamKeyError, "expected a sequence of keys, got int"),
        (["a", []], StreamKeyError, "expected hashable keys, got list \\(key 1\\)"),
        (["a", float("nan")], StreamKeyError, "keys that equal themselves, got nan \\(key 1\\)"),
        (["a"], ShapeError, "expected 1 readings for 1 keys, got 2. Pass one reading per key"),
        (["a", "b", "c"], ShapeError, "expected 3 readings for 3 keys, got 2"),
    ],
)
@pytest.mark.parametrize("index", ["native", "python"])
def test_keys_that_are_refused(monkeypatch, keys, kind, said, index):
    if index == "python":
        monkeypatch.setattr(key_index, "is_available", lambda: False)
    with StreamPool(MODEL) as pool:
        with pytest.raises(kind, match=f"^pool: .*{said}"):
            pool.step_many(keys, readings(2))
        assert len(pool) == 0


@pytest.mark.parametrize(
    ("given", "kind", "said"),
    [
        ({"xs": np.ones((2, WIDTH + 1))}, ShapeError, "session: expected a reading of shape"),
        ({"xs": [["text"] * WIDTH] * 2}, ShapeError, "session: expected real numbers"),
        ({"sequence": [1]}, ShapeError, "expected sequence as integers \\[2\\], got int64 \\[1\\]"),
        ({"sequence": [1.0, 2.0]}, ShapeError, "expected sequence as integers"),
        ({"sequence": [1, 0]}, ReadingError, "expected sequence numbers from 1, got 0. Add 1"),
        ({"bad": np.empty(3, bool)}, ShapeError, "expected bad as a bool array \\[2\\]"),
        ({"bad": [False, False]}, ShapeError, "expected bad as a bool array \\[2\\]"),
        ({"bad": np.empty(4, bool)[::2]}, ShapeError, "bad to be contiguous and writable"),
    ],
)
def test_arrays_that_are_refused(pool, given, kind, said):
    with pytest.raises(kind, match=said):
        pool.step_many(["a", "b"], **{"xs": readings(2), **given})
    assert len(pool) == 0


def test_keys_without_a_stream(pool):
    pool.step_many(["a"], readings(1))
    for call in (pool.export, pool.drop, pool.reset):
        with pytest.raises(
            StreamKeyError, match="keys that have a stream, got 1 without, such as 'b'"
        ):
            call(["a", "b"])
    with pytest.raises(StreamKeyError, match=r"expected distinct keys, got 'a' twice \(key 1\)"):
        pool.drop(["a", "a"])
    assert pool.keys() == ["a"]


def test_states_that_are_refused_change_nothing(pool):
    pool.step_many(["a", "b"], readings(2))
    before = pool.export(["a", "b"])
    stranger = edgernn.load(OTHER).to_bytes()
    with pytest.raises(StateError, match=r"^key 'c': state: expected one of .* got one of"):
        pool.load(["a", "c"], [before[1], stranger])
    with pytest.raises(StateError, match=r"^key 'a': state: .*checksum"):
        pool.load(["a"], [before[0][:-1] + b"x"])
    with pytest.raises(ShapeError, match="expected 2 states for 2 keys, got 1"):
        pool.load(["a", "b"], before[:1])
    with pytest.raises(StreamKeyError, match="expected distinct keys, got 'a' twice"):
        pool.load(["a", "a"], before)
    assert pool.export(["a", "b"]) == before and len(pool) == 2
    pool.load(["c"], [stranger], migrate=True)
    pool.load(["a", "b"], before[::-1])
    assert pool.export(["b", "a"]) == before


def test_limits():
    for given in (
        {"capacity": 0},
        {"capacity": 2.5},
        {"capacity": True},
        {"idle_s": 0},
        {"idle_s": "1"},
    ):
        with pytest.raises(
            EdgeRnnError, match=r"pool: expected (a capacity of 1 or more|idle_s above 0)"
        ):
            StreamPool(MODEL, **given)
    with StreamPool(MODEL, capacity=2) as pool:
        blobs = [edgernn.load(MODEL).to_bytes()] * 3
        with pytest.raises(StreamKeyError, match=r"expected at most 2 keys .capacity., got 3"):
            pool.load(["a", "b", "c"], blobs)
        pool.load(["a", "b"], blobs[:2])
        pool.load(["b", "c"], blobs[:2])
        assert set(pool.keys()) == {"b", "c"}


def test_keys_that_cannot_be_saved_stay():
    def full(keys, blobs):
        raise OSError("no space")

    with StreamPool(MODEL, capacity=2, evicted=full) as pool:
        pool.step_many(["a", "b"], readings(2))
        before = pool.export(["a", "b"])
        with pytest.raises(OSError, match="no space"):
            pool.step_many(["c"], readings(1))
        assert pool.export(["a", "b"]) == before and "c" not in pool


def test_idle_keys_leave_when_asked():
    now = [0.0]
    left = []
    with StreamPool(
        MODEL, idle_s=10, clock=lambda: now[0], evicted=lambda keys, _: left.extend(keys)
    ) as pool:
        pool.step_many(["a"], readings(1))
        now[0] = 6.0
        pool.step_many(["b"], readings(1))
        now[0] = 12.0
        assert pool.evict_idle() == 1 and left == ["a"] and pool.keys() == ["b"]
        assert pool.evict_idle() == 0
    with StreamPool(MODEL) as pool:
        assert pool.evict_idle() == 0


def test_a_state_that_is_recalled_damaged_ends_no_stream():
    with StreamPool(MODEL, recall=lambda keys: {"b": b"damaged"}) as pool:
        pool.step_many(["a"], readings(1))
        before = pool.export(["a"])
        with pytest.raises(StateError, match=r"^key 'b': state: "):
            pool.step_many(["a", "b"], readings(2))
        assert pool.export(["a"]) == before and pool.keys() == ["a"]


def test_the_states_of_an_older_model_are_recalled_where_that_is_wanted():
    old = edgernn.load(OTHER)
    old.step([0.0, 0.5, -0.5])
    strict = StreamPool(MODEL, recall=lambda _: {"a": old.to_bytes()})
    with pytest.raises(StateError, match=r"^key 'a': .* expected one of .* migrate=True"):
        strict.step_many(["a"], readings(1))
    session = edgernn.load(MODEL)
    session.from_bytes(old.to_bytes(), migrate=True)
    with StreamPool(MODEL, recall=lambda _: {"a": old.to_bytes()}, migrate=True) as pool:
        np.testing.assert_array_equal(pool.step_many(["a"], readings(1)), session.run(readings(1)))


def test_a_pool_that_was_closed():
    pool = StreamPool(MODEL)
    pool.step_many(["a"], readings(1))
    pool.close()
    pool.close()
    assert pool.closed and repr(pool).endswith("1 keys, closed>")
    for call in (
        lambda: pool.step_many(["a"], readings(1)),
        lambda: pool.export(["a"]),
        pool.__enter__,
    ):
        with pytest.raises(EdgeRnnError, match="expected an open pool, got a closed one"):
            call()


def test_what_has_no_pool(tmp_path):
    pair().save(tmp_path / "p.edgernn")
    with pytest.raises(
        EdgeRnnError, match="pool: expected one model over a stream, got a set of programs"
    ):
        StreamPool(tmp_path / "p.edgernn")
    with pytest.raises(EdgeRnnError, match="pool: expected a path or an IntegerModel, got int"):
        StreamPool(3)
    with pytest.raises(EdgeRnnError, match="load: expected an existing file"):
        StreamPool(tmp_path / "none.edgernn")
    with pytest.raises(EdgeRnnError, match="warm_up: expected 'nothing' for an endless model"):
        StreamPool(MODEL, warm_up="pad")
    with pytest.raises(EdgeRnnError, match="on_bad_reading: expected"):
        StreamPool(MODEL, on_bad_reading="hope")


def test_a_file(tmp_path):
    MODEL.save(tmp_path / "m.edgernn")
    with StreamPool(tmp_path / "m.edgernn", "native" if is_available() else "reference") as pool:
        assert pool.step_many(["a"], readings(1)).shape == (1, 2)
        assert repr(pool).startswith("<StreamPool 'gru_after-tame' w8a8 on ")


@pytest.mark.parametrize("window", [None, Window(steps=3)])
def test_clipping_of_later_keys_is_not_told_again(window):
    x = np.full((1, WIDTH), 1e9)
    with StreamPool(dataclasses.replace(MODEL, window=window)) as pool:
        with pytest.warns(ClippedReadingsWarning):
            pool.step_many(["k"], x)
        blobs = pool.export(["k"])
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for n in range(40):
                pool.step_many([n], x)
            pool.load(["loaded"], blobs)
            pool.step_many(["loaded"], x)
        assert pool.clipped_readings == (42,) * WIDTH


@pytest.mark.parametrize("window", [None, Window(steps=3)])
def test_threads_take_turns(window):
    """Each thread has keys of its own and one that all share."""
    model = dataclasses.replace(MODEL, window=window)
    xs = readings(200)
    got, pool = {}, StreamPool(model)

    def work(name):
        got[name] = [pool.step_many([name, f"{name}2", "all"], [x, -x, x])[0] for x in xs]

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ClippedReadingsWarning)
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        wanted = edgernn.load(model, "reference").run(xs)
    for ys in got.values():
        np.testing.assert_array_equal(ys, wanted)
    assert len(pool) == 9
    session = edgernn.load(model)
    session.from_bytes(pool.export(["all"])[0])
    assert session.sequence == 800
