"""Card fraud: the recipe, a rule and models without memory, and a service of 100,000 users.

    python -m benchmarks.fraud                print the page
    python -m benchmarks.fraud --out FILE     also write the figures, as JSON

Trains the recipe `fraud` with seed 0, or takes its trained model (--model), and a CfC, whose cell
computes with the time since the payment before, in the same way. The service's pipeline
(preparation, model, decision, one stream per user) then takes payments of random users, one or a
hundred at a time.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.keys import resident_bytes
from benchmarks.pages.fraud import page
from benchmarks.pages.markdown import Record, store
from edgernn.bench.machine import processor
from edgernn.connections.arrival import Arrival
from edgernn.model.formats import FloatArray
from edgernn.model.integer_model import IntegerModel
from edgernn.service.pipeline import Pipeline
from edgernn_export import quantize
from edgernn_export.datasets import Dataset, Part
from edgernn_export.datasets.payments.card_fraud import (
    FALSE_ALARMS,
    payments_of_test,
    raw_payments,
)
from edgernn_export.datasets.payments.card_stream import ATTACKS, card_stream
from edgernn_export.simulation import board_costs
from edgernn_export.training import (
    Network,
    Recipe,
    calibration,
    evaluate,
    find_recipe,
    outputs,
    train,
)
from edgernn_export.training.compression import quantizer_options
from edgernn_firmware_sim.targets.advice import weights_bytes

USERS: Final = 100_000
CORE: Final = "cortex-m4"
#: Timed calls of each batch size.
CALLS: Final = {1: 20_000, 100: 1_000}
#: Users whose payments the keys repeat.
_PAYERS: Final = 500
_SEED: Final = 21


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the figures, as JSON")
    parser.add_argument("--model", type=Path, metavar="FILE", help="of `edgernn train fraud`")
    parser.add_argument("--users", type=int, default=USERS, help="streams (default: %(default)s)")
    args = parser.parse_args(argv)
    recipe = find_recipe("fraud")
    data = recipe.load()
    model = IntegerModel.load(args.model) if args.model else _trained(recipe, data)
    of_time = Network(cell="CfC", units=recipe.network.units)
    models = {
        f"recipe, {recipe.network.cell}-{recipe.network.units}, seed 0": model,
        f"CfC-{of_time.units} instead, seed 0": _trained(recipe, data, of_time),
    }
    record = {
        "processor": processor(),
        "protocol": data.protocol,
        "scores": {name: evaluate(one, recipe, data=data) for name, one in models.items()}
        | without_memory(data),
        "costs": {name: costs(one) for name, one in models.items()},
        "attacks": by_attack(outputs(model, data.test.x), data.test),
        "service": served(model, args.users),
    }
    if args.out:
        store(args.out, record)
    print(page(record), end="")
    return 0


def _trained(recipe: Recipe, data: Dataset, size: Network | None = None) -> IntegerModel:
    network, _ = train(recipe, 0, data=data, network=size)
    return quantize(network, calibration(data), **quantizer_options(recipe, network, data))


def costs(model: IntegerModel) -> Record:
    """Bytes of weights, and instructions of a payment on Cortex-M4."""
    (cost,) = board_costs(model, [CORE])
    return {"weight_bytes": weights_bytes(model), "instructions": cost.instructions_per_step}


def without_memory(data: Dataset) -> dict[str, dict[str, float]]:
    """Scores of rules and of models that see one payment with the time since the one before."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    width = data.train.x.shape[2]
    x, truth = data.train.x.reshape(-1, width), data.train.target.reshape(-1)
    found = {rule: data.score(answer, data.test) for rule, answer in data.naive.items()}
    models = {
        "logistic regression": LogisticRegression(max_iter=1000),
        "multilayer perceptron, 32 units": MLPClassifier(32, early_stopping=True, random_state=0),
    }
    for name, model in models.items():
        fitted = make_pipeline(StandardScaler(), model).fit(x, truth)
        share = fitted.predict_proba(data.test.x.reshape(-1, width))
        logits = np.log(np.maximum(share, 1e-12)).reshape(*data.test.x.shape[:2], 2)
        found[name] = data.score(logits, data.test)
    return found


def by_attack(logits: FloatArray, part: Part) -> dict[str, dict[str, float]]:
    """Kind of attack -> payments, and the shares of payments and of attacked users with an alarm.

    Alarms are the payments above the lowest threshold that `FALSE_ALARMS` of the genuine payments
    or fewer exceed.

    Args:
        logits: float64 [B, T, 2] for ``part``.
        part: the test part.
    """
    attack = np.where(part.counted, payments_of_test().attack, 0)
    score = logits[:, :, 1] - logits[:, :, 0]
    genuine = np.sort(score[part.counted & (attack == 0)])
    allowed = int(FALSE_ALARMS * len(genuine))
    alarm = score > genuine[len(genuine) - allowed - 1]
    found = {}
    for number, name in enumerate(ATTACKS, 1):
        of_kind = attack == number
        users = of_kind.any(axis=1)
        found[name] = {
            "payments": int(of_kind.sum()),
            "caught": float(alarm[of_kind].mean()),
            "attacks": int(users.sum()),
            "attacks_caught": float((alarm & of_kind).any(axis=1)[users].mean()),
        }
    return found


def served(model: IntegerModel, users: int) -> Record:
    """Memory per user, and the time of a call with one payment and with a hundred.

    Args:
        model: runs on the native back-end.
        users: number of streams.
    """
    pipeline = Pipeline(model)
    stream = card_stream(_PAYERS, 8, _SEED)
    raw = raw_payments(stream)
    keys = [f"user/{number:07d}" for number in range(users)]
    begin_s = float(stream.time_s.max())

    def arrivals(chosen: Sequence[int], later_s: float) -> list[Arrival]:
        return [Arrival(keys[n], raw[n % _PAYERS, 0].tolist(), begin_s + later_s) for n in chosen]

    first = [arrivals(range(at, min(at + 1000, users)), 0.0) for at in range(0, users, 1000)]
    before = resident_bytes()
    for batch in first:
        pipeline.process(batch)
    grown = resident_bytes() - before
    rng = np.random.default_rng(_SEED)
    latencies = {}
    for turn, (size, calls) in enumerate(CALLS.items(), 1):
        us, cpu_us = [], []
        for call in range(calls):
            batch = arrivals(rng.integers(users, size=size).tolist(), 1000.0 * turn + call)
            begin, cpu_begin = time.perf_counter_ns(), time.thread_time_ns()
            pipeline.process(batch)
            cpu_us.append((time.thread_time_ns() - cpu_begin) / 1e3)
            us.append((time.perf_counter_ns() - begin) / 1e3)
        latencies[str(size)] = {
            clock: [float(value) for value in np.percentile(values, (50, 99, 100))]
            for clock, values in (("wall_us", us), ("cpu_us", cpu_us))
        }
    return {
        "users": users,
        "state_bytes": model.state_bytes,
        "bytes_per_user": grown / users,
        "latency": latencies,
    }


if __name__ == "__main__":
    sys.exit(main())
