"""What a session accepts as a reading.

A reading has one real number per input channel, in the order of the channels or by their names.
Where the model has several inputs, their names stand for their channels.
NaN, infinity, None and a masked value stand for a value that is missing;
`edgernn.session.policies` says what becomes of it. Everything else, such as text, another number
of channels or an unknown name, is a programming error and raises under every policy.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

import numpy as np

from edgernn.errors import ReadingError, ShapeError
from edgernn.model.formats import FloatArray, OperandArray
from edgernn.model.interface import Interface, Port, port_slices

ChannelNames = tuple[str, ...]
#: Several inputs of a model; none where there is one.
Ports = tuple[Port, ...]


def read_one(x: object, names: ChannelNames, ports: Ports = (), where: str = "") -> FloatArray:
    """One reading as float64 [I]; NaN where a value is missing.

    Args:
        x: array-like [I], a scalar where I = 1, a mapping as in `named_values`, or a row of a table
            that has the names of all channels.
        names: of the input channels.
        ports: the inputs.
        where: position of the reading, for messages.

    Raises:
        ShapeError: another shape, not numbers, or a name is missing.
    """
    width = len(names)
    place = where and f" ({where})"
    if isinstance(x, Mapping):
        x = named_values(x, names, ports, where)
    elif hasattr(x, "__array__") and hasattr(x, "keys"):  # a row of a table
        x = _picked(np.asarray(x), x.keys(), names)
    reading = _as_float(x, place)
    if reading.ndim == 0 and width == 1:
        reading = reading.reshape(1)
    if reading.shape != (width,):
        raise ShapeError(
            f"session: expected a reading of shape ({width},), got {reading.shape}{place}. "
            "Pass one number per input channel."
        )
    return reading


def named_values(
    x: Mapping[str, Any], names: ChannelNames, ports: Ports = (), where: str = ""
) -> list[Any]:
    """The values of a reading in the order of the channels.

    Args:
        x: has a value for every channel, by name; others are ignored. Or, where there are several
            inputs, an entry for each of them, which is a reading of its channels, or for all the
            channels of one; and no others.
        names: of the input channels.
        ports: the inputs.
        where: position of the reading, for messages.

    Raises:
        ShapeError: a name is missing, or an entry is no reading of its input.
    """
    missing = [name for name in names if name not in x]
    if not missing:
        return [x[name] for name in names]
    place = where and f" ({where})"
    if not any(port.name in x for port in ports):
        wanted = ", ".join(port.name for port in ports) + " or " if ports else ""
        raise ShapeError(
            f"session: expected a reading with {wanted}{', '.join(names)}, got one without "
            f"{', '.join(missing)}{place}. Pass None for missing values."
        )
    values: list[Any] = []
    for port, own, value in _by_port(x, names, ports, place):
        if value is None:
            values += [None] * port.width
        else:
            input_ = f"{where}{where and ', '}input '{port.name}'"
            values += read_one(value, own, where=input_).tolist()
    return values


def _by_port(
    x: Mapping[str, Any], names: ChannelNames, ports: Ports, place: str
) -> Iterator[tuple[Port, ChannelNames, Any]]:
    """Every input with the names of its channels and what a mapping has for it.

    Raises:
        ShapeError: an input is missing, or a name is unknown.
    """
    parts: list[tuple[Port, ChannelNames, Any]] = []
    missing, used = [], set[str]()
    for port, own in zip(ports, port_slices(ports).values(), strict=True):
        channels = names[own]
        if port.name in x:
            used.add(port.name)
            parts.append((port, channels, x[port.name]))
        elif all(name in x for name in channels):
            used.update(channels)
            parts.append((port, channels, {name: x[name] for name in channels}))
        else:
            missing.append(port.name)
    wanted = f"the inputs {', '.join(port.name for port in ports)}"
    if missing:
        known = {*names, *(port.name for port in ports)}
        strangers = [str(name) for name in x if name not in known]
        instead = f", but {', '.join(strangers)}" if strangers else ""
        cure = (
            "Use the model's input names"
            if strangers
            else "Pass None for an input whose values are all missing"
        )
        raise ShapeError(
            f"session: expected {wanted}, got no {', '.join(missing)}{instead}{place}. {cure}."
        )
    unknown = [str(name) for name in x if name not in used]
    if unknown:
        raise ShapeError(
            f"session: expected {wanted}, got also {', '.join(unknown)}{place}. Remove the "
            "names that are not inputs."
        )
    yield from parts


def _columns(xs: Mapping[str, Any], names: ChannelNames, ports: Ports) -> FloatArray:
    """`read_many` of a mapping: readings of each input, or of each channel, by name.

    Raises:
        ShapeError: a name is missing or unknown, or an entry is no sequence of readings of its
            input, or of another length.
    """
    if all(name in xs for name in names):
        pieces = {name: read_many(xs[name], (name,), where=f"channel '{name}'") for name in names}
    else:
        pieces = {
            port.name: read_many(value, own, where=f"input '{port.name}'")
            for port, own, value in _by_port(xs, names, ports, "")
        }
    lengths = {name: len(piece) for name, piece in pieces.items()}
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"{count} of {name}" for name, count in lengths.items())
        raise ShapeError(
            f"session: expected the same number of readings for every input, got {listed}. "
            "Pass NaN for missing values."
        )
    return np.concatenate(list(pieces.values()), axis=1)


def read_many(xs: object, names: ChannelNames, ports: Ports = (), where: str = "") -> FloatArray:
    """A chunk of readings as float64 [T, I]; NaN where a value is missing.

    Args:
        xs: array-like [T, I], [T] where I = 1, a table whose columns have the names of all channels
            or of none, an iterable of readings, or a mapping of the names of all channels, or of
            several inputs, to such.
        names: of the input channels.
        ports: the inputs.
        where: whose readings they are, for messages.

    Raises:
        ShapeError: no sequence of readings; the message names the first that is none.
    """
    width = len(names)
    place = where and f" ({where})"
    if isinstance(xs, Mapping) and (ports or all(name in xs for name in names)):
        return _columns(xs, names, ports)
    rows = _rows(xs)
    if isinstance(rows, np.ndarray) and hasattr(xs, "columns"):
        rows = _picked(rows, xs.columns, names)
    if rows is None:
        raise ShapeError(
            f"session: expected readings [T, {width}], got {type(xs).__name__}{place}. Pass a "
            "sequence of readings to run, or a single reading to step."
        )
    if isinstance(rows, list) and any(_needs_a_look(row) for row in rows):
        return _each(rows, names, ports, where)
    try:
        array = _as_float(rows)
    except ShapeError:
        return _each(rows, names, ports, where)
    if array.ndim == 1 and (width == 1 or array.size == 0):
        array = array.reshape(-1, width)
    if array.ndim == 3:
        raise ShapeError(
            f"session: expected readings [T, {width}], got {len(array)} sequences "
            f"{list(array.shape)}{place}. Run each sequence in its own stream: "
            "[session.new_stream().run(xs) for xs in batch]"
        )
    if array.shape[1:] != (width,):
        return _each(array, names, ports, where)
    return np.ascontiguousarray(array)


def missing_value(x: float, channel: int, names: ChannelNames, where: str = "") -> ReadingError:
    """What is wrong with a reading that lacks a value.

    Args:
        x: what was read instead.
        channel: its number.
        names: of the input channels.
        where: position of the reading.
    """
    return ReadingError(
        f"session: expected finite values, got {x} ({where and f'{where}, '}channel "
        f"{channel}). Replace the value of '{names[channel]}', or open the session with "
        "on_bad_reading='hold' or 'skip'."
    )


def _as_float(x: object, place: str = "") -> FloatArray:
    """A float64 array of numbers; masked and missing values become NaN.

    Raises:
        ShapeError: ragged, or not numbers.
    """
    try:
        if isinstance(x, np.ma.MaskedArray):
            masked: Any = x
            x = masked.astype(np.float64).filled(np.nan)
        elif isinstance(x, (list, tuple)):
            x = [np.nan if value is np.ma.masked else value for value in x]
        array = np.asarray(x)
        if array.dtype.kind not in "biufO":
            raise TypeError(f"values of type {array.dtype.name}")
        if array.dtype.kind == "O":
            _refuse_text(array)
        return array.astype(np.float64, copy=False)
    except (TypeError, ValueError, OverflowError) as error:
        raise ShapeError(f"session: expected real numbers, got {error!s:.120}{place}.") from None


def _refuse_text(array: Any) -> None:
    """NumPy would read a number from it."""
    for value in array.flat:
        if isinstance(value, (str, bytes)):
            raise TypeError(f"values of type {type(value).__name__}")


def _rows(xs: object) -> Iterable[object] | None:
    """What iterates over readings, None where nothing does."""
    if hasattr(xs, "__array__") or isinstance(xs, memoryview):
        # A table of pandas would iterate over its column names. A masked array keeps its mask.
        array: Any = xs if isinstance(xs, np.ma.MaskedArray) else np.asarray(xs)
        return cast("Iterable[object]", array) if array.ndim else None
    if isinstance(xs, Iterable) and not isinstance(xs, (str, bytes, Mapping)):
        return list(xs)
    return None


def _picked(array: Any, labels: Iterable[Any], names: ChannelNames) -> Any:
    """The channels of a table by their names, all columns in their order where it has none.

    Raises:
        ShapeError: it has some of the names.
    """
    labels = [*labels]
    missing = [name for name in names if name not in labels]
    if len(missing) == len(names):
        return array
    if missing:
        raise ShapeError(
            f"session: expected the columns {', '.join(names)}, got a table without "
            f"{', '.join(missing)}. Rename its columns."
        )
    return array[..., [labels.index(name) for name in names]]


def _needs_a_look(row: object) -> bool:
    """Whether NumPy would not read this row as `read_one` does."""
    return isinstance(row, Mapping) or (
        isinstance(row, (list, tuple)) and any(value is np.ma.masked for value in row)
    )


def _each(xs: Iterable[object], names: ChannelNames, ports: Ports, where: str) -> FloatArray:
    """The slow way, which knows the first problem."""
    before = f"{where}, " if where else ""
    rows = [read_one(x, names, ports, f"{before}reading {t}") for t, x in enumerate(xs)]
    return np.array(rows, dtype=np.float64).reshape(-1, len(names))


def read_codes(q_x: object, interface: Interface, *, many: bool) -> OperandArray:
    """Input codes, checked against NUMERICS.md clauses 2.3 and 6.8.

    Args:
        q_x: integer array-like [I], or [T, I] with ``many``.
        interface: of the model.
        many: expect a chunk.

    Returns:
        A copy in the dtype of the model's input codes.

    Raises:
        ShapeError: another shape, or not integers.
        ReadingError: a code outside the range or grid of its channel.
    """
    width = interface.input.width
    wanted = f"[T, {width}]" if many else f"[{width}]"
    try:
        codes = np.asarray(q_x)
    except ValueError as error:
        raise ShapeError(f"session: expected codes {wanted}, got {error!s:.120}.") from None
    if codes.dtype.kind not in "iu" or codes.ndim != 1 + many or codes.shape[-1] != width:
        raise ShapeError(
            f"session: expected integer codes {wanted}, got {codes.dtype.name} "
            f"{list(codes.shape)}. Pass real numbers to `step` or `run` instead."
        )
    bounds = interface.input.code_bounds(interface.precision)
    bad = bounds.broken(codes)
    if bad.any():
        place = tuple(np.argwhere(bad)[0])
        tokens = interface.input.vocabulary and f" of '{interface.input.names[place[-1]]}'"
        raise ReadingError(
            f"session: expected {bounds.said(int(place[-1]))}{tokens or ''}, got "
            f"{int(codes[place])} (NUMERICS.md clause 2.3). Compute codes with "
            "`session.interface.quantize`."
        )
    return codes.astype(interface.code_dtype)
