"""The Numenta Anomaly Benchmark: machines' streams with labeled anomalies (Ahmad 2017)."""

from __future__ import annotations

import csv
import json
import lzma
import math
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import numpy as np

from edgernn.errors import DataUnavailable
from edgernn.model.formats import FloatArray
from edgernn_export.datasets.sources import DataSource, missing, root

NAB: Final = DataSource(
    home="github.com/numenta/NAB (v1.1), data/ and labels/",
    licence="MIT",
    citation="Ahmad, Lavin, Purdy & Agha 2017, Unsupervised real-time anomaly detection for "
    "streaming data",
)
FOLDER: Final = "nab"
PACKED: Final = "nab_real.tar.xz"
LABELS: Final = "labels/combined_windows.json"
#: Share of the rows of a file that is not scored, and the most rows that it is of.
_PROBATION: Final = 0.15
_PROBATION_OF: Final = 5000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NabRecording:
    """One file of the benchmark.

    Attributes:
        name: folder and file.
        values: float64 [N].
        windows: first and last row of every labeled anomaly, in order.
    """

    name: str
    values: FloatArray
    windows: tuple[tuple[int, int], ...]

    @property
    def probation(self) -> int:
        """Rows at the start that a detector may learn from and that are not scored."""
        return probation(len(self.values))


def probation(rows: int) -> int:
    """Rows at the start of a file of ``rows`` rows that are not scored."""
    return min(math.floor(_PROBATION * rows), int(_PROBATION * _PROBATION_OF))


def read_recordings() -> list[NabRecording]:
    """The real recordings under ``nab/``, by name; artificial ones are left out.

    Read are ``data/real*/*.csv`` and ``labels/combined_windows.json`` as published, or else the
    same files in ``nab_real.tar.xz``.

    Raises:
        DataUnavailable: there are no recordings, or a file is damaged.
    """
    files = dict(_files(root() / FOLDER))
    names = sorted(name for name in files if name.startswith("data/real"))
    if LABELS not in files or not names:
        raise missing(f"{FOLDER}/data/real*/*.csv and {FOLDER}/{LABELS}, got none", NAB)
    try:
        labels: Mapping[str, Any] = json.loads(files[LABELS])
        return [_recording(n.removeprefix("data/"), files[n], labels) for n in names]
    except (ValueError, KeyError, TypeError) as error:
        raise DataUnavailable(
            f"{FOLDER}: expected timestamps and values, and labels of every file, got "
            f"{type(error).__name__} {error!s:.80}."
        ) from error


def _files(folder: Path) -> Iterator[tuple[str, str]]:
    """Name and text of the recordings and of their labels."""
    packed = folder / PACKED
    if (folder / LABELS).is_file() or not packed.is_file():
        for path in (*folder.glob("data/real*/*.csv"), *folder.glob(LABELS)):
            yield path.relative_to(folder).as_posix(), path.read_text(encoding="utf-8")
        return
    try:
        with tarfile.open(packed, mode="r:xz") as archive:
            for member in archive:
                wanted = member.name == LABELS or member.name.startswith("data/real")
                file = archive.extractfile(member) if wanted and member.isfile() else None
                if file is not None:
                    yield member.name, file.read().decode("utf-8")
    except (tarfile.TarError, lzma.LZMAError, EOFError, UnicodeDecodeError) as error:
        raise DataUnavailable(
            f"{PACKED}: expected a tar file packed with xz, got {error!s:.80}."
        ) from error


def _recording(name: str, text: str, labels: Mapping[str, Any]) -> NabRecording:
    rows = list(csv.reader(text.splitlines()))[1:]
    at = {datetime.fromisoformat(row[0]): number for number, row in reversed([*enumerate(rows)])}
    windows = tuple(
        (at[datetime.fromisoformat(first)], at[datetime.fromisoformat(last)])
        for first, last in labels[name]
    )
    return NabRecording(
        name=name, values=np.array([float(row[1]) for row in rows]), windows=windows
    )
