"""Predictions for messages of Kafka in Quix Streams, with one state per stream."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgernn.backends import BackendName
from edgernn.connections.troubles import Troubles
from edgernn.engines.shards import ShardedModel, check_names
from edgernn.errors import BackendUnavailable, ReadingError
from edgernn.install import library_hint
from edgernn.model.formats import FloatArray
from edgernn.model.integer_model import IntegerModel
from edgernn.session.checks import WarmUp
from edgernn.session.policies import OnBadReading


def predict(
    readings: Any,
    model: str | Path | IntegerModel,
    *,
    key: str = "key",
    sequence: str = "sequence",
    keep: Sequence[str] = (),
    backend: BackendName = "auto",
    on_bad_reading: OnBadReading = "hold",
    warm_up: WarmUp = "nothing",
    softmax: bool = False,
    migrate: bool = False,
) -> Any:
    """A StreamingDataFrame with the outputs for each reading of a StreamingDataFrame.

        app = Application(broker_address="broker:9092", consumer_group="predict")
        readings = app.dataframe(app.topic("readings"))
        predict(readings, "model.edgernn").to_topic(app.topic("predictions"))

    A message holds one reading, or a list of readings. A reading is a dictionary with a number for
    each input channel; a missing or other value counts as missing. Its stream is named by the key
    of the message and, where it has one, by the field ``key``.

    Args:
        readings: of messages as above.
        model: an .edgernn file, or a model in memory; without preparation and decisions.
        key: field that names the stream of a reading among those of the message's key.
        sequence: field with an integer from 1 that increases for each stream. A reading whose
            number is not above the last one of its stream is a repeat and has no result. In a
            message of one reading it may be absent; then it is the offset of the message plus 1.
        keep: fields that the result has too.
        backend: as in `edgernn.load`.
        on_bad_reading: as in `edgernn.load`. Under "raise", the outputs of a bad reading are null.
        warm_up: as in `edgernn.load`.
        softmax: return probabilities of a model that ends in a softmax.
        migrate: take the states of the model before, if it has the same state vectors.

    Returns:
        A StreamingDataFrame with a result for each reading, or a list of results for each list,
        under the key of the message. A result is a dictionary of the number, the own key and the
        fields to keep where the reading has them, each output channel by name (null: no output),
        and "bad": a value was missing or not finite. What is no reading, or has no number, is bad
        too, no stream takes it, and its result says why in "problem".

    Raises:
        BackendUnavailable: quixstreams is not installed.
        EdgeRnnError: a model that cannot be used here, or a name that a result would have twice.
    """
    try:
        import quixstreams  # noqa: F401
    except ImportError as error:
        raise BackendUnavailable(
            "quix: expected the library quixstreams, which is not installed. Install it with: "
            f"{library_hint('quixstreams', 'quix')}"
        ) from error
    sharded = ShardedModel.read(
        model,
        backend=backend,
        on_bad_reading=on_bad_reading,
        warm_up=warm_up,
        softmax=softmax,
        migrate=migrate,
    )
    check_names("quix", [key, sequence, *keep, *sharded.output_names, "bad", "problem"])
    step = MessageStep(sharded, key, sequence, tuple(keep))
    return readings.apply(step, stateful=True, metadata=True, expand=True)


class MessageStep:
    """What Quix Streams calls for a message: streams from the state of its key, and back.

    Args:
        model: advances the streams.
        key: field that names the stream.
        sequence: field of the number.
        keep: fields that go to the result.
    """

    def __init__(self, model: ShardedModel, key: str, sequence: str, keep: tuple[str, ...]) -> None:
        """No message yet."""
        self._model, self._key, self._sequence, self._keep = model, key, sequence, keep
        self._inputs, self._outputs = model.input_names, model.output_names
        self._troubles = Troubles(logging.getLogger("edgernn.engines.quix"), "quix")

    def __call__(
        self, value: Any, key: Any, _timestamp: int, _headers: Any, state: Any
    ) -> list[Any]:
        """Messages with the results for the readings of a message: one, or none.

        Args:
            value: a dictionary, or a list of them.
            key: of the message.
            _timestamp: of the message.
            _headers: of the message.
            state: of the message's key.
        """
        alone = not isinstance(value, list)
        results: dict[int, dict[str, Any]] = {}
        places, numbers = [], []
        readings: list[Any] = [value] if alone else value
        for b, reading in enumerate(readings):
            try:
                numbers.append(self._number(reading, alone))
                places.append(b)
            except ReadingError as error:
                self._troubles.tell(
                    str(error), key.decode(errors="replace") if isinstance(key, bytes) else str(key)
                )
                nothing = [math.nan] * len(self._outputs)
                results[b] = self._result(reading, nothing, bad=True) | {"problem": str(error)}
        known = [readings[b] for b in places]
        keys = [str(reading.get(self._key, "")) for reading in known]
        names = {own: f"stream/{own}" for own in keys}
        saved = {own: state.get_bytes(name) for own, name in names.items()}
        streams = {own: blob for own, blob in saved.items() if blob is not None}
        answer = self._model.step(streams, keys, np.array(numbers, np.int64), self._values(known))
        for own, blob in answer.changed.items():
            state.set_bytes(names[own], blob)
        for n, y, bad in zip(answer.taken, answer.ys.tolist(), answer.bad.tolist(), strict=True):
            numbered = {**known[n], self._sequence: numbers[n]}
            results[places[n]] = self._result(numbered, y, bad=bad)
        if alone or not results:
            return list(results.values())
        return [[results[b] for b in sorted(results)]]

    def _number(self, reading: Any, alone: bool) -> int:
        """The number of a reading.

        Raises:
            ReadingError: no reading, or no number from 1.
        """
        if not isinstance(reading, Mapping):
            raise ReadingError(f"expected a reading as an object, got {reading!r:.60}.")
        number = reading.get(self._sequence)
        if number is None and alone:
            from quixstreams import message_context

            return int(message_context().offset) + 1
        if type(number) is not int or not 1 <= number < 1 << 63:
            raise ReadingError(
                f"expected an integer from 1 in field {self._sequence!r}, got "
                f"{number!r:.40}. Number the readings of each stream from 1."
            )
        return number

    def _values(self, readings: Sequence[Mapping[str, Any]]) -> FloatArray:
        """Readings as float64 [B, I]."""
        values = [[_real(reading.get(name)) for name in self._inputs] for reading in readings]
        return np.array(values, np.float64).reshape(len(readings), len(self._inputs))

    def _result(self, reading: Any, y: Sequence[float], *, bad: bool) -> dict[str, Any]:
        """The result for a reading, or for what is none."""
        names = [self._key, self._sequence, *self._keep] if isinstance(reading, Mapping) else []
        fields = {name: reading[name] for name in names if name in reading}
        outputs = dict(zip(self._outputs, (None if math.isnan(v) else v for v in y), strict=True))
        return {**fields, **outputs, "bad": bad}


def _real(value: object) -> float:
    """A value of a channel; NaN where it is no number."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            return math.nan
    return math.nan
