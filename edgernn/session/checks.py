"""Checks of a session and its arguments: open or closed, warm-up, states, arrays to bind."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Final, Literal, Self, get_args

import numpy as np
import numpy.typing as npt

from edgernn.backends.base import State
from edgernn.backends.streams.stream_bytes import StreamContent
from edgernn.errors import EdgeRnnError, ReadingError, ShapeError, StateError
from edgernn.model.formats import INT16_MAX, INT16_MIN, Int16Array, Precision
from edgernn.model.interface import Interface
from edgernn.model.layer_record import StateSpec

#: What a window model answers before its first window is full.
WarmUp = Literal["nothing", "pad"]
WARM_UPS: Final[tuple[str, ...]] = get_args(WarmUp)
#: Largest number of a reading.
MAX_SEQUENCE: Final = 2**63 - 1


class Closing(ABC):
    """What can be closed, by `close` or at the end of a with block."""

    __slots__ = ()

    @abstractmethod
    def close(self) -> None:
        """Release what it holds. Idempotent."""

    @abstractmethod
    def _require_open(self) -> object:
        """Raise an error if it is closed."""

    def __enter__(self) -> Self:
        """Return itself."""
        self._require_open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()


def is_padded(warm_up: str, interface: Interface) -> bool:
    """Whether the first reading stands for those before it.

    Raises:
        EdgeRnnError: no such warm-up, or not a window model.
    """
    if warm_up not in WARM_UPS:
        raise EdgeRnnError(
            f"warm_up: expected {' or '.join(map(repr, WARM_UPS))}, got {warm_up!r:.40}."
        )
    if warm_up == "pad" and interface.window is None:
        raise EdgeRnnError(
            "warm_up: expected 'nothing' for an endless model, got 'pad' "
            f"('{interface.name}'). Only window models can be padded; omit warm_up."
        )
    return warm_up == "pad"


def checked_sequence(number: object) -> int:
    """The number of a reading.

    Raises:
        ReadingError: not an integer from 1 to 2**63 - 1.
    """
    if isinstance(number, (int, np.integer)) and not isinstance(number, bool):
        value = int(number)
        if 0 < value <= MAX_SEQUENCE:
            return value
    raise ReadingError(
        f"session: expected an integer from 1 to {MAX_SEQUENCE} as the number of a reading, got "
        f"{number!r:.40}. The first reading of a stream has the number 1; add 1 to numbers that "
        "begin at 0."
    )


def checked_state(interface: Interface, state: Mapping[str, npt.ArrayLike]) -> State:
    """Int16 copies of the vectors in ``state``, in the order of ``interface.carried``.

    Args:
        interface: of the model.
        state: one vector of integer codes per state name.

    Raises:
        StateError: a vector is missing, unknown, or does not fit its format.
    """
    if not isinstance(state, Mapping):
        raise StateError(
            f"state: expected a mapping of names to vectors, got {type(state).__name__}. "
            "Assign a value returned by `session.state`."
        )
    wanted = [spec.name for spec in interface.carried]
    if set(state) != set(wanted):
        raise StateError(
            f"state: expected the vectors {', '.join(wanted)}, "
            f"got {', '.join(sorted(map(str, state))) or 'none'}. "
            "Use a state of the same model."
        )
    vectors = tuple(
        _checked_vector(spec, state[spec.name], interface.precision) for spec in interface.carried
    )
    window, rate = interface.window, interface.rate
    if window is not None:
        _check_held("window", interface, vectors, 0, max(window.steps, window.hop))
    elif rate is not None:
        _check_held("rate", interface, vectors, 1, max(rate.readings, rate.first))
    return vectors


def named_state(interface: Interface, content: StreamContent) -> dict[str, Int16Array]:
    """The vectors that bytes held, by name."""
    names = [spec.name for spec in interface.carried]
    return dict(zip(names, content.state, strict=True))


def _check_held(name: str, interface: Interface, state: State, low: int, high: int) -> None:
    """Readings that are held, and how many are left until the answer."""
    codes, (due, *_), *_ = state
    bounds = interface.input.code_bounds(interface.precision)
    off_grid = bounds.broken(codes.reshape(-1, interface.input.width))
    if off_grid.any() or not low <= due <= high:
        raise StateError(
            f"state {name}: expected input codes (NUMERICS.md clause 2.3) and {low} to {high} "
            f"readings until the answer, got {int(off_grid.sum())} other codes and {int(due)} "
            "readings. Use a state of the same model."
        )


def _are_codes(p: Precision, codes: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    are: npt.NDArray[np.bool_] = (
        (codes >= p.input_low) & (codes <= p.input_high) & (codes % p.input_step == 0)
    )
    return are


def _checked_vector(spec: StateSpec, value: npt.ArrayLike, precision: Precision) -> Int16Array:
    try:
        codes = np.asarray(value)
    except ValueError as error:
        raise StateError(f"state {spec.name}: expected int16 codes, got {error!s:.120}.") from None
    if codes.dtype.kind not in "iu" or codes.shape != (spec.units,):
        raise StateError(
            f"state {spec.name}: expected int16 codes of shape ({spec.units},), "
            f"got {codes.dtype.name} {codes.shape}. Use a state of the same model."
        )
    if spec.codes and (~_are_codes(precision, codes)).any():
        raise StateError(
            f"state {spec.name}: expected input codes (NUMERICS.md clause 2.3), got others. "
            "Use a state of the same model."
        )
    low, high = int(codes.min()), int(codes.max())
    if low < INT16_MIN or high > INT16_MAX:
        raise StateError(
            f"state {spec.name}: expected codes in [{INT16_MIN}, {INT16_MAX}], "
            f"got [{low}, {high}]. Use a state of the same model."
        )
    return codes.astype(np.int16)


def are_real(interface: Interface, x: npt.NDArray[Any], y: npt.NDArray[Any]) -> bool:
    """Whether the arrays hold physical values; otherwise they hold codes.

    Args:
        interface: of the model.
        x: float64 [I] or operand codes [I].
        y: float64 [O] or int16 [O].

    Raises:
        ShapeError: another shape or dtype, not contiguous, not writable, or a mixture of the two.
    """
    operand = interface.code_dtype
    real = getattr(x, "dtype", np.dtype(np.float64)) == np.float64
    _check_array("x", x, interface.input.width, np.dtype(np.float64) if real else operand)
    _check_array("y", y, interface.output.width, np.dtype(np.float64 if real else np.int16))
    if not y.flags.writeable:
        raise ShapeError("session: expected a writable array y, got a read-only one. Pass a copy.")
    return real


def _check_array(name: str, array: npt.NDArray[Any], width: int, dtype: np.dtype[Any]) -> None:
    if type(array) is not np.ndarray:
        raise ShapeError(
            f"session: expected a NumPy array {name}, got {type(array).__name__}. "
            f"Make one with: np.empty({width}, np.{dtype.name})"
        )
    if array.dtype != dtype or array.shape != (width,):
        raise ShapeError(
            f"session: expected {name} of {dtype} [{width}], "
            f"got {array.dtype} {list(array.shape)}. "
            "Bind two arrays of float64 (physical values), or of codes (y int16)."
        )
    if not (array.flags.c_contiguous and array.flags.aligned):
        raise ShapeError(
            f"session: expected a contiguous array {name}, got strides {array.strides}. "
            "Pass a copy."
        )
