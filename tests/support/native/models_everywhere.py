"""Many models against the reference: the native back-end step by step, and C on this machine."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edgernn.backends.native import NativeBackend
from edgernn.model.integer_model import IntegerModel
from tests.support.models.grid import reference_stream
from tests.support.models.integer import random_codes
from tests.support.native.compilers import SANITIZERS, require
from tests.support.native.stream_programs import build, expected, run, write_codes, write_sources


def assert_native_bits(models: dict[str, IntegerModel], steps: int) -> None:
    """Outputs and states of every step are those of the reference."""
    for name, model in models.items():
        codes = random_codes(model, steps)
        wanted, stream = reference_stream(model, codes), NativeBackend(model).new_stream()
        for t, row in enumerate(codes):
            got = [stream.advance(row[None])[0], *stream.state]
            for g, w in zip(got, wanted.values(), strict=True):
                np.testing.assert_array_equal(g, w[t], err_msg=name)


def assert_host_bits(
    models: dict[str, IntegerModel], folder: Path, steps: int, streams: int
) -> None:
    """The C of all models, under sanitizers, gives outputs and states of the reference."""
    require("gcc")
    files = write_sources(models, folder)
    program = build(["gcc", "-std=c99", "-O2", *SANITIZERS], files, folder, "models")
    write_codes(models, folder / "codes", steps * streams)
    got = run(program, folder / "codes", every=steps)
    for (name, model), answers in zip(models.items(), got, strict=True):
        assert answers == expected(model, steps * streams, every=steps).tobytes(), name
