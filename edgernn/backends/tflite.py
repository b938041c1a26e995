"""Executes .tflite files written by edgernn with tflite-runtime, LiteRT or TensorFlow."""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np

from edgernn.backends.base import MAX_THREADS, State, self_test
from edgernn.backends.step_graph import (
    PortTensor,
    StepInputs,
    StepPorts,
    StepTensor,
    check_tensors,
    step_ports,
)
from edgernn.backends.tflite_file import read_tflite
from edgernn.errors import BackendUnavailable, FormatError
from edgernn.install import hint
from edgernn.model.formats import Int16Array, OperandArray
from edgernn.model.interface import Interface

#: Runtimes in order of preference: importable package -> module with the Interpreter.
RUNTIMES: Final = {
    "tflite_runtime": "tflite_runtime.interpreter",
    "ai_edge_litert": "ai_edge_litert.interpreter",
    "tensorflow": "tensorflow.lite.python.interpreter",
}
#: Kernels by name -> member of the runtime's OpResolverType.
RESOLVERS: Final = {
    "default": "AUTO",
    "no_delegate": "BUILTIN_WITHOUT_DEFAULT_DELEGATES",
    "reference": "BUILTIN_REF",
}


def open_tflite(
    path: Path,
    runtime: str = "auto",
    resolver: str = "default",
    num_threads: int = 1,
    program: str = "",
) -> TfliteBackend:
    """Open a .tflite file written by edgernn and run its golden vector.

    Args:
        path: the file.
        runtime: "auto" or a key of `RUNTIMES`.
        resolver: a key of `RESOLVERS`: kernels with the default delegate, without, or reference.
        num_threads: of the runtime; steps of small networks gain nothing from more than 1.
        program: which program of a file of several.

    Raises:
        FormatError: the file is damaged or not edgernn's, or holds several programs.
        ModelError: no program of this name.
        BackendUnavailable: no runtime is installed, or it cannot load the file.
        BackendMismatch: the runtime does not reproduce the golden vector.
    """
    if resolver not in [*RESOLVERS]:
        raise BackendUnavailable(
            f"backend 'tflite': expected resolver {', '.join(RESOLVERS)}, got {resolver!r:.40}."
        )
    if type(num_threads) is not int or not 1 <= num_threads <= MAX_THREADS:
        raise BackendUnavailable(
            f"backend 'tflite': expected num_threads 1 to {MAX_THREADS}, got {num_threads!r:.40}."
        )
    content, interface = read_tflite(Path(path), program)
    name, module = load_runtime(runtime)
    try:
        with warnings.catch_warnings():
            # TensorFlow advises to use LiteRT instead, which our order of preference does.
            warnings.simplefilter("ignore", UserWarning)
            interpreter = module.Interpreter(
                model_content=content,
                num_threads=num_threads,
                experimental_op_resolver_type=getattr(module.OpResolverType, RESOLVERS[resolver]),
            )
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise BackendUnavailable(
            f"backend 'tflite': expected {name} to load '{path.name}', got: {error!s:.200}. "
            "Install a newer runtime or use the reference backend."
        ) from error
    backend = TfliteBackend(
        interpreter, interface, f"tflite ({name}, {resolver})", program or "step"
    )
    self_test(backend)
    return backend


