import functools
import json

import numpy as np
import pytest

import edgernn
from edgernn.model.formats import Precision
from edgernn_firmware_sim.reference.backend import ReferenceBackend
from tests.exactness.contract_worker import CASES, verify_case
from tests.exactness.stream_contract import verify_stream_contract
from tests.support.models.integer import random_model
from tests.support.native.programs import all_isas, require_native
from tests.support.runtimes import require, run_python

pytestmark = pytest.mark.sampled(3)

#: backend, runtime option, package. TFLite runtimes cannot share a process with each other.
RUNTIMES = [
    ("tflite", "tflite_runtime", "tflite_runtime"),
    ("tflite", "ai_edge_litert", "ai_edge_litert"),
    ("onnx", None, "onnxruntime"),
]


@pytest.mark.device
@pytest.mark.parametrize("case", CASES, ids="/".join)
def test_reference(case):
    verify_case(case, "reference", {})


@pytest.mark.device
@pytest.mark.parametrize("case", CASES, ids="/".join)
@pytest.mark.parametrize("isa", all_isas())
def test_native(isa, case):
    require_native()
    verify_case(case, "native", {"isa": isa})


@functools.cache
def results(backend, runtime):
    """All cases of one runtime, run once in a process of its own."""
    arguments = [backend] if runtime is None else [backend, runtime]
    return json.loads(run_python("-m", "tests.exactness.contract_worker", *arguments))


@pytest.mark.parametrize("case", CASES, ids="/".join)
@pytest.mark.parametrize(("backend", "runtime", "package"), RUNTIMES, ids=lambda v: str(v))
def test_runtime(backend, runtime, package, case):
    require(package)
    assert results(backend, runtime)["/".join(case)] == ""


class Forgetful(ReferenceBackend):
    """Breaks one promise: remembers something beside the state it is given."""

    steps = 0

    def step(self, q_x, state):
        self.steps += 1
        if self.steps > 50:
            state = tuple(np.roll(q, 1) for q in state)
        return super().step(q_x, state)


class Trembling(ReferenceBackend):
    """Is one LSB off in a chunk of more than four readings."""

    def run(self, q_xs, state):
        q_ys, new = super().run(q_xs, state)
        return (q_ys ^ 1, new) if len(q_xs) > 4 else (q_ys, new)


@pytest.mark.device
@pytest.mark.parametrize("backend", [Forgetful, Trembling])
def test_the_contract_catches_a_backend_that_breaks_it(backend):
    model = random_model("lstm", Precision.W8A8)
    with pytest.raises(AssertionError):
        verify_stream_contract(lambda policy: edgernn.Session(backend(model), policy), model)
