"""The process one runtime lives in while it is verified: codes in, outputs and states out."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from edgernn.backends import open_backend
from edgernn.backends.base import Backend
from edgernn.backends.streams.collected_streams import unmasked
from edgernn.backends.streams.value_stream import new_stream, step_stream
from edgernn.errors import EdgeRnnError
from edgernn.model.program_sets.program_set import ProgramSet
from edgernn.session.chunk_session import ChunkSession
from edgernn.session.program_session import ProgramSession
from edgernn_export.verification.chunk_walk import Chunks, answered
from edgernn_export.verification.program_walk import Walk, walked


def main(job: dict[str, Any], options: dict[str, str]) -> None:
    """Run codes, a walk over programs, or without either the golden vector of the file."""
    if "walk" in job:
        _take_walk(job, options)
        return
    backend = open_backend(Path(job["model"]), job["backend"], **options)
    if "codes" in job:
        _run_codes(backend, job)
    else:
        _run_golden(backend, job)
    backend.close()


def _run_codes(backend: Backend, job: dict[str, Any]) -> None:
    """Run every step on its own and write outputs, states and the median time per step.

    The network of a window model starts again with every window. What the model answers to the
    first readings, or, where a step takes several, to all, comes behind the outputs of the steps.
    """
    readings = np.load(job["codes"], allow_pickle=False)
    interface = backend.interface
    stream, window, rate = step_stream(backend), interface.window, interface.rate
    steps = len(readings) // interface.step_readings
    q_xs = readings[: steps * interface.step_readings].reshape(steps, interface.step_width)
    every = steps if window is None else max(1, window.steps // interface.step_readings)
    q_ys = np.empty((steps, interface.output.width), dtype=np.int16)
    q_states = np.empty((steps, sum(map(len, stream.state))), dtype=np.int16)
    elapsed_ns = np.empty(steps)
    for t in range(steps):
        if t % every == 0:
            stream.reset()
        start = time.perf_counter_ns()
        q_y = stream.advance_one(q_xs[t])
        elapsed_ns[t] = time.perf_counter_ns() - start
        q_ys[t] = q_y
        q_states[t] = np.concatenate(stream.state)
    step_us = np.float64(np.median(elapsed_ns) / 1000)
    if window is not None:
        readings = readings[: 1 + len(readings) // window.steps]
    if window is not None or rate is not None:
        answered = new_stream(backend, padded=window is not None).advance(readings)
        q_ys = np.concatenate([q_ys, unmasked(answered)])
    np.savez(job["out"], q_ys=q_ys, q_states=q_states, step_us=step_us)


def _take_walk(job: dict[str, Any], options: dict[str, str]) -> None:
    """Write what a walk over programs gives, or passes over chunks."""
    files: dict[str, str] = job["files"]
    several = len(set(files.values())) < len(files)
    backends = {
        name: open_backend(
            path, job["backend"], **options, **({"program": name} if several else {})
        )
        for name, path in files.items()
    }
    interfaces = ProgramSet.load(job["set"]).interfaces()
    if interfaces.chunk is not None:
        with ChunkSession(interfaces, backends) as session:
            q_ys, q_states, step_us = answered(session, Chunks.load(Path(job["walk"])))
        np.savez(job["out"], q_ys=q_ys, q_states=q_states, step_us=np.float64(step_us))
        return
    with ProgramSession(interfaces, backends) as walking:
        q_ys, q_states, step_us = walked(walking, Walk.load(Path(job["walk"])))
    np.savez(job["out"], q_ys=q_ys, q_states=q_states, step_us=np.float64(step_us))


def _run_golden(backend: Backend, job: dict[str, Any]) -> None:
    """Write what the network answers to the golden vector, and what it should."""
    interface = backend.interface
    golden = interface.golden
    if golden is None:
        raise EdgeRnnError("expected a golden vector in the file, got none")
    start = time.perf_counter_ns()
    q_ys, _ = backend.run(golden.q_x, interface.initial_state())
    step_us = np.float64((time.perf_counter_ns() - start) / 1000 / len(q_ys))
    np.savez(
        job["out"],
        q_ys=q_ys,
        wanted=golden.q_y,
        model_sha256=np.array(interface.model_sha256),
        step_us=step_us,
    )


if __name__ == "__main__":
    order = json.loads(sys.argv[1])
    main(order, order.pop("options"))
