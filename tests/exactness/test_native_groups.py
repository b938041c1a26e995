"""Streams that share loads of the weights on the native backend: the reference's bits, each."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from edgernn.backends.native import NativeBackend, isas
from edgernn.model.formats import Precision
from edgernn.model.storage import Storage
from edgernn_firmware_sim.reference.reference import Reference
from tests.support.models.general import general_models
from tests.support.models.grid import grid, special
from tests.support.models.integer import CELLS, random_model, step_codes
from tests.support.models.networks import head_network, merge_chain, networks, residual_network
from tests.support.models.own_cell import own_models, register, wide_models
from tests.support.models.stored import stored
from tests.support.models.tokens import token_models
from tests.support.native.programs import require_native

#: More than twice a group, in no order, with lengths that end in the middle of others.
LENGTHS = (5, 12, 1, 7, 7, 12, 3, 12, 1, 9)


@pytest.fixture(autouse=True)
def _native():
    require_native()


def stored_networks():
    return {
        f"{storage.name}-{p.value}": stored(residual_network(p), storage)
        for storage, p in itertools.product(Storage, Precision)
    }


def other_networks():
    made = {f"head-{p.value}": head_network(p) for p in Precision}
    return made | {f"merges-{p.value}": merge_chain(p) for p in Precision}


def widths():
    """Rows and columns that fill no tile, no block, no register; one register, and more."""
    return {
        f"{cell}-{p.value}-{units}-{inputs}": random_model(
            cell, p, units=units, inputs=inputs, kind="hostile", common=common, outputs=3
        )
        for cell, p, common in itertools.product(CELLS, Precision, (True, False))
        for units, inputs in ((1, 1), (5, 9), (19, 2), (34, 17), (40, 132))
    }


def sequences(model):
    """Codes [T, I], and what the reference answers to them."""
    codes = np.stack([step_codes(model, max(LENGTHS), seed) for seed in range(len(LENGTHS))])
    outputs, _ = Reference(model).run(codes)
    pairs = list(zip(codes, outputs, LENGTHS, strict=True))
    return [q_xs[:count] for q_xs, _, count in pairs], [q_ys[:count] for _, q_ys, count in pairs]


@pytest.mark.parametrize(
    "models",
    [grid, special, widths, networks, other_networks, stored_networks, own_models, wide_models,
     general_models, token_models],
)  # fmt: skip
def test_every_instruction_set(models, monkeypatch):
    register(monkeypatch)
    compared, differing = 0, []
    for name, model in models().items():
        codes, wanted = sequences(model)
        for isa, layout in itertools.product(isas(), ("fast", "stored")):
            backend = NativeBackend(model, isa=isa, layout=layout)
            found = backend.run_sequences(codes)
            lasts = backend.run_sequences(codes, last=True)
            for q_ys, last, want in zip(found, lasts, wanted, strict=True):
                compared += want.size
                if not (np.array_equal(q_ys, want) and np.array_equal(last, want[-1:])):
                    differing.append((name, isa, layout, len(want)))
    assert differing == []
    assert compared > 1_000


@pytest.mark.parametrize("threads", [1, 2, 3, 64])
def test_threads(threads):
    model = random_model("lstm", units=20)
    codes, wanted = sequences(model)
    found = NativeBackend(model).run_sequences(codes, threads=threads)
    assert all(map(np.array_equal, found, wanted))


@pytest.mark.parametrize("count", range(10))
def test_every_number_of_sequences(count):
    model = random_model("gru_after")
    codes, wanted = sequences(model)
    found = NativeBackend(model).run_sequences(codes[:count])
    assert len(found) == count
    assert all(map(np.array_equal, found, wanted))


def test_sequences_of_one_length_and_empty_ones():
    model = random_model("lstm", Precision.W8A16)
    codes, wanted = sequences(model)
    alike = [q_xs[:1] for q_xs in codes]
    found = NativeBackend(model)._program.run_sequences([*alike, codes[0][:0]], False)
    assert [q_ys.tolist() for q_ys in found] == [want[:1].tolist() for want in wanted] + [[]]


REFUSED = {
    "a tuple": lambda codes: (codes,),
    "another dtype": lambda codes: [codes.astype(np.int32)],
    "another width": lambda codes: [codes, codes[:, :1]],
    "one reading": lambda codes: [codes[0]],
    "not contiguous": lambda codes: [codes[::2]],
    "off the grid": lambda codes: [codes, codes | 1],
    "nothing": lambda codes: [None],
}


@pytest.mark.parametrize("wrong", REFUSED)
def test_what_a_program_does_not_take_is_refused(wrong):
    model = random_model("gru_after", Precision.W8A16)
    program = NativeBackend(model)._program
    with pytest.raises((TypeError, ValueError), match=r"codes \[T, I\]|must be list"):
        program.run_sequences(REFUSED[wrong](step_codes(model, 6)), False)
