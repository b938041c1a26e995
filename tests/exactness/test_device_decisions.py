"""Decisions on a device: those of floating point, of the twin and of the C, without exception."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgernn.decide.decisions import Decisions
from edgernn.errors import UnsupportedModelError
from edgernn.model.formats import Precision
from edgernn_export import quantize
from edgernn_export.writers.c.preparation.decisions import (
    decisions_front,
    device_decisions,
    golden_answers,
)
from edgernn_firmware_sim.reference.readings import (
    DeviceDecisions,
    DeviceMajority,
    DeviceThreshold,
)
from edgernn_firmware_sim.reference.reference import Reference
from tests.exactness.twin import readings as twin
from tests.support.device_layers import bound_decisions, run_layer
from tests.support.models.float import float_model, stream
from tests.support.models.integer import random_model

MAIN = """\
int main(void)
{
    static model_decisions_t decisions;
    int16_t y[MODEL_OUTPUTS];
    int32_t decided[MODEL_DECISIONS];
    model_decisions_init(&decisions);
    while (fread(y, sizeof y, 1, stdin) == 1) {
        model_decide(&decisions, y, decided);
        fwrite(decided, sizeof decided, 1, stdout);
    }
    return model_decisions_self_test(&decisions);
}
"""


@pytest.fixture(scope="module")
def model():
    return random_model("gru_after", Precision.W8A8, outputs=3)


def test_decisions_are_those_of_real_outputs(model):
    decisions, sink = bound_decisions(model)
    found = device_decisions(decisions, sink)
    device, exact = DeviceDecisions(found), decisions.stream()
    seen = set()
    for answer in golden_answers(found, 3, 2000):
        wanted = exact.push(None, None, (np.array(answer) * sink.scale).tolist())
        hot, cold, own_class = device.push(answer)
        assert (bool(hot), bool(cold)) == (wanted["hot"], wanted["cold"])
        assert f"y{own_class}" == wanted["class"]
        seen.add((hot, cold, own_class))
    assert len(seen) >= 10


@given(
    st.floats(-1.0, 1.0), st.floats(1e-7, 1e-3), st.booleans(), st.integers(-32768, 32767)
)  # fmt: skip
@settings(max_examples=100, deadline=None)
def test_codes_of_thresholds_split_where_real_values_do(value, scale, below, code):
    base = random_model("gru_after", Precision.W8A8, outputs=1)
    sink = dataclasses.replace(base.output, scale=np.array([scale]), names=("y",))
    table = {
        "decisions": [{"kind": "threshold", "name": "a", "of": "y", "on": value, "below": below}]
    }
    (found,) = device_decisions(Decisions.from_table(table).bound(("x",), ("y",)), sink)
    for q in {code, *(min(max(found.on + d, -32768), 32767) for d in (-1, 0, 1))}:
        real = q * scale <= value if below else q * scale >= value
        assert real == (q <= found.on if below else q >= found.on)
        assert real != (q > found.off if below else q < found.off)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_the_reference_is_the_twin(data):
    whole = st.integers(-5, 5)
    switch = DeviceThreshold(
        name="a", output=1, on=data.draw(whole), off=data.draw(whole),
        below=data.draw(st.booleans()), on_readings=data.draw(st.integers(1, 4)),
        off_readings=data.draw(st.integers(1, 4)),
    )  # fmt: skip
    vote = DeviceMajority(name="b", outputs=(2, 0, 1), readings=data.draw(st.integers(1, 6)))
    answers = data.draw(st.lists(st.lists(whole, min_size=3, max_size=3), min_size=1, max_size=40))
    stream = DeviceDecisions((switch, vote))
    got = [stream.push(answer) for answer in answers]
    assert [row[0] for row in got] == twin.threshold(switch, [answer[1] for answer in answers])
    assert [row[1] for row in got] == twin.majority(vote, answers)


def test_the_c_decides_as_the_reference(model, tmp_path):
    found = device_decisions(*bound_decisions(model))
    answers = np.array(golden_answers(found, 3, 3000))
    front = decisions_front(found, 3, "model")
    written = run_layer(model, front, MAIN, tmp_path, answers.astype("<i2").tobytes())
    stream = DeviceDecisions(found)
    wanted = np.array([stream.push(answer) for answer in answers.tolist()])
    np.testing.assert_array_equal(np.frombuffer(written, "<i4").reshape(wanted.shape), wanted)


def test_quantize_puts_outputs_that_a_decision_compares_on_one_scale():
    network, readings = float_model("gru_after", outputs=4), stream(300, 3)
    vote = {"kind": "smooth", "name": "class", "method": "majority"}
    level = {"kind": "threshold", "name": "high", "of": "y0", "on": 0.1}
    apart, compared = (
        quantize(
            network,
            readings,
            stream="endless",
            decisions=Decisions.from_table({"decisions": [one]}),
        )
        for one in (level, vote)
    )
    assert len(set(apart.output.scale)) == 4
    assert len(set(compared.output.scale)) == 1
    (found,) = device_decisions(compared.decisions, compared.output)
    device, exact = DeviceDecisions((found,)), compared.decisions.stream()
    codes = compared.interface().quantize(readings)
    q_ys, _ = Reference(compared).run(codes[None])
    for q_y in q_ys[0]:
        wanted = exact.push(None, None, (q_y * compared.output.scale).tolist())["class"]
        assert f"y{device.push(q_y.tolist())[0]}" == wanted


def test_all_that_a_device_cannot_decide_is_told_at_once(model):
    table = [
        {"kind": "threshold", "name": "late", "of": "y0", "on": 0.5, "on_s": 5.0},
        {"kind": "smooth", "name": "class"},
        {"kind": "threshold", "name": "sure", "of": "class_share", "on": 0.5},
    ]
    decisions, sink = bound_decisions(model, {"decisions": table})
    with pytest.raises(UnsupportedModelError) as caught:
        device_decisions(decisions, sink)
    assert len(caught.value.reasons) == 3
    text = str(caught.value)
    assert "'late': expected no seconds, got on_s = 5" in text
    assert "'class': expected method = \"majority\"" in text
    assert "'sure': expected an output of the model, got 'class_share'" in text
