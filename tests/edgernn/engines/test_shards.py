"""Streams of a shard: bytes in, outputs and bytes out, repeats left out, models exchanged."""

import dataclasses
import pickle
import struct
import zlib

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

import edgernn
from edgernn.decide.decisions import Decisions
from edgernn.decide.threshold import Threshold
from edgernn.engines.shards import ShardedModel, check_shards, pack_shard, shard_of, unpack_shard
from edgernn.errors import EdgeRnnError, FormatError, ReadingError, ShapeError, StateError
from tests.support.models.integer import random_model

MODEL = random_model("gru_after")
SHARDED = ShardedModel.read(MODEL)
KEYS = ("a", "b", "pump/3", "ü")

readings = st.lists(
    st.tuples(
        st.sampled_from(KEYS),
        st.lists(st.one_of(st.floats(-2.9, 2.9), st.just(float("nan"))), min_size=3, max_size=3),
    ),
    min_size=1,
    max_size=40,
)


def numbered(table):
    """Keys, numbers per key from 1, readings."""
    counts = dict.fromkeys(KEYS, 0)
    numbers = []
    for key, _ in table:
        counts[key] += 1
        numbers.append(counts[key])
    return [key for key, _ in table], numbers, np.array([x for _, x in table])


def golden(keys, xs):
    """Outputs and final states of one session per key, without pool and shards."""
    first = edgernn.load(MODEL, on_bad_reading="hold")
    sessions = {key: first.new_stream() for key in KEYS}
    ys = np.array([sessions[key].step(x) for key, x in zip(keys, xs, strict=True)])
    return ys, {key: sessions[key].to_bytes() for key in set(keys)}


@settings(max_examples=60, deadline=None)
@given(readings, st.data())
def test_pieces_with_replays_equal_one_session_per_key(table, data):
    keys, numbers, xs = numbered(table)
    want, states = golden(keys, xs)
    streams, got, at = {}, {}, 0
    while at < len(keys):
        stop = data.draw(st.integers(at + 1, len(keys)))
        start = data.draw(st.integers(0, at))  # what came before comes again
        part = slice(start, stop)
        answer = SHARDED.step(streams, keys[part], numbers[part], xs[part])
        assert answer.taken.tolist() == list(range(at - start, stop - start))
        streams |= answer.changed
        got |= dict(zip(range(at, stop), answer.ys, strict=True))
        np.testing.assert_array_equal(answer.bad, ~np.isfinite(xs[at:stop]).all(axis=1))
        streams = unpack_shard(pack_shard(streams, 7), 7)
        at = stop
    np.testing.assert_array_equal(np.array([got[b] for b in range(len(keys))]), want)
    assert streams == states


def test_a_piece_that_is_lost_and_done_again_has_the_same_bits():
    keys, numbers, xs = ["a", "b", "a"], [1, 1, 2], np.random.default_rng(0).normal(size=(3, 3))
    before = SHARDED.step({}, ["a"], [1], xs[:1]).changed
    once = SHARDED.step(before, keys[1:], numbers[1:], xs[1:])
    SHARDED.step(once.changed, ["b"], [2], xs[:1])  # another shard uses the same pool meanwhile
    again = SHARDED.step(before, keys[1:], numbers[1:], xs[1:])
    np.testing.assert_array_equal(once.ys, again.ys)
    assert once.changed == again.changed
    assert set(before) == {"a"}


def test_nothing_of_a_refused_batch_stays_in_the_pool():
    damaged = SHARDED.step({}, ["a"], [1], np.zeros((1, 3))).changed["a"][:-1] + b"?"
    with pytest.raises(StateError, match=r"key 'a'.*checksum"):
        SHARDED.step({"a": damaged}, ["b", "a"], [1, 2], np.ones((2, 3)))
    with pytest.raises(ShapeError):
        SHARDED.step({}, ["a", "b"], [1], np.ones((2, 3)))
    fresh = SHARDED.step({}, ["a", "b"], [1, 1], np.zeros((2, 3)))
    np.testing.assert_array_equal(fresh.ys, golden(["a", "b"], np.zeros((2, 3)))[0])


@pytest.mark.parametrize("numbers", [[0], [-4], [1.5]])
def test_numbers_that_are_none(numbers):
    with pytest.raises((ReadingError, ShapeError), match="sequence"):
        SHARDED.step({}, ["a"], numbers, np.zeros((1, 3)))


