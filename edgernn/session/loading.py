"""From a file or a model in memory to a session."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from edgernn.backends import BackendName, open_backend, open_model
from edgernn.backends.base import Backend
from edgernn.backends.tflite_file import read_programs
from edgernn.container.defects import FormatDefect
from edgernn.errors import EdgeRnnError, FormatError
from edgernn.model.integer_model import IntegerModel
from edgernn.model.program_sets.program_set import ProgramInterfaces, ProgramSet
from edgernn.session.checks import WarmUp, is_padded
from edgernn.session.policies import OnBadReading, OnBadReadings, check_policy
from edgernn.session.program_session import ProgramSession
from edgernn.session.session import Session

if TYPE_CHECKING:
    from edgernn.session.chunk_session import ChunkSession


def load(
    source: str | Path | IntegerModel,
    backend: BackendName = "auto",
    on_bad_reading: OnBadReading = "raise",
    warm_up: WarmUp = "nothing",
    **backend_options: Any,
) -> Session:
    """Open a model for streaming.

    A file of programs that share states, and a `ProgramSet`, give the `ProgramSession` that
    `load_programs` returns for them; use it for static type checks, which cannot see the content of
    a file. A network that answers whole chunks, such as a bidirectional one, gives the
    `ChunkSession` that `load_chunks` returns.

    Args:
        source: an .edgernn, .tflite or .onnx file, or an integer model in memory.
        backend: "native", "reference", "tflite" or "onnx"; "auto" chooses by the file's suffix,
            and for .edgernn files and models in memory "native" where it is installed.
        on_bad_reading: what a missing value (NaN, infinite, None, masked) does: "raise", "hold",
            "skip" or a number that takes its place (see `Policy`); or one of
            these by channel name, for example {"temperature": "hold", "pressure": 1013.0}, or by
            the name of an input, for all its channels without an own entry. Channels
            without one raise.
        warm_up: what a window model answers before its first window is full: "nothing" (NaN), or
            "pad", as if the first reading had been repeated before the stream.
        backend_options: passed to the backend, see its module.

    Raises:
        EdgeRnnError: no such file, policy, channel or option.
        FormatError: the file breaks its format.
        BackendUnavailable: the runtime is not installed, or cannot run this kind of file.
        BackendMismatch: the runtime does not reproduce the file's golden vector.
    """
    given: object = source
    if isinstance(given, ProgramSet):
        return _load_set(given, backend, on_bad_reading, warm_up, backend_options)
    if not isinstance(source, (str, os.PathLike, IntegerModel)):
        raise EdgeRnnError(
            f"load: expected a path, an IntegerModel or a ProgramSet, got {type(source).__name__}."
        )
    _check_policies(on_bad_reading)
    origin = _Origin(
        source if isinstance(source, IntegerModel) else Path(source), backend, backend_options
    )
    try:
        executed = origin.open()
    except FormatError as error:
        if error.defect != FormatDefect.WRONG_KIND or isinstance(source, IntegerModel):
            raise
        return _load_set(source, backend, on_bad_reading, warm_up, backend_options)
    try:
        return Session(executed, on_bad_reading, warm_up, origin=origin)
    except BaseException:
        executed.close()
        raise


def _load_set(
    source: str | Path | ProgramSet,
    backend: BackendName,
    on_bad_reading: OnBadReading,
    warm_up: WarmUp,
    options: dict[str, Any],
) -> Session:
    """A session over a set of programs, which has the calls of its kind."""
    linked = _linked(source, backend, options)
    if linked[0].chunk is None:
        return cast("Session", _program_session(*linked, on_bad_reading, warm_up))
    if on_bad_reading != "raise" or warm_up != "nothing":
        raise EdgeRnnError(
            "load: expected on_bad_reading='raise' and warm_up='nothing' for a network that "
            f"answers whole chunks, got {on_bad_reading!r:.40} and {warm_up!r:.40}. Fill missing "
            "values of a chunk before you pass it."
        )
    return cast("Session", _chunk_session(*linked))


def load_chunks(
    source: str | Path | ProgramSet, backend: BackendName = "auto", **backend_options: Any
) -> ChunkSession:
    """Open a network that answers whole chunks, such as a bidirectional one.

    Args:
        source: an .edgernn or .tflite file of passes over a chunk, or a set in memory.
        backend: "native", "reference", "tflite" or "auto", as in `load`.
        backend_options: passed to the backend, see its module.

    Raises:
        EdgeRnnError: as `load`, or the programs have no plan of passes.
        FormatError, BackendUnavailable: as `load`.
    """
    return _chunk_session(*_linked(source, backend, backend_options))


def _chunk_session(interfaces: ProgramInterfaces, origins: dict[str, _Origin]) -> ChunkSession:
    from edgernn.session.chunk_session import ChunkSession

    with _opened(origins) as backends:
        return ChunkSession(interfaces, backends)


def load_programs(
    source: str | Path | ProgramSet,
    backend: BackendName = "auto",
    on_bad_reading: OnBadReadings = "raise",
    warm_up: WarmUp = "nothing",
    **backend_options: Any,
) -> ProgramSession:
    """Open programs that share states for streaming.

    Args:
        source: an .edgernn or .tflite file of programs, or a set in memory.
        backend: "native", "reference", "tflite" or "auto", as in `load`.
        on_bad_reading: as in `load`, for all programs, or a mapping of their names to such.
        warm_up: "nothing": no program waits for a window.
        backend_options: passed to the backend, see its module.

    Raises:
        EdgeRnnError, FormatError, BackendUnavailable: as `load`.
    """
    _check_policies(on_bad_reading)
    interfaces, origins = _linked(source, backend, backend_options)
    if interfaces.chunk is not None:
        raise EdgeRnnError(
            f"load_programs: expected programs over an endless stream, got '{interfaces.name}', "
            f"which answers {interfaces.chunk}. Load it with edgernn.load_chunks."
        )
    return _program_session(interfaces, origins, on_bad_reading, warm_up)


def _program_session(
    interfaces: ProgramInterfaces,
    origins: dict[str, _Origin],
    on_bad_reading: OnBadReadings,
    warm_up: WarmUp,
) -> ProgramSession:
    is_padded(warm_up, interfaces.programs[0])  # which no program can be
    with _opened(origins) as backends:
        return ProgramSession(interfaces, backends, on_bad_reading, origins=origins)


@contextmanager
def _opened(origins: Mapping[str, _Origin]) -> Iterator[dict[str, Backend]]:
    """The back-ends of programs, closed again if not all open or the block fails."""
    opened: dict[str, Backend] = {}
    try:
        for name, origin in origins.items():
            opened[name] = origin.open()
        yield opened
    except BaseException:
        for one in opened.values():
            one.close()
        raise


def _linked(
    source: str | Path | ProgramSet, backend: BackendName, options: dict[str, Any]
) -> tuple[ProgramInterfaces, dict[str, _Origin]]:
    """What programs are linked by, and what to open for each of them."""
    if not isinstance(source, ProgramSet) and Path(source).suffix == ".tflite":
        interfaces = read_programs(Path(source))
        origins = {
            name: _Origin(Path(source), backend, {**options, "program": name})
            for name in interfaces.names
        }
        return interfaces, origins
    programs = source if isinstance(source, ProgramSet) else ProgramSet.load(source)
    models = {model.name: model for model in programs.programs}
    return programs.interfaces(), {
        name: _Origin(model, backend, options) for name, model in models.items()
    }


def _check_policies(given: OnBadReadings) -> None:
    """Refuse values that are not a policy for a model or for programs."""
    for policy in given.values() if isinstance(given, Mapping) else (given,):
        check_policy(policy)


@dataclass(slots=True)
class _Origin:
    """What a session was opened from; pickled, it is the content of the file.

    Attributes:
        source: a file, a model, or the name and content of a file.
        backend: as given.
        options: of the backend.
        sha256: of the model that was opened.
        stamp: size and time of the file that was opened.
    """

    source: Path | IntegerModel | tuple[str, bytes]
    backend: BackendName
    options: dict[str, Any]
    sha256: str = ""
    stamp: tuple[int, int] = field(default=(0, 0))

    def open(self) -> Backend:
        """Open the backend.

        Raises:
            EdgeRnnError: what it opens is no longer what it was.
        """
        if isinstance(self.source, IntegerModel):
            backend = open_model(self.source, self.backend, **self.options)
        elif isinstance(self.source, Path):
            backend = open_backend(self.source, self.backend, **self.options)
            self.stamp = _stamp(self.source)
            self.source = self.source.absolute()
        else:
            import tempfile  # takes a while to import, and hardly anybody needs it

            name, content = self.source
            with tempfile.TemporaryDirectory(prefix="edgernn-") as folder:
                path = Path(folder, name)
                path.write_bytes(content)
                backend = open_backend(path, self.backend, **self.options)
        self.sha256 = self.sha256 or backend.interface.model_sha256
        if self.sha256 != backend.interface.model_sha256:
            backend.close()
            raise EdgeRnnError(
                "session: expected the model that the pickled session ran, got another one. "
                "The file was replaced before the session was pickled; load the model again."
            )
        return backend

    def __reduce__(self) -> tuple[Callable[..., _Origin], tuple[Any, ...]]:
        """Pickle the content in place of the path.

        Raises:
            EdgeRnnError: the file is missing, or was changed since it was opened.
        """
        source = self.source
        if isinstance(source, IntegerModel):
            from edgernn.container.file import to_bytes

            source = "model.edgernn", to_bytes(source)
        elif isinstance(source, Path):
            source = source.name, _content(source, self.stamp)
        return _Origin, (source, self.backend, self.options, self.sha256)


def _stamp(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def _content(path: Path, stamp: tuple[int, int]) -> bytes:
    try:
        if _stamp(path) == stamp:
            return path.read_bytes()
        found = "another one"
    except OSError as error:
        found = f"none ({error.strerror})"
    raise EdgeRnnError(
        f"session: expected the file that was opened to pickle it, got {found} ('{path}'). Do "
        "not move or change the file while sessions that use it are pickled."
    )
