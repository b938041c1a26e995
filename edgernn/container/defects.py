"""Every way an .edgernn file can break FORMAT.md, by name."""

from __future__ import annotations

import enum
from typing import Final

from edgernn.errors import FormatError


class FormatDefect(enum.StrEnum):
    """One member per defect; FORMAT.md section 6 lists the same names."""

    NOT_A_FILE = "not_a_file"
    FILE_TOO_LARGE = "file_too_large"
    TRUNCATED = "truncated"
    TRAILING_BYTES = "trailing_bytes"
    HEADER_TOO_LARGE = "header_too_large"
    NOT_JSON = "not_json"
    JSON_TOO_DEEP = "json_too_deep"
    BAD_NUMBER = "bad_number"
    DUPLICATE_KEY = "duplicate_key"
    WRONG_SCHEMA = "wrong_schema"
    UNKNOWN_SCHEMA_VERSION = "unknown_schema_version"
    BAD_CHECKSUM = "bad_checksum"
    WRONG_KIND = "wrong_kind"
    UNKNOWN_DTYPE = "unknown_dtype"
    BAD_OFFSETS = "bad_offsets"
    BAD_RECORD = "bad_record"
    MISSING_TENSOR = "missing_tensor"
    UNEXPECTED_TENSOR = "unexpected_tensor"
    WRONG_DTYPE = "wrong_dtype"
    SHAPE_MISMATCH = "shape_mismatch"
    BAD_TILES = "bad_tiles"
    INVALID_MODEL = "invalid_model"
    NOT_CANONICAL = "not_canonical"


_COPY_AGAIN: Final = "Copy the file again from its source"
_OTHER_FILE: Final = "Check that this is an .edgernn file"
_SAVE_AGAIN: Final = "Save the model again with edgernn"

#: What helps, by defect. Damage in transit: copy again. Another kind of file: look for the right
#: one. A file some other program wrote or edited: let edgernn write it.
CURES: Final[dict[FormatDefect, str]] = {
    FormatDefect.NOT_A_FILE: "Check the path and its permissions",
    FormatDefect.FILE_TOO_LARGE: "Use fewer units or layers, or check that this is the right file",
    FormatDefect.TRUNCATED: _COPY_AGAIN,
    FormatDefect.TRAILING_BYTES: _COPY_AGAIN,
    FormatDefect.BAD_CHECKSUM: _COPY_AGAIN,
    FormatDefect.HEADER_TOO_LARGE: _OTHER_FILE,
    FormatDefect.NOT_JSON: _OTHER_FILE,
    FormatDefect.JSON_TOO_DEEP: _OTHER_FILE,
    FormatDefect.WRONG_SCHEMA: _OTHER_FILE,
    FormatDefect.WRONG_KIND: "Use IntegerModel.load for a model, ProgramSet.load for programs, "
    "or edgernn.load for either",
    FormatDefect.UNKNOWN_SCHEMA_VERSION: "Install the version of edgernn that wrote this file",
}


def format_error(
    defect: FormatDefect, owner: str, *, expected: str, got: str, where: str = "", cure: str = ""
) -> FormatError:
    """The error of one defect, in the sentence grammar of `edgernn.errors`.

    Args:
        defect: the broken rule.
        owner: the part of the file that breaks it.
        expected: what FORMAT.md requires.
        got: what the file holds, already shortened.
        where: position in the file, if that says more than the owner.
        cure: the fix, without a full stop; by default the one for this defect.
    """
    place = f" ({where})" if where else ""
    cure = cure or CURES.get(defect, _SAVE_AGAIN)
    return FormatError(f"{owner}: expected {expected}, got {got}{place}. {cure}.", defect=defect)


def check_limit(defect: FormatDefect, owner: str, size: int, limit: int) -> None:
    """Refuse more bytes than a part of a file may have.

    Raises:
        FormatError: the size is above the limit.
    """
    if size > limit:
        raise format_error(defect, owner, expected=f"at most {limit} bytes", got=str(size))
