"""Quantization-aware training on one of Keras's back-ends, in a process of its own; prints JSON.

KERAS_BACKEND=jax python -m tests.exactness.qat_worker [CASE ...]
"""

import json
import sys
import tempfile
import traceback
import warnings
from pathlib import Path

import keras
import numpy as np
from keras import ops

from edgernn.model.formats import Precision
from edgernn_export.cells import RegisteredCell
from edgernn_export.compress.pruning import MagnitudePruning
from edgernn_export.compress.qat import integer_model, qat_model
from edgernn_export.compress.qat.arithmetic import straight_through as clauses
from edgernn_export.compress.qat.arithmetic.exact_sums import (
    double_product,
    product_in_parts,
    whole,
)
from edgernn_export.compress.qat.arithmetic.input_codes import InputCodes, ReachedCodes
from edgernn_export.compress.qat.arithmetic.requantization import rounded_sum
from edgernn_firmware_sim.reference import affine as affine_map
from edgernn_firmware_sim.reference import tables
from edgernn_firmware_sim.reference.events import Quiet
from tests.support.training.qat_networks import NETWORKS
from tests.support.training.qat_networks import network as of_name
from tests.support.training.qat_runs import (
    codes,
    fed,
    moved,
    network,
    recurrent,
    reference_codes,
    streams,
)

EVERY_CODE = np.arange(-32768, 32768, dtype=np.int32)


def tensor(values):
    return ops.convert_to_tensor(np.asarray(values, np.float32))


def integers(found):
    made = ops.convert_to_numpy(found)
    assert np.array_equal(made, np.rint(made))
    return made.astype(np.int64)


def equal(made, wanted):
    assert np.count_nonzero(np.asarray(made) != np.asarray(wanted)) == 0


def verify_tables_at_every_code():
    for name in ("sigmoid", "tanh", "hard_sigmoid"):
        made = getattr(clauses, name)(tensor(EVERY_CODE))
        equal(integers(made), getattr(tables, name)(EVERY_CODE))
    for precision in (Precision.W8A8, Precision.W8A16):
        wanted = affine_map.operand(precision, EVERY_CODE, Quiet(), "v")
        equal(integers(clauses.operand(tensor(EVERY_CODE), precision)), wanted)


