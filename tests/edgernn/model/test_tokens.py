"""Channels of tokens and embeddings: what records hold, codes of tokens, what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgernn.errors import ModelError, ReadingError
from edgernn.model.formats import Precision
from edgernn.model.interface import InputSpec, Port, Window
from tests.support.models.integer import random_model
from tests.support.models.tokens import (
    random_embedding,
    token_and_real_network,
    token_chain,
    token_input,
)

pytestmark = pytest.mark.device

NETWORK = token_and_real_network()
CHAIN = token_chain()
TABLE = random_embedding(np.random.default_rng(0), "words", 5, 3)


def embedding(**changes):
    return replace(TABLE, **changes)


def test_without_tokens_there_is_no_vocabulary():
    plain = token_input((0, 0))
    assert plain.vocabulary == ()
    assert plain == replace(plain, vocabulary=())
    assert plain.code_dtype(Precision.W8A8) == np.int8


@pytest.mark.parametrize("precision", Precision)
def test_codes_of_tokens_are_int16_and_the_tokens_themselves(precision):
    interface = token_and_real_network(precision).interface()
    assert interface.code_dtype == np.int16
    x = np.array([[1e6, -1e6, 299.0, 0.25, 6.0, 0.0]])
    codes = interface.quantize(x)
    assert codes.dtype == np.int16
    high, low = precision.input_high, precision.input_low
    assert codes.tolist() == [[high, low, 299, 0, 6, 0]]
    bounds = interface.input.code_bounds(precision)
    assert not bounds.broken(codes).any()
    worse = codes + np.array([precision.input_step, -precision.input_step, 1, 0, 1, -1])
    assert bounds.broken(worse).tolist() == [[True, True, True, False, True, True]]


@pytest.mark.parametrize("value", [-1.0, 300.0, 2.5, 1e300, -1e-9])
def test_what_is_no_token_is_refused_and_not_clipped(value):
    x = np.zeros(6)
    x[2] = value
    wanted = (
        r"'x2': expected a token, an integer from 0 to 299 \(the vocabulary has 300 tokens\), got "
    )
    with pytest.raises(ReadingError, match=wanted):
        NETWORK.interface().quantize(x)


def test_windows_of_tokens_carry_two_bytes_for_a_code():
    window = token_chain(window=Window(steps=5, hop=2))
    codes, due = window.interface().carried
    assert (codes.units, codes.format.bits, due.units) == (5, 16, 1)


REFUSED = {
    "sizes": (
        lambda: replace(token_input((3,)), vocabulary=(3, 4)),
        "input.vocabulary: expected one vocabulary size for each of 1 channels, got 2",
    ),
    "negative": (lambda: token_input((-1,)), "expected 0 to 32768 tokens of 'x0', got -1"),
    "too many": (lambda: token_input((32_769,)), "0 to 32768 tokens of 'x0', got 32769"),
    "no integer": (lambda: token_input((2.0,)), "0 to 32768 tokens of 'x0', got 2.0"),
    "scale": (
        lambda: replace(token_input((3,)), scale=np.full(1, 0.5)),
        "input.scale: expected scale 1 and offset 0 for the tokens 'x0', got 0.5 and 0.0",
    ),
    "table rows": (
        lambda: embedding(table=np.zeros((32_769, 3), np.int8)),
        r"words.table: expected 1 to 32768 rows of 3 / 1 columns, got \[32769, 3\]",
    ),
    "table columns": (lambda: embedding(units=6), r"rows of 6 / 1 columns, got \[5, 3\]"),
    "table dtype": (
        lambda: embedding(table=np.zeros((5, 3))),
        "words.table: expected 2-d int8, got 2-d float64",
    ),
    "table range": (
        lambda: embedding(table=np.full((5, 3), -128, np.int8)),
        r"words.table: expected values in \[-127, 127\]",
    ),
    "output scale": (
        lambda: embedding(output_scale=np.inf),
        "words.output_scale: expected a finite value > 0, got inf",
    ),
    "real channel": (
        lambda: replace(CHAIN, input=token_input((0,))),
        r"words: expected to read input channels of 1 to 50 tokens \(rows of its table\), got",
    ),
    "more tokens than rows": (
        lambda: replace(CHAIN, input=token_input((51,))),
        r"channels of 1 to 50 tokens \(rows of its table\), got \(51,\)",
    ),
    "embedding of a layer": (
        lambda: replace(CHAIN, layers=(*CHAIN.layers[1:], embedding(inputs=2, units=6)),
                        input=InputSpec(names=tuple("abcdefgh"), units=("",) * 8,
                                        scale=np.ones(8), offset=np.zeros(8)),
                        output=random_model("lstm", outputs=6).output),
        "words: expected to read input channels of 1 to 5 tokens",
    ),
    "tokens into a cell": (
        lambda: replace(random_model("lstm"), input=token_input((0, 9, 0))),
        r"lstm_0: expected only embeddings to read tokens, got \(0, 9, 0\)",
    ),
    "ports": (
        lambda: token_input((3, 0), ports=(Port(name="a", width=1),) * 2),
        "input.ports: expected distinct names",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_contradicts_itself_is_refused(name):
    make, message = REFUSED[name]
    with pytest.raises(ModelError, match=message):
        make()


def test_a_channel_may_have_fewer_tokens_than_the_table_has_rows():
    assert replace(CHAIN, input=token_input((49,))).input.vocabulary == (49,)
