"""Windows or an endless stream: what a network was made for, what the user asks for."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, get_args

import numpy as np
import numpy.typing as npt

from edgernn.errors import QuantizationError, StreamKindWarning
from edgernn.model.formats import FloatArray
from edgernn.model.interface import MAX_WINDOW_STEPS, Window
from edgernn.model.rates import Rate
from edgernn_export.float_model import rated_run
from edgernn_export.float_model.model import FloatModel

StreamKind = Literal["auto", "window", "endless"]

#: Error of an endless stream, as a share of the answers' standard deviation, that needs no warning.
_HARMLESS_SHARE: Final = 0.01
#: Steps of the float network that measuring an endless stream may take.
_MEASURED_STEPS: Final = 10_000


def choose_window(
    model: FloatModel,
    stream: StreamKind = "auto",
    window: int | None = None,
    hop: int | None = None,
) -> Window | None:
    """The window the integer model will have; None for an endless stream.

    Args:
        model: the network.
        stream: "auto" is what the network was made for (`FloatModel.window`).
        window: readings in a window; by default those the network's input takes.
        hop: readings between answers; 1 by default.

    Raises:
        QuantizationError: an unknown kind, a window or hop of an endless stream, a window without
            a length, or a length or hop that is none.

    Warns:
        StreamKindWarning: nothing says whether the network was made for windows.
    """
    if stream not in get_args(StreamKind):
        wanted = ", ".join(map(repr, get_args(StreamKind)))
        raise QuantizationError(f"quantize stream: expected one of {wanted}, got {stream!r:.40}.")
    for name, value in (("window", window), ("hop", hop)):
        if value is not None and (type(value) is not int or not 1 <= value <= MAX_WINDOW_STEPS):
            raise QuantizationError(
                f"quantize {name}: expected 1 to {MAX_WINDOW_STEPS} readings, got {value!r:.40}."
            )
    windowed = stream == "window" or (
        stream == "auto" and (window is not None or model.window is not None)
    )
    if not windowed:
        if window is not None or hop is not None:
            name, value = ("window", window) if window is not None else ("hop", hop)
            raise QuantizationError(
                f"quantize {name}: expected none for an endless stream, got {value}. "
                "Ask for windows with stream='window' and window=T, or leave it out."
            )
        if stream == "auto" and _could_be_windows(model):
            warnings.warn(
                f"{model.name}: the network answers once per sequence and takes any number of "
                "readings, so it was quantized for an endless stream, with an answer to every "
                "reading. If it was trained and scored on windows of T readings, quantize it with "
                "window=T (--window T); stream='endless' (--stream endless) ends this warning.",
                StreamKindWarning,
                stacklevel=3,
            )
        return None
    if window is not None and model.window is not None and window != model.steps:
        warnings.warn(
            f"{model.name}: the network was made for windows of {model.steps} readings and is "
            f"quantized for windows of {window}. It answers them differently, the float network "
            "too: see by how much with edgernn evaluate, or leave the window out.",
            StreamKindWarning,
            stacklevel=3,
        )
    steps = window if window is not None else model.steps
    if steps is None:
        raise QuantizationError(
            f"quantize window: expected the number of readings in a window, got none: the input of "
            f"{model.name} takes any number. Name it with window=T (--window T)."
        )
    if model.rate is not None and steps < model.rate.first:
        raise QuantizationError(
            f"quantize window: expected at least {model.rate.first} readings, after which "
            f"{model.name} gives its first answer, got {steps}."
        )
    return Window(steps=steps, hop=1 if hop is None else hop)


def _could_be_windows(model: FloatModel) -> bool:
    return not (model.return_sequences or model.stateful) and model.steps is None


@dataclass(frozen=True, slots=True, kw_only=True)
class EndlessError:
    """How far a window network strays when its state is never reset.

    Attributes:
        share: root mean square of the difference, over the standard deviation of the answers.
        answers: how many were compared.
    """

    share: float
    answers: int

    def sentence(self) -> str:
        """For people."""
        return (
            f"streamed endlessly instead of in windows, the float network itself answers "
            f"differently by {self.share:.2%} of the standard deviation of its answers (root mean "
            f"square over {self.answers:,} answers in the calibration data)"
        )


def report_endless(
    model: FloatModel, window: Window | None, error: EndlessError | None, talk: bool
) -> None:
    """Say what streaming a window network endlessly changes.

    Args:
        model: the network.
        window: what the integer model answers; None for an endless stream.
        error: measured; None for a network that was not made for windows.
        talk: write it to stderr where the model keeps to its windows.

    Warns:
        StreamKindWarning: the model leaves the windows its network was made for, and it shows.
    """
    if error is None:
        return
    if window is None and error.share > _HARMLESS_SHARE:
        warnings.warn(
            f"{model.name}: {error.sentence()}. Quantize it with stream='window' "
            "(--stream window), or train it for endless streams.",
            StreamKindWarning,
            stacklevel=3,
        )
    elif window is not None and talk:
        print(f"{model.name}: {error.sentence()}", file=sys.stderr)


def endless_error(
    model: FloatModel, blocks: Sequence[FloatArray], window: Window
) -> EndlessError | None:
    """Compare the float network's windows with one stream that is never reset.

    Args:
        model: the network.
        blocks: float64 [B, T, I] streams; windows that follow one another (each shifted by one
            reading) are put together again, others are streamed one after another.
        window: of the model.

    Returns:
        None where there are fewer than two answers or these are all the same.
    """
    stream, ends = _one_stream(blocks, window)
    stream = stream[: max(_MEASURED_STEPS, window.steps)]
    rate = model.rate or Rate(readings=1, first=1, latency=1)
    # A window begins with a step's first reading: the endless stream answers what it answers.
    ends = ends[(ends < len(stream)) & ((ends + 1 - window.steps) % rate.readings == 0)]
    ends = ends[:: -(-len(ends) * window.steps // _MEASURED_STEPS) or 1]
    if len(ends) < 2 or window.steps < rate.first:
        return None
    reach = np.arange(1 - window.steps, 1)
    windows = rated_run.answers(model, stream[ends[:, None] + reach])
    endless = rated_run.answers(model, stream[None])
    begins = (ends + 1 - window.steps) // rate.readings
    wanted, got = windows[:, -1], endless[0, begins + windows.shape[1] - 1]
    spread = float(np.sqrt(np.mean(np.square(wanted - wanted.mean(axis=0)))))
    if spread == 0.0:
        return None
    share = float(np.sqrt(np.mean(np.square(got - wanted)))) / spread
    return EndlessError(share=share, answers=len(ends))


def _one_stream(
    blocks: Sequence[FloatArray], window: Window
) -> tuple[FloatArray, npt.NDArray[np.intp]]:
    """One stream [T, I], and the places where its windows end."""
    longest = max(blocks, key=lambda block: block.shape[1])
    if longest.shape[1] > window.steps:
        stream = longest[0]
        return stream, np.arange(window.steps - 1, len(stream))
    windows = longest
    if len(windows) > 1 and np.array_equal(windows[1:, :-1], windows[:-1, 1:]):
        stream = np.concatenate([windows[0], windows[1:, -1]])
        return stream, np.arange(window.steps - 1, len(stream))
    stream = windows.reshape(-1, windows.shape[2])
    return stream, np.arange(window.steps - 1, len(stream), window.steps)
