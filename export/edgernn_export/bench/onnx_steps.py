"""Steps of float .onnx files in onnxruntime, and its dynamic quantization of them."""

from __future__ import annotations

import contextlib
import io
import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]
#: Operators that onnxruntime's dynamic quantization puts in the place of float ones.
_QUANTIZED: Final = ("DynamicQuantizeLSTM", "MatMulInteger", "ConvInteger", "QLinearMatMul")
_ERRORS_ONLY: Final = 3


def open_session(path: Path) -> Any:
    """An `onnxruntime.InferenceSession` on one thread, with the back-end's settings.

    Args:
        path: of the .onnx file.
    """
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = _ERRORS_ONLY
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


class BoundStep:
    """A float session on arrays that are bound once; two bindings swap the states.

    The session has inputs ``x`` [T, B, I] and states [1, B, H], and outputs ``y`` [T, B, O] and
    the new states, named as the states with the ending ``_out``; here T and B are 1.

    Attributes:
        state_names: names of the states.
    """

    def __init__(self, session: Any) -> None:
        """Bind the arrays, and begin in the zero state."""
        import onnxruntime as ort

        self._ort, self._run = ort, session.run_with_iobinding
        widths = {value.name: value.shape[-1] for value in session.get_inputs()}
        self.state_names = [name for name in widths if name != "x"]
        self._x, x = self._tensor(widths["x"])
        self._y, y = self._tensor(session.get_outputs()[0].shape[-1])
        pairs = [[self._tensor(widths[name]) for name in self.state_names] for _ in range(2)]
        self._states = [[array for array, _ in side] for side in pairs]
        self._values = x, y, pairs
        self._next = 0
        self._bindings = []
        for old, new in (pairs, pairs[::-1]):
            binding = session.io_binding()
            binding.bind_ortvalue_input("x", x)
            binding.bind_ortvalue_output("y", y)
            for name, (_, before), (_, after) in zip(self.state_names, old, new, strict=True):
                binding.bind_ortvalue_input(name, before)
                binding.bind_ortvalue_output(f"{name}_out", after)
            self._bindings.append(binding)

    def _tensor(self, width: int) -> tuple[Float32, Any]:
        array = np.zeros((1, 1, width), np.float32)
        # On the CPU an OrtValue made from an array keeps and uses the array's memory.
        return array, self._ort.OrtValue.ortvalue_from_numpy(array)

    def zero_state(self) -> list[Float32]:
        """The states that a stream begins with, [1, 1, H] each."""
        return [np.zeros_like(array) for array in self._states[0]]

    def step(self, x: Float32, state: Sequence[Float32]) -> tuple[Float32, list[Float32]]:
        """One step on values, as `OnnxBackend.step`.

        Args:
            x: reading [I].
            state: as `zero_state`.
        """
        self._set_state(state)
        self._x[...] = x
        self._run(self._bindings[0])
        return self._y.copy(), [v.copy() for v in self._states[1]]

    def next(self, x: Float32) -> Float32:
        """Advance the stream that the bound arrays hold by one reading [I]."""
        self._x[...] = x
        self._run(self._bindings[self._next])
        self._next = 1 - self._next
        y: Float32 = self._y[0, 0].copy()
        return y

    def run(self, xs: Float32, state: Sequence[Float32]) -> Float32:
        """Outputs [T, O] of a stream [T, I], as `OnnxBackend.run`."""
        self._set_state(state)
        ys = np.empty((len(xs), self._y.shape[-1]), np.float32)
        first, second = self._bindings
        for t, x in enumerate(xs):
            self._x[...] = x
            self._run(second if t % 2 else first)
            ys[t] = self._y
        return ys

    def _set_state(self, state: Sequence[Float32]) -> None:
        for array, value in zip(self._states[0], state, strict=True):
            np.copyto(array, value)


def quantize_dynamic(path: Path, target: Path) -> dict[str, int]:
    """Quantize a float file with onnxruntime's `quantize_dynamic`, weights per channel if it can.

    Args:
        path: of the float file.
        target: file to write.

    Returns:
        How many operators of the new file compute with INT8 weights, by type; empty if none does.

    Raises:
        ImportError: onnx is not installed.
    """
    import onnx
    from onnxruntime import quantization

    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)  # it advises to preprocess, which changes nothing
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            quantization.quantize_dynamic(str(path), str(target))
    finally:
        root.setLevel(level)
    types = Counter(node.op_type for node in onnx.load(str(target)).graph.node)
    return {name: types[name] for name in _QUANTIZED if types[name]}