def load_runtime(runtime: str = "auto") -> tuple[str, Any]:
    """Import a runtime that can live in this process.

    All three contain the same native symbols; a second one in a process crashes it. What is already
    loaded is therefore what "auto" takes.

    Args:
        runtime: "auto" or a key of `RUNTIMES`.

    Returns:
        The runtime's name and its interpreter module.

    Raises:
        BackendUnavailable: unknown, not installed, or in conflict with a loaded one.
    """
    loaded = [name for name in reversed(RUNTIMES) if name in sys.modules]
    if runtime == "auto":
        candidates = loaded[:1] or list(RUNTIMES)
    elif runtime not in [*RUNTIMES]:
        raise BackendUnavailable(
            f"backend 'tflite': expected runtime auto, {', '.join(RUNTIMES)}, got {runtime!r:.40}."
        )
    elif loaded and runtime != loaded[0]:
        raise BackendUnavailable(
            f"backend 'tflite': expected {loaded[0]}, which this process has already loaded, "
            f"got {runtime}. Pass runtime='{loaded[0]}' or start another process."
        )
    else:
        candidates = [runtime]
    got = "an environment without it"
    for name in candidates:
        try:
            return name, importlib.import_module(RUNTIMES[name])
        except ImportError as error:
            if error.name != name:  # it is there, but does not fit what it stands on
                got = f"{name} that cannot be imported ({error!s:.120})"
    wanted = "tflite-runtime or ai-edge-litert" if runtime == "auto" else runtime
    raise BackendUnavailable(
        f"backend 'tflite': expected {wanted}, got {got}. Install one with: {hint('tflite')}"
    )


class TfliteBackend:
    """One model in one interpreter (see `edgernn.backends.base.Backend`); not thread-safe."""

    def __init__(self, interpreter: Any, interface: Interface, name: str, key: str) -> None:
        """Find the tensors of a signature and check them against the interface."""
        self.name = name
        self.interface = interface
        inputs, outputs = _signature(interpreter, key)
        states = tuple(spec.name for spec in interface.states)
        check_tensors("tflite", interface, _described(inputs), _described(outputs))
        ports = step_ports(interface)
        into = [inputs[n]["index"] for n in (*(t.name for t in ports.inputs), *states)]
        names = (*(t.name for t in ports.outputs), *(f"{n}_out" for n in states))
        self._inputs = StepInputs(name, interface)
        self._views = _TensorViews(interpreter, ports, into, [outputs[n]["index"] for n in names])

    def step(self, q_x: OperandArray, state: State) -> tuple[Int16Array, State]:
        """Advance one stream by one reading; see `Backend.step`."""
        views = self._views
        q_x = self._inputs.of_step(q_x)
        self._inputs.copy_state(state, views.states_in)
        views.put(views.x, q_x)
        views.invoke()
        return views.taken(views.y), tuple([v.copy() for v in views.states_out])

    def run(self, q_xs: OperandArray, state: State) -> tuple[Int16Array, State]:
        """Advance one stream by T readings; see `Backend.run`."""
        views = self._views
        q_xs = self._inputs.of_run(q_xs)
        self._inputs.copy_state(state, views.states_in)
        invoke, copy, x, y = views.invoke, np.copyto, views.x, views.y
        put, take = views.put, views.take
        pairs = list(zip(views.states_in, views.states_out, strict=True))
        q_ys = np.empty((len(q_xs), self.interface.output.width), dtype=np.int16)
        for q_x, q_y in zip(q_xs, q_ys, strict=True):
            put(x, q_x)
            invoke()
            take(q_y, y)
            for old, new in pairs:
                copy(old, new)
        return q_ys, tuple([v.copy() for v in views.states_in])

    def unchecked_step(self) -> Callable[[OperandArray], Int16Array]:
        """A step from codes to codes that keeps its state in the runtime's memory.

        It begins in the zero state and checks nothing: the shortest way through this runtime, for
        benchmarks.
        """
        views = self._views
        invoke, copy, put, taken = views.invoke, np.copyto, views.put, views.taken
        x, y = views.x, views.y
        pairs = list(zip(views.states_in, views.states_out, strict=True))
        for (old, _), zero in zip(pairs, self.interface.initial_state(), strict=True):
            copy(old, zero)

        # The views' memory lives as long as the object that holds the interpreter.
        def step(q_x: OperandArray, _owner: object = views) -> Int16Array:
            put(x, q_x)
            invoke()
            for old, new in pairs:
                copy(old, new)
            return taken(y)

        return step

    def close(self) -> None:
        """Release the interpreter; the backend cannot be used afterwards."""
        del self._views


