"""`edgernn run` over models with several inputs and outputs."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

import edgernn
from edgernn.model.interface import Port
from edgernn.records.port_names import InputNames
from tests.support.models.networks import two_input_network
from tests.support.run_command import RunCommand

pytestmark = pytest.mark.device

XS = np.round(np.random.default_rng(2).uniform(-2, 2, (4, 5)), 3)
INPUTS = (Port(name="wind", width=3), Port(name="b", width=1), Port(name="c", width=1))
LOGITS = "edgernn run: note: the answers are logits. Pass --softmax for probabilities.\n"
OUTPUTS = (Port(name="class", width=4, softmax=True), Port(name="level", width=1))


@pytest.fixture
def model():
    base = two_input_network()
    return dataclasses.replace(
        base,
        input=dataclasses.replace(base.input, ports=INPUTS),
        output=dataclasses.replace(base.output, ports=OUTPUTS, softmax=True),
    )


@pytest.fixture
def run(tmp_path, monkeypatch, capsys, model):
    command = RunCommand(model.save(tmp_path / "m.edgernn"), tmp_path, monkeypatch, capsys)

    def without_note(*arguments):
        code, out, err = command(*arguments)
        return code, out, err.removeprefix(LOGITS)

    return without_note


@pytest.fixture
def wanted(model):
    with edgernn.load(model, backend="reference") as session:
        return session.run(XS)


def table(header, columns):
    rows = [",".join(repr(x[i]) for i in columns) for x in XS.tolist()]
    return "\n".join([header, *rows]) + "\n"


HEADERS = {
    "channels": ("x4,x3,x2,x1,x0", (4, 3, 2, 1, 0)),
    "input.channel": ("wind.x0,wind.x1,wind.x2,b.x3,c.x4", range(5)),
    "inputs of one channel": ("c,b,wind.x2,wind.x1,wind.x0", (4, 3, 2, 1, 0)),
    "mixed": ("c,x3,wind.x2,x1,wind.x0", (4, 3, 2, 1, 0)),
}


@pytest.mark.parametrize("name", HEADERS)
def test_columns_are_found_by_channel_or_by_input(run, wanted, name):
    code, out, err = run(table(*HEADERS[name]))
    assert (code, err) == (0, "4 readings, 0 bad (raise)\n")
    assert out[0] == "class.y0,class.y1,class.y2,class.y3,level"
    assert out[1:] == [",".join(f"{value:.4f}" for value in y) for y in wanted]


def test_other_columns_are_named_by_input_and_channel(run, wanted):
    code, out, _ = run(table("b.x3,x4,u,v,w", (3, 4, 0, 1, 2)), "--columns", "wind.x0=u,x1=v,x2=w")
    assert code == 0
    assert out[1:] == [",".join(f"{value:.4f}" for value in y) for y in wanted]


def test_two_columns_of_one_channel_are_refused(run):
    code, _, err = run(table("wind.x0,x0,x1,x2,b,c", (0, 0, 1, 2, 3, 4)))
    assert code == 2
    assert "got x0 more than once" in err


def test_columns_that_are_missing_are_named(run):
    code, _, err = run(table("wind.x0,wind.x1,b,c", (0, 1, 3, 4)))
    assert code == 2
    assert "got one without x2." in err


OBJECTS = {
    "lists": lambda x: {"wind": x[:3], "b": x[3], "c": [x[4]]},
    "objects": lambda x: {"b": x[3], "wind": {"x2": x[2], "x0": x[0], "x1": x[1]}, "x4": x[4]},
    "flat": lambda x: {"wind.x1": x[1], "x0": x[0], "x2": x[2], "b.x3": x[3], "c": x[4]},
}


@pytest.mark.parametrize("name", OBJECTS)
def test_json_objects_name_inputs_and_outputs(run, wanted, name):
    lines = "\n".join(json.dumps(OBJECTS[name](x) | {"t": 1}) for x in XS.tolist())
    code, out, err = run(lines, "--pass-through", "t")
    assert (code, err) == (0, "4 readings, 0 bad (raise)\n")
    for line, y in zip(out, wanted, strict=True):
        answer = json.loads(line)
        assert list(answer) == ["t", "class", "level"]
        np.testing.assert_allclose(answer["class"], y[:4], atol=5e-5)
        np.testing.assert_allclose(answer["level"], y[4], atol=5e-5)


def test_json_lists_stay_lists(run, wanted):
    code, out, _ = run("\n".join(json.dumps(x) for x in XS.tolist()))
    assert code == 0
    np.testing.assert_allclose([json.loads(line) for line in out], wanted, atol=5e-5)


def test_a_table_is_answered_by_objects_with_a_list_for_each_output(run, wanted):
    code, out, _ = run(table(*HEADERS["mixed"]), "--output-format", "jsonl")
    assert code == 0
    assert json.loads(out[0])["class"] == [float(f"{value:.4f}") for value in wanted[0, :4]]


BAD_OBJECTS = {
    '{"wind": [1, 2], "b": 1, "c": 2}': "a list of 3 values for the input 'wind', got [1, 2]",
    '{"wind": 1, "b": 1, "c": 2}': "a list of 3 values for the input 'wind', got 1",
    '{"wind": [1, 2, 3], "x0": 1, "b": 1, "c": 2}': "one value per channel, got two for x0",
    '{"wind": [1, 2, 3], "b": 1}': "got an object without x4",
    '{"wind": {"x0": 1}, "b": 1, "c": 2}': "got an object without x1, x2",
    '{"wind": null, "b": 1, "c": 2}': "expected a number, got null (channel 'x0')",
}


@pytest.mark.parametrize("line", BAD_OBJECTS)
def test_bad_objects(run, line):
    good = json.dumps(OBJECTS["lists"](XS[0].tolist()))
    code, out, err = run(f"{good}\n{line}\n")
    assert (code, len(out)) == (2, 1)
    assert "line 2: " in err
    assert BAD_OBJECTS[line] in err
    code, out, err = run(f"{good}\n{line}\n", "--on-bad-reading", "skip")
    assert (code, err) == (0, "2 readings, 1 bad (skip)\n")
    assert out[0] == out[1]


def test_softmax_is_that_of_its_output(run, wanted):
    code, out, _ = run(table(*HEADERS["channels"]), "--softmax", "--output-format", "jsonl")
    assert code == 0
    for line, y in zip(out, wanted, strict=True):
        answer = json.loads(line)
        weight = np.exp(y[:4])
        np.testing.assert_allclose(answer["class"], weight / weight.sum(), rtol=1e-5)
        assert answer["level"] == float(f"{y[4]:.4f}")


def test_codes_by_name(run, model):
    code, out, _ = run('{"wind": [1, 2, 3], "b": 4, "c": 5}', "--codes", "--format", "jsonl")
    with edgernn.load(model, backend="reference") as session:
        q_y = session.step_codes([1, 2, 3, 4, 5]).tolist()
    assert code == 0
    assert json.loads(out[0]) == {"class": q_y[:4], "level": q_y[4]}


def test_names_of_a_model_with_one_input_are_those_of_its_channels():
    names = InputNames(("a", "b"))
    assert names.channel("input.a") == "input.a"
    assert names.by_channel({"a": [1], "c": 2}) == {"a": [1], "c": 2}
    assert [names.is_fed(key) for key in ("a", "c")] == [True, False]


@pytest.mark.parametrize("name", ["wind.x9", "wind"])
def test_columns_of_unknown_channels_are_named(run, name):
    code, _, err = run(table(*HEADERS["mixed"]), "--columns", f"{name}=u")
    assert code == 2
    assert f"--columns: expected channels among x0, x1, x2, x3, x4, got {name}." in err


@pytest.mark.parametrize(
    ("line", "cure"),
    [
        (
            {"wind": [1, 2, 3], "B": 1, "c": 2},
            "The objects have the keys wind, B, c; the model has the inputs wind, b, c with the "
            "channels x0, x1, x2, x3, x4. Rename the keys, or name the channels' keys with "
            "--columns",
        ),
        ({"wind": [1, 2], "b": 1, "c": 2}, "Repair the line, or continue with: --on-bad-reading"),
    ],
)
def test_the_cure_of_a_first_object(run, line, cure):
    code, _, err = run(json.dumps(line) + "\n")
    assert code == 2
    assert cure in err


def test_channels_without_names_of_their_own_are_not_doubled(run, model, tmp_path):
    names = ("class_0", "class_1", "class_2", "class_3", "level_0")
    renamed = dataclasses.replace(model, output=dataclasses.replace(model.output, names=names))
    renamed.save(tmp_path / "m.edgernn")
    code, out, _ = run(table(*HEADERS["channels"]))
    assert (code, out[0]) == (0, "class_0,class_1,class_2,class_3,level")


def test_the_policy_of_an_input_is_that_of_its_channels(run, model):
    text = "wind.x0,wind.x1,wind.x2,b,c\n1,2,3,4,2\n,,1,2,3\n"
    code, out, err = run(text, "--on-bad-reading", "wind=hold,x1=0.5")
    with edgernn.load(model, on_bad_reading={"wind": "hold", "x1": 0.5}) as session:
        ys = session.run([[1, 2, 3, 4, 2], [np.nan, np.nan, 1, 2, 3]])
    assert (code, err) == (0, "2 readings, 1 bad (wind hold, x1 0.5)\n")
    assert out[1:] == [",".join(f"{value:.4f}" for value in y) for y in ys]
