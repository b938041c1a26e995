"""General cells, wide or not, curves and slopes as TFLite and ONNX files: the reference's bits."""

from __future__ import annotations

import pytest

from edgernn.backends.onnx import OPTIMIZATIONS
from edgernn.model.integer_model import IntegerModel
from tests.exactness import test_zero_lsb_onnx, test_zero_lsb_tflite
from tests.support.models.general import GENERAL_CELLS, GENERAL_LAYERS, general_models
from tests.support.runtimes import RESOLVERS, RUNTIMES, require

pytestmark = pytest.mark.sampled(2)

#: Values of every kind that each runtime, kind of kernels and optimization is compared in.
VALUES = 100_000
#: Without optimization every step makes the tables anew; `test_wide_writers` compares operations.
UNOPTIMIZED_STEPS = 10
KINDS = pytest.mark.parametrize("kind", [*GENERAL_CELLS, *GENERAL_LAYERS, "network"])


def models_of(kind: str) -> tuple[dict[str, IntegerModel], int]:
    """Models, and so many steps that there are enough values."""
    models = {n: m for n, m in general_models().items() if n.startswith(f"{kind}-")}
    width = sum(m.output.width + sum(s.units for s in m.states) for m in models.values())
    return models, -(-VALUES // width)


@KINDS
def test_tflite(kind, tmp_path):
    require(*RUNTIMES)
    models, count = models_of(kind)
    compared = test_zero_lsb_tflite.compare(models, tmp_path, count)
    assert compared >= len(RUNTIMES) * len(RESOLVERS) * VALUES


@KINDS
def test_onnx(kind, tmp_path):
    models, count = models_of(kind)
    steps = dict.fromkeys(OPTIMIZATIONS, count) | {"disabled": UNOPTIMIZED_STEPS}
    compared = test_zero_lsb_onnx.compare(models, tmp_path, steps)
    assert compared >= (len(OPTIMIZATIONS) - 1) * VALUES
