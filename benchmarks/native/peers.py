"""The other programs, each driven in the fastest ways we know."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.native.contenders import (
    CHECKED_STEPS,
    PEER_STEPS,
    TOLERANCE,
    integer_model,
    network_stream,
    same_float_model,
)
from benchmarks.native.numpy_step import NumpyGRU, NumpyLSTM
from benchmarks.native.stock_files import STOCK_FORMS, tflite_path
from edgernn.backends.base import Backend
from edgernn.bench.contenders import Contender
from edgernn.model.formats import FloatArray, Precision
from edgernn_export.float_model import float_run
from edgernn_export.float_model.model import FloatLSTM
from edgernn_firmware_sim.reference.reference import Reference
from tests.support.models.integer import random_codes

#: The converter's int8 file may differ from the float model by this share of its RMS.
INT8_TOLERANCE = 0.1


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
        path = tflite_path(folder, network, form)
        ways = _stock_turns(f"{program} {form}, {network}", network, form, path, runtime)
        turns |= {(form, way): turn for way, turn in ways.items()}
    return [Contender(program, form, way, PEER_STEPS, turn) for (form, way), turn in turns.items()]


def check_float(
    owner: str, network: str, ys: FloatArray, share_of_rms: float | None = None
) -> None:
    """Refuse to measure a step whose outputs [T, O] are not the float64 model's.

    Args:
        owner: for the message.
        network: whose float model and stream to compare with.
        ys: outputs on the network's stream.
        share_of_rms: allowed RMS of the difference; None requires `TOLERANCE` everywhere.
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

    return {"views, step": step, "views, run": lambda: backend.run(q_xs, zero)}


def _stock_turns(
    owner: str, network: str, form: str, path: Path, runtime: str
) -> dict[str, Callable[[], object]]:
    """Checked turns of one of the converter's files; see `stock_steps`."""
    from edgernn_export.bench.stock_steps import PublicStep, StockFile, ViewStep

    # Public calls refuse to run while there are views: an interpreter for each.
    views, public = ViewStep(file := StockFile(path, runtime)), PublicStep(StockFile(path, runtime))
    xs = file.coded(network_stream(network, CHECKED_STEPS))
    rows, batches = list(xs), list(xs[:, None])
    by_run = views.run(xs)
    views.reset()
    allowed = None if form == "float" else INT8_TOLERANCE
    for ys in (
        by_run,
        np.stack([views.step(x) for x in rows]),
        np.concatenate([public.step(x) for x in batches]),
    ):
        check_float(owner, network, file.real(ys), allowed)
    xs, rows, batches = xs[:PEER_STEPS], rows[:PEER_STEPS], batches[:PEER_STEPS]

    def view_turn() -> None:
        for x in rows:
            views.step(x)

    def public_turn() -> None:
        for x in batches:
            public.step(x)

    return {
        "views, step": view_turn,
        "views, run": lambda: views.run(xs),
        "set_tensor": public_turn,
    }
