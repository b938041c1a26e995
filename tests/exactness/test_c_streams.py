"""The generated C computes the reference's bits: every output and state value of every step."""

import numpy as np
import pytest

from tests.support.native.compilers import SANITIZERS, require, require_32_bit
from tests.support.native.stream_programs import (
    build,
    expected,
    run,
    stream_models,
    write_codes,
    write_sources,
)

MODELS = stream_models()
STEPS = 120
LONG_STEPS = 2_000


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    require("gcc")
    folder = tmp_path_factory.mktemp("native")
    return folder, write_sources(MODELS, folder)


@pytest.fixture(scope="module")
def sanitized(sources):
    folder, files = sources
    return build(["gcc", "-std=c99", "-O2", *SANITIZERS], files, folder, "sanitized")


@pytest.fixture(scope="module")
def short_run(sanitized, tmp_path_factory):
    folder = tmp_path_factory.mktemp("short") / "codes"
    write_codes(MODELS, folder, STEPS)
    return run(sanitized, folder)


@pytest.fixture(scope="module")
def long_codes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("long") / "codes"
    write_codes(MODELS, folder, LONG_STEPS)
    return folder


@pytest.fixture(scope="module")
def long_run(sanitized, long_codes):
    return run(sanitized, long_codes)


def differing(got, model, steps):
    wanted = expected(model, steps)
    values = np.frombuffer(got, np.int16)
    assert values.size == wanted.size
    return int(np.count_nonzero(values.reshape(wanted.shape) != wanted))


@pytest.mark.parametrize("name", MODELS)
def test_zero_lsb(name, short_run):
    assert differing(short_run[list(MODELS).index(name)], MODELS[name], STEPS) == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_zero_lsb_over_long_streams(name, long_run):
    assert differing(long_run[list(MODELS).index(name)], MODELS[name], LONG_STEPS) == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [
        ["gcc", "-std=c99", "-O2", "-m32"],
        pytest.param(["gcc", "-std=c11", "-O0"], marks=pytest.mark.long),
        pytest.param(["clang", "-std=c99", "-O2"], marks=pytest.mark.long),
    ],
    ids=" ".join,
)
def test_every_compiler_gives_the_same_bits(command, sources, long_codes, long_run):
    require(command[0])
    if "-m32" in command:
        require_32_bit()
    folder, files = sources
    program = build(command, files, folder, "other")
    assert run(program, long_codes) == long_run


def test_a_difference_is_seen(short_run):
    name = next(iter(MODELS))
    flipped = bytearray(short_run[0])
    flipped[-2] ^= 1
    assert differing(bytes(flipped), MODELS[name], STEPS) == 1
