"""What the benchmark measures: networks, and ways of taking steps through them."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Final

import numpy as np

import edgernn
from benchmarks import layer_networks
from benchmarks.native.weight_read import aligned, load_reader, weight_bytes
from edgernn.backends.native import isas
from edgernn.bench.contenders import Contender
from edgernn.bench.own_backends import by_bound_step
from edgernn.model.formats import FloatArray, Precision
from edgernn.model.integer_model import IntegerModel
from edgernn_export.float_model.model import FloatModel
from edgernn_firmware_sim.reference.reference import Reference
from tests.support.models.float import float_model, stream
from tests.support.models.integer import random_codes, random_model

#: name -> (cell, units, inputs); every network ends in a Dense layer of 4.
NETWORKS: Final = {
    "GRU-32/8": ("gru_after", 32, 8),
    "LSTM-64/8": ("lstm", 64, 8),
    "GRU-128/64": ("gru_after", 128, 64),
}
#: Networks of other layers, which the native backend alone runs here: name -> model.
OTHERS: Final = {
    name: make for name, make in layer_networks.NETWORKS.items() if "Embedding" not in name
}
OUTPUTS: Final = 4
CHECKED_STEPS: Final = 200
LONGEST_STREAM: Final = 500
#: The names under which contenders are recorded that the report asks for.
NATIVE: Final = "native"
WEIGHT_READ: Final = "weight read"
#: Steps of one turn, so that a turn takes about a millisecond.
NATIVE_STEPS: Final = 1000
PEER_STEPS: Final = 50
#: Different readings in a turn of single steps.
VARIETY: Final = 50
#: A float output may differ by this from the float64 model's.
TOLERANCE: Final = 1e-4


def integer_model(network: str, precision: Precision) -> IntegerModel:
    """The integer form of a network, the same in every process."""
    if network in OTHERS:
        return OTHERS[network](precision)
    cell, units, inputs = NETWORKS[network]
    return random_model(cell, precision, inputs=inputs, units=units, outputs=OUTPUTS)


def same_float_model(network: str) -> FloatModel:
    """The float form of a network, the same in every process."""
    cell, units, inputs = NETWORKS[network]
    return float_model(cell, inputs=inputs, units=units, outputs=OUTPUTS)


def network_stream(network: str, steps: int) -> FloatArray:
    """Readings [T, I] for the float forms; a longer stream begins like a shorter one."""
    return stream(LONGEST_STREAM, NETWORKS[network][2])[:steps]


def native_contenders(network: str) -> list[Contender]:
    """The native back-end in both precisions; among peers, also the time to read the weights."""
    contenders = []
    for precision in Precision:
        model = integer_model(network, precision)
        for isa in isas():
            contenders += _native(network, model, isa, every_way=isa == isas()[0])
    if network in OTHERS:
        return contenders
    return [*contenders, weight_read(integer_model(network, Precision.W8A8))]


def _native(network: str, model: IntegerModel, isa: str, *, every_way: bool) -> list[Contender]:
    """`run` on one instruction set, or all ways of taking steps."""
    form = model.precision.value
    session = edgernn.load(model, NATIVE, isa=isa)
    check_native(f"{network} {form} {isa}", model, session)
    xs, q_xs = readings(model, NATIVE_STEPS), random_codes(model, NATIVE_STEPS)
    ways: dict[str, Callable[[], object]] = {"run": lambda: session.run(xs)}
    if every_way:
        ways["bind"] = bound_turn(session, xs)
        ways["step"] = step_turn(session, xs)
        ways["run_codes"] = lambda: session.run_codes(q_xs)
    return [Contender(NATIVE, form, way, NATIVE_STEPS, turn, isa) for way, turn in ways.items()]


def check_native(owner: str, model: IntegerModel, session: edgernn.Session) -> None:
    """Refuse to measure a session that differs from the reference in a bit, driven in any way."""
    xs, q_xs = readings(model, CHECKED_STEPS), random_codes(model, CHECKED_STEPS)
    with edgernn.load(model, backend="reference") as reference:
        ys = reference.run(xs)
    for stepped in (_by_run, _by_step, by_bound_step):
        session.reset()
        if not np.array_equal(stepped(session, xs), ys):
            raise SystemExit(f"{owner}: expected the reference's outputs, got others.")
    session.reset()
    if not np.array_equal(session.run_codes(q_xs), Reference(model).run(q_xs)[0]):
        raise SystemExit(f"{owner}: expected the reference's codes, got others.")


def readings(model: IntegerModel, steps: int) -> FloatArray:
    """Real readings [T, I] all over the range that the model takes."""
    low, high = model.precision.input_low, model.precision.input_high
    codes = np.random.default_rng(3).uniform(low, high, (steps, model.input.width))
    xs: FloatArray = model.input.offset + model.input.scale * codes
    return xs


def bound_turn(session: edgernn.Session, xs: FloatArray) -> Callable[[], None]:
    """Calls of bound steps; writing the reading into the array is the sensor's part."""
    y = np.empty(session.interface.output.width)
    steps = [session.bind(x, y) for x in xs[:VARIETY].copy()] * (NATIVE_STEPS // VARIETY)

    def turn() -> None:
        for step in steps:
            step()

    return turn


def step_turn(session: edgernn.Session, xs: FloatArray) -> Callable[[], None]:
    """Calls of `Session.step` with the readings one after the other."""
    rows = list(xs[:VARIETY].copy()) * (NATIVE_STEPS // VARIETY)

    def turn() -> None:
        for x in rows:
            session.step(x)

    return turn


def _by_run(session: edgernn.Session, xs: FloatArray) -> FloatArray:
    return session.run(xs)


def _by_step(session: edgernn.Session, xs: FloatArray) -> FloatArray:
    return np.stack([session.step(x) for x in xs])


def weight_read(model: IntegerModel) -> Contender:
    """Reading as many bytes as the network has weights, again and again."""
    size = weight_bytes(model)
    reader = load_reader()
    memory = aligned(size)
    address = memory.ctypes.data_as(ctypes.c_void_p)

    def turn() -> object:
        # The closure keeps the memory that the address points to.
        return reader(address, memory.size, NATIVE_STEPS)

    return Contender(WEIGHT_READ, "bytes", "pass", NATIVE_STEPS, turn)
