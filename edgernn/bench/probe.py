"""The readings that contenders run on, and the outputs they are compared with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgernn.errors import BackendMismatch, EdgeRnnError
from edgernn.model.formats import FloatArray
from edgernn.model.integer_model import IntegerModel
from edgernn.model.interface import Interface
from edgernn.records.opening import TableOptions, open_reader
from edgernn.records.text_files import open_text
from edgernn.session.loading import load
from edgernn.session.session import Session

#: Random readings that every contender is compared on; of given readings there may be more.
CHECKED_ANSWERS: Final = 200
GIVEN_READINGS: Final = 1000
#: Most readings that are read from a table: those of a long window and some answers.
MOST_READINGS: Final = 5000
_SEED: Final = 3
_DEFAULT: Final = TableOptions()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Probe:
    """Readings and the reference's outputs.

    Attributes:
        xs: float64 [T, I], readings in physical units.
        ys: float64 [T, O]; NaN before the first answer.
    """

    xs: FloatArray
    ys: FloatArray

    def save(self, path: Path) -> None:
        """Write both arrays for the processes of the contenders."""
        np.savez(path, xs=self.xs, ys=self.ys)

    @staticmethod
    def load(path: Path) -> Probe:
        """Read what `save` wrote."""
        with np.load(path, allow_pickle=False) as arrays:
            return Probe(xs=arrays["xs"], ys=arrays["ys"])

    def check(self, owner: str, ys: npt.NDArray[Any]) -> None:
        """Refuse outputs that are not the reference's, bit for bit.

        Args:
            owner: whose they are, for the message.
            ys: outputs [N, O] of the first N readings.

        Raises:
            BackendMismatch: a value differs.
        """
        wanted = self.ys[: len(ys)]
        same = (ys == wanted) | (np.isnan(ys) & np.isnan(wanted))
        if not same.all():
            raise BackendMismatch(
                f"bench, {owner}: expected the reference's outputs for {len(ys)} readings, got "
                f"{np.count_nonzero(~same)} of {ys.size} values that differ. No time is reported. "
                "Find the difference with: edgernn verify MODEL.edgernn"
            )


def probe_of(model: IntegerModel, readings: FloatArray | None = None) -> Probe:
    """Readings for a model, with the reference's outputs.

    Args:
        model: the integer model.
        readings: [T, I] in physical units; None makes random ones over the calibrated range.

    Raises:
        EdgeRnnError: too few readings for one answer.
    """
    interface = model.interface()
    wanted = checked_readings(interface)
    if readings is None:
        xs = random_readings(interface, wanted)
    else:
        xs = readings[: max(wanted, GIVEN_READINGS)]
    first = first_answer(interface)
    if len(xs) < first:
        raise EdgeRnnError(
            f"bench: expected at least {first} readings, which the first answer of '{model.name}' "
            f"needs, got {len(xs)}. Pass more, or none for random readings."
        )
    with load(model, backend="reference") as reference:
        return Probe(xs=xs, ys=reference.run(xs))


def first_answer(interface: Interface) -> int:
    """Readings until a stream has its first answer."""
    before = 0 if interface.rate is None else interface.rate.first
    return max(1, before, 0 if interface.window is None else interface.window.steps)


def period(interface: Interface) -> int:
    """Readings from one answer to the next."""
    every = 1 if interface.rate is None else interface.rate.readings
    return every if interface.window is None else max(every, interface.window.hop)


def checked_readings(interface: Interface) -> int:
    """Readings for at least `CHECKED_ANSWERS` readings, and for several answers."""
    return max(CHECKED_ANSWERS, first_answer(interface) + 8 * period(interface))


def random_readings(interface: Interface, count: int) -> FloatArray:
    """Random readings over the whole calibrated range; of tokens, any token.

    Args:
        interface: of the model.
        count: number of readings.

    Returns:
        float64 [count, I] in physical units, the same in every process.
    """
    source, precision = interface.input, interface.precision
    random = np.random.default_rng(_SEED)
    codes = random.uniform(precision.input_low, precision.input_high, (count, source.width))
    xs: FloatArray = source.offset + source.scale * codes
    for channel, size in enumerate(source.vocabulary):
        if size:
            xs[:, channel] = random.integers(0, size, count)
    return xs


def readings_from(
    path: Path, interface: Interface, options: TableOptions = _DEFAULT
) -> tuple[FloatArray, int]:
    """Readings of a table, CSV or JSON lines, or of a .npy array.

    Args:
        path: the file.
        interface: of the model, whose channels are picked by name.
        options: how a table is to be read.

    Returns:
        float64 [T, I], at most `MOST_READINGS`, and how many readings with missing values were
        left out.

    Raises:
        EdgeRnnError: not a table of this model's channels, or no complete reading.
        OSError: the file cannot be read.
    """
    if path.suffix == ".npy":
        try:
            array = np.load(path, allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise EdgeRnnError(
                f"{path.name}: expected an array in a .npy file, got {error!s:.120}. "
                "Write it with numpy.save."
            ) from error
        rows = readings_of(array, interface, path.name)
    else:
        rows = np.array(_rows(path, interface, options), dtype=np.float64)
        rows = rows.reshape(-1, interface.input.width)
    complete = np.isfinite(rows).all(axis=1)
    if not complete.any():
        raise EdgeRnnError(
            f"{path.name}: expected readings with a number for every channel, got none. "
            f"The channels are {', '.join(interface.input.names)}; name others with --columns."
        )
    return rows[complete], int(np.count_nonzero(~complete))


def readings_of(array: npt.NDArray[Any], interface: Interface, owner: str) -> FloatArray:
    """Readings in an array, several streams one after the other.

    Args:
        array: numbers [T, I] or [B, T, I].
        interface: of the model.
        owner: what the array is, for the message.

    Returns:
        float64 [B * T, I].

    Raises:
        EdgeRnnError: another shape, or no numbers.
    """
    width = interface.input.width
    if array.ndim not in (2, 3) or array.shape[-1] != width or array.dtype.kind not in "biuf":
        raise EdgeRnnError(
            f"{owner}: expected numbers of shape [T, {width}] or [B, T, {width}], got "
            f"{array.dtype} of shape {list(array.shape)}. Pass one row per reading, with the "
            f"channels {', '.join(interface.input.names):.120}."
        )
    return array.astype(np.float64).reshape(-1, width)


def _rows(path: Path, interface: Interface, options: TableOptions) -> list[Any]:
    """Values of at most `MOST_READINGS` lines."""
    source = interface.input
    found: list[Any] = []
    with open_text(str(path), options.encoding) as text:
        text.look()
        reader = open_reader(text, source.names, options, ports=source.ports)
        for line in text.lines():
            record = reader.read(line) if line.strip() else None
            if record is not None:
                found.append(record.x)
            if len(found) == MOST_READINGS:
                break
    return found


def by_step(session: Session, xs: FloatArray) -> FloatArray:
    """Outputs of readings that are taken one by one."""
    return np.stack([session.step(x) for x in xs])
