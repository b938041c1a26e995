"""Test vectors: every back-end gives them, another model or a damaged file does not."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from edgernn.deploy import smoke
from edgernn.deploy.vectors import (
    answers,
    differences,
    load_model,
    make_vectors,
    read_vectors,
    write_vectors,
)
from edgernn.errors import DeployError
from edgernn.model.interface import Window
from tests.support.bundles import DEMO, ROOT
from tests.support.models.integer import random_model
from tests.support.models.programs import pair
from tests.support.models.tokens import token_and_real_network

pytestmark = pytest.mark.device

TRAINED = ROOT / "tests" / "golden" / "trained"


def models():
    """Every kind of stream: endless, windows, tokens; both precisions."""
    names = ("gru_after-w8a8", "lstm-w8a16", "simple_rnn-w8a16", "stack-w8a8")
    found = {name: load_model(TRAINED / f"{name}.edgernn") for name in names}
    base = random_model("gru_after", inputs=2, outputs=2)
    found["window"] = dataclasses.replace(base, window=Window(steps=30, hop=4))
    return found | {"tokens": token_and_real_network()}


@pytest.mark.parametrize("name", models())
def test_the_native_back_end_gives_the_vectors_of_the_reference(name, tmp_path):
    model = models()[name]
    write_vectors(tmp_path / "v.npz", make_vectors(model))
    vectors = read_vectors(tmp_path / "v.npz")
    for backend in ("native", "reference"):
        got = answers(model, vectors, backend)
        assert differences(vectors, got) == []
        assert sum(values.size for values in got.values()) > 600


def test_the_streams_hold_gaps_and_strays_and_the_ends_of_the_range():
    model = load_model(DEMO)
    vectors = make_vectors(model)
    assert vectors["hold.counts"][0] > 10
    assert vectors["hold.counts"][1] > 2
    assert {-128, 127} <= set(vectors["q_xs"].ravel().tolist())
    assert np.isfinite(vectors["xs"][0]).all()


def test_each_wrong_number_is_found():
    vectors = make_vectors(load_model(DEMO))
    got = {k: v for k, v in vectors.items() if "." in k}
    for name, values in got.items():
        wrong = values.copy()
        wrong.flat[-1] = (
            ~wrong.flat[-1] if wrong.dtype == bool else np.nextafter(wrong.flat[-1], np.inf)
            if wrong.dtype.kind == "f" else wrong.flat[-1] + 1
        )  # fmt: skip
        (sentence,) = differences(vectors, got | {name: wrong})
        assert sentence.startswith(f"{name}[")
        assert sentence.endswith(f" 1 of {values.size} values differ.")


def test_the_smoke_test_passes_and_says_what_it_compared(tmp_path, capsys):
    write_vectors(tmp_path / "v.npz", make_vectors(load_model(DEMO)))
    assert smoke.main([str(DEMO), str(tmp_path / "v.npz")]) == 0
    said = capsys.readouterr().out
    assert "reference: 1340 numbers, all equal" in said
    assert said.endswith("passed\n")


def test_the_smoke_test_fails_where_a_number_differs(tmp_path, capsys):
    vectors = make_vectors(load_model(DEMO))
    vectors["skip.outputs"][150] += 1
    write_vectors(tmp_path / "v.npz", vectors)
    assert smoke.main([str(DEMO), str(tmp_path / "v.npz")]) == 1
    said = capsys.readouterr().out
    assert "skip.outputs[150, 0]: expected " in said
    assert said.endswith("FAILED\n")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda raw: raw[:-40], "expected test vectors in '"),
        (lambda raw: b"", "expected test vectors in '"),
        (None, "got No such file or directory"),
    ],
)
def test_the_smoke_test_names_vectors_that_it_cannot_read(tmp_path, capsys, damage, message):
    path = tmp_path / "v.npz"
    if damage is not None:
        write_vectors(path, make_vectors(load_model(DEMO)))
        path.write_bytes(damage(path.read_bytes()))
    assert smoke.main([str(DEMO), str(path)]) == 2
    assert message in capsys.readouterr().err


def test_vectors_of_another_model_are_refused(tmp_path, capsys):
    write_vectors(tmp_path / "v.npz", make_vectors(load_model(TRAINED / "lstm-w8a8.edgernn")))
    assert smoke.main([str(DEMO), str(tmp_path / "v.npz")]) == 2
    assert "expected vectors of model a4f506cc1592, got vectors of " in capsys.readouterr().err


def test_the_same_model_gives_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        write_vectors(tmp_path / name, make_vectors(load_model(DEMO)))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_other_files_are_refused_with_a_cure(tmp_path):
    with pytest.raises(DeployError, match=r"expected an .edgernn file, got 'm.tflite'"):
        load_model(Path("m.tflite"))
    path = pair().save(tmp_path / "pair.edgernn")
    with pytest.raises(DeployError, match=r"expected one model, got 'pair.edgernn' with several"):
        load_model(path)
