"""Networks with several outputs: each has targets, a task and figures of its own."""

from __future__ import annotations

import json

import numpy as np
import pytest
from matplotlib.figure import Figure

from edgernn.cli import main
from edgernn.errors import EdgeRnnError, ShapeError
from edgernn_export import evaluate
from edgernn_export.evaluation.metrics import accuracy, rmse
from edgernn_export.evaluation.output_targets import output_targets
from edgernn_export.float_model.float_run import run, with_softmax
from edgernn_export.quantizer.quantizer import quantize
from tests.support.models.float import stream
from tests.support.models.float_networks import two_port_network

pytestmark = pytest.mark.tf
XS = stream(400, 5)
NETWORK = two_port_network()
NAMES = NETWORK.output_names  # of "level" 2, of "kind" 3


@pytest.fixture(scope="module")
def model():
    return quantize(NETWORK, XS, progress=False)


@pytest.fixture(scope="module")
def answers():
    return with_softmax(NETWORK, run(NETWORK, XS[None])[0])[0]


@pytest.fixture(scope="module")
def targets(answers):
    """Two quantities, and the class that the network says but for every fifth answer."""
    truth = np.column_stack([answers[:, :2] + 0.1, answers[:, 2:].argmax(axis=1)])
    truth[::5, 2] = (truth[::5, 2] + 1) % 3
    return truth


def judged(model, targets, **options):
    return evaluate(model, XS, targets, float_model=NETWORK, progress=False, **options)


def test_a_softmax_has_a_column_of_classes_beside_columns_of_numbers(
    model, targets, tmp_path, monkeypatch
):
    found = judged(model, targets)
    assert [(o.name, o.task) for o in found.outputs] == [
        ("level", "regression"), ("kind", "classification"),
    ]  # fmt: skip
    assert found.task == "mixed"
    scores = {(s.metric, s.output): s for s in found.scores}
    assert set(scores) == {
        *((metric, name) for metric in ("rmse", "mae", "mape", "r2") for name in NAMES[:2]),
        ("accuracy", "kind"), ("f1", "kind"),
    }  # fmt: skip
    y = found.answered.integer_y
    assert scores["accuracy", "kind"].float_value == 0.8
    assert scores["accuracy", "kind"].integer_value == accuracy(
        targets[:, 2], y[:, 2:].argmax(axis=1)
    )
    assert scores["rmse", NAMES[1]].integer_value == rmse(targets[:, 1], y[:, 1])
    deciding = [scores["rmse", NAMES[0]], scores["rmse", NAMES[1]], scores["accuracy", "kind"]]
    assert found.decides == min(deciding, key=lambda s: s.kept)
    assert (found.kept, found.metric) == (found.decides.kept, found.decides.metric)
    marked = [line for line in found.table().splitlines() if line.endswith("< decides")]
    assert len(marked) == 1
    assert marked[0].startswith(f"{found.decides.metric} {found.decides.output} ")
    assert "kind, integer: targets in rows, outputs in columns" in found.table()
    assert "same class of kind from both models: " in found.table()
    record = json.loads(found.to_json())
    assert record["decides"] == {"metric": found.decides.metric, "output": found.decides.output}
    level, kind = record["outputs"]
    assert (level["confusion"], level["agreement"]) == (None, None)
    assert np.sum(kind["confusion"]["integer"]) == len(XS)
    assert np.trace(kind["confusion"]["float"]) == 0.8 * len(XS)
    titles = []
    monkeypatch.setattr(Figure, "suptitle", lambda figure, title, **_: titles.append(title))
    assert found.plot(tmp_path / "mixed.png").read_bytes().startswith(b"\x89PNG")
    assert titles[0].endswith(" % of the accuracy kept (RMSE y0)")
    assert (found.metric, found.decides.output) == ("rmse", "y0")


def test_the_metric_that_is_asked_for_decides_where_it_is_one(model, targets):
    assert judged(model, targets, metric="f1").decides.output == "kind"
    assert judged(model, targets, metric="mae").decides.output in NAMES[:2]
    with pytest.raises(EdgeRnnError, match="accuracy, f1 for regression and classification, got"):
        judged(model, targets, metric="mcc")

    def mine(target, answer):
        return float(np.mean(target)) / (1 + answer.ndim)

    found = judged(model, targets, metric=mine)
    assert [s.output for s in found.scores if s.metric == "mine"] == ["level", "kind"]


def test_an_output_without_targets_is_left_out_of_the_scores_alone(model, targets):
    some = targets.copy()
    some[:100, 2] = np.nan
    some[200:, 0] = np.nan
    found = judged(model, some)
    counts = [int(found.outputs[1].confusion.of_integer.sum())]
    level = found.outputs[0].target
    assert [*counts, int(np.isfinite(level).all(axis=1).sum())] == [300, 200]
    assert found.left_out == {}
    some[:100, 0] = np.nan
    assert judged(model, some).left_out == {"without a target": 100}
    assert {s.output for s in judged(model, [[np.nan, np.nan, k] for k in targets[:, 2]]).scores} \
        == {"kind"}  # fmt: skip


