"""What Python sessions and notebooks show of records."""

import dataclasses

import numpy as np
import pytest

import edgernn
from edgernn.display import html_table, record_repr, short
from edgernn.model.formats import Precision
from edgernn.model.layers import LAYERS
from tests.support.models.integer import random_model

pytestmark = pytest.mark.device

ONE_SCREEN = 400


def test_a_model_is_one_line():
    model = random_model("lstm", Precision.W8A16, stack=2)
    # 4 gates x 8 units x (3 + 8), then x (8 + 8), then 2 x 8; two vectors of 8 int16 per LSTM.
    weights = 32 * 11 + 32 * 16 + 16
    assert repr(model) == (
        "IntegerModel(name='lstm-tame', precision='w8a16', layers=[lstm 8, lstm 8, dense 2], "
        f"{weights:,} weights, {2 * 2 * 8 * 2} state bytes)"
    )


def test_every_record_of_a_model_fits_a_screen():
    model = random_model("gru_after", units=64, stack=3)
    seen = [model, model.interface(), model.input, model.output, model.provenance]
    for layer in model.layers:
        seen += [layer, *layer.affines.values(), *(a.terms[0] for a in layer.affines.values())]
    for record in seen:
        assert len(repr(record)) < ONE_SCREEN, type(record)
        assert "\n" not in repr(record)
    layer = model.layers[0]
    assert (
        repr(layer) == "GRUAfter(name='gru_after_0', inputs=3, units=64, gate_activation='sigmoid')"
    )


def test_no_class_of_layers_prints_its_arrays():
    for layer in LAYERS.values():
        assert "__repr__" in vars(layer)
        assert layer.__repr__.__qualname__ == "LayerRecord.__repr__"


def test_many_channels_and_long_texts_are_cut():
    model = random_model("lstm", inputs=60)
    assert "... 54 more]" in repr(model.interface())
    assert short("x" * 200) == f"'{'x' * 56}..."
    assert short(tuple(range(9))) == "<9 x int>"
    assert short((1, "a")) == "(1, 'a')"
    assert short(np.zeros((2, 3), np.int16)) == "int16[2, 3]"


def test_a_registered_record_inherits_the_short_form():
    @dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
    class Own(type(random_model("lstm").layers[0].affines["gates"])):
        extra: int = 0

    assert Own.__repr__ is not object.__repr__
    assert Own.__repr__.__qualname__ == "ArrayRecord.__repr__"


def test_html_is_escaped_and_bounded():
    html = html_table("<b>", ("a&b",), [("<script>",)] * 100)
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    assert "<b>&lt;b&gt;</b>" in html
    assert html.count("<tr>") == 1 + 30 + 1
    assert "... 70 more" in html


def test_models_and_sessions_have_tables_for_notebooks(tmp_path):
    model = random_model("lstm", inputs=2)
    source = dataclasses.replace(model.input, names=("<i>", "b"), units=("°C", ""))
    model = dataclasses.replace(model, input=source)
    assert "<td>lstm_0</td>" in model._repr_html_() or "<td>lstm</td>" in model._repr_html_()
    with edgernn.load(model.save(tmp_path / "m.edgernn"), "reference") as session:
        html = session._repr_html_()
    assert "<td>&lt;i&gt;</td><td>°C</td>" in html
    assert "<i>" not in html


def test_public_names_and_nothing_else_are_listed():
    assert dir(edgernn) == sorted([*edgernn.__all__, "bench"])
    for name in dir(edgernn):
        assert hasattr(edgernn, name)
        assert name.startswith("__") or name in edgernn.__doc__ or name[0].isupper()
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = edgernn.nothing


def test_record_repr_names_the_class():
    @dataclasses.dataclass
    class Pair:
        left: int
        right: dict

    assert record_repr(Pair(1, {"a": 2})) == "Pair(left=1, right=<1 entries>)"
