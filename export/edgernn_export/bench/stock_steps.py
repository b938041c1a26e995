"""Steps of the converter's files: through views of the runtime's memory, and by public calls."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgernn.backends.tflite import load_runtime
from edgernn.model.formats import FloatArray

TensorArray = npt.NDArray[Any]


class StockFile:
    """A converter's file in one interpreter, its tensors found by the names of its signature."""

    def __init__(self, path: Path, runtime: str) -> None:
        """Load the file on one thread.

        Args:
            path: of a step that `edgernn_export.bench.step_network.convert` wrote.
            runtime: key of `edgernn.backends.tflite.RUNTIMES`.

        Raises:
            BackendUnavailable: the runtime is not installed, or another one is loaded.
        """
        _, module = load_runtime(runtime)
        self.interpreter = module.Interpreter(model_path=str(path), num_threads=1)
        self.interpreter.allocate_tensors()
        # invoke() refuses to run while a runner lives: this one is dropped at the end.
        runner = self.interpreter.get_signature_runner()
        inputs, outputs = runner.get_input_details(), runner.get_output_details()
        self.x, self.y = inputs["x"], outputs["output_0"]
        self.old = [inputs[name] for name in _in_order(inputs.keys() - {"x"})]
        self.new = [outputs[name] for name in _in_order(outputs.keys() - {"output_0"})]

    def coded(self, xs: FloatArray) -> TensorArray:
        """Real readings [T, I] in the file's numbers."""
        dtype, (scale, zero) = self.x["dtype"], self.x["quantization"]
        if dtype != np.int8:
            return xs.astype(dtype)
        codes: TensorArray = (xs / scale + zero).round().clip(-128, 127).astype(dtype)
        return codes

    def real(self, ys: TensorArray) -> FloatArray:
        """Outputs as real numbers."""
        scale, zero = self.y["quantization"]
        reals: FloatArray = ys.astype(np.float64)
        return (reals - zero) * scale if self.y["dtype"] == np.int8 else reals

    def zeros(self) -> list[TensorArray]:
        """The zero state, each vector as [1, H]."""
        return [np.full(d["shape"], d["quantization"][1], d["dtype"]) for d in self.old]


def _in_order(names: set[str]) -> list[str]:
    """Names that end in numbers, in the order of these."""
    return sorted(names, key=lambda name: int(re.sub(r"\D", "", name)))


class ViewStep:
    """The fastest way: views of the runtime's memory and its native call, as our back-end does it.

    The call is not part of the runtime's public interface, which forbids views while it runs.
    """

    def __init__(self, file: StockFile) -> None:
        """Get the views, and begin in the zero state."""
        self._file = file
        self._invoke = file.interpreter._interpreter.Invoke
        self._invoke()  # allocations on first use are done before the views are made
        self._x, self._y = self._view(file.x), self._view(file.y)
        old, new = map(self._view, file.old), map(self._view, file.new)
        self._states = list(zip(old, new, strict=True))
        self.reset()

    def _view(self, details: dict[str, Any]) -> TensorArray:
        view: TensorArray = self._file.interpreter.tensor(details["index"])()[0]
        return view

    def reset(self) -> None:
        """Begin again in the zero state."""
        for (old, _), zero in zip(self._states, self._file.zeros(), strict=True):
            np.copyto(old, zero[0])

    def step(self, x: TensorArray) -> TensorArray:
        """Advance by one reading [I] in the file's numbers."""
        np.copyto(self._x, x)
        self._invoke()
        for old, new in self._states:
            np.copyto(old, new)
        return self._y.copy()

    def run(self, xs: TensorArray) -> TensorArray:
        """Advance by readings [T, I] in the file's numbers."""
        invoke, copy, x_in, y_out = self._invoke, np.copyto, self._x, self._y
        states = self._states
        ys = np.empty((len(xs), len(y_out)), y_out.dtype)
        for x, y in zip(xs, ys, strict=True):
            copy(x_in, x)
            invoke()
            copy(y, y_out)
            for old, new in states:
                copy(old, new)
        return ys


class PublicStep:
    """set_tensor, invoke and get_tensor, as the runtimes' manuals show it."""

    def __init__(self, file: StockFile) -> None:
        """Begin in the zero state."""
        self._interpreter = file.interpreter
        self._x, self._y = file.x["index"], file.y["index"]
        self._old = [details["index"] for details in file.old]
        self._new = [details["index"] for details in file.new]
        self._state = file.zeros()

    def step(self, x: TensorArray) -> TensorArray:
        """Advance by one reading [1, I] in the file's numbers."""
        interpreter = self._interpreter
        interpreter.set_tensor(self._x, x)
        for index, value in zip(self._old, self._state, strict=True):
            interpreter.set_tensor(index, value)
        interpreter.invoke()
        self._state = [interpreter.get_tensor(index) for index in self._new]
        y: TensorArray = interpreter.get_tensor(self._y)
        return y
