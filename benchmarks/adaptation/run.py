"""A head that learns on drifting series, five networks each: `python -m benchmarks.adaptation.run`.

    python -m benchmarks.adaptation.run [--out FILE] [--cores NAME ...]

A GRU with 16 units and a Dense layer is trained on the old regime and quantized to w8a8. Then the
new regime streams through it: without adaptation, with the integer head at several rates, and with
a head that ridge regression refits in floating point to the last 500 true values every 24 steps.
All of them see a true value only when it would be there. Forgetting is the error on the old regime
with the weights that were learned in the new one, unchanged. Instructions are counted under QEMU,
where every output and every error is compared with Python.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any, Final

import numpy as np
from tqdm import tqdm

import edgernn
from benchmarks.accuracy.train import keras_on_one_thread
from benchmarks.adaptation.tasks import TASKS, DriftTask
from benchmarks.instructions import programs
from benchmarks.pages import adaptation as pages
from benchmarks.pages.markdown import Record, store
from edgernn.adapt.adaptation import Adaptation
from edgernn.adapt.integer_head import IntegerHead
from edgernn.errors import EdgeRnnWarning
from edgernn.model.formats import FloatArray, Precision
from edgernn.model.integer_model import IntegerModel
from edgernn_export.simulation.layer_cost import emulate_head
from edgernn_firmware_sim.targets import Core, cores
from tests.support.models.integer import random_model

SEEDS: Final = 5
UNITS: Final = 16
RATES: Final = (0.01, 0.05, 0.2)
#: Of the refitted head: true values that it sees, steps between two fits, ridge.
WINDOW, EVERY, RIDGE = 500, 24, 1e-3
#: Features and outputs of the heads whose instructions are counted.
HEADS: Final = ((16, 1), (32, 1), (32, 4), (64, 1))
STEPS: Final = 60
_UPDATES, _BATCH, _LENGTH = 300, 16, 96


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Recorded:
    """States and outputs of a network over a stream.

    Attributes:
        states: int16 [T, N], after every step.
        codes: int16 [T, O], outputs.
        targets: int64 [T, O], true values in codes, where O is 1.
    """

    states: Any
    codes: Any
    targets: Any


def trained(task: DriftTask, seed: int) -> IntegerModel:
    """A GRU for the true values of the old regime, quantized."""
    from edgernn_export.keras_reader import read_keras
    from edgernn_export.quantizer.quantizer import quantize

    keras = keras_on_one_thread()
    keras.utils.set_random_seed(seed)
    readings = np.concatenate([x for x, _ in task.train])
    values = np.concatenate([y for _, y in task.train])
    network = keras.Sequential([
        keras.Input((None, readings.shape[1])),
        keras.layers.Normalization(mean=readings.mean(axis=0), variance=readings.var(axis=0)),
        keras.layers.GRU(UNITS, return_sequences=True),
        keras.layers.Dense(1),
        keras.layers.Rescaling(float(values.std()), float(values.mean())),
    ])  # fmt: skip
    schedule = keras.optimizers.schedules.CosineDecay(1e-2, _UPDATES)
    network.compile(optimizer=keras.optimizers.Adam(schedule, clipnorm=1.0), loss="mse")
    rng = np.random.default_rng(seed)
    for _ in range(_UPDATES):
        xs, ys = zip(*(_crop(task, rng) for _ in range(_BATCH)), strict=True)
        network.train_on_batch(np.stack(xs), np.stack(ys)[..., None])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EdgeRnnWarning)
        calibration = [x for x, _ in task.train]
        return quantize(read_keras(network), calibration, stream="endless", progress=False)


def _crop(task: DriftTask, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    x, y = task.train[rng.integers(len(task.train))]
    start = rng.integers(len(x) - _LENGTH)
    crop = slice(start, start + _LENGTH)
    return x[crop].astype(np.float32), y[crop].astype(np.float32)


def recorded(model: IntegerModel, xs: FloatArray, ys: FloatArray) -> Recorded:
    """Stream readings through the integer model."""
    interface = model.interface()
    q_xs = interface.quantize(xs)
    name = Adaptation().bound(model).state
    states, codes = [], []
    with edgernn.load(model) as session:
        for q_x in q_xs:
            codes.append(session.step_codes(q_x))
            states.append(session.state[name])
    targets = np.rint(ys[:, None] / model.output.scale).astype(np.int64)
    return Recorded(states=np.array(states), codes=np.array(codes), targets=targets)


def adapted(head: IntegerHead, of: Recorded, horizon: int, *, learns: bool = True) -> FloatArray:
    """Errors [T] of the corrected outputs, in codes; true values come ``horizon`` steps late."""
    errors = np.empty(len(of.codes))
    known = np.array([True])
    for t, (state, q_y) in enumerate(zip(of.states, of.codes, strict=True)):
        errors[t] = of.targets[t, 0] - head.step(state, q_y)[0]
        if learns and t >= horizon:
            head.learn(of.targets[t - horizon], known)
    return errors


def refitted(of: Recorded, horizon: int) -> FloatArray:
    """Errors [T] of a head that is fitted again and again, in codes."""
    phi = np.concatenate([of.states / 32768.0, np.ones((len(of.codes), 1))], axis=1)
    outputs = of.codes[:, 0].astype(np.float64)
    for t in range(EVERY, len(phi), EVERY):
        last = t - horizon
        rows = slice(max(0, last - WINDOW), max(0, last))
        x, y = phi[rows], of.targets[rows, 0]
        if len(x) < 2 * phi.shape[1]:
            continue
        gram = x.T @ x + RIDGE * len(x) * np.eye(phi.shape[1])
        now = slice(t, t + EVERY)
        # Towards the head that was trained, not towards 0.
        gain = np.linalg.solve(gram, x.T @ (y - of.codes[rows, 0]))
        outputs[now] = of.codes[now, 0] + phi[now] @ gain
    errors: FloatArray = of.targets[:, 0] - outputs
    return errors


def figures(task: DriftTask, seed: int) -> Record:
    """Root mean square errors of a network, relative to the spread of the true values before."""
    model = trained(task, seed)
    scale = float(model.output.scale[0])
    old, new = ([recorded(model, *stream) for stream in part] for part in (task.old, task.new))
    spread = float(np.sqrt(np.mean([np.var(y) for _, y in (task.old or task.train)]))) / scale

    def rms(errors: list[FloatArray], start: int = 0) -> float:
        return float(np.sqrt(np.mean(np.concatenate([e[start:] for e in errors]) ** 2)) / spread)

    plain = [(one.targets - one.codes)[:, 0] for one in new]
    ridge = [refitted(one, task.horizon) for one in new]
    phi = np.concatenate([one.states / 32768.0 for one in new])
    squares = np.linalg.eigvalsh(phi.T @ phi)
    found: Record = {
        "condition": float(squares[-1] / max(squares[0], 1e-300)),
        "old": rms([(one.targets - one.codes)[:, 0] for one in old]),
        "none": rms(plain, task.settled),
        "refitted": rms(ridge, task.settled),
        "rates": {},
    }
    for rate in RATES:
        heads = [IntegerHead(Adaptation(rate=rate, delay=task.horizon), UNITS, 1) for _ in new]
        pairs = list(zip(heads, new, strict=True))
        errors = [adapted(head, one, task.horizon) for head, one in pairs]
        kept = [
            adapted(head, one, task.horizon, learns=False)
            for head, one in zip(heads, old, strict=True)
        ]
        found["rates"][str(rate)] = {"new": rms(errors, task.settled), "old": rms(kept)}
    return found


def instructions(chosen: list[Core]) -> Record:
    """Core -> head -> instructions of a step and of learning, and bytes."""
    rng = np.random.default_rng(0)
    found: Record = {}
    for core in tqdm(chosen, desc="cores", leave=False, disable=None):
        found[core.name] = {}
        for features, outputs in HEADS:
            model = random_model("gru_after", Precision.W8A8, units=features, outputs=outputs)
            model = dataclasses.replace(model, adaptation=Adaptation().bound(model))
            rows = np.clip(rng.normal(0, 9000, (STEPS, features + 2 * outputs)), -32768, 32767)
            runs = []
            for learns in (False, True):
                with tempfile.TemporaryDirectory() as folder:
                    codes = rows.astype(np.int16)
                    runs.append(emulate_head(model, core, codes, Path(folder), learns=learns))
                if runs[-1].differing:
                    sys.exit(f"{core.name}: expected 0 differing codes, got {runs[-1].differing}.")
            step, both = (run.instructions[1] for run in runs)
            firmware = runs[1].firmware
            found[core.name][f"{features} to {outputs}"] = {
                "step": step,
                "learn": both - step,
                "compared": sum(run.compared for run in runs),
                "code_bytes": firmware.sizes.text_bytes,
                "ram_bytes": firmware.struct_bytes,
                "stack_bytes": max(firmware.stack_bytes, firmware.static_stack_bytes),
            }
    return found


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="write the figures here, as JSON")
    parser.add_argument("--cores", nargs="+", choices=sorted(cores()), help="all by default")
    parser.add_argument("--tasks", nargs="+", choices=TASKS, help="all by default")
    args = parser.parse_args(argv)
    chosen = [cores()[name] for name in args.cores or cores()]
    record: Record = {"units": UNITS, "seeds": SEEDS, "window": WINDOW, "every": EVERY, "tasks": {}}
    names = args.tasks or [*TASKS]
    with tqdm(total=SEEDS * len(names), desc="networks", leave=False, disable=None) as bar:
        for name in names:
            record["tasks"][name] = []
            for seed in range(SEEDS):
                record["tasks"][name].append(figures(TASKS[name](seed), seed))
                bar.update()
    record["programs"] = programs(chosen)
    record["cores"] = instructions(chosen)
    if args.out:
        store(args.out, record)
    print(pages.page(record), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
