"""Generated card payments: repeatable, in order, causal features, and the metrics of alarms."""

import math

import numpy as np
import pytest

from edgernn.errors import TrainingError
from edgernn_export.datasets import Part, fraud
from edgernn_export.datasets.payments import card_fraud as payments
from edgernn_export.datasets.payments.card_stream import ATTACKS, KINDS, card_stream


@pytest.fixture(scope="module")
def stream():
    return card_stream(600, 128, 3)


def test_the_same_seed_gives_the_same_payments(stream):
    again, other = card_stream(600, 128, 3), card_stream(600, 128, 4)
    np.testing.assert_array_equal(stream.amount, again.amount)
    np.testing.assert_array_equal(stream.time_s, again.time_s)
    assert not np.array_equal(stream.amount, other.amount)


def test_payments_are_in_order_and_fraud_is_rare(stream):
    assert stream.amount.shape == (600, 128)
    assert (np.diff(stream.time_s, axis=1) > 0).all()
    assert (stream.amount >= 0.5).all()
    assert 0.003 < stream.fraud.mean() < 0.008
    assert {*np.unique(stream.attack)} == {*range(len(ATTACKS) + 1)}
    copied = stream.attack == 1 + ATTACKS.index("copied card")
    assert (stream.kind[copied] == KINDS.index("cash")).all()
    assert stream.abroad[copied].all()
    own = ~stream.fraud
    assert 0.01 < stream.abroad[own].mean() < 0.1  # being abroad is no proof


def test_an_attack_is_one_run_of_few_payments_in_time(stream):
    for user in np.flatnonzero(stream.fraud.any(axis=1)):
        times = stream.time_s[user][stream.fraud[user]]
        assert len({*stream.attack[user][stream.fraud[user]]}) == 1
        assert len(times) <= 8
        assert times[-1] - times[0] < 3 * 86_400


def test_features_are_those_of_the_preparation(stream):
    """The recorded preparation makes the same readings, one payment at a time."""
    preparation = payments.PREPARATION
    raw = payments.raw_payments(stream)
    features = payments.features(stream)
    for user in range(5):
        _, prepared = preparation.apply(stream.time_s[user], raw[user])
        np.testing.assert_allclose(features[user], prepared, rtol=0, atol=1e-9)


def test_features_do_not_look_ahead():
    stream = card_stream(4, 128, 3)
    features = payments.features(stream)
    stream.amount[:, 60:] *= 100
    stream.time_s[:, 60:] += 86_400
    np.testing.assert_array_equal(payments.features(stream)[:, :60], features[:, :60])


def test_parts_have_other_users_and_an_unscored_start(monkeypatch):
    monkeypatch.setattr(payments, "_VALIDATION_USERS", 101)
    monkeypatch.setattr(payments, "_TEST_USERS", 102)
    data = fraud("100")
    parts = (data.train, data.validation, data.test)
    assert [part.x.shape for part in parts] == [(n, 128, 14) for n in (100, 101, 102)]
    assert all(part.scored_from == 32 for part in parts)
    assert data.input_names == payments.INPUTS
    assert not np.array_equal(data.train.x[:100], data.test.x[:100])
    assert data.rising


@pytest.mark.parametrize("users", ["99", "many", "-5"])
def test_a_wrong_number_of_users_is_refused(users):
    with pytest.raises(
        TrainingError, match=f"expected a whole number of at least 100, got '{users}'"
    ):
        fraud(users)


def test_ranking_by_hand():
    """Three frauds at ranks 1, 3 and 4 of five: precisions 1, 2/3 and 3/4."""
    scores = payments.ranking(np.array([5.0, 4.0, 3.0, 2.0, 1.0]), np.array([1, 0, 1, 1, 0]))
    assert math.isclose(scores["average_precision"], (1 + 2 / 3 + 3 / 4) / 3)
    assert math.isclose(scores["caught"], 1 / 3)  # no false alarm is allowed of two


def test_equal_scores_are_one_step_of_the_ranking():
    scores = payments.ranking(np.zeros(4), np.array([1, 0, 0, 1]))
    assert scores == {"average_precision": 0.5, "caught": 0.0}


def test_one_genuine_payment_in_a_thousand_may_be_blocked():
    truth = np.r_[1, 0, 1, 0, 1, np.zeros(1500, int)]
    scores = payments.ranking(np.arange(len(truth), 0.0, -1.0), truth)
    assert math.isclose(scores["caught"], 2 / 3)


def test_average_precision_is_the_area_below_its_definition():
    rng = np.random.default_rng(0)
    score = np.round(rng.normal(size=500), 1)
    truth = (rng.random(500) < 0.1 + 0.3 * (score > 1)).astype(int)
    area = before = 0.0
    for threshold in sorted({*score}, reverse=True):
        alarm = score >= threshold
        recall = truth[alarm].sum() / truth.sum()
        area += (recall - before) * truth[alarm].mean()
        before = recall
    assert math.isclose(payments.ranking(score, truth)["average_precision"], area)


def test_the_amount_rule_sees_earlier_payments_only():
    amount = np.array([1.0, 3.0, 2.0, 6.0])
    x = np.zeros((1, 4, 14))
    x[0, :, 0] = amount
    part = Part(x=x, target=np.zeros((1, 4, 1)), base=np.zeros((1, 4, 2)), scored_from=0)
    score = payments.amount_rule(part)[0, :, 1]
    np.testing.assert_allclose(score[:3], [0, 0, 0])
    assert math.isclose(score[3], (6 - 2) / np.std([1, 3, 2]))
