"""Refusals of attention, masks, both directions and programs: what they say, and that it helps."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgernn.errors import (
    EdgeRnnError,
    QuantizationError,
    ShapeError,
    TrainingError,
    UnsupportedModelError,
)
from edgernn_export import attention_shares, draw_shares, quantize
from edgernn_export.compress.qat import check_network
from edgernn_export.keras_reader import read_keras
from edgernn_export.keras_reader.program_sets.passes import read_passes
from edgernn_export.keras_reader.program_sets.programs import read_programs
from tests.support.models.keras import randomised, readings, sequential

keras = pytest.importorskip("keras", reason="pip install 'edgernn[export]'")
L = keras.layers
pytestmark = [
    pytest.mark.tf,
    pytest.mark.filterwarnings("ignore:Layer .* does not support masking"),
    pytest.mark.filterwarnings("ignore::edgernn.EdgeRnnWarning"),
]
STEPS = 8


def over(build: Any, steps: int | None = STEPS) -> Any:
    """A network over readings: an LSTM that answers every step, and what is built on it."""
    x = keras.Input((steps, 3))
    return keras.Model(x, build(L.LSTM(6, return_sequences=True)(x)))


def last(x: Any) -> Any:
    """The last step, with the axis of steps."""
    return L.Reshape((1, x.shape[-1]))(x[:, -1])


def masked_twice(other: float) -> Any:
    x = keras.Input((None, 3))
    first, second = L.Masking(9.0, name="m")(x), L.Masking(other, name="n")(x)
    return keras.Model(x, L.Add()([L.GRU(2)(first), L.GRU(2)(second)]))


def softmax_after_a_mask(layer: bool) -> Any:
    x = keras.Input((None, 3))
    y = L.GRU(3, return_sequences=True)(L.Masking(9.0)(x))
    if layer:
        return keras.Model(x, L.Softmax(name="s")(L.Dense(2)(y)))
    return keras.Model(x, L.Dense(2, activation="softmax")(y))


def attending_with_a_mask(masked: bool) -> Any:
    def build(s: Any) -> Any:
        heads = L.MultiHeadAttention(1, 3, name="a")
        mask = keras.ops.ones((1, 1, STEPS)) if masked else None
        return heads(last(s), s, attention_mask=mask)

    return over(build)


def both_directions(started: bool) -> Any:
    x = keras.Input((None, 3))
    whole, state = L.GRU(4, return_sequences=True, return_state=True)(x)
    start = [state, state] if started else None
    return keras.Model(x, L.Bidirectional(L.GRU(4), name="b")(whole, initial_state=start))


def beside_both_directions(started: bool) -> Any:
    x = keras.Input((None, 3))
    whole, state = L.GRU(4, return_sequences=True, return_state=True)(x)
    y = L.GRU(4, return_sequences=True)(whole, initial_state=state if started else None)
    return keras.Model(x, L.Bidirectional(L.GRU(4))(y))


def pair(circle: bool = False) -> Any:
    """An encoder and a decoder, of which a circle lets the encoder start from the decoder, too."""
    past, future = keras.Input((None, 3), name="past"), keras.Input((None, 2), name="future")
    x, h = L.GRU(4, return_sequences=True, return_state=True, name="reads")(past)
    y, g = L.GRU(4, return_sequences=True, return_state=True)(future, initial_state=h)
    if circle:
        x = L.GRU(4, return_sequences=True)(x, initial_state=g)
    return keras.Model([past, future], [L.Dense(1)(x), L.Dense(1)(y)])


def strided(stride: int) -> Any:
    return sequential(L.Conv1D(3, 2, strides=stride, padding="causal"), L.GRU(2))


@dataclass(frozen=True, slots=True)
class Row:
    """A network that is refused, what the reason says, and the network that its cure makes."""

    refused: Any
    says: tuple[str, ...]
    cured: Any
    read: Any = read_keras


ROWS = {
    "attention with a mask": Row(
        lambda: attending_with_a_mask(True),
        ("'a' (MultiHeadAttention): expected a call with", "attention_mask=", "without this arg"),
        lambda: attending_with_a_mask(False),
    ),
    "a query without steps": Row(
        lambda: over(lambda s: L.Attention(name="a")([s[:, -1], s])),
        ("expected a query, a key and a value with a time axis", "Add a Reshape((1, features))"),
        lambda: over(lambda s: L.Attention(name="a")([last(s), s])),
    ),
    "a query of other steps": Row(
        lambda: over(lambda s: L.Attention()([L.AveragePooling1D(2)(s), s])[:, -1]),
        (
            "expected as many steps of query, key and value, or one of the query, got 4 of the",
            "expected query, key and value at the same readings, got others.",
            "Give all branches the same strides, kernel sizes and padding.",
        ),
        lambda: over(lambda s: L.Attention()([s, s], use_causal_mask=True)[:, -1]),
    ),
    "a causal mask of one query": Row(
        lambda: over(lambda s: L.Attention()([last(s), s], use_causal_mask=True)),
        ("got one with a single query, which sees the first step alone", "use_causal_mask"),
        lambda: over(lambda s: L.Attention()([last(s), s])),
    ),
    "a key of other steps": Row(
        lambda: over(lambda s: L.Attention()([last(s), s, L.AveragePooling1D(2)(s)])),
        ("as many steps of the key as of the value, got 4 and 8", "values of the same steps"),
        lambda: over(lambda s: L.Attention()([last(s), s, L.Dense(6)(s)])),
    ),
    "wide keys": Row(
        lambda: over(lambda s: L.MultiHeadAttention(1, 129, name="a")(last(s), s)),
        ("'a' (MultiHeadAttention): expected key_dim of 128 at most, got 129", "smaller key_dim"),
        lambda: over(lambda s: L.MultiHeadAttention(1, 128, name="a")(last(s), s)),
    ),
    "two masks": Row(
        lambda: masked_twice(7.0),
        ("expected the mask of 'm' (Masking), 9, got 7.", "Use one Masking layer before all"),
        lambda: masked_twice(9.0),
    ),
    "a softmax that reads a mask": Row(
        lambda: softmax_after_a_mask(True),
        ("'s' (Softmax): expected a softmax without a mask", "activation='softmax'"),
        lambda: softmax_after_a_mask(False),
    ),
    "a start of both directions": Row(
        lambda: both_directions(True),
        ("'b' (Bidirectional): expected a Bidirectional that starts from the zero state",),
        lambda: both_directions(False),
        read_passes,
    ),
    "a start beside both directions": Row(
        lambda: beside_both_directions(True),
        ("expected recurrent layers that start from the zero state, next to Bidirectional",),
        lambda: beside_both_directions(False),
        read_passes,
    ),
    "streams that start each other": Row(
        lambda: pair(circle=True),
        ("got streams that start from each other's states", "in one direction"),
        pair,
        read_programs,
    ),
    "too few answers": Row(
        lambda: strided(600),
        ("expected an output at least every 512 readings", "Train with smaller strides"),
        lambda: strided(500),
    ),
}


@pytest.mark.parametrize("name", ROWS)
def test_the_reason_is_told_and_its_cure_works(name: str) -> None:
    row = ROWS[name]
    with pytest.raises(UnsupportedModelError) as caught:
        row.read(row.refused())
    text = str(caught.value)
    for part in row.says:
        assert part in text, text
    assert row.read(row.cured())


def scored(gain: float) -> Any:
    """Attention whose scores are as large as its gain."""
    model = randomised(over(lambda s: L.Attention(use_scale=True, name="a")([last(s), s])))
    model.get_layer("a").scale.assign(gain)
    return model


def added(gain: float) -> Any:
    """Additive attention whose weights are as large as its gain."""
    model = randomised(over(lambda s: L.AdditiveAttention(name="a")([last(s), s])))
    layer = model.get_layer("a")
    layer.scale.assign(np.full(layer.scale.shape, gain))
    return model


@pytest.mark.parametrize(
    ("make", "large", "says"),
    [
        (scored, 1e7, "a: expected scores within ±32 of queries and keys.*Train with smaller"),
        (added, 1e5, "a: expected weights whose sum is below 524288, got 600000. Train with a reg"),
    ],
)
def test_scores_beyond_every_format_are_refused(make: Any, large: float, says: str) -> None:
    xs = readings(8, STEPS)
    with pytest.raises(QuantizationError, match=says):
        quantize(make(large), xs, progress=False)
    assert quantize(make(1.0), xs, progress=False).layers


def test_training_integers_is_refused_before_anything_is_trained() -> None:
    """The cures: the network is quantized, not trained; or it is built without strides."""
    strided = sequential(L.Conv1D(4, 2, strides=2, padding="causal"), L.GRU(3), L.Dense(2))
    with pytest.raises(TrainingError, match="got one answer every 2 readings") as caught:
        check_network(strided)
    assert "Quantize it with edgernn_export.quantize (precision 'w8a16'" in str(caught.value)
    assert quantize(strided, readings(4, STEPS), "w8a16", progress=False, stream="endless")
    for layer in (
        L.Conv1D(4, 2, padding="causal"),
        L.Masking(9.0),
        L.Bidirectional(L.GRU(3, return_sequences=True)),
    ):
        check_network(sequential(layer, L.GRU(3), L.Dense(2)))


def test_what_attention_looks_at_is_asked_of_the_model_that_attends(tmp_path: Path) -> None:
    """Shapes and states that do not fit are refused; those that are named do."""
    xs = readings(8, STEPS)
    model = quantize(scored(1.0), xs, progress=False)
    with pytest.raises(ShapeError, match=r"readings: expected shape \[T, 3\], got \(8, 8, 3\)"):
        attention_shares(model, xs)
    with pytest.raises(EdgeRnnError, match=r"state: expected '.*', got none\. Pass `session\.st"):
        attention_shares(model, xs[0], {})
    shares = attention_shares(model, xs[0])["a"]
    with pytest.raises(ShapeError, match=r"shares: expected shape \[T, n\], got \(8,\)"):
        draw_shares(shares[:, 0], tmp_path / "shares.png")
    assert draw_shares(shares, tmp_path / "shares.png").is_file()