def test_one_hot_columns_are_classes_and_probabilities_are_numbers(model, answers, targets):
    one_hot = np.column_stack([targets[:, :2], np.eye(3)[targets[:, 2].astype(int)]])
    assert [t.task for t in output_targets(model, one_hot, "auto")] == [
        "regression", "classification",
    ]  # fmt: skip
    assert [t.task for t in output_targets(model, answers, "auto")] == ["regression"] * 2
    assert [t.task for t in output_targets(model, one_hot, "regression")] == ["regression"] * 2
    assert judged(model, one_hot).scores == judged(model, targets).scores


def test_columns_that_do_not_fit_are_refused_with_what_would(model, targets):
    text = r"expected 3 columns \(level 2, kind 1\) or 5 columns \(level 2, kind 3\), got 4\."
    with pytest.raises(ShapeError, match=text):
        judged(model, np.column_stack([targets, targets[:, 0]]))
    wrong = targets.copy()
    wrong[3, 2] = 3
    text = (
        r"of 'kind': expected class numbers 0\.\.2, got 3\. Class numbers follow the order of the"
    )
    with pytest.raises(EdgeRnnError, match=text):
        judged(model, wrong)


def test_a_table_has_names_of_classes_beside_numbers(model, targets, tmp_path, capsys):
    model.save(tmp_path / "m.edgernn")
    names = [NAMES[2 + int(k)] for k in targets[:, 2]]
    names[7] = ""
    rows = [",".join([*NETWORK.input_names, "one", "two", "state"])]
    for x, (one, two, _), name in zip(XS, targets, names, strict=True):
        rows.append(",".join([*map(repr, map(float, (*x, one, two))), name]))
    (tmp_path / "x.csv").write_text("\n".join(rows) + "\n")
    arguments = [str(tmp_path / "m.edgernn"), "--data", str(tmp_path / "x.csv"), "--json"]
    assert main(["evaluate", *arguments, "--target", "one,two,state"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert [output["task"] for output in record["outputs"]] == ["regression", "classification"]
    assert np.sum(record["outputs"][1]["confusion"]["integer"]) == len(XS) - 1
    assert record["decides"] is None  # nothing says what a single model keeps
    wanted = evaluate(model, XS, targets, progress=False)
    got = {(s["metric"], s["output"]): s["integer_value"] for s in record["scores"]}
    for s in wanted.scores:
        if s.output != "kind":
            assert got[s.metric, s.output] == s.integer_value


@pytest.mark.parametrize("steps", [None, 16], ids=["endless", "windows"])
def test_a_network_with_a_rate_is_judged_answer_by_answer(steps, tmp_path, capsys):
    import keras

    la = keras.layers
    keras.utils.set_random_seed(1)
    ends = la.MaxPooling1D(3), la.GRU(4, return_sequences=steps is None), la.Dense(1)
    network = keras.Sequential([keras.Input((steps, 5)), la.Conv1D(4, 3), *ends])
    network.save(tmp_path / "rate.keras")
    np.save(tmp_path / "xs.npy", XS)
    given = [str(tmp_path / "rate.keras"), "--calibration", str(tmp_path / "xs.npy")]
    out = tmp_path / "rate.edgernn"
    assert main(["quantize", *given, "-o", str(out)]) == 0
    said = "windows of 16 readings" if steps else (
        "endless stream, one answer every 3 readings, the first after 5"
    )  # fmt: skip
    assert f"stream   {said}\n" in capsys.readouterr().out
    found = evaluate(out, XS, float_model=network, progress=False)
    if steps is None:
        rows, wanted = np.arange(4, 400, 3), network.predict(XS[None], verbose=0)[0]
    else:
        rows = np.arange(15, 400)
        wanted = network.predict(np.stack([XS[t - 15 : t + 1] for t in rows]), verbose=0)
    assert np.array_equal(found.answered.row, rows)
    assert np.abs(found.answered.float_y - wanted).max() < 1e-6
    # Of a window, the network takes four steps that answer, of 5 + 3 + 3 + 3 readings.
    both = evaluate(out, [XS[:30], XS[:4]], float_model=network, progress=False)
    assert both.answers == (15 if steps else 9)  # the second stream ends before its first answer
    with pytest.raises(EdgeRnnError, match=f"at least {steps or 5} readings; the longest has 4"):
        evaluate(out, XS[:4], float_model=network, progress=False)
    steps_there = len(rows) * (4 if steps else 1)
    assert (found.saturation.steps, found.saturation.of_steps) == (steps_there, steps_there)


@pytest.mark.parametrize("horizon", [0, 2])
def test_an_answer_that_comes_late_has_the_target_of_the_reading_it_answers(horizon):
    import keras

    la = keras.layers
    keras.utils.set_random_seed(1)
    strided = [la.Conv1D(4, 3, strides=2, padding="causal") for _ in range(2)]
    ends = la.GRU(4, return_sequences=True), la.Dense(1)
    network = keras.Sequential([keras.Input((None, 5)), *strided, *ends])
    model = quantize(network, XS, "w8a16", progress=False)
    assert model.rate.latency == 2
    truth = np.full((400, 1), 9.0)
    wanted = network.predict(XS[None], verbose=0)[0]
    truth[horizon::4] = wanted[: len(truth[horizon::4])]  # predict answers readings 0, 4, 8, ...
    found = evaluate(model, XS, truth, float_model=network, horizon=horizon, progress=False)
    (error,) = (score.float_value for score in found.scores if score.metric == "rmse")
    assert error < 1e-6
