"""What quantization-aware training gains over rounding, and what a batch of it costs.

A GRU of 8 units learns a leaky, gated integrator; five seeds of data and weights. After the float
network has converged, "rounded" is `quantize`; "longer" is the float network trained as many epochs
again, then `quantize`; "aware" is `qat_model` trained these epochs on the labels; "distilled" is
`qat_model` with distil_from=True, trained these epochs on the float network's answers alone. Mean
squared errors of the integer models on unseen streams, in thousandths; and CPU time of a training
batch of 32 streams of 100 readings in networks of 32 units.

    python -m benchmarks.quantization_aware
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from edgernn_export import quantize
from edgernn_export.compress.qat import integer_model, qat_model
from edgernn_firmware_sim.reference.reference import Reference

SEEDS = range(5)
EPOCHS, MORE_EPOCHS, BATCH = 300, 50, 16


def task(seed: int, count: int = 64, steps: int = 25) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    xs = rng.normal(size=(count, steps, 2))
    ys, level = np.zeros((count, steps, 1)), np.zeros(count)
    for t in range(steps):
        level = 0.8 * level + 0.5 * np.tanh(xs[:, t, 0] * (1 + 0.5 * xs[:, t, 1]))
        ys[:, t, 0] = level
    return xs.astype(np.float32), ys.astype(np.float32)


def train(model: Any, xs: Any, ys: Any, rate: float, epochs: int) -> Any:
    import keras

    steps = epochs * len(xs) // BATCH
    falling = keras.optimizers.schedules.CosineDecay(rate, steps)
    model.compile(keras.optimizers.Adam(falling), "mse", jit_compile=False)
    model.fit(xs, ys, batch_size=BATCH, epochs=epochs, verbose=0)
    return model


def error(model: Any, xs: Any, ys: Any) -> float:
    """Mean squared error of an integer model, in thousandths."""
    codes, _ = Reference(model).run(model.interface().quantize(xs.astype(np.float64)))
    return float(np.mean(np.square(codes * model.output.scale - ys))) * 1e3


def accuracy() -> None:
    import keras

    print("| precision | seed | float | rounded | longer | aware | distilled |")
    print("|---|---|---|---|---|---|---|")
    for seed in SEEDS:
        keras.utils.set_random_seed(seed)
        xs, ys = task(seed)
        unseen = task(seed + 100)
        layers = [keras.layers.GRU(8, return_sequences=True), keras.layers.Dense(1)]
        model = train(keras.Sequential([keras.Input((None, 2)), *layers]), xs, ys, 0.01, EPOCHS)
        plain = model.evaluate(*unseen, verbose=0) * 1e3
        rounded, aware, taught = {}, {}, {}
        for precision in ("w4a8", "w8a8"):
            rounded[precision] = error(quantize(model, xs, precision), *unseen)
            trained = train(qat_model(model, xs, precision), xs, ys, 0.002, MORE_EPOCHS)
            aware[precision] = error(integer_model(trained), *unseen)
            pupil = qat_model(model, xs, precision, distil_from=True)
            taught[precision] = error(
                integer_model(train(pupil, xs, None, 0.002, MORE_EPOCHS)), *unseen
            )
        train(model, xs, ys, 0.002, MORE_EPOCHS)
        for precision in rounded:
            longer = error(quantize(model, xs, precision), *unseen)
            row = (plain, rounded[precision], longer, aware[precision], taught[precision])
            print(f"| {precision} | {seed} | {' | '.join(f'{e:.2f}' for e in row)} |", flush=True)


def speed() -> None:
    import keras

    print("| network | XLA | float ms | w8a8 ms | w8a16 ms |\n|---|---|---|---|---|")
    xs, _ = task(0, 32, 100)
    ys = np.zeros((32, 100, 1), np.float32)
    for kind in ("LSTM", "GRU"):
        layers = [getattr(keras.layers, kind)(32, return_sequences=True), keras.layers.Dense(1)]
        model = keras.Sequential([keras.Input((None, 2)), *layers])
        for jit in (True, False):
            candidates = [model, *(qat_model(model, xs, p) for p in ("w8a8", "w8a16"))]
            times = [f"{batch_ms(candidate, xs, ys, jit):.1f}" for candidate in candidates]
            print(f"| {kind} | {'yes' if jit else 'no'} | {' | '.join(times)} |", flush=True)


def batch_ms(model: Any, xs: Any, ys: Any, jit: bool) -> float:
    """Least CPU time of a batch after the first, which compiles."""
    import keras

    model.compile(keras.optimizers.Adam(1e-3), "mse", jit_compile=jit)
    model.train_on_batch(xs, ys)
    times = []
    for _ in range(12):
        begun = time.process_time()
        model.train_on_batch(xs, ys)
        times.append(time.process_time() - begun)
    return min(times) * 1e3


if __name__ == "__main__":
    accuracy()
    speed()