def test_a_model_and_its_settings_travel():
    settings_ = {"on_bad_reading": "skip", "backend": "reference"}
    sent = pickle.loads(pickle.dumps(ShardedModel.read(MODEL, **settings_)))
    here, there = (m.step({}, ["a"] * 2, [1, 2], np.full((2, 3), 0.5)) for m in (SHARDED, sent))
    np.testing.assert_array_equal(here.ys, there.ys)
    assert here.changed == there.changed


def test_a_policy_for_each_channel():
    policies = {"x0": "hold", "x1": 0.25, "x2": "skip"}
    sharded = ShardedModel.read(MODEL, on_bad_reading=policies)
    xs = np.array([[1, 1, 1], [np.nan, np.nan, 1], [1, 1, np.nan]], float)
    answer = pickle.loads(pickle.dumps(sharded)).step({}, ["a"] * 3, [1, 2, 3], xs)
    session = edgernn.load(MODEL, on_bad_reading=policies)
    np.testing.assert_array_equal(answer.ys, session.run(xs))


def test_a_state_of_another_model_needs_migrate(tmp_path):
    other = random_model("gru_after", seed=9)
    path = other.save(tmp_path / "other.edgernn")
    before = SHARDED.step({}, ["a"], [5], np.ones((1, 3))).changed
    with pytest.raises(StateError, match="migrate"):
        ShardedModel.read(path).step(before, ["a"], [6], np.ones((1, 3)))
    after = ShardedModel.read(path, migrate=True).step(before, ["a", "a"], [5, 6], np.ones((2, 3)))
    assert after.taken.tolist() == [1]  # the number goes on
    session = edgernn.load(other)
    session.from_bytes(before["a"], migrate=True)
    np.testing.assert_array_equal(after.ys[0], session.step(np.ones(3)))
    assert after.changed["a"] == session.to_bytes()


def test_what_is_no_model(tmp_path):
    path = tmp_path / "nothing.edgernn"
    path.write_bytes(b"nothing")
    with pytest.raises(FormatError):
        ShardedModel.read(path)
    with pytest.raises(EdgeRnnError, match="softmax"):
        ShardedModel.read(MODEL, softmax=True)


def test_the_shard_of_a_key_does_not_depend_on_the_process():
    assert [shard_of(key, 16) for key in KEYS] == [zlib.crc32(k.encode()) % 16 for k in KEYS]
    counts = np.bincount([shard_of(f"sensor-{n}", 16) for n in range(16_000)])
    assert counts.min() > 800 and counts.max() < 1200


@pytest.mark.parametrize("shards", [0, -1, True, 2.0, None, 1 << 30])
def test_numbers_of_shards_that_are_none(shards):
    with pytest.raises(EdgeRnnError, match="shards"):
        check_shards(shards)


def test_a_shard_of_another_division_is_refused():
    with pytest.raises(StateError, match="shards=16"):
        unpack_shard(pack_shard({"a": b"1"}, 16), 32)


def test_every_damaged_byte_of_a_shard_is_seen():
    whole = pack_shard({"a": b"12", "ü": b""}, 3)
    assert unpack_shard(whole, 3) == {"a": b"12", "ü": b""}
    assert whole == (
        struct.pack("<4sBII", b"ErSh", 1, 3, 2) + struct.pack("<II", 1, 2) + b"a12"
        + struct.pack("<II", 2, 0) + "ü".encode() + whole[-4:]
    )  # fmt: skip
    for at in range(len(whole)):
        damaged = bytearray(whole)
        damaged[at] ^= 1
        with pytest.raises(StateError):
            unpack_shard(bytes(damaged), 3)
        with pytest.raises(StateError):
            unpack_shard(whole[:at], 3)


def test_a_model_with_decisions_is_refused():
    alarm = Threshold(name="alarm", of=MODEL.interface().output.names[0], on=0.5)
    decisions = Decisions(decisions=(alarm,)).bound(
        MODEL.interface().input.names, MODEL.interface().output.names
    )
    with pytest.raises(EdgeRnnError, match=r"without decisions.*edgernn serve"):
        ShardedModel.read(dataclasses.replace(MODEL, decisions=decisions))
