"""Predictions for a stream of readings in Apache Spark 4, with one state per shard of keys."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from edgernn.backends import BackendName
from edgernn.engines.shards import ShardedModel, check_names, check_shards, pack_shard, unpack_shard
from edgernn.errors import BackendUnavailable, ShapeError
from edgernn.install import library_hint
from edgernn.model.integer_model import IntegerModel
from edgernn.session.checks import WarmUp
from edgernn.session.policies import OnBadReading

#: The column of shards, which only the engine sees.
_SHARD: Final = "edgernn_shard"
_BAD: Final = "bad"


def predict(
    readings: Any,
    model: str | Path | IntegerModel,
    *,
    shards: int,
    key: str = "key",
    sequence: str = "sequence",
    keep: Sequence[str] = (),
    backend: BackendName = "auto",
    on_bad_reading: OnBadReading = "hold",
    warm_up: WarmUp = "nothing",
    softmax: bool = False,
    migrate: bool = False,
) -> Any:
    """A streaming DataFrame with the outputs for each reading of a streaming DataFrame.

        predictions = predict(readings, "model.edgernn", shards=64, key="sensor", sequence="n")

    Keys are grouped into shards. Spark keeps the streams of a shard as one value of its state
    store, which must be RocksDB. Executors need edgernn, not the file of the model.

    Args:
        readings: has a column for the key, one for the number, and a numeric column for each input
            channel, named as the channel; null: missing.
        model: an .edgernn file, or a model in memory; without preparation and decisions.
        shards: how many, from 1; the same for the life of a checkpoint.
        key: column that names the stream of a reading.
        sequence: column of integers from 1 that increase for each key. Readings of a key are taken
            in this order within a micro-batch; one whose number is not above the last one of its
            key is a repeat and has no row in the result.
        keep: columns that the result has too.
        backend: as in `edgernn.load`.
        on_bad_reading: as in `edgernn.load`. Under "raise", the outputs of a bad reading are NaN.
        warm_up: as in `edgernn.load`.
        softmax: return probabilities of a model that ends in a softmax.
        migrate: take the states of the model before, if it has the same state vectors.

    Returns:
        A DataFrame with the key (string), the number (long), the columns to keep, a column (double)
        for each output channel, and "bad" (boolean): a value was missing or not finite. A reading
        without a key, or without a number from 1, is bad too, and no stream takes it.

    Raises:
        BackendUnavailable: pyspark is not installed.
        ShapeError: a column is missing, or a name is used twice.
        EdgeRnnError: the number of shards, or a model that cannot be used here.
    """
    functions, types = _spark()
    check_shards(shards)
    sharded = ShardedModel.read(
        model,
        backend=backend,
        on_bad_reading=on_bad_reading,
        warm_up=warm_up,
        softmax=softmax,
        migrate=migrate,
    )
    inputs, outputs = sharded.input_names, sharded.output_names
    _check_columns(readings.columns, [key, sequence, *keep], inputs, outputs)
    quoted = {name: functions.col("`" + name.replace("`", "``") + "`") for name in readings.columns}
    name_of, zero = quoted[key].cast("string"), functions.lit(0)
    shard = (functions.crc32(name_of) % shards).cast("int")
    sharded_readings = readings.select(
        functions.coalesce(shard, zero).alias(_SHARD),
        name_of.alias(key),
        # pandas would make reals of numbers among which is a null.
        functions.coalesce(quoted[sequence].cast("long"), zero.cast("long")).alias(sequence),
        *(quoted[name] for name in keep),
        *(quoted[name].cast("double").alias(name) for name in inputs if name not in keep),
    )
    kept = [readings.schema[name] for name in keep]
    result = types.StructType(
        [
            types.StructField(key, types.StringType()),
            types.StructField(sequence, types.LongType()),
            *(types.StructField(field.name, field.dataType) for field in kept),
            *(types.StructField(name, types.DoubleType()) for name in outputs),
            types.StructField(_BAD, types.BooleanType()),
        ]
    )
    processor = ShardProcessor(sharded, shards, key, sequence, tuple(keep))
    return sharded_readings.groupBy(_SHARD).transformWithStateInPandas(
        processor, result, "Append", "None"
    )


def _spark() -> tuple[Any, Any]:
    """The functions and types of pyspark.

    Raises:
        BackendUnavailable: it is not installed.
    """
    try:
        from pyspark.sql import functions, types
    except ImportError as error:
        raise BackendUnavailable(
            "spark: expected the library pyspark, which is not installed. Install it with: "
            f"{library_hint('pyspark', 'spark')}"
        ) from error
    return functions, types


def _check_columns(
    present: Sequence[str], read: Sequence[str], inputs: Sequence[str], outputs: Sequence[str]
) -> None:
    missing = [name for name in dict.fromkeys([*read, *inputs]) if name not in present]
    if missing:
        raise ShapeError(
            f"spark: expected the columns {', '.join([*read, *inputs])}, got "
            f"{', '.join(present)}. Missing: {', '.join(missing)}. Rename columns with "
            "withColumnRenamed, or set key= and sequence=."
        )
    check_names("spark", [*read, *outputs, _BAD])


class ShardProcessor:
    """What Spark calls for the readings of a shard: its streams from the state, and back.

    Args:
        model: advances the streams.
        shards: how many there are.
        key: column of keys.
        sequence: column of numbers.
        keep: columns that go to the result.
    """

    def __init__(
        self, model: ShardedModel, shards: int, key: str, sequence: str, keep: tuple[str, ...]
    ) -> None:
        """Not at an executor yet."""
        self._model, self._shards = model, shards
        self._key, self._sequence, self._keep = key, sequence, keep
        self._state: Any = None

    def init(self, handle: Any) -> None:
        """Name the state of a shard."""
        self._state = handle.getValueState("streams", "streams BINARY")

    def handleInputRows(self, _shard: Any, rows: Iterable[Any], _timer: Any) -> Iterator[Any]:
        """Results for the readings of one shard in a micro-batch.

        Args:
            _shard: its number.
            rows: pandas DataFrames of readings.

        Yields:
            A DataFrame of results for each of these.
        """
        tables = [table for table in rows if len(table)]
        if not tables:
            return
        keys = np.concatenate([table[self._key].to_numpy(object) for table in tables])
        numbers = np.concatenate([table[self._sequence].to_numpy(np.int64) for table in tables])
        inputs = list(self._model.input_names)
        xs = np.concatenate([table[inputs].to_numpy(np.float64) for table in tables])
        named = np.concatenate([table[self._key].notna().to_numpy() for table in tables])
        refused = ~named | (numbers < 1)
        # A shuffle mixes readings; those of a key are taken in the order of their numbers.
        order = np.argsort(numbers, kind="stable")
        order = order[~refused[order]]
        saved = self._state.get()
        streams = {} if saved is None else unpack_shard(bytes(saved[0]), self._shards)
        answer = self._model.step(streams, keys[order].tolist(), numbers[order], xs[order])
        if answer.changed:
            self._state.update((pack_shard({**streams, **answer.changed}, self._shards),))
        taken = order[answer.taken]
        shown, bad = refused.copy(), refused.copy()
        ys = np.full((len(keys), len(self._model.output_names)), np.nan)
        shown[taken], bad[taken], ys[taken] = True, answer.bad, answer.ys
        start = 0
        for table in tables:
            places = np.flatnonzero(shown[start : start + len(table)])
            rest = table[[self._key, self._sequence, *self._keep]].iloc[places]
            outputs = dict(zip(self._model.output_names, ys[start + places].T, strict=True))
            yield rest.assign(**outputs, **{_BAD: bad[start + places]})
            start += len(table)

    def close(self) -> None:
        """Nothing to release: the model stays open for the next task of this process."""
