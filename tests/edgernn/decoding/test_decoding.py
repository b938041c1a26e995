"""Greedy decoding, sampling and beams on random models: the twin, every back-end, the refusals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import edgernn
from edgernn.decoding import beam, greedy, sample
from edgernn.errors import DecodingError
from edgernn.model.formats import Precision
from edgernn.model.interface import Window
from tests.exactness.twin import decoding as twin
from tests.support.models.integer import random_model
from tests.support.models.passes import random_passes
from tests.support.models.tokens import token_chain
from tests.support.models.writers_of_text import scores_of, translator, writer_of_text

MODELS = {
    "gru": writer_of_text(),
    "lstm w8a16": writer_of_text(Precision.W8A16, cell="lstm", seed=2, scale=2.0**-11),
    "scales of tokens": writer_of_text(scales_apart=True, seed=8),
    "flat": writer_of_text(tokens=40, scale=2.0**-15, seed=3),
}


def constants(model):
    return twin.multiplier(float(model.output.scale.max()))


@pytest.mark.parametrize("name", MODELS)
def test_greedy_and_samples_are_the_twin_s(name):
    model = MODELS[name]
    scores = scores_of(model)
    row = []
    for _ in range(12):
        q = scores([3, 1, *row])
        row.append(q.index(max(q)))
    with edgernn.load(model, "reference") as session:
        assert greedy(session, first=[3, 1], max_tokens=12).tokens == tuple(row)
        for seed, (steps, k) in enumerate([(1000, 0), (700, 0), (1500, 5), (2000, 1)]):
            session.reset()
            got = sample(
                session, first=[3, 1], max_tokens=12, temperature=steps / 1000, top_k=k, seed=seed
            )
            wanted = twin.sampled(scores, [3, 1], *constants(model), steps, k, seed, 12)
            assert got.tokens == tuple(wanted)
            assert not got.ended


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(
    ("width", "end", "most", "alpha"),
    [(1, None, 6, 0), (3, 2, 6, 0), (4, 5, 7, 256), (6, 0, 4, 179)],
)
def test_beams_are_the_twin_s(name, width, end, most, alpha):
    model = MODELS[name]
    wanted = twin.beams(
        scores_of(model), [4], *constants(model), width=width, end=end, most=most, alpha=alpha
    )
    with edgernn.load(model, "reference") as session:
        before = session.copy()
        before.run_codes([[4]])
        got = beam(
            session, first=4, end=end, max_tokens=most, width=width, length_penalty=alpha / 256
        )
        assert session.to_bytes() == before.to_bytes()
        before.close()
    for own, (row, cost) in zip(got, wanted, strict=True):
        assert own.ended == (row[-1] == end)
        assert own.tokens == (row[:-1] if own.ended else row)
        assert own.bits == cost / 4096


def test_a_beam_as_wide_as_all_rows_finds_the_likeliest():
    model = writer_of_text(tokens=3, seed=6)
    scores, (a, b) = scores_of(model), constants(model)
    costs = {(): 0}
    for _ in range(3):
        costs = {
            (*row, i): cost + c
            for row, cost in costs.items()
            for i, c in enumerate(twin.costs(scores([1, *row]), a, b))
        }
    with edgernn.load(model) as session:
        best = beam(session, first=1, max_tokens=3, width=27)
        assert len(best) == 27
        assert best[0].bits == min(costs.values()) / 4096
        assert costs[best[0].tokens] == min(costs.values())
        narrow = beam(session.new_stream(), first=1, max_tokens=3, width=1)[0]
        other = session.new_stream()
        assert narrow.tokens == greedy(other, first=1, max_tokens=3).tokens
        other.close()


def rows(model, backend, **options):
    with edgernn.load(model, backend, **options) as session:
        found = [greedy(session, first=1, max_tokens=20).tokens]
        session.reset()
        found.append(sample(session, first=1, max_tokens=20, top_k=6, seed=4).tokens)
        session.reset()
        found += [row.tokens for row in beam(session, first=1, end=2, max_tokens=6, width=3)]
    return found


@pytest.mark.parametrize("precision", Precision)
def test_every_back_end_chooses_the_same_tokens(precision, tmp_path):
    from edgernn_export import export

    model = writer_of_text(precision, seed=9)
    wanted = rows(model, "reference")
    assert rows(model, "native") == wanted
    files = export(model, tmp_path, ["tflite", "onnx"])
    for kind, path in files.items():
        pytest.importorskip({"tflite": "ai_edge_litert", "onnx": "onnxruntime"}[kind])
        assert rows(path, kind) == wanted


def test_a_decoder_begins_where_its_encoder_ended():
    pair = translator()
    decoder = pair["decode"]
    with edgernn.load_programs(pair, "reference") as session:
        session.run_codes("encode", [[1], [4], [2]])
        session.begin("decode")
        begun = session.copy()
        row = []
        token = 0
        for _ in range(5):
            token = int(np.argmax(begun.step_codes("decode", [token])))
            row.append(token)
        begun.close()
        with pytest.raises(DecodingError, match=r"name of the program .*encode, decode"):
            greedy(session, first=0, max_tokens=5)
        assert session.copy().state.keys() == session.state.keys()
        best = beam(session.copy(), first=0, end=3, max_tokens=5, width=2, program="decode")
        assert [row.bits for row in best] == sorted(row.bits for row in best)
        assert greedy(session, first=0, max_tokens=5, program="decode").tokens == tuple(row)
        with pytest.raises(DecodingError, match="tokens from 0 to 8, got 9"):
            greedy(session, first=9, max_tokens=5, program="decode")
    assert decoder.output.width == 9


def test_whole_numbers_of_numpy_are_whole_numbers():
    with edgernn.load(MODELS["gru"], "reference") as session:
        rows = [
            beam(session.copy(), first=one, max_tokens=one, width=one) for one in (2, np.int64(2))
        ]
    assert rows[0] == rows[1]


def test_the_end_token_ends_a_row():
    with edgernn.load(MODELS["gru"]) as session:
        row = greedy(session, first=1, max_tokens=9)
        assert (len(row.tokens), row.ended, row.bits) == (9, False, None)
        session.reset()
        end = row.tokens[4]
        first = row.tokens.index(end)
        ended = greedy(session, first=1, max_tokens=9, end=end)
        assert (ended.tokens, ended.ended) == (row.tokens[:first], True)


REFUSED = {
    "no token": ({"first": []}, "expected at least one token"),
    "a text": ({"first": "abc"}, r"got a text.*session\.interface\.symbols\.encode"),
    "nothing": ({"first": None}, "tokens from 0 to 12, got None"),
    "a truth": ({"first": True}, "tokens from 0 to 12, got True"),
    "a token too high": ({"first": 13}, "tokens from 0 to 12, got 13"),
    "a real token": ({"first": [1.5]}, "tokens from 0 to 12, got 1.5"),
    "an end that is none": ({"end": -1}, "tokens from 0 to 12, got -1"),
    "no length": ({"max_tokens": 0}, "max_tokens: expected a whole number from 1 to 10000, got 0"),
    "cold": ({"temperature": 0}, "temperature: expected a number from 0.001 to 100, got 0"),
    "no number": ({"temperature": float("nan")}, "temperature: expected a number"),
    "too many": ({"top_k": 14}, "top_k: expected a whole number from 0 to 13"),
    "a seed": ({"seed": 2**32}, "seed: expected a whole number from 0 to 4294967295"),
    "a program": ({"program": "decode"}, "program: expected none for a model"),
    "an output": ({"output": "nothing"}, "it does not have output 'nothing'"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_settings(name):
    options, message = REFUSED[name]
    with edgernn.load(MODELS["gru"]) as session:
        before = session.to_bytes()
        with pytest.raises(DecodingError, match=message):
            sample(session, **{"first": 1, "max_tokens": 5, **options})
        assert session.to_bytes() == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 0}, "width: expected a whole number from 1 to 64"),
        ({"width": 65}, "width: expected a whole number from 1 to 64"),
        ({"length_penalty": 4.5}, "length_penalty: expected a number from 0 to 4"),
    ],
)
def test_refused_beams(options, message):
    with edgernn.load(MODELS["gru"]) as session, pytest.raises(DecodingError, match=message):
        beam(session, first=1, max_tokens=5, **options)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (random_model("lstm"), "its input has 0 tokens and 3 real channels in place of one token"),
        (token_chain(), "does not have one output that ends in a softmax over the 50 tokens"),
        (token_chain(tokens=2), "its input has 2 tokens and 0 real channels in place of"),
        (
            replace(MODELS["gru"], window=Window(steps=4)),
            "does not answer every token with the state of all tokens before",
        ),
    ],
)
def test_refused_models(model, message):
    with edgernn.load(model) as session, pytest.raises(DecodingError, match=message):
        greedy(session, first=1, max_tokens=5)


def test_a_session_of_whole_chunks_decodes_nothing():
    """The cure: a model that reads token after token."""
    with (
        edgernn.load(random_passes(Precision.W8A8, 1, sequence=True), "reference") as session,
        pytest.raises(DecodingError, match=r"got ChunkSession.*with edgernn\.load\."),
    ):
        greedy(session, first=1, max_tokens=5)
    with edgernn.load(MODELS["gru"], "reference") as session:
        assert len(greedy(session, first=1, max_tokens=5).tokens) == 5
