"""`quantize` records how a head learns, and refuses what it cannot have."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from edgernn.adapt.adaptation import Adaptation
from edgernn.errors import DeclarationError
from edgernn_export.quantizer.quantizer import quantize
from tests.support.models.float import float_model

NETWORK = float_model("gru_after")


@pytest.fixture(scope="module")
def streams():
    return np.random.default_rng(0).normal(size=(2, 400, len(NETWORK.input_names)))


@pytest.mark.filterwarnings("ignore::edgernn.CalibrationWarning")
def test_the_model_records_the_settings_with_the_state(streams):
    how = {"stream": "endless", "progress": False}
    plain = quantize(NETWORK, streams, **how)
    model = quantize(NETWORK, streams, adaptation=Adaptation(rate=0.5), **how)
    assert model.adaptation == Adaptation(rate=0.5, state="gru_after_0.h")
    assert dataclasses.replace(model, adaptation=None) == plain
    assert model.sha256 != plain.sha256


@pytest.mark.filterwarnings("ignore::edgernn.CalibrationWarning")
def test_a_model_of_windows_is_refused(streams):
    with pytest.raises(DeclarationError, match="one of windows"):
        quantize(
            NETWORK, streams, stream="window", window=30, adaptation=Adaptation(), progress=False
        )
