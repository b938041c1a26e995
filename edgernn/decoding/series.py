"""Series of numbers that a forecaster continues from its own outputs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from edgernn.decoding.loops import MAX_TOKENS
from edgernn.errors import DecodingError
from edgernn.model.formats import FloatArray
from edgernn.session.reading_stream import Reading
from edgernn.session.session import Session


def continue_series(
    session: Session,
    first: npt.ArrayLike,
    steps: int,
    *,
    feed: Callable[[FloatArray], Reading] | None = None,
) -> FloatArray:
    """Forecast several steps ahead with a model that forecasts one: a recursive forecast.

        tomorrow = session.step(change)
        ten_days = continue_series(session, tomorrow, 10)

    A copy of the stream reads the forecasts in place of readings; the session itself stays where it
    is. Every back-end gives the same bits.

    Args:
        session: of a model with an output at every reading. It has just given ``first``.
        first: forecast of the next step, [O] in physical units; row 0 of the result.
        steps: rows of the result, 1 to 10,000.
        feed: makes the next reading [I] from a forecast [O]; default the forecast itself, which
            must then have a value for each input.

    Returns:
        float64 [steps, O]; row k is the forecast k + 1 steps ahead.

    Raises:
        DecodingError: the model or an argument is of another kind.
        ReadingError, ShapeError: what ``feed`` returns is no reading of this model.
    """
    interface = session.interface
    y = np.asarray(first, dtype=np.float64).reshape(-1)
    sparse = interface.rate is not None or (interface.window and interface.window.hop != 1)
    if sparse or interface.input.vocabulary:
        kind = "tokens" if interface.input.vocabulary else "an output at some readings only"
        raise DecodingError(
            f"continue_series: expected a model of numbers with an output at every reading, got "
            f"'{interface.name}' with {kind}. Quantize it with hop=1, or use greedy for tokens."
        )
    if feed is None and interface.input.width != interface.output.width:
        raise DecodingError(
            f"continue_series: expected as many outputs as inputs, got {interface.output.width} "
            f"and {interface.input.width} of '{interface.name}'. Pass feed, which makes a reading "
            "from an output."
        )
    if y.shape != (interface.output.width,) or not np.isfinite(y).all():
        raise DecodingError(
            f"continue_series first: expected {interface.output.width} finite values, the last "
            f"output of the session, got {y!s:.60}. Pass what `step` returned."
        )
    if not 1 <= steps <= MAX_TOKENS:
        raise DecodingError(
            f"continue_series steps: expected 1 to {MAX_TOKENS:,}, got {steps!r:.20}."
        )
    rows = [y]
    with session.copy() as ahead:
        while len(rows) < steps:
            rows.append(ahead.step(rows[-1] if feed is None else feed(rows[-1])))
    return np.stack(rows)
