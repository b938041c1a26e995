"""Windows or an endless stream: what a network was made for, what the user asks for."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, get_args

import numpy as np
import numpy.typing as npt

from edgernn.cli.style import say
from edgernn.errors import QuantizationError, StreamKindWarning
from edgernn.model.formats import FloatArray
from edgernn.model.interface import MAX_WINDOW_STEPS, Rate, Window
from edgernn_export.float_model import float_run
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
                f"quantize {name}: expected none for an endless stream, got {value}. Pass "
                "stream='window' and window=T for windows, or remove this option."
            )
        if stream == "auto" and _could_be_windows(model):
            warnings.warn(
                f"{model.name}: the network has one output per sequence and accepts any number "
                "of readings, so it was quantized for an endless stream, with "
                f"{model.rate or 'one output per reading'}. If it was trained and evaluated on "
                "windows of T readings, quantize it with window=T (--window T); otherwise pass "
                "stream='endless' (--stream endless) to silence this warning.",
                StreamKindWarning,
                stacklevel=3,
            )
        return None
    steps = window if window is not None else model.steps
    if steps is None:
        raise QuantizationError(
            "quantize window: expected the number of readings in a window, got none: the input "
            f"of {model.name} accepts any number. Pass window=T (--window T)."
        )
    if model.rate is not None and steps < model.rate.first:
        raise QuantizationError(
            f"quantize window: expected at least {model.rate.first} readings, after which "
            f"{model.name} has its first output, got {steps}."
        )
    return Window(steps=steps, hop=1 if hop is None else hop)


def _could_be_windows(model: FloatModel) -> bool:
    return not (model.return_sequences or model.stateful) and model.steps is None


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamError:
    """How far the outputs of a window network differ when it runs in another way.

    Attributes:
        way: "as an endless stream instead of windows", say.
        share: root mean square of the difference, over the standard deviation of the answers.
        answers: how many were compared.
    """

    way: str
    share: float
    answers: int

    def sentence(self) -> str:
        """For people."""
        return (
            f"{self.way}, the outputs of the float network itself change by {self.share:.2%} "
            f"of their standard deviation (root mean square over {self.answers:,} outputs in "
            "the calibration data)"
        )


def report_stream(
    model: FloatModel,
    window: Window | None,
    endless: StreamError | None,
    rewindowed: StreamError | None,
    talk: bool,
) -> None:
    """Say what running a window network in another way changes.

    Args:
        model: the network.
        window: what the integer model answers; None for an endless stream.
        endless: what `endless_error` measured; None for a network that was not made for windows.
        rewindowed: what `window_error` measured.
        talk: write it to stderr where the model keeps to its windows.

    Warns:
        StreamKindWarning: the windows are not those that the network was made for, or the model
            leaves these, and it shows.
    """
    made_for = model.window
    if window is not None and made_for is not None and made_for.steps != window.steps:
        found = (
            "the effect is unknown, because the calibration data has no two windows of "
            "this length to compare"
        )
        warnings.warn(
            f"{model.name}: the network was trained on windows of {made_for.steps} readings "
            f"and is quantized for windows of {window.steps}; "
            f"{found if rewindowed is None else rewindowed.sentence()}. Omit window, or train "
            f"the network on windows of {window.steps} readings.",
            StreamKindWarning,
            stacklevel=3,
        )
    if endless is None:
        return
    if window is None and endless.share > _HARMLESS_SHARE:
        warnings.warn(
            f"{model.name}: {endless.sentence()}. Quantize it with stream='window' "
            "(--stream window), or train it for endless streams.",
            StreamKindWarning,
            stacklevel=3,
        )
    elif window is not None and talk:
        say(f"{model.name}: {endless.sentence()}")


def endless_error(
    model: FloatModel, blocks: Sequence[FloatArray], window: Window
) -> StreamError | None:
    """Compare the float network's windows with one stream that is never reset.

    Args:
        model: the network.
        blocks: float64 [B, T, I] streams; windows that follow one another (each shifted by one
            reading) are put together again, others are streamed one after another.
        window: of the model.

    Returns:
        None where there are fewer than two answers or these are all the same.
    """
    stream, ends = _measured(model, blocks, window)
    if len(ends) < 2 or (model.rate is not None and window.steps < model.rate.first):
        return None
    wanted = _answers(model, stream, ends, window.steps)
    endless = float_run.answers(model, stream[None])[0]
    if model.rate is not None:  # a window's last answer, where the stream has it
        ends = (ends + 1 - window.steps) // model.rate.readings
        ends += model.rate.answers(window.steps) - 1
    return _stream_error("as an endless stream instead of windows", wanted, endless[ends])


def window_error(
    model: FloatModel, blocks: Sequence[FloatArray], window: Window
) -> StreamError | None:
    """Compare the float network's windows with windows of another length that end with them.

    Args:
        model: the network, made for windows.
        blocks: as for `endless_error`.
        window: what the integer model will answer.

    Returns:
        None where there are fewer than two answers, these are all the same, or no stream has as
        many readings as the longer window.
    """
    if model.window is None or model.window.steps == window.steps:
        return None
    own = model.window.steps
    longer = Window(steps=max(own, window.steps))
    stream, ends = _measured(model, blocks, longer)
    if len(ends) < 2 or max(block.shape[1] for block in blocks) < longer.steps:
        return None
    wanted, got = (_answers(model, stream, ends, steps) for steps in (own, window.steps))
    return _stream_error(
        f"over windows of {window.steps} readings instead of its {own}", wanted, got
    )


def _measured(
    model: FloatModel, blocks: Sequence[FloatArray], window: Window
) -> tuple[FloatArray, npt.NDArray[np.intp]]:
    """The part of one stream [T, I] that is compared, and the places where its windows end."""
    stream, ends = _one_stream(blocks, window)
    stream = stream[: max(_MEASURED_STEPS, window.steps)]
    rate = model.rate or Rate(readings=1, first=1, latency=1)
    # A window begins with a step's first reading: the endless stream answers what it answers.
    ends = ends[(ends < len(stream)) & ((ends + 1 - window.steps) % rate.readings == 0)]
    return stream, ends[:: -(-len(ends) * window.steps // _MEASURED_STEPS) or 1]


def _answers(
    model: FloatModel, stream: FloatArray, ends: npt.NDArray[np.intp], steps: int
) -> FloatArray:
    """Answers [N, O] of the float network for windows of this many steps."""
    windows = float_run.answers(model, stream[ends[:, None] + np.arange(1 - steps, 1)])
    last: FloatArray = windows[:, -1]
    return last


def _stream_error(way: str, wanted: FloatArray, got: FloatArray) -> StreamError | None:
    spread = float(np.sqrt(np.mean(np.square(wanted - wanted.mean(axis=0)))))
    if spread == 0.0:
        return None
    share = float(np.sqrt(np.mean(np.square(got - wanted)))) / spread
    return StreamError(way=way, share=share, answers=len(wanted))


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
