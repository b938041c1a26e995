"""Distillation of PyTorch modules: terms against their formulas in NumPy, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from edgernn.errors import DistillationError
from edgernn_export.compress.pytorch import DistillationLoss, HiddenStates, qat_module
from tests.support.training.torch_runs import fitted, float_network, forecaster, streams

RNG = np.random.default_rng(5)
TEACHER, STUDENT = RNG.normal(size=(2, 6, 4, 3)) * 4.0
WEIGHTS = RNG.uniform(0.0, 2.0, size=(6, 4))


def tensors(*arrays):
    return [torch.from_numpy(array.astype(np.float32)) for array in arrays]


def softmax(logits):
    powers = np.exp(logits)
    return powers / powers.sum(axis=-1, keepdims=True)


def divergence(p, q):
    return (p * np.log(p / q)).sum(axis=-1)


@pytest.mark.parametrize("temperature", [1.0, 3.0])
@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_classes(temperature, weights):
    each = divergence(softmax(TEACHER / temperature), softmax(STUDENT / temperature))
    wanted = temperature**2 * (each if weights is None else each * weights).mean()
    loss = DistillationLoss("classes", temperature=temperature)
    given = None if weights is None else tensors(weights)[0]
    assert float(loss(*tensors(STUDENT, TEACHER), weights=given)) == pytest.approx(wanted, rel=1e-5)


def test_binary_outputs_of_a_sigmoid():
    """The student ends in a sigmoid, the teacher in logits."""
    p, q = (1.0 / (1.0 + np.exp(-x / 4.0)) for x in (TEACHER, STUDENT / 2.0))
    wanted = 16.0 * divergence(*(np.stack([x, 1.0 - x], axis=-1) for x in (p, q))).mean()
    loss = DistillationLoss("binary", temperature=4.0, student_head="sigmoid")
    student, teacher = tensors(STUDENT / 2.0, TEACHER)
    assert float(loss(student.sigmoid(), teacher)) == pytest.approx(wanted, rel=1e-3)


def test_labels_have_the_rest():
    """With labels, and where a teacher answers per step and the student once."""
    student, teacher = tensors(STUDENT[:, -1], TEACHER)
    labels = torch.arange(6) % 3
    loss = DistillationLoss("classes", nn.functional.cross_entropy, alpha=0.25)
    hard = nn.functional.cross_entropy(student, labels)
    soft = divergence(softmax(TEACHER[:, -1]), softmax(STUDENT[:, -1])).mean()
    wanted = 0.25 * soft + 0.75 * float(hard)
    assert float(loss(student, teacher, labels)) == pytest.approx(wanted, rel=1e-5)


def test_values_learn_by_the_loss_itself():
    student, teacher, labels = tensors(STUDENT, TEACHER, STUDENT * 0.5)
    squared = DistillationLoss("values", alpha=0.3)
    wanted = 0.3 * np.square(STUDENT - TEACHER).mean() + 0.7 * np.square(STUDENT * 0.5).mean()
    assert float(squared(student, teacher, labels)) == pytest.approx(wanted, rel=1e-5)
    absolute = DistillationLoss("values", nn.functional.l1_loss)
    assert float(absolute(student, teacher)) == pytest.approx(
        np.abs(STUDENT - TEACHER).mean(), rel=1e-5
    )


def test_the_teacher_gets_no_gradient():
    student, teacher = (t.requires_grad_() for t in tensors(STUDENT, TEACHER))
    DistillationLoss("classes")(student, teacher).backward()
    assert teacher.grad is None
    assert student.grad.abs().max() > 0


@pytest.mark.parametrize("first", [True, False])
def test_hidden_states_of_integers_learn_those_of_a_float_network(first):
    network = forecaster("lstm", units=8)
    x = streams(4, 20)
    student = qat_module(float_network(network), x.numpy(), "w8a16")
    teacher = nn.GRU(3, 5, batch_first=first)
    read = x if first else x.transpose(0, 1)
    hidden = HiddenStates(student, teacher)
    student(x)
    states, _ = teacher(read)
    states = states if first else states.transpose(0, 1)
    wanted = (hidden.projection(network.rnn(x)[0]) - states).square().mean()
    found = hidden()
    assert float(found.detach()) == pytest.approx(float(wanted.detach()), rel=0.02)
    found.backward()
    assert student.layers[0].recurrent_kernel.grad.abs().max() > 0
    assert hidden.projection.weight.grad.abs().max() > 0
    assert all(p.grad is None for p in teacher.parameters())
    with pytest.raises(DistillationError, match="student: expected a batch that it has read"):
        hidden()
    hidden.remove()
    student(x)
    with pytest.raises(DistillationError, match="expected a batch"):
        hidden()


def test_what_does_not_fit_is_refused():
    with pytest.raises(DistillationError, match="task: expected one of"):
        DistillationLoss("regression")
    with pytest.raises(DistillationError, match="student: expected outputs that are linear or"):
        DistillationLoss("classes", student_head="sigmoid")
    with pytest.raises(DistillationError, match="alpha: expected a number"):
        DistillationLoss("classes", alpha=1.5)
    with pytest.raises(DistillationError, match="expected a loss for the labels, got none"):
        DistillationLoss("classes")(*tensors(STUDENT, TEACHER), torch.zeros(6))
    network = forecaster("gru")
    with pytest.raises(DistillationError, match=r"teacher_layer: .* got 'head'\. It has 'rnn'"):
        HiddenStates(network, network, teacher_layer="head")
    with pytest.raises(DistillationError, match=r"student_layer: .* It has none"):
        HiddenStates(nn.Linear(2, 2), network)


def test_a_smaller_network_learns_from_a_larger_one():
    teacher, student = forecaster("lstm", 0, units=12), forecaster("gru", 1, units=4)
    x = streams(16, 20)
    with torch.no_grad():
        answers = teacher(x)
    loss = DistillationLoss("values")
    before = float(loss(student(x), answers).detach())
    losses = fitted(student, x, answers, rate=0.02, steps=40)
    assert float(loss(student(x), answers).detach()) < 0.5 * before
    assert losses[-1] < losses[0]
