"""The other programs, each driven in the fastest ways we know."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.native.contenders import (
    CHECKED_STEPS,
    PEER_STEPS,
    TOLERANCE,
    Contender,
    integer_model,
    network_stream,
    same_float_model,
)
from benchmarks.native.numpy_step import NumpyGRU, NumpyLSTM
from benchmarks.native.stock_files import STOCK_FORMS, tflite_path
from edgernn.backends.base import Backend
from edgernn.formats import FloatArray, Precision
from edgernn_export import float_run
from edgernn_export.float_model import FloatLSTM
from edgernn_firmware_sim.reference import Reference
from tests.integer_models import random_codes

#: The converter's int8 file may differ from the float model by this share of its RMS.
INT8_TOLERANCE = 0.2


def numpy_contenders(network: str) -> list[Contender]:
    """The float step in NumPy."""
    model = same_float_model(network)
    step = (NumpyLSTM if isinstance(model.layers[0], FloatLSTM) else NumpyGRU)(model).step
    rows = list(network_stream(network, CHECKED_STEPS).astype(np.float32))
    check_float(f"numpy, {network}", network, np.stack([step(x).copy() for x in rows]))
    rows = rows[:PEER_STEPS]

    def turn() -> None:
        for x in rows:
            step(x)

    return [Contender("numpy", "float", "step", PEER_STEPS, turn)]


def onnx_contenders(network: str, folder: Path) -> list[Contender]:
    """Our exact file and ONNX's float operators, in the ways of `benchmarks.onnx_step`."""
    from benchmarks import onnx_step

    turns = onnx_step.prepare(network, folder, {})
    return [
        Contender("onnxruntime", form, way, onnx_step.STEPS_PER_ROUND, turns[form][way])
        for form in ("w8a8", "float")
        for way in onnx_step.WAYS
    ]


def tflite_contenders(network: str, folder: Path, runtime: str, program: str) -> list[Contender]:
    """Our integer file and the converter's files in one TFLite runtime."""
    from edgernn.backends.tflite import open_tflite

    backend = open_tflite(tflite_path(folder, network, "w8a8"), runtime)
    turns = {("w8a8", way): turn for way, turn in _integer_turns(network, backend).items()}
    for form in STOCK_FORMS:
        stock = StockStep(tflite_path(folder, network, form), runtime)
        owner = f"{program} {form}, {network}"
        xs = stock.coded(network_stream(network, CHECKED_STEPS))
        allowed = None if form == "float" else INT8_TOLERANCE
        check_float(owner, network, stock.real(stock.run(xs)), allowed)
        stock.reset()
        check_float(owner, network, stock.real(np.stack([stock.step(x) for x in xs])), allowed)
        turns |= {(form, way): turn for way, turn in _stock_turns(stock, xs[:PEER_STEPS]).items()}
    return [Contender(program, form, way, PEER_STEPS, turn) for (form, way), turn in turns.items()]


def check_float(
    owner: str, network: str, ys: FloatArray, share_of_rms: float | None = None
) -> None:
    """Refuse to measure a step whose outputs [T, O] are not the float64 model's.

    Args:
        owner: for the message.
        network: whose float model and stream to compare with.
        ys: outputs on the network's stream.
        share_of_rms: allowed RMS of the difference; None asks for `TOLERANCE` everywhere.
    """
    xs = network_stream(network, len(ys))
    wanted = float_run.run(same_float_model(network), xs[None])[0][0]
    difference = ys - wanted
    if share_of_rms is None:
        got, allowed = float(np.abs(difference).max()), TOLERANCE
    else:
        got = float(np.sqrt(np.mean(difference**2) / np.mean(wanted**2)))
        allowed = share_of_rms
    if not got <= allowed:
        raise SystemExit(f"{owner}: expected the float model within {allowed:g}, got {got:g}.")


