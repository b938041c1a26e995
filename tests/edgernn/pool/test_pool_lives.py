"""Whatever happens to a pool, every key has the bits of a session of its own on the reference."""

import dataclasses
import random
import warnings

import numpy as np
import pytest

import edgernn
from edgernn import ClippedReadingsWarning, ReadingError, StreamPool
from edgernn.backends.native import is_available
from edgernn.model.formats import Precision
from edgernn.model.interface import Rate, Window
from tests.support.models.general import general_network
from tests.support.models.integer import CELLS, random_model
from tests.support.models.rates import strided_chain, strided_tokens
from tests.support.models.tokens import token_and_real_network

pytestmark = pytest.mark.device

BACKENDS = ["reference", *["native"] * is_available()]
KEYS = ["a", "b", 7, 7.5, ("pump", 3), None]
GRU = random_model("gru_after")
MODELS = {
    **{cell: random_model(cell, Precision.W8A16 if i % 2 else Precision.W8A8)
       for i, cell in enumerate(CELLS)},
    "graph": general_network(),
    "window": dataclasses.replace(GRU, window=Window(steps=4, hop=3)),
    "rate": strided_chain(Precision.W8A8, Rate(readings=2, first=3)),
    "tokens": token_and_real_network(),
    "tokens and rate": strided_tokens(Precision.W8A8, Rate(readings=1, first=3, latency=2)),
}  # fmt: skip
LIMITS = [{"capacity": 1}, {"capacity": 3}, {"idle_s": 10}, {"capacity": 4, "idle_s": 15}]


def policies(model):
    """Several of each kind; names of channels differ from model to model."""
    names = model.interface().input.names
    first, last = names[0], names[-1]
    return ["hold", "skip", "raise", {first: "hold", last: "skip"}, {first: 0.0, last: "hold"}]


class Life:
    """A pool, the sessions it should be equal to, and where its keys go when they leave."""

    def __init__(self, rng, model, backend, on_bad_reading, source=None, **options):
        self.rng, self.now, self.saved = rng, 0.0, {}
        self.spec = model.interface().input
        self.pool = StreamPool(
            source or model, backend, on_bad_reading=on_bad_reading, clock=lambda: self.now,
            evicted=self.evict, recall=self.recall, **options,
        )  # fmt: skip
        warm_up = {k: v for k, v in options.items() if k == "warm_up"}
        self.first = edgernn.load(model, "reference", on_bad_reading, **warm_up)
        self.sessions, self.changed, self.bad = {}, set(), 0

    def evict(self, keys, blobs):
        assert not set(keys) & set(self.saved)
        self.saved.update(zip(keys, blobs, strict=True))

    def recall(self, keys):
        assert len(set(keys)) == len(keys)
        return {key: self.saved.pop(key) for key in keys if key in self.saved}

    def reading(self):
        """Mostly good values, some missing, some far outside, some that are no tokens."""
        rng = self.rng
        sizes = self.spec.vocabulary or (0,) * self.spec.width
        x = [rng.gauss(0, 2) if not size else float(rng.randrange(size)) for size in sizes]
        i = rng.randrange(len(x))
        match rng.randrange(8):
            case 0:
                x = [rng.choice([value, np.nan]) for value in x]
            case 1:
                x[i] = rng.choice([np.inf, -np.inf, np.nan])
            case 2:
                x[i] = rng.choice([1e9, -1e9, 1e300, 3.7])
        return x

    def step(self):
        rng = self.rng
        keys = [rng.choice(KEYS) for _ in range(rng.choice([0, 1, 2, 5, 12]))]
        xs = np.array([self.reading() for _ in keys]).reshape(-1, self.spec.width)
        given = xs.copy()
        numbered, wanted, bad, numbers = rng.random() < 0.5, [], [], []
        for key, x in zip(keys, xs, strict=True):
            session = self.sessions.setdefault(key, self.first.new_stream())
            before = session.sequence
            number = max(1, before + rng.choice([-2, 0, 1, 1, 1, 2, 9]))
            numbers.append(number)
            repeat = numbered and number <= before
            bad.append(not repeat and not np.isfinite(x).all())
            try:
                wanted.append(session.step(x, sequence=number if numbered else None))
            except ReadingError:
                wanted.append(np.full(session.interface.output.width, np.nan))
                bad[-1] = True
        flags = np.empty(len(keys), bool)
        got = self.pool.step_many(keys, xs, sequence=numbers if numbered else None, bad=flags)
        np.testing.assert_array_equal(got, np.array(wanted).reshape(got.shape))
        assert flags.tolist() == bad
        np.testing.assert_array_equal(xs, given)
        self.bad += sum(bad)
        self.changed.update(keys)

    def move(self):
        """Some keys leave by hand, perhaps all, and come back at once or later."""
        keys = self.rng.sample(self.pool.keys(), self.rng.randint(0, len(self.pool)))
        blobs = self.pool.export(keys)
        assert blobs == [self.sessions[key].to_bytes() for key in keys]
        self.pool.drop(keys)
        assert not any(key in self.pool for key in keys)
        if self.rng.random() < 0.5:
            self.pool.load(keys, blobs)
        else:
            self.saved.update(zip(keys, blobs, strict=True))
        self.changed.difference_update(keys)

    def reset(self):
        keys = self.rng.sample(self.pool.keys(), min(2, len(self.pool)))
        self.pool.reset(keys)
        for key in keys:
            self.sessions[key].reset()
        self.changed.update(keys)

    def collect(self):
        assert set(self.pool.take_changed()) == self.changed & set(self.pool.keys())
        self.changed = set()

    def wait(self):
        self.now += self.rng.choice([0.5, 20])

    def lead(self, events):
        for _ in range(events):
            self.rng.choices(
                [self.step, self.move, self.reset, self.collect, self.wait], [12, 1, 1, 1, 1]
            )[0]()
            # What left is not changed any more, and what came back is not yet.
            self.changed &= set(self.pool.keys()) | set(self.saved)
            self.changed -= set(self.saved)
        there = [key for key in self.sessions if key in self.pool]
        assert set(self.sessions) == set(there) | set(self.saved)
        assert self.pool.export(there) == [self.sessions[key].to_bytes() for key in there]
        for key, blob in self.saved.items():
            assert blob == self.sessions[key].to_bytes()
        assert self.pool.bad_readings == self.bad


@pytest.fixture(autouse=True)
def _clipped():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ClippedReadingsWarning)
        yield


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", MODELS)
def test_lives(name, backend):
    rng, model, which = random.Random(name), MODELS[name], [*MODELS].index(name)
    for given in (which, which + 2):
        Life(rng, model, backend, policies(model)[given % 5]).lead(20)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", ["lstm", "window", "tokens"])
@pytest.mark.parametrize("limits", LIMITS)
def test_lives_of_keys_that_leave_and_come_back(name, backend, limits):
    Life(random.Random(str(limits)), MODELS[name], backend, "hold", **limits).lead(20)


@pytest.mark.parametrize("backend", BACKENDS)
def test_lives_of_padded_windows(backend):
    Life(random.Random(1), MODELS["window"], backend, "hold", warm_up="pad").lead(20)


@pytest.mark.slow
@pytest.mark.parametrize("backend", BACKENDS)
def test_longer_lives(backend):
    for seed in range(60):
        rng = random.Random(seed)
        model = MODELS[rng.choice([*MODELS])]
        limits = rng.choice([{}, *LIMITS])
        Life(rng, model, backend, rng.choice(policies(model)), **limits).lead(60)
