"""Decoding in firmware: the tokens and costs of Python on emulated cores."""

from __future__ import annotations

import numpy as np
import pytest

from edgernn_firmware_sim.emulator import run_firmware
from tests.support.models.hand_made import core_named
from tests.support.models.writers_of_text import translator, writer_of_text
from tests.support.native import word_programs
from tests.support.native.decoding import answers, requests, sources


@pytest.mark.slow
@pytest.mark.parametrize("core", ["cortex-m0", "cortex-m4", "rv32imc"])
def test_cores_give_the_tokens_and_costs_of_python(core, tmp_path):
    model = writer_of_text(seed=3)
    asked = requests(model.output.width, 16, seed=2)
    run = run_firmware(
        sources(model), core_named(core), asked.astype("<i2").tobytes(), len(asked), tmp_path,
        lambda _: None,
    )  # fmt: skip
    got = np.frombuffer(run.output, "<i2").reshape(len(asked), -1)
    np.testing.assert_array_equal(got, answers(model, asked))


@pytest.mark.slow
@pytest.mark.parametrize("core", ["cortex-m0", "cortex-m55"])
def test_cores_write_the_words_of_an_encoder_and_a_decoder(core, tmp_path):
    programs, rng = translator(), np.random.default_rng(5)
    letters = programs["encode"].input.vocabulary[0]
    words = [rng.integers(0, letters, rng.integers(1, 12)).tolist() for _ in range(20)]
    asked, wanted = word_programs.requests(words), word_programs.answers(programs, words)
    run = run_firmware(
        word_programs.sources(programs), core_named(core), asked.astype("<i2").tobytes(),
        len(asked), tmp_path, lambda _: None,
    )  # fmt: skip
    got = np.frombuffer(run.output, "<i2").reshape(len(asked), -1)
    np.testing.assert_array_equal(got, wanted)
    assert len(np.unique(wanted, axis=0)) > 5
