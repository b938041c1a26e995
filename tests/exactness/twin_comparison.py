"""The NumPy reference and the scalar twin, run over the same streams."""

from __future__ import annotations

from collections import Counter

import numpy as np

from edgernn.model.integer_model import IntegerModel
from edgernn_firmware_sim.reference.reference import Reference
from tests.exactness.twin.cells import Twin
from tests.support.models.integer import random_codes


def any_state(model: IntegerModel, batch: int, seed: int) -> tuple[np.ndarray, ...]:
    """States anywhere in int16: the first stream starts from zero, the second from the ends.

    Those that hold input codes are anywhere in clause 2.3.
    """
    p = model.precision
    rng = np.random.default_rng(seed)
    states = []
    for spec in model.states:
        codes = rng.integers(-32768, 32768, (batch, spec.units))
        codes[0] = 0
        codes[1] = rng.choice([-32768, 32767], spec.units)
        if spec.codes:
            step = p.input_step
            codes = codes // step % ((p.input_high - p.input_low) // step + 1) * step + p.input_low
        states.append(codes.astype(np.int16))
    return tuple(states)


def compare(model: IntegerModel, streams: int, steps: int, seed: int) -> tuple[int, Counter[str]]:
    """Run both, the reference on all streams at once, the twin one by one.

    Returns:
        How many values were compared (outputs and states after every step) and the twin's events.
    """
    q_xs = np.stack([random_codes(model, steps, seed=seed + b) for b in range(streams)])
    start = any_state(model, streams, seed)
    reference, twin = Reference(model), Twin(model)
    expected = [
        twin.run(q_xs[b].tolist(), tuple(s[b].tolist() for s in start)) for b in range(streams)
    ]
    # Clause 1.5: no intermediate value needs more than 32 bits.
    assert twin.widest < 2**31
    compared, state = 0, start
    for t in range(steps):
        q_y, state = reference.step(q_xs[:, t], state)
        wanted = [np.array([ys[t] for ys, _ in expected])]
        wanted += [np.array([s[t][i] for _, s in expected]) for i in range(len(state))]
        for name, got, want in zip(
            ["output", *(s.name for s in model.states)], (q_y, *state), wanted, strict=True
        ):
            assert np.array_equal(got, want), f"{model.name} differs in {name} at step {t}"
            compared += want.size
    return compared, twin.events
