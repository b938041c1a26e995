"""Text and other rows of tokens from models that score the next token (NUMERICS.md section 13).

    from edgernn.decoding import beam, greedy, sample

    session = edgernn.load("letters.edgernn")
    row = sample(session, first=letters.encode("the "), max_tokens=100, temperature=0.8, seed=1)

All of that is integer arithmetic on the model's output codes, so every back-end, and the functions
in edgernn_decode.h on a device, choose the same tokens.

Forecasters of numbers read their own forecasts, too:

    from edgernn.decoding import continue_series

    ten_days = continue_series(session, session.step(change), 10)
"""

from __future__ import annotations

from edgernn.decoding.beams import beam
from edgernn.decoding.loops import Decoded, greedy, sample
from edgernn.decoding.series import continue_series
from edgernn.model.border.symbols import Symbols

__all__ = ["Decoded", "Symbols", "beam", "continue_series", "greedy", "sample"]
