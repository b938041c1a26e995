"""Card payments of made-up users with habits, and attacks of four kinds on some of the cards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from edgernn.model.formats import FloatArray

#: Kinds of merchants.
KINDS: Final = ("groceries", "transport", "restaurant", "shopping", "electronics", "cash", "web")
ATTACKS: Final = ("card testing", "stolen card", "taken account", "copied card")
_GROCERIES, _TRANSPORT, _RESTAURANT, _SHOPPING, _ELECTRONICS, _CASH, _WEB = range(len(KINDS))
_DAY_S: Final = 86_400.0
#: 2026-01-05, a Monday, 00:00 UTC, in seconds since 1970.
_START_S: Final = 1_767_571_200.0
#: How often users pay each kind of merchant, and the mean logarithm of the amount.
_SHARES: Final = np.array([7.0, 4.0, 4.0, 2.0, 0.6, 1.0, 3.0])
_LOG_AMOUNTS: Final = np.array([3.3, 2.6, 3.1, 3.8, 4.8, 4.2, 2.8])
#: Share of payments to a kind of merchant that an average user makes without the card at hand.
_ONLINE: Final = np.array([0.05, 0.10, 0.10, 0.40, 0.50, 0.0, 1.0])
#: Share of users whose card is attacked.
_ATTACKED: Final = 0.135
_LEAST_AMOUNT: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CardStream:
    """Payments of B users, T of each, in their order of time.

    Attributes:
        time_s: float64 [B, T], whole seconds since 1970; no two payments of a user have one.
        amount: float64 [B, T], in the currency of the card.
        kind: int64 [B, T], a number in `KINDS`.
        online: bool [B, T], paid without the card at hand.
        abroad: bool [B, T], paid to a merchant of another country.
        attack: int64 [B, T], 0 for a payment of the user, else 1 + a number in `ATTACKS`.
    """

    time_s: FloatArray
    amount: FloatArray
    kind: npt.NDArray[np.int64]
    online: npt.NDArray[np.bool_]
    abroad: npt.NDArray[np.bool_]
    attack: npt.NDArray[np.int64]

    @property
    def fraud(self) -> npt.NDArray[np.bool_]:
        """Payments that are not the user's, bool [B, T]."""
        fraud: npt.NDArray[np.bool_] = self.attack > 0
        return fraud


def card_stream(users: int, payments: int, seed: int) -> CardStream:
    """Payments of made-up users; the same arguments give the same payments.

    Users differ in how often, when, where and how much they pay. Some travel, some go shopping for
    an afternoon, and one payment in a hundred is far above the habit. Attackers know nothing of it:

    - *card testing*: tiny payments on the web within minutes, then large ones;
    - *stolen card*: purchases in shops within hours, at any time of the day;
    - *taken account*: purchases on the web, hours apart, somewhat above the habit;
    - *copied card*: cash abroad in round amounts, while the user pays at home.

    Args:
        users: number of users, B.
        payments: of each user, T.
        seed: of all choices.
    """
    rng = np.random.default_rng(seed)
    own = _own_payments(rng, users, payments)
    level = np.median(np.log(own.amount), axis=1)
    rows = []
    for user in range(users):
        columns = [column[user] for column in _columns(own)]
        if rng.random() < _ATTACKED:
            attack = _attack(rng, own.time_s[user], float(level[user]))
            columns = [np.concatenate(pair) for pair in zip(columns, attack, strict=True)]
        order = np.argsort(columns[0], kind="stable")[-payments:]
        columns = [column[order] for column in columns]
        columns[0] = _increasing(columns[0])
        rows.append(columns)
    time_s, amount, kind, online, abroad, attack_kind = (
        np.stack(column) for column in zip(*rows, strict=True)
    )
    return CardStream(
        time_s=time_s, amount=amount, kind=kind, online=online, abroad=abroad, attack=attack_kind
    )


def _columns(stream: CardStream) -> tuple[npt.NDArray[np.generic], ...]:
    return stream.time_s, stream.amount, stream.kind, stream.online, stream.abroad, stream.attack


def _own_payments(rng: np.random.Generator, users: int, payments: int) -> CardStream:
    """What the users pay themselves."""
    shape = users, payments
    days = payments / np.exp(rng.normal(0.3, 0.6, users))[:, None]  # 1.3 payments a day, typically
    day = np.floor(rng.random(shape) * days)
    evening = rng.random(shape) < rng.beta(2, 2, users)[:, None]
    shift = rng.normal(0.0, 1.0, users)[:, None]
    hour = np.where(evening, 18.5, 12.0) + shift + rng.normal(0.0, 2.2, shape)
    kind = _chosen(rng, rng.dirichlet(_SHARES, users), payments)
    kind, day, hour = _sprees(rng, kind, day, hour)
    log_amount = (
        rng.normal(0.0, 0.5, users)[:, None]
        + _LOG_AMOUNTS[kind]
        + rng.uniform(0.3, 0.7, users)[:, None] * rng.normal(size=shape)
    )
    log_amount += np.where(rng.random(shape) < 0.01, rng.exponential(1.3, shape), 0.0)
    amount = np.exp(log_amount)
    amount = np.where(kind == _CASH, np.ceil(amount / 10) * 10, amount)
    online = rng.random(shape) < np.clip(_ONLINE[kind] * rng.uniform(0.4, 1.6, (users, 1)), 0, 1)
    away = _trips(rng, day, days)
    abroad = np.where(online, rng.random(shape) < 0.06, away)
    time_s = _START_S + _DAY_S * day + 3600.0 * hour
    order = np.argsort(time_s, axis=1, kind="stable")
    sorted_ = [
        np.take_along_axis(column, order, axis=1)
        for column in (np.floor(time_s), _cents(amount), kind, online, abroad)
    ]
    return CardStream(
        time_s=sorted_[0],
        amount=sorted_[1],
        kind=sorted_[2],
        online=sorted_[3],
        abroad=sorted_[4],
        attack=np.zeros(shape, np.int64),
    )


