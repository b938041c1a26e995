"""What users pass as X, as readings in time order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from sklearn.utils.validation import check_array, validate_data

from edgernn.errors import ShapeError
from edgernn.model.border.channels import MAX_NAME, controls
from edgernn.model.formats import FloatArray
from edgernn_export.calibration.frames import column_names

#: What the axes of X are; "BIT" is the numpy3D of sktime.
LAYOUTS: Final = ("TI", "BTI", "BIT")
#: Fewest rows or sequences that a network is trained on.
_LEAST: Final = 2
#: Types of index that say when a row was read.
_TIMES: Final = ("datetime64", "timedelta64", "period")


def read_rows(estimator: Any, table: Any, *, reset: bool) -> FloatArray:
    """Readings float64 [T, I] of one stream.

    Args:
        estimator: whose number and names of features are set, or compared.
        table: numbers [T, I], or a data frame; an index of times must ascend.
        reset: set them.

    Raises:
        ValueError: scikit-learn refuses the table.
        ShapeError: rows that are not in time order.
    """
    _check_time_order(table)
    x: FloatArray = validate_data(
        estimator, table, reset=reset, dtype=np.float64, ensure_min_samples=_LEAST if reset else 1
    )
    return x


def read_sequences(
    table: Any,
    layout: str,
    steps: int | None,
    channels: int | None,
    names: Sequence[str] | None = None,
) -> FloatArray:
    """Sequences float64 [B, T, I].

    Args:
        table: numbers in the axes of ``layout``, or a list of data frames [T, I] of one length.
        layout: "BTI" or "BIT".
        steps: T that is expected; None takes any.
        channels: I that is expected; None takes any.
        names: columns that data frames must have, in this order; default those of the first one.

    Raises:
        ValueError: scikit-learn refuses the numbers.
        ShapeError: another form, or data frames with other columns.
    """
    if isinstance(table, (list, tuple)) and column_names(table) is not None:
        for frame in table:
            _check_time_order(frame)
            _check_columns(frame, names if names is not None else column_names(table))
        lengths = {len(frame) for frame in table}
        if len(lengths) > 1:
            raise ShapeError(
                f"X: expected data frames of one length, got {sorted(lengths)!s:.60} rows. Cut or "
                "pad them, or train on one stream with layout='TI'."
            )
        table = np.stack([frame.to_numpy() for frame in table])
    least = 1 if steps else _LEAST
    x: FloatArray = check_array(
        table, dtype=np.float64, allow_nd=True, ensure_2d=False, ensure_min_samples=least
    )
    if x.ndim != 3:
        raise ShapeError(
            f"X: expected three axes {layout} (B sequences, T steps, I channels), got shape "
            f"{list(x.shape)}. For rows of one stream, pass layout='TI'."
        )
    if layout == "BIT":
        x = x.swapaxes(1, 2)
    wanted = (steps or x.shape[1], channels or x.shape[2])
    if x.shape[1:] != wanted:
        raise ShapeError(
            f"X: expected sequences of {wanted[0]} steps and {wanted[1]} channels like those of "
            f"fit, got {x.shape[1]} steps and {x.shape[2]} channels."
        )
    return np.ascontiguousarray(x)


def _check_columns(frame: Any, names: Sequence[str] | None) -> None:
    got = column_names(frame)
    if names is not None and got != tuple(names):
        raise ShapeError(
            f"X: expected data frames with the columns {', '.join(names)!s:.80}, in this order, "
            f"got {', '.join(got or ()) or 'others'!s:.80}. Select them: frame[[...]]."
        )


def _check_time_order(table: Any) -> None:
    index: Any = getattr(table, "index", None)
    kind = str(getattr(index, "dtype", ""))
    if not kind.startswith(_TIMES) or index.is_monotonic_increasing:
        return
    raise ShapeError(
        "X: expected rows in time order, got an index of times that goes back. Sort the rows, and "
        "divide them with walk_forward, TimeSeriesSplit or train_test_split(shuffle=False)."
    )


def can_name(name: str) -> bool:
    """Whether a model can have a channel of this name."""
    return len(name) <= MAX_NAME and not controls([name])


def check_names(owner: str, names: Sequence[str]) -> None:
    """Refuse names that no model has, before anything is trained.

    Args:
        owner: X or y, for messages.
        names: of its columns.

    Raises:
        ShapeError: a name is too long, or has control characters.
    """
    for name in names:
        if not can_name(name):
            raise ShapeError(
                f"{owner}: expected column names of at most {MAX_NAME} characters, none of them "
                f"a control character, got {name!r:.60}. Rename the column."
            )


def units_of(
    table: Any, given: Mapping[str, str] | Sequence[str] | None, names: Sequence[str]
) -> tuple[str, ...]:
    """Physical units of the channels.

    Args:
        table: a frame of pandas may have units by column in ``attrs["units"]``.
        given: units by channel, or one for each channel; None takes those of the table.
        names: of the channels.

    Raises:
        ShapeError: other channels, or another number of units.
    """
    if given is None:
        first = table[0] if isinstance(table, (list, tuple)) and len(table) else table
        given = getattr(first, "attrs", {}).get("units")
        if not isinstance(given, Mapping):
            return ("",) * len(names)
        return tuple(str(given.get(name) or "") for name in names)
    if isinstance(given, Mapping):
        unknown = [name for name in given if name not in names]
        if unknown:
            raise ShapeError(
                f"channel_units: expected channels among {', '.join(names)!s:.80}, got "
                f"{unknown[0]!r:.40}."
            )
        return tuple(given.get(name) or "" for name in names)
    if isinstance(given, str) or len(given) != len(names):
        raise ShapeError(
            f"channel_units: expected {len(names)} units, one for each channel, got {given!r:.60}."
        )
    return tuple(given)
