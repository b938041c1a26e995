"""Peers in TFLite runtimes and in onnxruntime: float networks and stock INT8 conversions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np

from edgernn.bench.contenders import Contender, LeftOut, Opened, chunked, stepped
from edgernn.bench.own_backends import BARE, RUN, departure
from edgernn.bench.probe import Probe
from edgernn.install import hint
from edgernn.model.formats import FloatArray
from edgernn_export.bench.keras_peers import (
    FLOAT_ONNX,
    FLOAT_OUTPUTS,
    FLOAT_STEP,
    FLOAT_YS,
    INT8_STEP,
)
from edgernn_export.bench.onnx_steps import BoundStep, open_session, quantize_dynamic
from edgernn_export.bench.stock_steps import StockFile, ViewStep

#: What labels call the numbers of each file.
FORMS: Final = {FLOAT_STEP: "float32", INT8_STEP: "int8, converter"}
#: A dynamically quantized file in the benchmark's folder.
DYNAMIC_ONNX: Final = "dynamic.onnx"
_VIEWS: Final = "views of the runtime's memory, a private call"
_BOUND: Final = "arrays bound once"


def open_tflite(network: str, order: dict[str, Any]) -> Opened:
    """The converter's float and INT8 steps in one runtime, each through views.

    Args:
        network: name of the model.
        order: "program", as labels name it; "runtime", as Python imports it; "folder" with the
            files; "probe", file of the readings.
    """
    folder, probe = Path(order["folder"]), Probe.load(Path(order["probe"]))
    wanted, found = np.load(folder / FLOAT_YS), []
    for name, form in FORMS.items():
        if not (folder / name).is_file():
            continue
        views = ViewStep(file := StockFile(folder / name, order["runtime"]))
        codes = file.coded(probe.xs)
        share = departure(file.real(views.run(codes)), wanted)
        found += _both(order["program"], form, views.step, views.run, codes, share, _VIEWS)
    return Opened(contenders={network: found})


def open_onnx(network: str, order: dict[str, Any]) -> Opened:
    """ONNX's float operators in onnxruntime, and their dynamic quantization.

    Args:
        network: name of the model.
        order: as in `open_tflite`.
    """
    folder, probe = Path(order["folder"]), Probe.load(Path(order["probe"]))
    if not (folder / FLOAT_ONNX).is_file():
        return Opened(contenders={network: []})
    wanted = np.load(folder / FLOAT_OUTPUTS)
    left_out: list[LeftOut] = []
    files: list[tuple[str, str]] = []
    found: list[Contender] = []
    try:
        found += _onnx_both(folder / FLOAT_ONNX, "float32", probe, wanted, _BOUND)
    except Exception as error:  # operators that only newer versions run
        left_out.append(LeftOut(what="float operators in onnxruntime", why=f"{error!s:.200}"))
    target = folder / DYNAMIC_ONNX
    try:
        quantized = quantize_dynamic(folder / FLOAT_ONNX, target)
        if quantized:
            note = ", ".join(f"{count} {name}" for name, count in quantized.items())
            found += _onnx_both(target, "int8, quantize_dynamic", probe, wanted, note)
            files.append((".onnx, quantize_dynamic", str(target)))
        else:
            why = "it quantizes no operator of this network"
            left_out.append(LeftOut(what="quantize_dynamic of onnxruntime", why=why))
    except ImportError as error:
        why = f"{error.name} is not installed; get it with: {hint('export')}"
        left_out.append(LeftOut(what="quantize_dynamic of onnxruntime", why=why))
    except Exception as error:  # it raises whatever its passes do
        why = f"{error!s:.200}"
        left_out.append(LeftOut(what="quantize_dynamic of onnxruntime", why=why))
    return Opened(contenders={network: found}, left_out=left_out, facts={"files": files})


def _onnx_both(
    path: Path, form: str, probe: Probe, wanted: FloatArray, note: str
) -> list[Contender]:
    bound = BoundStep(open_session(path))
    xs = probe.xs.astype(np.float32)
    zero = bound.zero_state()
    share = departure(bound.run(xs, zero).astype(np.float64), wanted)

    def run(rows: Any) -> Any:
        return bound.run(rows, zero)

    return _both("onnxruntime", form, bound.next, run, xs, share, note)


def _both(
    program: str,
    form: str,
    step: Callable[[Any], object],
    run: Callable[[Any], object],
    rows: Any,
    share: float | None,
    note: str,
) -> list[Contender]:
    """Single steps, and the same in chunks."""
    named: dict[str, Any] = {"departure": share, "note": note}
    return [
        stepped(program, form, step, list(rows), way=BARE, **named),
        chunked(program, form, run, rows, way=RUN, **named),
    ]
