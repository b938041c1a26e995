"""Hands the extension module programs with one thing wrong; none may read or write out of bounds.

As a script it does so to the extension in a file: `native_fuzz.py FILE COUNT`. Whoever compiled
that with sanitizers sees every access outside an array.
"""

from __future__ import annotations

import importlib.util
import random
import sys
import zlib
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np

from edgernn.backends import native
from edgernn.model.formats import Precision
from edgernn.model.integer_model import IntegerModel
from edgernn.model.storage import Storage
from tests.support.models.integer import CELLS, random_codes, random_model
from tests.support.models.networks import networks, random_network
from tests.support.models.stored import stored
from tests.support.models.tokens import token_and_real_network, token_chain, token_models

INTEGERS = (
    -(2**31),
    -4,
    -1,
    0,
    1,
    2,
    3,
    4,
    5,
    8,
    9,
    10,
    12,
    29,
    31,
    65536,
    65537,
    2**31 - 1,
    2**31,
)
#: Which argument of `Program` says how many tokens channels have.
VOCABULARY = 11
OTHERS = (None, 1.5, "x", (), [], b"", object())
REFUSALS = (TypeError, ValueError, OverflowError, BufferError)


def ignored(channel: int, value: float) -> None:
    """Hear of a clipped reading."""


def by_operations(model: IntegerModel, isa: str) -> tuple[Any, ...]:
    """The same where no layer has a kernel."""
    with mock.patch.object(native, "_KINDS", (None,) * len(native._KINDS)):
        return arguments(model, isa)


def arguments(model: IntegerModel, isa: str, layout: str = "stored") -> tuple[Any, ...]:
    """What `Program` is called with for a model."""
    called: list[tuple[Any, ...]] = []
    stand_in = SimpleNamespace(Program=lambda *given: called.append(given))
    with mock.patch.object(native, "_module", lambda: stand_in):
        native._program(model, isa, layout, ignored)
    return called[0]


def spoilt(value: Any, rng: random.Random) -> Any:
    """The value with one thing in it changed."""
    if isinstance(value, tuple) and value and rng.random() < 0.9:
        index = rng.randrange(len(value))
        if rng.random() < 0.1:
            return rng.choice([value[:index], value[index + 1 :], (*value, value[index])])
        return (*value[:index], spoilt(value[index], rng), *value[index + 1 :])
    if isinstance(value, int) and rng.random() < 0.9:
        return rng.choice([*INTEGERS, value + 1, value - 1, value + 4, value - 4])
    if isinstance(value, bytes | np.ndarray) and rng.random() < 0.9:
        content = bytes(value)
        at = rng.randrange(len(content) + 1)
        other = content[:at] + rng.randbytes(1) + content[at + 1 :]
        lengths = [content[:-1], content[4:], content + bytes(4), content * 2, content[:16]]
        return rng.choice([*lengths, bytes(64), other])
    return rng.choice(OTHERS)


def exercise(program: Any, width: int, bits: int) -> None:
    """Steps over a program that was accepted."""
    stream = program.stream()
    codes = np.zeros((3, width), np.int8 if bits == 8 else np.int16)
    codes[:] = (np.arange(codes.size) * 36).reshape(codes.shape) % 128
    outputs = stream.run_codes(codes)
    assert stream.run(np.ones((3, width))).shape == outputs.shape
    copy = stream.copy()
    assert copy.step_codes(codes[0]).tolist() == stream.step_codes(codes[0]).tolist()
    stream.restore(copy.snapshot())
    for readings in readings_of_every_kind(width):
        assert len(stream.run(readings)) == len(readings)
        assert len(stream.run([*readings])) == len(readings)
        stream.step(readings[0])
    assert len(stream.clipped) == width
    exercise_sequences(program, codes)
    exercise_rows(program, width, bits)
    exercise_bytes(stream, program.stream())


def exercise_sequences(program: Any, codes: Any) -> None:
    """Whole streams in one call, with and without steps of a group."""
    wanted = program.stream().run_codes(codes)
    sequences = [codes[: 3 - b % 4] for b in range(10)]
    for q_ys, q_xs in zip(program.run_sequences(sequences, False), sequences, strict=True):
        assert q_ys.tolist() == wanted[: len(q_xs)].tolist()
    assert program.run_sequences(sequences[:3], True).tolist() == wanted[::-1].tolist()


