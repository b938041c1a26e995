"""Features of TensorFlow Lite Micro's audio front end are input codes of a model.

The model is quantized by the program in docs/guides/audio.md.
"""

import numpy as np
import pytest

import edgernn
from tests.support.documents import ROOT, blocks
from tests.support.models.float import float_model


def micro_speech_codes(features):
    """What TensorFlow Lite Micro's micro_speech makes of uint16 features: int8."""
    return np.clip((256 * features.astype(np.int64) + 333) // 666 - 128, -128, 127)


@pytest.fixture(scope="module")
def features():
    """uint16 [T, 40] of half a second of sound."""
    return np.load(ROOT / "tests/golden/sound/tflm.npz")["features"]


@pytest.fixture(scope="module")
def program():
    """The names that the program of the page defines."""
    *_, block = (b for b in blocks("docs/guides/audio.md") if b.language == "python")
    names = {}
    exec(compile(block.text, "docs/guides/audio.md", "exec"), names)
    return names


def test_codes_are_those_of_micro_speech(features, program):
    values = features / 25.6
    with pytest.warns(edgernn.errors.SaturationWarning, match="outside"):
        model = program["quantize_for_micro_frontend"](float_model("gru_after", inputs=40), values)
    every = np.repeat(np.arange(1000, dtype=np.uint16)[:, None], 40, axis=1)
    codes = model.interface().quantize(every / 25.6)
    np.testing.assert_array_equal(codes, micro_speech_codes(every))
    theirs = micro_speech_codes(features)
    assert len(np.unique(theirs)) > 100
    with edgernn.load(model) as session, edgernn.load(model, "reference") as reference:
        answers = session.run(values)
        session.reset()
        q_answers = session.run_codes(theirs.astype(np.int8))
        np.testing.assert_array_equal(q_answers, reference.run_codes(theirs))
        np.testing.assert_array_equal(answers, q_answers * model.output.scale)
