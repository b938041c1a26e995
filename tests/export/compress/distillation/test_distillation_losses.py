"""Terms of the distillation loss against their formulas in NumPy, float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgernn.errors import DistillationError

pytestmark = pytest.mark.tf

RNG = np.random.default_rng(5)
TEACHER, STUDENT = RNG.normal(size=(2, 6, 4, 3)) * 4.0
WEIGHTS = RNG.uniform(0.0, 2.0, size=(6, 4))


def tensors(*arrays: Any) -> list[Any]:
    from keras import ops

    return [ops.convert_to_tensor(array.astype(np.float32)) for array in arrays]


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits)
    return powers / powers.sum(axis=-1, keepdims=True)


def divergence(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    return (p * np.log(p / q)).sum(axis=-1)


@pytest.mark.parametrize("temperature", [1.0, 3.0, 20.0])
@pytest.mark.parametrize("weights", [None, WEIGHTS, WEIGHTS[:, :1]])
def test_soft_targets_are_the_divergence_times_the_squared_temperature(temperature, weights):
    from edgernn_export.compress.distillation.losses import soft_targets

    each = divergence(softmax(TEACHER / temperature), softmax(STUDENT / temperature))
    expected = temperature**2 * (each if weights is None else each * weights).mean()
    given = None if weights is None else np.squeeze(weights)
    got = soft_targets(*tensors(STUDENT, TEACHER), temperature, given)
    assert float(got) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_soft_binary_targets_are_the_mean_of_two_way_divergences(temperature):
    from edgernn_export.compress.distillation.losses import soft_binary_targets

    p, q = (1.0 / (1.0 + np.exp(-x / temperature)) for x in (TEACHER, STUDENT))
    pairs = [np.stack([x, 1.0 - x], axis=-1) for x in (p, q)]
    expected = temperature**2 * divergence(*pairs).mean()
    got = soft_binary_targets(*tensors(STUDENT, TEACHER), temperature)
    assert float(got) == pytest.approx(expected, rel=1e-5)


def test_gradients_keep_their_size_at_high_temperatures():
    """Hinton et al., equation 4: they tend to the difference of centred logits over K."""
    import tensorflow as tf

    from edgernn_export.compress.distillation.losses import soft_targets

    student, teacher = tensors(STUDENT[0, :1], TEACHER[0, :1])
    with tf.GradientTape() as tape:
        tape.watch(student)
        loss = soft_targets(student, teacher, 1000.0)
    centred = [x[0, 0] - x[0, 0].mean() for x in (STUDENT, TEACHER)]
    assert np.allclose(tape.gradient(loss, student)[0], (centred[0] - centred[1]) / 3, atol=0.02)


def test_squared_distance_of_hidden_states():
    from edgernn_export.compress.distillation.losses import squared_distance

    expected = (((STUDENT - TEACHER) ** 2).mean(axis=-1) * WEIGHTS).mean()
    got = squared_distance(*tensors(STUDENT, TEACHER), WEIGHTS)
    assert float(got) == pytest.approx(expected, rel=1e-5)


def test_weights_per_step_for_answers_per_stream_are_refused():
    from edgernn_export.compress.distillation.losses import soft_targets

    with pytest.raises(DistillationError, match=r"sample_weight: .* got shape \(6, 4\)"):
        soft_targets(*tensors(STUDENT[:, 0], TEACHER[:, 0]), 2.0, WEIGHTS)


@pytest.mark.parametrize("head, logits", [("softmax", TEACHER), ("sigmoid", TEACHER)])
def test_probabilities_are_turned_back_into_logits(head, logits):
    from edgernn_export.compress.distillation.output_heads import logits_of

    answers = softmax(logits) if head == "softmax" else 1.0 / (1.0 + np.exp(-logits))
    got = np.asarray(logits_of(*tensors(answers), head), np.float64)
    if head == "softmax":  # up to a constant per vector
        got, logits = (x - x.mean(axis=-1, keepdims=True) for x in (got, logits))
    assert np.allclose(got, logits, atol=2e-3)


@pytest.mark.parametrize("head", ["softmax", "sigmoid"])
def test_probabilities_of_0_and_1_give_finite_logits(head):
    from edgernn_export.compress.distillation.output_heads import logits_of

    got = np.asarray(logits_of(*tensors(np.array([[0.0, 1.0]])), head))
    assert np.all(np.isfinite(got))
    assert got[0, 0] < -15 < got[0, 1]