def _chosen(rng: np.random.Generator, shares: FloatArray, payments: int) -> npt.NDArray[np.int64]:
    """Kinds of merchants [B, T] by the users' shares [B, K]."""
    ends = np.cumsum(shares, axis=1)[:, None]
    picked: npt.NDArray[np.int64] = np.sum(
        rng.random((len(shares), payments, 1)) > ends[..., :-1], axis=2
    )
    return picked


def _sprees(
    rng: np.random.Generator, kind: npt.NDArray[np.int64], day: FloatArray, hour: FloatArray
) -> tuple[npt.NDArray[np.int64], FloatArray, FloatArray]:
    """Some users spend an afternoon in shops: 3 to 6 payments within three hours."""
    for user in np.flatnonzero(rng.random(len(kind)) < 0.3):
        some = rng.choice(kind.shape[1], size=rng.integers(3, 7), replace=False)
        kind[user, some] = rng.choice([_SHOPPING, _SHOPPING, _RESTAURANT, _ELECTRONICS], some.size)
        day[user, some] = day[user, some[0]]
        hour[user, some] = rng.uniform(11, 16) + rng.uniform(0, 3, some.size)
    return kind, day, hour


def _trips(rng: np.random.Generator, day: FloatArray, days: FloatArray) -> npt.NDArray[np.bool_]:
    """Whether a user is abroad; a third of them travel once, for 2 to 14 days."""
    users = len(day)
    begin = rng.random((users, 1)) * days
    end = begin + rng.uniform(2, 14, (users, 1))
    travels = rng.random((users, 1)) < 0.35
    away: npt.NDArray[np.bool_] = travels & (day >= begin) & (day < end)
    return away


def _attack(
    rng: np.random.Generator, time_s: FloatArray, level: float
) -> tuple[npt.NDArray[np.generic], ...]:
    """Payments of one attack, as columns; it begins between two of the user's."""
    which = int(rng.integers(len(ATTACKS)))
    small = 0
    if which == 0:
        small, large = (int(count) for count in rng.integers(2, 5, 2))
        gaps_s = np.concatenate((rng.uniform(20, 120, small), rng.uniform(60, 600, large)))
        log_amount = np.concatenate(
            (rng.uniform(-0.7, 1.1, small), rng.normal(max(level + 1.5, 4.5), 0.5, large))
        )
        kind = rng.choice([_ELECTRONICS, _SHOPPING, _WEB], small + large)
    elif which == 1:
        count = int(rng.integers(3, 8))
        gaps_s = rng.uniform(300, 2400, count)
        log_amount = rng.normal(level + 0.9, 0.6, count)
        kind = rng.choice([_SHOPPING, _ELECTRONICS, _TRANSPORT], count)
    elif which == 2:
        count = int(rng.integers(3, 7))
        gaps_s = rng.uniform(3600, 12 * 3600, count)
        log_amount = rng.normal(level + 1.1, 0.6, count)
        kind = rng.choice([_WEB, _ELECTRONICS, _SHOPPING], count)
    else:
        count = int(rng.integers(2, 5))
        gaps_s = rng.uniform(120, 1800, count)
        log_amount = np.log(rng.choice([100, 150, 200, 250, 300], count))
        kind = np.full(count, _CASH)
    count = len(kind)
    begin_s = rng.uniform(time_s[len(time_s) // 4], time_s[-1])
    online = np.full(count, which in (0, 2))
    return (
        np.floor(begin_s + np.cumsum(gaps_s)),
        _cents(np.exp(log_amount)),
        kind.astype(np.int64),
        online,
        np.where(online, rng.random(count) < 0.4, which == 3),
        np.full(count, 1 + which),
    )


def _increasing(time_s: FloatArray) -> FloatArray:
    """Whole seconds, each later than the one before."""
    before = np.arange(len(time_s))
    increasing: FloatArray = np.maximum.accumulate(time_s - before) + before
    return increasing


def _cents(amount: FloatArray) -> FloatArray:
    cents: FloatArray = np.maximum(np.round(amount, 2), _LEAST_AMOUNT)
    return cents
