"""What a distiller refuses, by name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgernn.errors import DistillationError
from tests.support.models.keras import sequential
from tests.support.training.distillation_runs import (
    LABELS,
    XS,
    compiled,
    cross_entropy,
    distiller,
    fit,
    network,
    teacher,
)

pytestmark = pytest.mark.tf


def refused(match: str, student: Any, tutor: Any, **options: Any) -> None:
    with pytest.raises(DistillationError, match=match):
        distiller(student, tutor, **options)


@pytest.mark.parametrize(
    "options, words",
    [
        ({"temperature": 0.0}, r"temperature: expected a number above 0, got 0\.0"),
        ({"temperature": float("nan")}, "temperature: .* got nan"),
        ({"alpha": 1.5}, r"alpha: expected a number at least 0 and at most 1, got 1\.5"),
        ({"alpha": True}, "alpha: .* got True"),
        ({"hidden_weight": -1}, "hidden_weight: expected a number at least 0, got -1"),
        ({"task": "multi"}, "task: expected one of classes, binary, values, got 'multi'"),
        ({"task": None}, "got linear from the teacher and linear from the student. Pass task="),
        ({"student_layer": "rnn"}, "student_layer: expected hidden_weight > 0"),
        ({"teacher_layer": "gru", "hidden_weight": 1}, "got 'gru'. It has 'rnn', 'head'"),
    ],
)
def test_settings(options, words):
    refused(words, network(4), teacher(), **({"task": "classes"} | options))


def test_heads_that_do_not_fit_the_task():
    softmax, sigmoid = network(4, head="softmax"), network(4, head="sigmoid")
    refused("got linear from the teacher and softmax", softmax, teacher())
    refused("got sigmoid from the teacher and softmax", softmax, teacher(head="sigmoid"))
    refused("student: expected outputs that are linear or softmax, got sigmoid", sigmoid,
            teacher(), task="classes")  # fmt: skip
    refused("teacher: expected outputs that are linear or softmax, got relu", softmax,
            teacher(head="relu"), task="classes")  # fmt: skip
    refused("teacher: expected outputs that are values, got softmax", network(4),
            teacher(head="softmax"), task="values")  # fmt: skip


def test_heads_are_found_behind_wrappers_and_in_nested_models():
    import keras

    from edgernn_export.compress.distillation.output_heads import head_of

    layers = keras.layers
    wrapped = sequential(
        layers.GRU(4, return_sequences=True), layers.TimeDistributed(layers.Dense(3, "softmax"))
    )
    nested = keras.Sequential([keras.Input((None, 3)), network(4), layers.Activation("sigmoid")])
    outer = keras.Sequential([keras.Input((None, 3)), nested])
    scaled = keras.Sequential([keras.Input((None, 3)), network(4), layers.Rescaling(2.0)])
    assert [head_of(model) for model in (wrapped, outer, scaled)] == [
        "softmax", "sigmoid", "unknown"
    ]  # fmt: skip


@pytest.mark.parametrize("head", ["linear", "sigmoid", "softmax"])
def test_heads_are_found_under_quantization_aware_training(head):
    from edgernn_export.compress.distillation.output_heads import head_of
    from edgernn_export.compress.qat import qat_model

    assert head_of(qat_model(network(4, steps=True, head=head), calibration=XS)) == head


def test_shapes_that_do_not_fit():
    student, tutor = network(4), teacher()
    refused(r"expected output shape \(None, 3\) like the teacher, got \(None, 2\)",
            network(4, outputs=2), tutor, task="classes")  # fmt: skip
    refused(r"expected output shape \(None, 3\) .* got \(None, None, 3\)",
            network(4, steps=True), tutor, task="classes")  # fmt: skip
    import keras

    wide = keras.Sequential([keras.Input((None, 5)), keras.layers.GRU(3)])
    refused(r"expected input shape \(None, None, 3\) .* got \(None, None, 5\)", wide, tutor,
            task="values")  # fmt: skip
    refused("student: expected a keras.Model, got str", "student.keras", tutor)
    refused("got one that is not built", keras.Sequential([keras.layers.GRU(3)]), tutor)
    refused("expected separate weights, got 'sequential.*rnn", student, student, task="values")


def test_models_that_keep_states():
    import keras

    kept = sequential(keras.layers.GRU(3, stateful=True, name="kept"), batch=8)
    refused(r"teacher 'kept' \(GRU\): .* stateful=True", network(4), kept, task="values")


def test_hidden_states_that_cannot_be_reached():
    import keras

    nested = keras.Sequential([keras.Input((None, 3)), network(4)])
    refused("student_layer: .* got none. .* nested models", nested, teacher(), task="classes",
            hidden_weight=1.0)  # fmt: skip
    given = keras.Input((None, 3))
    both, *_ = (states := keras.layers.GRU(4, return_state=True, name="gru")(given))
    assert len(states) == 2
    model = keras.Model(given, keras.layers.Dense(3)(both))
    refused("return_state=True", model, teacher(), task="classes", hidden_weight=1.0)


def test_two_outputs():
    import keras

    given = keras.Input((None, 3))
    hidden = keras.layers.GRU(4)(given)
    model = keras.Model(given, [hidden, keras.layers.Dense(3)(hidden)])
    refused("teacher .* expected one of outputs, got 2", network(4), model, task="values")


def test_losses_that_are_missing_or_no_means():
    import keras

    model = distiller(network(4), teacher(), task="classes")
    with pytest.raises(DistillationError, match=r"loss: expected the loss .* got none"):
        model.compile("adam")
    total = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="sum")
    with pytest.raises(DistillationError, match="reduction='sum'"):
        model.compile("adam", loss=total)


def test_weights_per_step_for_a_student_of_streams():
    model = compiled(distiller(network(4), teacher(), task="classes", alpha=1.0), cross_entropy())
    with pytest.raises(DistillationError, match="one weight per stream"):
        fit(model, XS, LABELS, sample_weight=np.ones((16, 5)))


@pytest.mark.parametrize("labels, words", [(LABELS[:7], r"got \(16, 5, 3\) and \(7,\)"),
                                           (None, r"and \(\)")])  # fmt: skip
def test_a_teacher_asked_once_needs_arrays(labels, words):
    model = compiled(distiller(network(4), teacher(), task="classes", precompute=True),
                     cross_entropy())  # fmt: skip
    with pytest.raises(DistillationError, match=words):
        model.fit(XS, labels)


def test_importing_loads_no_keras():
    import edgernn_export.compress.distillation as package

    with pytest.raises(AttributeError, match="no attribute 'Distill'"):
        package.Distill  # noqa: B018
    assert package.Distiller is package.Distiller
    assert package.OnStudent is package.OnStudent
