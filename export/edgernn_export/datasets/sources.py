"""Where the files of the data sets are, and where they come from."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edgernn.errors import DataUnavailable

#: Environment variable that names the folder of the data sets.
VARIABLE: Final = "EDGERNN_DATA"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a data set comes from.

    Attributes:
        home: public home of the files.
        licence: under what they may be used.
        citation: whom to name.
    """

    home: str
    licence: str
    citation: str


def root() -> Path:
    """The folder EDGERNN_DATA names.

    Raises:
        DataUnavailable: the variable is not set.
    """
    folder = os.environ.get(VARIABLE)
    if not folder:
        raise DataUnavailable(
            f"{VARIABLE}: expected the folder of the data sets, got nothing (environment). "
            f"Type: export {VARIABLE}=FOLDER."
        )
    return Path(folder)


def find(relative: str, source: Source) -> Path:
    """A file under EDGERNN_DATA, as such or with .xz appended.

    Raises:
        DataUnavailable: the variable is not set, or there is no such file; the message says where
            the file is from, and under which licence.
    """
    folder = root()
    for candidate in (folder / relative, folder / f"{relative}.xz"):
        if candidate.is_file():
            return candidate
    raise missing(f"the file {relative} or {relative}.xz, got neither", source)


def missing(expected: str, source: Source) -> DataUnavailable:
    """The error for files that are not there."""
    return DataUnavailable(
        f"{VARIABLE}: expected {expected} (in {root()}). "
        f"Public home: {source.home}; licence: {source.licence}."
    )