def _integer_turns(network: str, backend: Backend) -> dict[str, Callable[[], object]]:
    model = integer_model(network, Precision.W8A8)
    q_xs = random_codes(model, CHECKED_STEPS)
    zero = backend.interface.initial_state()
    q_ys, state = Reference(model).run(q_xs)[0], zero
    for t, q_x in enumerate(q_xs):
        q_y, state = backend.step(q_x, state)
        if not np.array_equal(q_y, q_ys[t]):
            raise SystemExit(f"{network}, {backend.name}: expected the reference's codes.")
    if not np.array_equal(backend.run(q_xs, zero)[0], q_ys):
        raise SystemExit(f"{network}, {backend.name}: expected the reference's codes.")
    q_xs = q_xs[:PEER_STEPS]

    def step() -> None:
        state = zero
        for q_x in q_xs:
            _, state = backend.step(q_x, state)

    return {"step": step, "run": lambda: backend.run(q_xs, zero)}


def _stock_turns(stock: StockStep, xs: np.ndarray) -> dict[str, Callable[[], object]]:
    rows = list(xs)

    def step() -> None:
        for x in rows:
            stock.step(x)

    return {"step": step, "run": lambda: stock.run(xs)}


class StockStep:
    """A converter's file, driven through views of the runtime's memory as our backend does it."""

    def __init__(self, path: Path, runtime: str) -> None:
        """Load the file and find its tensors by the names of its signature."""
        from edgernn.backends.tflite import load_runtime

        _, module = load_runtime(runtime)
        self._owner = module.Interpreter(model_path=str(path), num_threads=1)
        self._owner.allocate_tensors()
        runner = self._owner.get_signature_runner()
        inputs, outputs = runner.get_input_details(), runner.get_output_details()
        self._invoke = self._owner._interpreter.Invoke
        self._invoke()  # whatever allocates on first use has done so before the views are taken
        states = sorted(inputs.keys() - {"x"})
        self._x_scale = inputs["x"]["quantization"]
        self._y_scale = outputs["output_0"]["quantization"]
        self._zeros = [inputs[name]["quantization"][1] for name in states]
        self._x = self._owner.tensor(inputs["x"]["index"])()[0]
        self._y = self._owner.tensor(outputs["output_0"]["index"])()[0]
        old = [self._owner.tensor(inputs[name]["index"])()[0] for name in states]
        new = [self._owner.tensor(outputs[name]["index"])()[0] for name in sorted(outputs)[1:]]
        self._states = list(zip(old, new, strict=True))
        self.reset()

    def reset(self) -> None:
        """Begin anew in the zero state."""
        for (old, _), zero in zip(self._states, self._zeros, strict=True):
            old[...] = zero

    def step(self, x: np.ndarray) -> np.ndarray:
        """Advance by one reading [I] in the file's numbers."""
        np.copyto(self._x, x)
        self._invoke()
        for old, new in self._states:
            np.copyto(old, new)
        return self._y.copy()

    def run(self, xs: np.ndarray) -> np.ndarray:
        """Advance by readings [T, I] in the file's numbers."""
        invoke, copy, x_in, y_out, states = (
            self._invoke, np.copyto, self._x, self._y, self._states
        )  # fmt: skip
        ys = np.empty((len(xs), len(y_out)), y_out.dtype)
        for x, y in zip(xs, ys, strict=True):
            copy(x_in, x)
            invoke()
            copy(y, y_out)
            for old, new in states:
                copy(old, new)
        return ys

    def coded(self, xs: FloatArray) -> np.ndarray:
        """Real readings in the file's numbers."""
        dtype, (scale, zero) = self._x.dtype, self._x_scale
        if dtype != np.int8:
            return xs.astype(dtype)
        return (xs / scale + zero).round().clip(-128, 127).astype(dtype)

    def real(self, ys: np.ndarray) -> FloatArray:
        """Outputs as real numbers."""
        scale, zero = self._y_scale
        reals: FloatArray = ys.astype(np.float64)
        return (reals - zero) * scale if self._y.dtype == np.int8 else reals
