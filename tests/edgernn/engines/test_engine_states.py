"""What Spark and Quix Streams call, with stand-ins for their states, rolled back and replayed."""

import json
import math
import random
import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import edgernn
from edgernn.engines import quix, spark
from edgernn.engines.quix import MessageStep
from edgernn.engines.shards import ShardedModel, shard_of
from edgernn.engines.spark import ShardProcessor
from edgernn.errors import BackendUnavailable, EdgeRnnError, ShapeError
from tests.support.models.integer import random_model

MODEL = random_model("lstm")
SHARDED = ShardedModel.read(MODEL)
INPUTS, OUTPUTS = SHARDED.input_names, SHARDED.output_names
SHARDS = 3


def table_of(count, keys=11, seed=0):
    """Numbered readings of all keys in turn; some values are missing."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-2.9, 2.9, size=(count, len(INPUTS)))
    x[rng.random(x.shape) < 0.03] = np.nan
    b = np.arange(count)
    columns = {"key": [f"k{n % keys}" for n in b], "sequence": b // keys + 1, "time": b / 10}
    return pd.DataFrame(columns | dict(zip(INPUTS, x.T, strict=True)))


def golden(table):
    """Outputs by key and number, of one process."""
    with edgernn.StreamPool(MODEL, on_bad_reading="hold") as pool:
        ys = pool.step_many(table["key"].tolist(), table[list(INPUTS)].to_numpy())
    return dict(zip(zip(table["key"], table["sequence"], strict=True), ys.tolist(), strict=True))


class ShardState:
    """The value state of one shard, as the handle of Spark gives it."""

    def __init__(self):
        self.value = None

    def getValueState(self, name, schema):
        assert (name, schema) == ("streams", "streams BINARY")
        return self

    def get(self):
        return self.value

    def update(self, value):
        self.value = value


def micro_batch(states, table, rng, model=SHARDED, shards=SHARDS):
    """Results of a micro-batch whose shuffle mixed the readings; states change."""
    results = []
    table = table.sample(frac=1, random_state=rng.randrange(1 << 30))
    numbers = table["key"].map(lambda key: shard_of(key, shards))
    for shard, part in table.groupby(numbers):
        processor = ShardProcessor(model, shards, "key", "sequence", ("time",))
        processor.init(states.setdefault(shard, ShardState()))
        cut = rng.randrange(len(part) + 1)
        tables = iter([part.iloc[:cut], part.iloc[cut:]])
        results += processor.handleInputRows((shard,), tables, None)
        processor.close()
    return pd.concat(results) if results else pd.DataFrame()


def test_spark_batches_that_are_lost_and_repeated_give_each_reading_once():
    rng, table = random.Random(1), table_of(400)
    want, states, rows, at, lost = golden(table), {}, [], 0, 0
    while at < len(table):
        stop = min(len(table), at + rng.randrange(1, 60))
        before = {shard: state.value for shard, state in states.items()}
        start = max(0, at - rng.randrange(20))  # the source delivers some again
        result = micro_batch(states, table.iloc[start:stop], rng)
        if rng.random() < 0.4:  # the batch did not commit
            lost += 1
            for shard, state in states.items():
                state.value = before.get(shard)
            continue
        rows.append(result)
        at = stop
    assert lost > 3
    result = pd.concat(rows)
    assert list(result) == ["key", "sequence", "time", *OUTPUTS, "bad"]
    assert len(result) == len(table)
    found = dict(zip(zip(result["key"], result["sequence"], strict=True),
                     result[list(OUTPUTS)].to_numpy().tolist(), strict=True))  # fmt: skip
    np.testing.assert_equal(found, want)
    merged = result.merge(table, on=["key", "sequence", "time"])
    assert (merged["bad"] == merged[list(INPUTS)].isna().any(axis=1)).all()
    assert len(merged) == len(table)


def test_spark_marks_readings_without_a_key_or_number_and_takes_the_others():
    table, states = table_of(40), {}
    want = golden(table)
    wrong = table_of(3, seed=1).assign(key=[None, "k0", "k1"], sequence=[1, 0, -5])
    mixed = pd.concat([table.iloc[:7], wrong, table.iloc[7:]], ignore_index=True)
    mixed["key"] = mixed["key"].astype(object)
    processor = ShardProcessor(SHARDED, 1, "key", "sequence", ())
    processor.init(states.setdefault(0, ShardState()))
    result = pd.concat(processor.handleInputRows((0,), [mixed.iloc[:9], mixed.iloc[9:]], None))
    refused = result["key"].isna() | (result["sequence"] < 1)
    assert refused.sum() == 3 and result[refused]["bad"].all()
    assert result[refused][list(OUTPUTS)].isna().all(axis=None)
    good = result[~refused]
    found = dict(zip(zip(good["key"], good["sequence"], strict=True),
                     good[list(OUTPUTS)].to_numpy().tolist(), strict=True))  # fmt: skip
    np.testing.assert_equal(found, want)


def test_spark_refuses_columns_before_the_query_starts(monkeypatch):
    check = spark._check_columns
    check(["key", "n", "x0"], ["key", "n"], ["x0"], ["y"])
    with pytest.raises(ShapeError, match="Missing: n, x1"):
        check(["key", "x0"], ["key", "n"], ["x0", "x1"], ["y"])
    with pytest.raises(EdgeRnnError, match="distinct names in the result, got bad, y twice"):
        check(["key", "y", "bad"], ["key", "y", "bad"], [], ["y"])


class MessageState(dict):
    """The state of one message key in Quix Streams."""

    def get_bytes(self, name):
        return self.get(name)

    def set_bytes(self, name, value):
        self[name] = value


def messages_of(table, rng):
    """Messages of one or many readings, under the key of a gateway; JSON as a broker has it."""
    rows, at = table.to_dict("records"), 0
    while at < len(rows):
        stop = at + rng.choice([1, 1, 5, 30])
        for gateway in range(SHARDS):
            own = [row for row in rows[at:stop] if shard_of(row["key"], SHARDS) == gateway]
            own = [{k: v for k, v in row.items() if v == v} for row in own]
            if own:
                yield gateway, json.loads(json.dumps(own if len(own) > 1 else own[0]))
        at = stop


def test_quix_messages_after_the_last_checkpoint_come_again_with_equal_bits():
    rng, table = random.Random(2), table_of(300)
    want, step = golden(table), MessageStep(SHARDED, "key", "sequence", ("time",))
    messages = list(messages_of(table, rng))
    committed = {gateway: {} for gateway in range(SHARDS)}
    seen, count, offset, kills = {}, 0, 0, 0
    while offset < len(messages):
        stop = min(len(messages), offset + rng.randrange(1, 15))
        states = {gateway: MessageState(state) for gateway, state in committed.items()}
        for gateway, value in messages[offset:stop]:
            out = step(value, b"%d" % gateway, 0, [], states[gateway])
            assert len(out) <= 1
            for result in out[0] if out and isinstance(value, list) else out:
                got = tuple(result[name] for name in OUTPUTS)
                assert seen.setdefault((result["key"], result["sequence"]), got) == got
                assert set(result) == {"key", "sequence", "time", *OUTPUTS, "bad"}
                count += 1
        if rng.random() < 0.5:  # killed: outputs are out, the checkpoint is not
            kills += 1
            continue
        committed, offset = {gateway: dict(state) for gateway, state in states.items()}, stop
    assert kills > 2 and count > len(table)
    found = {k: [math.nan if v is None else v for v in y] for k, y in seen.items()}
    np.testing.assert_equal(found, want)


def test_quix_leaves_out_readings_that_a_producer_sent_twice():
    step, state = MessageStep(SHARDED, "key", "sequence", ()), MessageState()
    reading = dict.fromkeys(INPUTS, 0.5) | {"sequence": 4}
    (first,) = step(reading, b"a", 0, [], state)
    kept = dict(state)
    assert step(reading, b"a", 0, [], state) == []
    assert step([reading, reading | {"sequence": 3}], b"a", 0, [], state) == []
    assert state == kept
    assert step([], b"a", 0, [], state) == []
    assert first["sequence"] == 4 and "key" not in first


@pytest.mark.parametrize("value", [None, "hot", 3.0, ["hot"], [[1.0]], [{"sequence": -1}]])
def test_quix_tells_what_is_no_reading_and_goes_on(value, caplog):
    step, state = MessageStep(SHARDED, "key", "sequence", ()), MessageState()
    (out,) = step(value, b"a", 0, [], state)
    (result,) = out if isinstance(value, list) else [out]
    assert result["bad"] and [result[name] for name in OUTPUTS] == [None] * len(OUTPUTS)
    assert result["problem"].startswith("expected") and result["problem"] in caplog.text
    assert state == {}
    json.dumps(result, allow_nan=False)


@pytest.mark.parametrize("number", [None, "1", 1.0, True, 0, -3, 1 << 63])
def test_a_number_that_is_none_costs_one_reading_of_a_list(number):
    step, state = MessageStep(SHARDED, "key", "sequence", ()), MessageState()
    good = dict.fromkeys(INPUTS, 0.5)
    readings = [good | {"sequence": n} for n in (1, number, 2)]
    (out,) = step(readings, b"a", 0, [], state)
    assert "from 1 in field 'sequence'" in out[1].pop("problem")
    assert out[1] == {"sequence": number, **dict.fromkeys(OUTPUTS), "bad": True}
    want = edgernn.load(MODEL).run([list(good.values())] * 2).tolist()
    assert [[out[b][name] for name in OUTPUTS] for b in (0, 2)] == want


@pytest.mark.parametrize("value", [None, "0.5", float("nan"), True, [], 10**400])
def test_values_that_are_no_numbers_count_as_missing(value):
    step, state = MessageStep(SHARDED, "key", "sequence", ()), MessageState()
    good = dict.fromkeys(INPUTS, 0.5)
    step(good | {"sequence": 1}, b"a", 0, [], state)
    (result,) = step(good | {"sequence": 2, INPUTS[0]: value}, b"a", 0, [], state)
    assert result["bad"] is True
    json.dumps(result, allow_nan=False)


@pytest.mark.parametrize("engine", [quix, spark])
def test_an_engine_that_is_not_installed(engine, monkeypatch):
    library = {"quix": "quixstreams", "spark": "pyspark"}[engine.__name__.rpartition(".")[2]]
    for name in (library, "pyspark.sql"):
        monkeypatch.setitem(sys.modules, name, None)
    options = {"shards": 4} if engine is spark else {}
    with pytest.raises(BackendUnavailable, match=f"library {library}.*pip install"):
        engine.predict(None, MODEL, **options)
    assert issubclass(BackendUnavailable, EdgeRnnError)


def test_quix_numbers_messages_without_numbers_by_their_offset(monkeypatch):
    offset = SimpleNamespace(offset=0)
    monkeypatch.setitem(sys.modules, "quixstreams", SimpleNamespace(message_context=lambda: offset))
    step, state = MessageStep(SHARDED, "key", "sequence", ()), MessageState()
    reading = dict.fromkeys(INPUTS, 0.5)
    (first,) = step(reading, b"a", 0, [], state)
    assert step(reading, b"a", 0, [], state) == []  # the message again
    offset.offset = 7
    (second,) = step(reading, b"a", 0, [], state)
    assert (first["sequence"], second["sequence"]) == (1, 8)
    session = edgernn.load(MODEL)
    want = session.run([list(reading.values())] * 2).tolist()
    assert [[r[name] for name in OUTPUTS] for r in (first, second)] == want


def test_quix_tells_a_flood_of_bad_messages_a_few_times(caplog):
    step, state = MessageStep(SHARDED, "key", "sequence", ()), MessageState()
    for _ in range(1000):
        step([3.0], b"a", 0, [], state)
    assert len(caplog.records) == 4 and "1000 times" in caplog.text