def verify_input_codes_with_ties_and_ends():
    """Of steps that float32 holds, so that every second half step is a tie; and of odd ones."""
    rng = np.random.default_rng(0)
    for precision in (Precision.W8A8, Precision.W8A16):
        scale, offset = np.array([0.25, 0.0137, 1e-3]), np.array([3.0, -0.4, 101325.0])
        coder = InputCodes(scale, offset, precision)
        quantum = precision.input_step
        low, high = -(-precision.input_low // quantum), precision.input_high // quantum
        halves = np.arange(2 * low - 9, 2 * high + 10)[:, None] * (0.5 * quantum * scale) + offset
        near = np.nextafter(halves.astype(np.float32), np.float32(np.inf))
        drawn = rng.normal(size=(4000, 3)) * quantum * high * scale + offset
        xs = np.concatenate([halves, near, drawn]).astype(np.float32)
        exact = np.rint((xs.astype(np.float64) - offset) / (quantum * scale))
        wanted = quantum * np.clip(exact, low, high)
        equal(integers(coder(tensor(xs))), wanted)
        reached = ReachedCodes(
            lambda x, step=quantum * scale, start=offset: np.rint((x - start) / step),
            low - 1,
            high + 1,
        )
        equal(integers(reached(tensor(xs))), np.clip(exact, low - 1, high + 1))


def verify_sums_that_float32_cannot_hold():
    rng = np.random.default_rng(5)
    drawn = 4 * rng.integers(-4096, 4097, (50, 1100))
    weights = rng.integers(-12, 13, (1100, 8))
    kinds = [product_in_parts] if keras.backend.backend() == "jax" else [
        product_in_parts, double_product
    ]  # fmt: skip
    for kind in kinds:
        equal(ops.convert_to_numpy(whole(kind(tensor(drawn), tensor(weights)))), drawn @ weights)


def verify_biases_in_any_order():
    """The integers of a bias do not change with the order of the columns."""
    rng = np.random.default_rng(6)
    kernel, rate = rng.normal(size=(200, 5)), rng.uniform(1e3, 1e6, (200, 5))
    own = tensor(rng.normal(size=5)), tensor(rate[0])
    order = rng.permutation(200)
    made = [
        integers(rounded_sum([own, (tensor(kernel[at]), tensor(rate[at]))], 2.0**29))
        for at in (slice(None), order)
    ]
    equal(*made)
    exact = np.asarray(own[0]) * rate[0] + (kernel * rate).sum(axis=0)
    assert np.abs(made[0] - exact).max() < 100


def verify_trained(float_model, xs, calibration, precision):
    """Moved weights, then fitted ones, give the codes of the reference."""
    model = qat_model(float_model, calibration, precision, distil_from=True, progress=False)
    before = integer_model(model)
    moved(model, xs, size=0.03)
    equal(codes(model, xs), reference_codes(integer_model(model), xs))
    assert integer_model(model).layers != before.layers
    model.compile(keras.optimizers.Adam(1e-3))
    first = model.evaluate(fed(model, xs), verbose=0)
    history = model.fit(fed(model, xs), epochs=3, batch_size=1, verbose=0).history
    assert history["loss"][-1] < first
    equal(codes(model, xs), reference_codes(integer_model(model), xs))


def chain(cell, share=0.8):
    layer = cell if not isinstance(cell, str) else recurrent(cell)
    return network(layer, keras.layers.Dense(2), share=share)


def verify_pruned_weights_stay_zero():
    xs = streams(4, 10)
    model = qat_model(chain("lstm"), xs, progress=False)
    model.compile(keras.optimizers.Adam(0.02), "mse")
    pruning = MagnitudePruning(0.3, end_step=2, frequency=1)
    model.fit(xs, np.zeros((4, 10, 2)), epochs=2, batch_size=1, verbose=0, callbacks=[pruning])
    terms = integer_model(model).layers[0].gates.terms
    stored = np.concatenate([term.weights for term in terms], axis=1)
    assert np.mean(stored != 0) < 0.35
    equal(codes(model, xs), reference_codes(integer_model(model), xs))


def verify_weights_are_saved_and_loaded():
    xs = streams(2, 20)
    float_model = chain("gru_after")
    model = moved(qat_model(float_model, xs, progress=False), xs)
    again = qat_model(float_model, xs, progress=False)
    with tempfile.TemporaryDirectory() as folder:
        model.save_weights(Path(folder) / "qat.weights.h5")
        again.load_weights(Path(folder) / "qat.weights.h5")
    assert integer_model(again) == integer_model(model)


def cases():
    """What is verified, by name."""
    xs, calibration = streams(2, 30), streams(4, 50, seed=2)
    made = {
        check.__name__.removeprefix("verify_"): check
        for check in (
            verify_tables_at_every_code,
            verify_input_codes_with_ties_and_ends,
            verify_sums_that_float32_cannot_hold,
            verify_biases_in_any_order,
            verify_pruned_weights_stay_zero,
            verify_weights_are_saved_and_loaded,
        )
    }
    for cell, precision in (
        ("lstm", "w8a16"), ("gru_after", "w8a8"), ("gru_before", "w8a16"), ("lstm", "w4a8"),
    ):  # fmt: skip
        made[f"{cell}/{precision}"] = lambda c=cell, p=precision: verify_trained(
            chain(c), xs, calibration, p
        )
    normal = keras.layers.RNN(RegisteredCell("layer_norm_gru", 5), return_sequences=True)
    made["normalized"] = lambda: verify_trained(chain(normal), xs, calibration, "w8a8")
    for name in ("convolutions", "tokens", "branches"):
        made[name] = lambda n=name: verify_trained(
            of_name(n), NETWORKS[n][1](2, 30, 1), NETWORKS[n][1](4, 50, 2), "w8a8"
        )
    return made


def main():
    """Print one message per case, of all or of those named; empty where it holds."""
    warnings.simplefilter("ignore")
    results, known = {}, cases()
    for name in sys.argv[1:] or known:
        verify = known[name]
        keras.utils.set_random_seed(1)
        try:
            verify()
            results[name] = ""
        except Exception:
            results[name] = traceback.format_exc()
    print(json.dumps(results))


if __name__ == "__main__":
    main()