def exercise_rows(program: Any, width: int, bits: int) -> None:
    """A batch of readings of which many lack values, and rows as bytes."""
    rng = np.random.default_rng(width)
    policies = rng.permuted(np.arange(width) % 4).astype(np.uint8)
    rows = program.rows(b"head", policies.tobytes(), bytes(width * bits // 8))
    rows.resize(3)
    rows.resize(70)
    which = np.repeat(np.arange(70, dtype=np.int32), 2)
    xs = rng.normal(size=(140, width)) * 100
    xs[rng.random(xs.shape) < 0.3 / width] = np.nan
    ys = np.empty((140, program.stream().run(xs[:0]).shape[1]))
    bad, numbers = np.empty(140, np.bool_), np.ones(140, np.int64)
    rows.step(which, xs, ys, bad, None)
    rows.step(which, xs, ys, bad, numbers)
    blobs = tuple(rows.export(which))
    assert rows.load(which, blobs) == 140
    assert rows.load(which, tuple(blob[:-1] for blob in blobs)) == 0
    for k, blob in enumerate(blobs[:30]):
        rows.load(which[:1], (resealed(blob, k),))
        rows.step(which[:1], xs[:1], ys[:1], bad[:1], None)
    rows.reset(which[:9])
    rows.step(which, xs, ys, bad, None)


def exercise_bytes(stream: Any, other: Any) -> None:
    """Bytes of a stream, whole, cut and spoilt."""
    blob = stream.to_bytes(b"head", 3)
    assert other.from_bytes(b"head", blob) == 3
    assert other.to_bytes(b"head", 3) == blob
    for count in range(0, len(blob), 7):
        assert other.from_bytes(b"head", blob[:count]) is None
    for seed in range(30):
        other.from_bytes(b"head", resealed(blob, seed))
        other.step(np.zeros(len(other.clipped)))


def resealed(blob: bytes, seed: int) -> bytes:
    """The bytes with one bit flipped behind their head, and a checksum that fits."""
    spoilt = bytearray(blob[:-4])
    place = random.Random(seed).randrange(32, 8 * len(spoilt))
    spoilt[place // 8] ^= 1 << place % 8
    return bytes(spoilt) + zlib.crc32(spoilt).to_bytes(4, "little")


def exercise_tokens(program: Any, width: int) -> None:
    """The same of one that reads tokens, which takes codes alone, and only those there are."""
    stream = program.stream()
    codes = np.zeros((3, width), np.int16)
    outputs = stream.run_codes(codes)
    assert len(outputs) == 3
    rng = np.random.default_rng(0)
    for high in (2, 7, 50, 1 << 15):
        for row in rng.integers(-1 if high > 2 else 0, high, (20, width), np.int16):
            stream.step_codes(row)
    assert stream.run(np.zeros((3, width))) is None
    assert stream.step(np.zeros(width)) is None
    copy = stream.copy()
    # A look-up of scratch that nothing was written to may give other rows, all of its table.
    assert len(copy.step_codes(codes[0])) == len(stream.step_codes(codes[0]))
    stream.restore(copy.snapshot())
    assert stream.held.tolist() == codes[0].tolist()


def readings_of_every_kind(width: int) -> list[Any]:
    """Chunks [T, I] in any type and layout, some of them clipped."""
    xs = np.arange(3.0 * width).reshape(3, width) % 120
    far = xs.copy()
    far[1, -1], far[2, 0] = 1e300, -1e300
    wide = np.repeat(np.repeat(far, 2, axis=0), 2, axis=1)
    types = [xs.astype(code) for code in "bhilqBHILQefd"]
    return [
        *types,
        far,
        np.asfortranarray(far),
        wide[::2, ::2],
        far[::-1, ::-1],
        np.tile(far, (14, 1)),
        far.tolist(),
    ]


def fuzz(module: Any, count: int, seed: int = 0) -> tuple[int, int]:
    """Try that many spoilt programs of every cell, of networks; (accepted, refused)."""
    rng = random.Random(seed)
    accepted = refused = 0
    goods: list[tuple[Any, ...]] = []
    for cell in CELLS:
        for precision in Precision:
            plain = random_model(cell, precision, units=5, stack=2, common=False)
            model = stored(plain, Storage.DENSE4, Storage.DENSE8, Storage.SPARSE8)
            made = (arguments, by_operations) if cell in ("lstm", "gru_before") else (arguments,)
            goods += [of(model, isa) for isa, of in product(module.isas(), made)]
    for seed, precision in enumerate(Precision):
        network = random_network(precision, seed=seed)
        beside = token_and_real_network(precision, seed=seed)
        made_of = (network, beside, token_chain(precision, tokens=2, columns=3))
        goods += [arguments(model, isa) for model, isa in product(made_of, module.isas())]
    for good in goods:
        _exercised(module.Program(*good), good)
        for _ in range(count):
            bad = spoilt(good, rng)
            try:
                program = module.Program(*bad)
            except REFUSALS:
                refused += 1
            else:
                accepted += 1
                _exercised(program, bad)
    return accepted, refused


def _exercised(program: Any, given: tuple[Any, ...]) -> None:
    """Steps over a program that was accepted, made of these arguments."""
    if len(given) > VOCABULARY and given[VOCABULARY] is not None:
        exercise_tokens(program, given[2])
    else:
        exercise(program, given[2], given[1])


def run_valid(module: Any) -> None:
    """Streams of good models: what the sanitizers say of kernels as they are."""
    for cell in CELLS:
        for precision in Precision:
            for units in (1, 6, 17, 33):
                plain = random_model(cell, precision, units=units, kind="hostile", stack=2)
                for model in (plain, *(stored(plain, storage) for storage in Storage)):
                    codes = random_codes(model, 50)
                    for isa in module.isas():
                        module.Program(*arguments(model, isa)).stream().run_codes(codes)
                        module.Program(*by_operations(model, isa)).stream().run_codes(codes)

    for network, isa in product([*networks().values(), *token_models().values()], module.isas()):
        codes = random_codes(network, 50)
        module.Program(*arguments(network, isa)).stream().run_codes(codes)


def _main(file: Path, count: int) -> None:
    spec = importlib.util.spec_from_file_location("edgernn._native", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    run_valid(module)
    print(*fuzz(module, count))


if __name__ == "__main__":
    _main(Path(sys.argv[1]), int(sys.argv[2]))
