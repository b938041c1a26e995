"""Files of TensorFlow's converter are read as what the interpreter computes."""

import re

import numpy as np
import pytest

from edgernn.errors import UnsupportedModelError
from edgernn_export.float_model.float_run import answers, with_softmax
from edgernn_export.float_model.program_sets.chunks import FloatChunks
from edgernn_export.keras_reader import read_keras
from edgernn_export.tflite_reader import read_tflite
from tests.support.runtimes import run_python

pytestmark = [
    pytest.mark.tf,
    # The converter's limit of the cell state, which these networks do not reach.
    pytest.mark.filterwarnings("ignore::edgernn.DepartureWarning"),
]

KINDS = {
    "lstm": ["lstm", "dense"],
    "lstm_last": ["lstm", "dense"],
    "hard_lstm": ["general_lstm", "dense"],
    "gru": ["gru", "dense"],
    "half_gru": ["gru", "dense"],
    "gru_before": ["gru", "dense"],
    "rnn": ["simple_rnn", "dense"],
    "cells": ["lstm", "gru", "dense"],
    "both": None,
    "both_last": None,
    "convolution": ["delay", "dense", "gru", "dense"],
    "tokens": ["embedding", "gru", "dense"],
    "residual": ["gru", "dense", "pointwise", "merge", "dense"],
    "fused": ["lstm", "dense"],
    "fused_both": None,
    "fused_both_last": None,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("converted")
    run_python("-m", "tests.support.models.tflite_converted", str(made))
    return made


def computed(found, streams):
    """What a network answers to streams, in the shape of the interpreter's answers."""
    xs = streams.astype(np.float64)
    xs = xs[..., None] if xs.ndim == 2 else xs
    if isinstance(found, FloatChunks):
        return np.asarray(found.run(xs))
    made = with_softmax(found, answers(found, xs))
    return made if found.return_sequences else made[:, -1]


@pytest.mark.parametrize("name", KINDS)
def test_a_file_is_what_the_interpreter_computes(name, folder):
    found = read_tflite(folder / f"{name}.tflite")
    if KINDS[name] is not None:
        assert [layer.kind for layer in found.layers] == KINDS[name]
    with np.load(folder / f"{name}.npz") as arrays:
        streams, wanted = arrays["streams"], arrays["wanted"]
    got = computed(found, streams)
    np.testing.assert_allclose(got.reshape(wanted.shape), wanted, atol=1e-5)


def test_a_file_is_the_network_that_it_was_converted_from(folder):
    found, live = (
        read(folder / f"gru{ending}")
        for read, ending in ((read_tflite, ".tflite"), (read_keras, ".keras"))
    )
    xs = np.random.default_rng(1).normal(size=(3, 9, 3))
    np.testing.assert_allclose(computed(found, xs), computed(live, xs), atol=1e-6)


def test_weights_of_8_bits_are_read_as_the_numbers_they_stand_for(folder):
    """The interpreter rounds the vectors beside such weights as well, so that it is less exact."""
    found, whole = (read_tflite(folder / f"{name}.tflite") for name in ("small_gru", "gru"))
    with np.load(folder / "gru.npz") as arrays:
        streams, wanted = arrays["streams"], arrays["wanted"]
    assert np.abs(computed(whole, streams) - wanted).max() < 1e-5
    assert 1e-5 < np.abs(computed(found, streams) - wanted).max() < 0.05


def test_masks_are_refused(folder):
    with pytest.raises(UnsupportedModelError) as caught:
        read_tflite(folder / "masked.tflite")
    assert re.search(
        r"\(NOT_EQUAL\): .*If it is of a mask, pass the network without it\. Pass the \.keras file",
        caught.value.reasons[0],
    )
