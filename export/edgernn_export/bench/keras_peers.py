"""The float network in Keras, and the files that other runtimes run of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np

from edgernn.bench.contenders import Contender, LeftOut, Opened, fastest_ns, stepped
from edgernn.bench.own_backends import BARE, departure
from edgernn.bench.probe import Probe
from edgernn.errors import EdgeRnnError
from edgernn.model.formats import FloatArray
from edgernn.model.integer_model import IntegerModel
from edgernn_export.bench.step_network import (
    convert,
    keras_step,
    reason_against,
    reason_against_steps,
    zero_states,
)
from edgernn_export.float_model import float_run
from edgernn_export.float_model.model import FloatModel
from edgernn_export.networks.front_door import read_one_stream

#: Files in the benchmark's folder.
FLOAT_YS: Final = "float_ys.npy"
FLOAT_OUTPUTS: Final = "float_outputs.npy"
FLOAT_KERAS: Final = "without_optimizer.keras"
FLOAT_ONNX: Final = "float.onnx"
#: The same for a network that peers do not run: its size counts.
FLOAT_SIZE: Final = "float_size.onnx"
FLOAT_STEP: Final = "float_step.tflite"
INT8_STEP: Final = "int8_step.tflite"
#: Titles of the files in the table of sizes.
TITLES: Final = {
    FLOAT_KERAS: ".keras, without optimizer",
    FLOAT_ONNX: ".onnx, float operators",
    FLOAT_SIZE: ".onnx, float operators",
    FLOAT_STEP: ".tflite, float step",
    INT8_STEP: ".tflite, converter's INT8 step",
}


def float_facts(order: dict[str, Any]) -> dict[str, Any]:
    """Run the float network over the benchmark's readings.

    Args:
        order: "keras", path of the network, and "options" of its reader; "model", path
            of the .edgernn file; "probe", file of the readings; "folder" for files.

    Returns:
        "float_ys", path of the outputs [T, O], logits, NaN where there is none; "files", titles
        and paths of files whose sizes count; and "left_out", what and why.

    Raises:
        EdgeRnnError: the network cannot be read, or its widths are not those of the model.
    """
    _float_outputs(order)
    folder = Path(order["folder"])
    left_out: list[LeftOut] = []
    files = _write_keras(order["keras"], folder, left_out)
    return _facts(folder, files) | {"left_out": [asdict(one) for one in left_out]}


def _facts(folder: Path, files: list[str]) -> dict[str, Any]:
    return {
        "float_ys": str(folder / FLOAT_YS),
        "files": [(TITLES[name], str(folder / name)) for name in files],
    }


def _float_outputs(order: dict[str, Any]) -> tuple[FloatModel, IntegerModel, Probe]:
    network = read_one_stream(order["keras"], **order["options"])
    model = IntegerModel.load(order["model"])
    widths = {"inputs": model.input.width, "outputs": model.output.width}
    for side, width in widths.items():
        if getattr(network, side) != width:
            raise EdgeRnnError(
                f"--float: expected a network with {width} {side}, as '{model.name}' has, got "
                f"{getattr(network, side)}. Pass the network that the model was quantized from."
            )
    probe = Probe.load(Path(order["probe"]))
    ys = _answers(network, model, probe.xs)
    folder = Path(order["folder"])
    np.save(folder / FLOAT_YS, ys)
    np.save(folder / FLOAT_OUTPUTS, float_run.with_softmax(network, ys))
    return network, model, probe


def _answers(network: FloatModel, model: IntegerModel, xs: FloatArray) -> FloatArray:
    """Outputs [T, O] in the way the integer model runs."""
    ys: FloatArray
    if model.window is None:
        if network.rate is None:
            ys = float_run.answers(network, xs[None])[0]
        else:
            ys = float_run.at_readings(network, network.rate, xs[None])[0]
        return ys
    steps, hop = model.window.steps, model.window.hop
    ys = np.full((len(xs), network.outputs), np.nan)
    ends = range(steps, len(xs) + 1, hop)
    windows = np.stack([xs[end - steps : end] for end in ends])
    last = float_run.answers(network, windows)[:, -1]
    for number, end in enumerate(ends):
        ys[end - 1 : end - 1 + hop] = last[number]
    return ys


def open_keras(network_name: str, order: dict[str, Any]) -> Opened:
    """The float network as compiled steps, and the files of the other peers.

    Args:
        network_name: name of the model.
        order: as in `float_facts`.
    """
    network, model, probe = _float_outputs(order)
    folder = Path(order["folder"])
    left_out: list[LeftOut] = []
    reason = reason_against_steps(network, model.window)
    if reason:
        left_out.append(LeftOut(what="float .onnx in onnxruntime", why=reason))
    files = _write_keras(order["keras"], folder, left_out)
    files += _write_onnx(network, folder, FLOAT_SIZE if reason else FLOAT_ONNX, left_out)
    contenders: list[Contender] = []
    reason = reason_against(network, model.window)
    if reason:
        left_out.append(LeftOut(what="Keras and stock TFLite steps", why=reason))
    else:
        step = keras_step(network)
        files += _write_steps(step, probe, folder, left_out)
        contenders = _contenders(step, probe, np.load(folder / FLOAT_YS), left_out)
    facts = _facts(folder, files)
    return Opened(contenders={network_name: contenders}, left_out=left_out, facts=facts)


def _write_keras(path: str, folder: Path, left_out: list[LeftOut]) -> list[str]:
    """The network without the state of its optimizer; nothing of other kinds of files."""
    if Path(path).suffix != ".keras":
        return []
    try:
        import keras

        keras.models.load_model(path, compile=False).save(folder / FLOAT_KERAS)
    except Exception as error:  # the reader also reads files that Keras here cannot load
        left_out.append(LeftOut(what=TITLES[FLOAT_KERAS], why=f"{error!s:.200}"))
        return []
    return [FLOAT_KERAS]


def _write_onnx(network: FloatModel, folder: Path, name: str, left_out: list[LeftOut]) -> list[str]:
    from edgernn_export.writers.onnx.float_operators import write_onnx_float

    try:
        (folder / name).write_bytes(write_onnx_float(network))
    except Exception as error:  # the writer supports fewer networks than the reader
        left_out.append(LeftOut(what="float .onnx", why=f"{error!s:.200}"))
        return []
    return [name]


def _write_steps(step: Any, probe: Probe, folder: Path, left_out: list[LeftOut]) -> list[str]:
    written = []
    for name, xs in ((FLOAT_STEP, None), (INT8_STEP, probe.xs)):
        try:
            (folder / name).write_bytes(convert(step, xs))
        except Exception as error:  # the converter raises whatever its passes do
            text = str(error).strip().splitlines() or [type(error).__name__]
            left_out.append(LeftOut(what=TITLES[name], why=f"the converter fails: {text[0]:.200}"))
            continue
        written.append(name)
    return written


def _contenders(
    step: Any, probe: Probe, wanted: FloatArray, left_out: list[LeftOut]
) -> list[Contender]:
    """The faster one of the compiled steps, with and without XLA."""
    rows = _rows(probe.xs)
    calls: dict[str, Callable[[Any], Any]] = {}
    for way, options in (("tf.function, XLA", {"jit_compile": True}), ("tf.function", {})):
        try:
            calls[way] = _compiled(step, options)
            calls[way](rows[0])
        except Exception as error:  # XLA is not part of every build
            calls.pop(way, None)
            left_out.append(LeftOut(what=f"Keras, {way}", why=f"{error!s:.200}"))
    if not calls:
        return []
    best = min(calls, key=lambda way: fastest_ns(calls[way], rows[0]))
    fresh = _compiled(step, {"jit_compile": True} if "XLA" in best else {})
    ys = np.stack([fresh(x) for x in rows]).astype(np.float64)
    share = departure(ys, wanted)
    note = f"one step with explicit states, {best}, the faster one with and without XLA"
    return [stepped("keras", "float32", fresh, rows, way=BARE, departure=share, note=note)]


def _rows(xs: FloatArray) -> list[Any]:
    return list(xs.astype(np.float32)[:, None])


def _compiled(step: Any, options: dict[str, Any]) -> Callable[[Any], Any]:
    """A step that keeps its state between calls as TensorFlow's tensors."""
    import tensorflow as tf

    signature = [tf.TensorSpec(v.shape, tf.float32) for v in step.inputs]
    function = tf.function(lambda *values: step(list(values), training=False), **options)
    concrete = function.get_concrete_function(*signature)
    state = [tf.constant(v) for v in zero_states(step)]

    def call(x: Any) -> Any:
        nonlocal state
        y, *state = concrete(tf.constant(x), *state)
        return y.numpy()[0]

    return call
