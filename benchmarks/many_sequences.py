"""Processor time per reading of many sequences at once, compared with batched peers.

    python -m benchmarks.many_sequences                     print the table
    python -m benchmarks.many_sequences --rounds 5 --only LSTM-512/8
    python -m benchmarks.many_sequences --out benchmarks/results/many_sequences.json

64 sequences of 32 to 256 readings through `edgernn.run_many`, and one after the other through
`Session.run`; the same network in float32 in ONNX Runtime, PyTorch and TensorFlow (Keras), and with
int8 weights in ONNX Runtime (`quantize_dynamic`, of LSTMs) and PyTorch (`quantize_dynamic`), each
as one batch. All on one thread, in one process, in turns; the time is that of the process. Integer
outputs are compared with the reference first, float ones with the float64 model, those of int8
peers within 10 % of its RMS. Peers that are not installed are left out.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

import edgernn
from edgernn.bench.machine import is_installed, machine_facts
from edgernn.model.formats import FloatArray, Precision
from edgernn_export.bench.onnx_steps import open_session
from edgernn_export.float_model import float_run
from edgernn_export.float_model.model import FloatGRU, FloatLSTM, FloatModel
from edgernn_export.writers.onnx.float_operators import write_onnx_float
from tests.support.models.float import float_model
from tests.support.models.integer import random_model

#: name -> (cell, units, inputs); every network ends in a Dense layer of 4.
NETWORKS: Final = {
    "GRU-32/8": ("gru_after", 32, 8),
    "LSTM-64/8": ("lstm", 64, 8),
    "GRU-128/64": ("gru_after", 128, 64),
    "LSTM-256/8": ("lstm", 256, 8),
    "LSTM-512/8": ("lstm", 512, 8),
}
OUTPUTS: Final = 4
SEQUENCES: Final = 64
#: Readings of a sequence, of large networks and of the others, so that a turn takes milliseconds.
STEPS: Final = {256: 32, 512: 32}
MORE_STEPS: Final = 256
ROUNDS: Final = 15
#: Turns that warm caches and compile.
WARM_UP: Final = 2
#: Outputs may differ from the float64 model's by these shares of its RMS.
FLOAT_TOLERANCE: Final = 1e-3
INT8_TOLERANCE: Final = 0.1
PACKAGES: Final = ("onnxruntime", "torch", "tensorflow")
Turn = Callable[[], Any]


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="turns of each (%(default)s)")
    parser.add_argument("--only", choices=NETWORKS, help="one network")
    parser.add_argument("--out", type=Path, help="write the figures here, as JSON")
    args = parser.parse_args(argv)
    record: dict[str, Any] = {
        "machine": machine_facts(None, PACKAGES),
        "isa": edgernn.load(random_model("lstm"), "native")._shared.backend.isa,
        "sequences": SEQUENCES,
        "rounds": args.rounds,
        "rows": [],
    }
    for network in [args.only] if args.only else NETWORKS:
        with tempfile.TemporaryDirectory() as folder:
            turns = dict(contenders(network, Path(folder)))
        record["rows"] += measure(network, turns, args.rounds)
    if args.out:
        args.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    for row in record["rows"]:
        print(f"{row['network']:12}{row['program']:38}{row['us']:10.3f} µs {row['ratio']:8.2f}")
    return 0


def steps_of(network: str) -> int:
    """Readings of a sequence."""
    return STEPS.get(NETWORKS[network][1], MORE_STEPS)


def contenders(network: str, folder: Path) -> Iterator[tuple[str, Turn]]:
    """Name and turn of everything that is installed; each has been checked."""
    cell, units, inputs = NETWORKS[network]
    xs = np.random.default_rng(7).uniform(-1, 1, (SEQUENCES, steps_of(network), inputs))
    for precision in Precision:
        model = random_model(cell, precision, inputs=inputs, units=units, outputs=OUTPUTS)
        session = edgernn.load(model, "native")
        sequences = list(model.input.offset + 0.9 * model.input.scale * 127 * xs)
        check_native(network, model, session, sequences)
        name = precision.value
        yield f"edgernn {name}, run_many", lambda s=session, q=sequences: edgernn.run_many(s, q)
        yield (
            f"edgernn {name}, one by one",
            lambda s=session, q=sequences: [s.new_stream().run(one) for one in q],
        )
    network_float = float_model(cell, inputs=inputs, units=units, outputs=OUTPUTS)
    wanted = float_run.run(network_float, xs)[0]
    made = [*onnx_turns(network_float, xs, folder)] if is_installed("onnxruntime") else []
    made += [*torch_turns(network_float, xs)] if is_installed("torch") else []
    made += [*keras_turns(network_float, xs)] if is_installed("tensorflow") else []
    for name, turn in made:
        difference = np.asarray(turn(), np.float64) - wanted
        share = float(np.sqrt(np.mean(difference**2) / np.mean(wanted**2)))
        allowed = INT8_TOLERANCE if "int8" in name else FLOAT_TOLERANCE
        if not share <= allowed:
            raise SystemExit(f"{network}, {name}: expected {allowed:g} of the RMS, got {share:g}.")
        yield name, turn


def check_native(
    network: str, model: Any, session: edgernn.Session, sequences: list[FloatArray]
) -> None:
    """Refuse to measure outputs that are not the reference's."""
    wanted = edgernn.run_many(model, sequences[:5], backend="reference")
    if not all(map(np.array_equal, edgernn.run_many(session, sequences)[:5], wanted)):
        raise SystemExit(f"{network}: expected the reference's outputs, got others.")