class _TensorViews:
    """The interpreter's input and output tensors as vectors, and `invoke` between them.

    `Interpreter.invoke` refuses to run while views of its memory exist, since it could move
    tensors. A graph of fixed shapes never moves them, and views cost a tenth of set_tensor and
    get_tensor, so the wrapped native call is preferred where the runtime has it.

    `put(x, codes)`, `take(codes, y)` and `taken(y)` move the model's input and output: one tensor
    each, or, where the model has ports, one for each port.
    """

    def __init__(
        self, interpreter: Any, ports: StepPorts, inputs: list[int], outputs: list[int]
    ) -> None:
        # The native interpreter and the views read the file's bytes, which only this object holds.
        self._owner = interpreter
        native = getattr(getattr(interpreter, "_interpreter", None), "Invoke", None)
        self.invoke: Callable[[], None]
        if native is None:
            ins = [interpreter.get_tensor(i) for i in inputs]
            outs = [interpreter.get_tensor(i) for i in outputs]
            self.invoke = _copying_invoke(
                interpreter,
                list(zip(inputs, ins, strict=True)),
                list(zip(outputs, outs, strict=True)),
            )
        else:
            self.invoke = native
            # Inputs hold anything yet, and anything may be no token.
            for index in inputs:
                interpreter.set_tensor(index, np.zeros_like(interpreter.get_tensor(index)))
            native()  # whatever allocates on first use has done so before the views are taken
            ins = [interpreter.tensor(i)() for i in inputs]
            outs = [interpreter.tensor(i)() for i in outputs]
        xs, self.states_in = _parted([v[0] for v in ins], ports.inputs)
        ys, self.states_out = _parted([v[0] for v in outs], ports.outputs)
        self.put: Callable[[Any, OperandArray], None] = np.copyto
        self.take: Callable[[Int16Array, Any], None] = np.copyto
        self.taken: Callable[[Any], Int16Array] = np.ndarray.copy
        self.x: Any = xs[0][0]
        self.y: Any = ys[0][0]
        if len(xs) > 1:
            self.put, self.x = _put_parts, xs
        if len(ys) > 1:
            self.take, self.taken, self.y = _take_parts, _taken_parts, ys


#: Views of a vector's tensors, each with its place in the vector.
_Parts = list[tuple[np.ndarray[Any, Any], slice]]


def _parted(
    views: list[np.ndarray[Any, Any]], tensors: tuple[PortTensor, ...]
) -> tuple[_Parts, list[np.ndarray[Any, Any]]]:
    """The views of ports with their places, and those of the states behind them."""
    places = [tensor.place for tensor in tensors]
    return list(zip(views, places, strict=False)), views[len(places) :]


def _put_parts(parts: _Parts, codes: OperandArray) -> None:
    for view, place in parts:
        view[:] = codes[place]


def _take_parts(codes: Int16Array, parts: _Parts) -> None:
    for view, place in parts:
        codes[place] = view


def _taken_parts(parts: _Parts) -> Int16Array:
    return np.concatenate([view for view, _ in parts])


def _copying_invoke(
    interpreter: Any, inputs: list[tuple[int, Any]], outputs: list[tuple[int, Any]]
) -> Callable[[], None]:
    """An invocation through public functions alone, from and to the session's arrays."""

    def invoke() -> None:
        for index, array in inputs:
            interpreter.set_tensor(index, array)
        interpreter.invoke()
        for index, array in outputs:
            np.copyto(array, interpreter.get_tensor(index))

    return invoke


def _signature(interpreter: Any, key: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Tensor details of a signature by name."""
    try:
        # Only asked for its details: LiteRT's invoke() refuses to run while a runner lives.
        runner = interpreter.get_signature_runner(key)
        return runner.get_input_details(), runner.get_output_details()
    except ValueError as error:
        raise FormatError(
            f"tflite file: expected a signature '{key}', got none. "
            "Write one with: edgernn export MODEL.edgernn --to tflite"
        ) from error


def _described(details: dict[str, Any]) -> dict[str, StepTensor]:
    """Shape and dtype name of a signature's tensors."""
    return {
        name: (tuple(int(n) for n in d["shape"]), np.dtype(d["dtype"]).name)
        for name, d in details.items()
    }
