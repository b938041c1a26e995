"""Attention and networks of several parts in training: clauses, gradients, what is gained."""

from __future__ import annotations

import numpy as np
import pytest

from edgernn_firmware_sim.reference import arithmetic
from edgernn_firmware_sim.reference import attention as clauses
from tests.support.training.qat_sequences import CASES, MASK, fed

pytestmark = [pytest.mark.tf, pytest.mark.filterwarnings("ignore::edgernn.errors.EdgeRnnWarning")]
#: Keys of 5 elements in 7 slots.
WIDTH, SLOTS = 5, 7


def tensor(codes):
    import tensorflow as tf

    return tf.constant(codes, tf.float32)


def drawn(seed, largest=32767):
    """Queries and rows of any codes, the ends of int16 among them."""
    rng = np.random.default_rng(seed)
    query = rng.integers(-largest, largest + 1, (400, WIDTH)).astype(np.int32)
    rows = rng.integers(-32768, 32768, (400, SLOTS * WIDTH)).astype(np.int32)
    rows[0], rows[1] = -32768, 32767
    return query, rows


@pytest.mark.parametrize("jit", [False, True])
def test_clauses_of_attention(jit):
    """Scores, shares and contexts of any codes are those of the reference."""
    import tensorflow as tf

    from edgernn_export.compress.qat.arithmetic import attention

    rng = np.random.default_rng(0)
    query, rows = drawn(1, largest=(1 << 30) // (32768 * WIDTH) - 1)
    scores = rng.integers(-32768, 32768, (400, SLOTS)).astype(np.int32)
    scores[:200] //= 16
    filled = np.where(rng.random((400, SLOTS)) < 0.6, 32767, -32768).astype(np.int32)
    filled[:, 0] = 32767
    shares = clauses.softmax(scores, filled)
    weight = rng.integers(-6000, 6001, WIDTH).astype(np.int16)

    @tf.function(jit_compile=jit)
    def run(query, rows, scores, filled, shares):
        return (
            attention.dot_scores(query, rows, 12),
            attention.additive_scores(query, rows, weight, 13),
            attention.softmax(scores, filled),
            attention.context(shares, rows),
        )

    made = run(*map(tensor, (query, rows, scores, filled, shares)))
    wanted = (
        arithmetic.sat16(clauses.dot_scores(query, rows, 12)),
        arithmetic.sat16(clauses.additive_scores(query, rows, weight.astype(np.int32), 13)),
        shares,
        clauses.context(shares, rows),
    )
    for found, codes in zip(made, wanted, strict=True):
        assert np.array_equal(np.asarray(found), codes)
        assert np.ptp(codes) > 1000


def test_shares_pass_the_gradient_of_a_real_softmax():
    """Also of slots that are empty, which have none."""
    import tensorflow as tf

    from edgernn_export.compress.qat.arithmetic import attention

    rng = np.random.default_rng(0)
    scores = rng.integers(-3000, 3001, (50, SLOTS))
    filled = np.where(rng.random((50, SLOTS)) < 0.7, 32767, -32768)
    filled[:, 0] = 32767
    upstream = rng.normal(size=(50, SLOTS))
    given = tensor(scores)
    with tf.GradientTape() as tape:
        tape.watch(given)
        value = tf.reduce_sum(attention.softmax(given, tensor(filled)) * tensor(upstream))
    made = np.asarray(tape.gradient(value, given))
    with np.errstate(under="ignore"):
        weight = np.where(filled > 0, np.exp(scores / 1024.0), 0.0)
    share = weight / weight.sum(axis=1, keepdims=True)
    mean = (share * upstream).sum(axis=1, keepdims=True)
    # Codes of a share are 2^-15, those of a score 2^-10.
    np.testing.assert_allclose(made, 32.0 * share * (upstream - mean), atol=0.02)
    assert not made[filled < 0].any()


def recurrent_gradients(model, given, targets):
    """Of the recurrent kernels, by the names of their layers."""
    import keras
    import tensorflow as tf

    variables = [v for v in model.trainable_variables if v.path.endswith("recurrent_kernel")]
    with tf.GradientTape() as tape:
        answers = keras.tree.flatten(model(fed(given)))
        loss = sum(
            tf.reduce_mean(tf.square(answer - target))
            for answer, target in zip(answers, targets, strict=True)
        )
    names = [variable.path.split("/")[-3] for variable in variables]
    return dict(zip(names, map(np.asarray, tape.gradient(loss, variables)), strict=True))


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name == "pair additive" else pytest.mark.long)
        for name in CASES
    ],
)
def test_gradients_are_those_of_the_float_network(name):
    import keras

    from edgernn_export.compress.qat import qat_model

    case = CASES[name]
    given, float_model = case.given(4, 5), case.network()
    model = qat_model(float_model, case.calibration(), "w8a16", **case.options)
    rng = np.random.default_rng(0)
    shapes = [answer.shape for answer in keras.tree.flatten(float_model(fed(given)))]
    targets = [rng.normal(size=shape).astype(np.float32) for shape in shapes]
    made = recurrent_gradients(model, given, targets)
    wanted = recurrent_gradients(float_model, given, targets)
    assert set(made) == set(wanted) != set()
    for layer, ours in made.items():
        a, b = ours.ravel(), wanted[layer].ravel()
        assert a @ b > 0.99 * np.linalg.norm(a) * np.linalg.norm(b)
        assert 0.95 < np.linalg.norm(a) / np.linalg.norm(b) < 1.05