def onnx_turns(model: FloatModel, xs: FloatArray, folder: Path) -> Iterator[tuple[str, Turn]]:
    """ONNX's own operators over the whole batch."""
    path, quantized = folder / "float.onnx", folder / "int8.onnx"
    path.write_bytes(write_onnx_float(model))
    forms = {"onnxruntime float": path}
    if isinstance(model.layers[0], FloatLSTM):  # of a GRU it quantizes the Dense layer alone
        from onnxruntime.quantization import QuantType, quantize_dynamic

        quantize_dynamic(path, quantized, weight_type=QuantType.QInt8)
        forms["onnxruntime int8, dynamic"] = quantized
    batch = np.ascontiguousarray(xs.swapaxes(0, 1), np.float32)
    for name, file in forms.items():
        session = open_session(file)
        zero = np.zeros((1, len(xs), model.layers[0].units), np.float32)
        fed = {"x": batch} | {one.name: zero for one in session.get_inputs()[1:]}
        yield name, lambda s=session, f=fed: s.run(["y"], f)[0].swapaxes(0, 1)


def torch_turns(model: FloatModel, xs: FloatArray) -> Iterator[tuple[str, Turn]]:
    """PyTorch's layers over the whole batch."""
    import warnings

    import torch

    torch.set_num_threads(1)
    cell, dense = model.layers
    made = torch.nn.LSTM if isinstance(cell, FloatLSTM) else torch.nn.GRU

    class Network(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell = made(cell.inputs, cell.units, batch_first=True)
            self.dense = torch.nn.Linear(cell.units, OUTPUTS)

        def forward(self, x: Any) -> Any:
            return self.dense(self.cell(x)[0])

    plain = Network().eval()
    with torch.no_grad():
        for name, values in torch_weights(cell).items():
            getattr(plain.cell, name).copy_(torch.from_numpy(values))
        plain.dense.weight.copy_(torch.from_numpy(dense.kernel.copy()))
        plain.dense.bias.copy_(torch.from_numpy(dense.bias.copy()))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is to move to another package
        quantized = torch.ao.quantization.quantize_dynamic(
            plain, {made, torch.nn.Linear}, dtype=torch.qint8
        )
    batch = torch.from_numpy(xs.astype(np.float32))

    def turn_of(network: Any) -> Turn:
        def turn() -> Any:
            with torch.inference_mode():
                return network(batch).numpy()

        return turn

    yield "PyTorch float", turn_of(plain)
    yield "PyTorch int8, dynamic", turn_of(quantized)


def torch_weights(cell: Any) -> dict[str, FloatArray]:
    """PyTorch's weights of a cell; its gates are i f g o, and r z n, ours z r n."""
    order = [0, 1, 2, 3] if isinstance(cell, FloatLSTM) else [1, 0, 2]
    second = cell.recurrent_bias if isinstance(cell, FloatGRU) else np.zeros_like(cell.bias)
    arrays = (cell.kernel, cell.recurrent, cell.bias, second)
    names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
    return {
        name: np.concatenate([np.split(array, len(order))[gate] for gate in order])
        for name, array in zip(names, arrays, strict=True)
    }


def keras_turns(model: FloatModel, xs: FloatArray) -> Iterator[tuple[str, Turn]]:
    """Keras's layers over the whole batch, as a TensorFlow graph."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras
    import tensorflow as tf

    if tf.config.threading.get_intra_op_parallelism_threads() != 1:
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    cell, dense = model.layers
    made = keras.layers.LSTM if isinstance(cell, FloatLSTM) else keras.layers.GRU
    network = keras.Sequential(
        [
            keras.layers.Input(xs.shape[1:]),
            made(cell.units, return_sequences=True),
            keras.layers.Dense(OUTPUTS),
        ]
    )
    bias = cell.bias
    if isinstance(cell, FloatGRU):
        bias = np.stack([cell.bias, cell.recurrent_bias])
    network.set_weights([cell.kernel.T, cell.recurrent.T, bias, dense.kernel.T, dense.bias])
    graph = tf.function(network, jit_compile=False)
    batch = tf.constant(xs.astype(np.float32))
    yield "Keras float, TensorFlow", lambda: graph(batch).numpy()


def measure(network: str, turns: dict[str, Turn], rounds: int) -> list[dict[str, Any]]:
    """Median µs of processor time per reading; the ratio is that to `run_many` in w8a8."""
    samples: dict[str, list[float]] = {name: [] for name in turns}
    readings = SEQUENCES * steps_of(network)
    for index in range(rounds + WARM_UP):
        for name, turn in turns.items():
            start = time.process_time()
            turn()
            if index >= WARM_UP:
                samples[name].append((time.process_time() - start) * 1e6 / readings)
    own = samples["edgernn w8a8, run_many"]
    return [
        {
            "network": network,
            "program": name,
            "steps": steps_of(network),
            "us": round(statistics.median(times), 3),
            "p10": round(float(np.percentile(times, 10)), 3),
            "ratio": round(statistics.median(t / o for t, o in zip(times, own, strict=True)), 2),
        }
        for name, times in samples.items()
    ]


if __name__ == "__main__":
    sys.exit(main())
