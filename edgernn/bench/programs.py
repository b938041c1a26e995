"""Programs that a benchmark can compare, by name; none is imported here."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from edgernn.bench.machine import is_installed
from edgernn.errors import EdgeRnnError
from edgernn.install import library_hint


class BenchProgram(NamedTuple):
    """One program in a separate process.

    Attributes:
        opener: ``module:function`` that returns `edgernn.bench.contenders.Opened`.
        package: that Python imports.
        distribution: whose version counts; "" if it is part of edgernn.
        needs: kind of file that it opens: "edgernn", "tflite" or "onnx".
        extra: of edgernn that installs it; "" if it comes with edgernn.
        backend: key of `edgernn.backends.BACKENDS`.
        options: of the back-end.
    """

    opener: str
    package: str
    distribution: str
    needs: str
    extra: str
    backend: str
    options: tuple[tuple[str, str], ...] = ()


_OWN: Final = "edgernn.bench.own_backends:open_own"
#: Our back-ends; each must give the reference's bits. The first one installed is the one that
#: `edgernn.load` chooses for .edgernn files.
OWN: Final[dict[str, BenchProgram]] = {
    "native": BenchProgram(_OWN, "edgernn._native", "", "edgernn", "", "native"),
    "tflite-runtime": BenchProgram(
        _OWN,
        "tflite_runtime",
        "tflite-runtime",
        "tflite",
        "tflite",
        "tflite",
        (("runtime", "tflite_runtime"),),
    ),
    "ai-edge-litert": BenchProgram(
        _OWN,
        "ai_edge_litert",
        "ai-edge-litert",
        "tflite",
        "tflite",
        "tflite",
        (("runtime", "ai_edge_litert"),),
    ),
    "onnxruntime": BenchProgram(_OWN, "onnxruntime", "onnxruntime", "onnx", "onnx", "onnx"),
    "reference": BenchProgram(_OWN, "edgernn", "", "edgernn", "", "reference"),
}
#: Peers: opener and package. Keras comes first, since it writes the files of the others.
PEERS: Final[dict[str, BenchProgram]] = {
    "keras": BenchProgram(
        "edgernn_export.bench.keras_peers:open_keras",
        "tensorflow",
        "tensorflow",
        "",
        "export",
        "",
    ),
    **{
        name: OWN[name]._replace(opener=f"edgernn_export.bench.runtime_peers:{function}")
        for name, function in (
            ("tflite-runtime", "open_tflite"),
            ("ai-edge-litert", "open_tflite"),
            ("onnxruntime", "open_onnx"),
        )
    },
}


def chosen_programs(names: Sequence[str] | None) -> dict[str, BenchProgram]:
    """Our back-ends of these names, in the order of the table; all by default.

    Args:
        names: keys of `OWN`; "tflite" and "onnx" stand for all their runtimes.

    Raises:
        EdgeRnnError: an unknown name.
    """
    if names is None:
        return dict(OWN)
    known = {*OWN, *(program.backend for program in OWN.values())}
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        raise EdgeRnnError(
            f"bench backends: expected names among {', '.join(OWN)}, got "
            f"{', '.join(unknown) or 'none'}. Leave the option out for all of them."
        )
    return {
        name: program for name, program in OWN.items() if name in names or program.backend in names
    }


def distributions(programs: Iterable[BenchProgram]) -> list[str]:
    """Distributions whose versions count, without repetition."""
    named = [program.distribution for program in programs if program.distribution]
    return list(dict.fromkeys([*named, "keras"]))


def missing_text(program: BenchProgram) -> str:
    """Why a program cannot run, and how to get it; "" if it is installed."""
    if is_installed(program.package):
        return ""
    command = library_hint(program.package, program.extra)
    if program.extra:
        only = program.package == "tflite_runtime" and sys.version_info >= (3, 12)
        return f"not installed; {'requires Python 3.11' if only else f'get it with: {command}'}"
    return f"not built; install a C compiler (on Debian: gcc and python3-dev), then run: {command}"