@pytest.mark.long
@pytest.mark.parametrize("name", ["masked", "both", "attends additive", "pair dot"])
def test_training_lowers_what_rounding_to_four_bits_loses(name):
    """The mean of five seeds: how far integers are from the float network on unseen streams."""
    import keras

    from edgernn_export.compress.qat import qat_model

    case = CASES[name]
    given, unseen = case.given(64, 7), case.given(32, 8)
    before, after = [], []
    for seed in range(5):
        float_model = case.network(seed)
        model = qat_model(float_model, case.calibration(), "w4a8", distil_from=True, **case.options)

        def error(model=model, float_model=float_model):
            apart = np.asarray(model(fed(unseen))) - np.asarray(float_model(fed(unseen)))
            return np.square(apart).mean()

        before.append(error())
        falling = keras.optimizers.schedules.CosineDecay(2e-3, 80)
        model.compile(keras.optimizers.Adam(falling), jit_compile=False)
        model.fit(fed(given), epochs=10, batch_size=8, verbose=0)
        after.append(error())
    assert np.mean(after) < np.mean(before), (before, after)


@pytest.mark.parametrize("kind", ["distiller", "distil_from"])
def test_a_teacher_is_not_asked_about_masked_steps(kind):
    """T²·KL is the mean over all other steps, whatever weights they have."""
    import keras

    from edgernn_export.compress.distillation.distiller import distiller_class
    from edgernn_export.compress.qat import qat_model

    def network(seed):
        keras.utils.set_random_seed(seed)
        la = keras.layers
        layers = [la.Masking(MASK), la.GRU(3, return_sequences=True), la.Dense(3, "softmax")]
        return keras.Sequential([keras.Input((None, 3)), *layers])

    case, teacher = CASES["masked"], network(0)
    (xs,) = case.given(6, 1)
    steps = ~(xs == MASK).all(axis=-1)
    given = fed([xs])
    if kind == "distiller":
        model = distiller_class()(network(1), teacher, temperature=2.0, alpha=1.0)
    else:
        model = qat_model(
            teacher, case.calibration(), "w4a8", distil_from=True, temperature=2.0, **case.options
        )
        for variable in model.trainable_variables:
            variable.assign(variable * 1.5)
    model.compile(loss="sparse_categorical_crossentropy")
    wanted = np.asarray(teacher(given))
    weights = np.linspace(0.5, 2.0, steps.size).reshape(steps.shape).astype(np.float32)
    labels = np.zeros(steps.shape) if kind == "distiller" else None
    for own in (None, weights):
        answers = model(given, training=True)
        made = model.compute_loss(given, labels, answers, own)
        roots = np.sqrt(wanted), np.sqrt(np.asarray(answers))
        soft = [root / root.sum(axis=-1, keepdims=True) for root in roots]
        apart = (soft[0] * np.log(soft[0] / soft[1])).sum(axis=-1) * (1.0 if own is None else own)
        np.testing.assert_allclose(float(made), 4.0 * apart[steps].mean(), rtol=2e-4)
        assert abs(apart[steps].mean() / apart.mean() - 1.0) > 0.01
