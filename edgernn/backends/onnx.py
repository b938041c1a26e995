"""Executes exact .onnx files written by edgernn with onnxruntime."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np

from edgernn.backends.base import MAX_THREADS, State, self_test
from edgernn.backends.onnx_file import METADATA_KEY, read_onnx
from edgernn.backends.step_graph import (
    PortTensor,
    StepInputs,
    StepTensor,
    check_tensors,
    step_ports,
)
from edgernn.container import interface_json
from edgernn.errors import BackendUnavailable, FormatError
from edgernn.install import hint
from edgernn.model.formats import Int16Array, OperandArray
from edgernn.model.interface import Interface

#: Graph optimization by name -> member of onnxruntime's GraphOptimizationLevel. The bits are the
#: same; "disabled" computes the lookup tables anew in every step and is some forty times slower.
OPTIMIZATIONS: Final = {
    "all": "ORT_ENABLE_ALL",
    "extended": "ORT_ENABLE_EXTENDED",
    "basic": "ORT_ENABLE_BASIC",
    "disabled": "ORT_DISABLE_ALL",
}
_INT16: Final = np.dtype(np.int16)
_ERRORS_ONLY: Final = 3
_LOAD_ERRORS: Final = (
    "Fail", "InvalidArgument", "InvalidGraph", "InvalidProtobuf", "NotImplemented",
    "RuntimeException",
)  # fmt: skip


def open_onnx(path: Path, optimization: str = "all", num_threads: int = 1) -> OnnxBackend:
    """Open an exact .onnx file written by edgernn and run its golden vector.

    Args:
        path: the file.
        optimization: a key of `OPTIMIZATIONS`.
        num_threads: of the runtime; steps of small networks gain nothing from more than 1.

    Raises:
        FormatError: the file is damaged or not an exact edgernn model.
        BackendUnavailable: onnxruntime is not installed, or cannot load the file.
        BackendMismatch: the runtime does not reproduce the golden vector.
    """
    if optimization not in [*OPTIMIZATIONS]:
        raise BackendUnavailable(
            f"backend 'onnx': expected optimization {', '.join(OPTIMIZATIONS)}, "
            f"got {optimization!r:.40}."
        )
    if type(num_threads) is not int or not 1 <= num_threads <= MAX_THREADS:
        raise BackendUnavailable(
            f"backend 'onnx': expected num_threads 1 to {MAX_THREADS}, got {num_threads!r:.40}."
        )
    path = Path(path)
    content = read_onnx(path)
    ort = _load_runtime()
    session = _open_session(ort, content, path.name, optimization, num_threads)
    metadata = session.get_modelmeta().custom_metadata_map
    if METADATA_KEY not in metadata:
        raise FormatError(
            f"file '{path.name}': expected metadata '{METADATA_KEY}', got {sorted(metadata)}. "
            "Write one with: edgernn export MODEL.edgernn --to onnx"
        )
    interface = interface_json.loads(metadata[METADATA_KEY])
    backend = OnnxBackend(ort, session, interface, f"onnx (onnxruntime, {optimization})")
    self_test(backend)
    return backend


def _load_runtime() -> Any:
    try:
        return importlib.import_module("onnxruntime")
    except ImportError as error:
        raise BackendUnavailable(
            "backend 'onnx': expected onnxruntime, got an environment without it. "
            f"Install it with: {hint('onnx')}"
        ) from error


def _open_session(ort: Any, content: bytes, name: str, optimization: str, threads: int) -> Any:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _ERRORS_ONLY
    level = OPTIMIZATIONS[optimization]
    options.graph_optimization_level = getattr(ort.GraphOptimizationLevel, level)
    state = ort.capi.onnxruntime_pybind11_state
    failures = tuple(getattr(state, error) for error in _LOAD_ERRORS)
    try:
        return ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except failures as error:
        raise BackendUnavailable(
            f"backend 'onnx': expected onnxruntime {ort.__version__} to load '{name}', got: "
            f"{error!s:.200}. Install a newer onnxruntime or use the reference backend."
        ) from error


class OnnxBackend:
    """One model in one inference session (see `edgernn.backends.base.Backend`); not thread-safe."""

    def __init__(self, ort: Any, session: Any, interface: Interface, name: str) -> None:
        """Check the graph against its metadata and bind its tensors to arrays."""
        self.name = name
        self.interface = interface
        check_tensors(
            "onnx", interface, _described(session.get_inputs()), _described(session.get_outputs())
        )
        self._inputs = StepInputs(name, interface)
        self._bound = _BoundArrays(ort, session, interface)

    def step(self, q_x: OperandArray, state: State) -> tuple[Int16Array, State]:
        """Advance one stream by one reading; see `Backend.step`."""
        bound = self._bound
        bound.x[...] = self._inputs.of_step(q_x)
        self._inputs.copy_state(state, bound.states[0])
        bound.run(bound.bindings[0])
        return bound.y.copy(), tuple([v.copy() for v in bound.states[1]])

    def run(self, q_xs: OperandArray, state: State) -> tuple[Int16Array, State]:
        """Advance one stream by T readings; see `Backend.run`."""
        bound = self._bound
        q_xs = self._inputs.of_run(q_xs)
        self._inputs.copy_state(state, bound.states[0])
        run, copy, x, y = bound.run, np.copyto, bound.x, bound.y
        binding, following = bound.bindings
        q_ys = np.empty((len(q_xs), self.interface.output.width), dtype=np.int16)
        for q_x, q_y in zip(q_xs, q_ys, strict=True):
            copy(x, q_x)
            run(binding)
            copy(q_y, y)
            binding, following = following, binding
        return q_ys, tuple([v.copy() for v in bound.states[len(q_xs) % 2]])

    def unchecked_step(self) -> Callable[[OperandArray], Int16Array]:
        """A step from codes to codes that keeps its state in the bound arrays.

        It begins in the zero state and checks nothing: the shortest way through this runtime, for
        benchmarks.
        """
        bound = self._bound
        run, copy, x, y = bound.run, np.copyto, bound.x, bound.y
        binding, following = bound.bindings
        for old, zero in zip(bound.states[0], self.interface.initial_state(), strict=True):
            copy(old, zero)

        # The arrays' memory lives as long as the object that holds their OrtValues.
        def step(q_x: OperandArray, _owner: object = bound) -> Int16Array:
            nonlocal binding, following
            copy(x, q_x)
            run(binding)
            binding, following = following, binding
            return y.copy()

        return step

    def close(self) -> None:
        """Release the session; the backend cannot be used afterwards."""
        del self._bound


class _BoundArrays:
    """Arrays the session reads and writes in place, with two bindings that swap the states.

    Binding 0 reads states[0] and writes states[1], binding 1 the other way round: a stream runs
    without copying its state. Ports are parts of one array, bound one by one.
    """

    def __init__(self, ort: Any, session: Any, interface: Interface) -> None:
        self.run = session.run_with_iobinding

        def bound(array: np.ndarray[Any, Any]) -> Any:
            # On the CPU an OrtValue made from an array keeps and uses the array's memory.
            return ort.OrtValue.ortvalue_from_numpy(array[None])

        def ports(array: np.ndarray[Any, Any], tensors: tuple[PortTensor, ...]) -> dict[str, Any]:
            return {tensor.name: bound(array[tensor.place]) for tensor in tensors}

        step = step_ports(interface)
        self.x = np.zeros(interface.step_width, interface.code_dtype)
        self.y = np.zeros(interface.output.width, _INT16)
        xs, ys = ports(self.x, step.inputs), ports(self.y, step.outputs)
        values: list[list[Any]] = [[], []]
        self.states: list[list[Int16Array]] = [[], []]
        for side in range(2):
            for spec in interface.states:
                array = np.zeros(spec.units, _INT16)
                values[side].append(bound(array))
                self.states[side].append(array)
        self.bindings = []
        for old, new in (values, values[::-1]):
            binding = session.io_binding()
            for name, value in xs.items():
                binding.bind_ortvalue_input(name, value)
            for name, value in ys.items():
                binding.bind_ortvalue_output(name, value)
            for spec, before, after in zip(interface.states, old, new, strict=True):
                binding.bind_ortvalue_input(spec.name, before)
                binding.bind_ortvalue_output(f"{spec.name}_out", after)
            self.bindings.append(binding)
        # The arrays are views of memory that only the OrtValues are sure to keep.
        self._values = (xs, ys, values)


def _described(tensors: Any) -> dict[str, StepTensor]:
    """Shape and dtype name of a session's tensors; a dimension without a size counts as -1."""
    return {
        t.name: (
            tuple(n if isinstance(n, int) else -1 for n in t.shape),
            t.type.removeprefix("tensor(").removesuffix(")"),
        )
        for t in tensors
    }
