"""How far the integer model is from the float network on the calibration it was made from.

Every output is compared with its own standard deviation. Classes are the exception: what a
probability that stays near 0 or 1 does there changes no decision.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from edgernn.model.formats import FloatArray, Int16Array, Precision
from edgernn.model.integer_model import IntegerModel
from edgernn_export.float_model import float_run
from edgernn_export.float_model.model import FloatDense, FloatModel

#: Difference, as a share of the answers' standard deviation (about 10 dB), from which on it is
#: said. Networks whose weights keep 8 bits have 20 dB and more, unless something is wrong.
_SAID: Final = 0.32
#: Movement, as a share of the largest answer, that single precision does not hold: the float
#: network, which Keras runs in it, does not show it either.
_STILL: Final = 2.0**-24
#: An answer that never moves is judged by its size, but not by less than as many codes: a quarter
#: of the range, as far as calibration goes in the outputs that have headroom.
_STILL_CODES: Final = 1 << 13
#: Answers that move by fewer codes than this stray because of that.
_FEW_CODES: Final = 8.0
#: A class is not decided on while its probability stays as near to 0, or to 1, throughout; it is
#: then judged by this standard deviation at least, so that a hundredth of probability is said.
_UNDECIDED: Final = 0.05
_UNDECIDED_SPREAD: Final = 0.03


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationDeparture:
    """Outputs of the integer model and of the float network.

    Attributes:
        share: root mean square of the difference, over the standard deviation of the answers, of
            the output that differs most.
        output: its name, or that of its port where a softmax compares its channels.
        strayed: names of all outputs that differ, in order.
        logits: whether a softmax compares it with others.
        codes: standard deviation of the outputs that differ most, in codes of the integer model.
        answers: how many were compared.
        precision: of the integer model.
    """

    share: float
    output: str
    strayed: tuple[str, ...]
    logits: bool
    codes: float
    answers: int
    precision: Precision

    def __str__(self) -> str:
        """One line for people."""
        others = [name for name in self.strayed if name != self.output]
        named = ", ".join(others[:3]) + (f" and {len(others) - 3} more" if len(others) > 3 else "")
        too = f"; {named} {'differ' if len(others) > 1 else 'differs'} too" if others else ""
        return (
            "on the calibration data, the integer model's outputs differ from the float "
            f"network's by {self.share:.0%} of the standard deviation of {self.output} (root "
            f"mean square over {self.answers:,} outputs){too}. {self._cure()}"
        )

    def _cure(self) -> str:
        if self.codes < _FEW_CODES:
            moves = f"Its standard deviation is only {self.codes:.2g} codes"
            if self.logits:
                return (
                    f"{moves}. All logits share one scale: train with weight decay or label "
                    "smoothing to keep them closer together."
                )
            return (
                f"{moves}, too few for useful outputs. Train on standardized targets (subtract "
                "the mean, divide by the standard deviation) and scale the outputs back "
                "outside the model."
            )
        finer = "Use precision w8a16, or find" if self.precision is Precision.W8A8 else "Find"
        return (
            f"{finer} the first layer that differs in the report (--report). For a relu "
            "SimpleRNN that keeps more than nine tenths of its state from step to step, pass "
            "state='32' (--state 32); replace such a tanh SimpleRNN by a GRU."
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judged:
    """One output, or what a softmax compares: its name, its share, its movement in codes."""

    name: str
    logits: bool
    share: float
    codes: float


def departure(
    model: FloatModel,
    integer: IntegerModel,
    streams: Sequence[FloatArray],
    outputs: Sequence[Int16Array],
    answers: Sequence[FloatArray] | None = None,
) -> CalibrationDeparture | None:
    """Compare the two on streams that both began in the zero state.

    Args:
        model: the float network.
        integer: made from it.
        streams: float64 [B, T, I].
        answers: of the float network, [B, T, O]; run from the beginning where None.
        outputs: of the integer model, int16 [B, T, O], or [B, 1, O] of the last step of windows.

    Returns:
        None where the difference is small in every output.
    """
    scale = integer.output.scale
    if answers is None:
        answers = [float_run.answers(model, xs) for xs in streams]
    pairs = [
        (ys[:, -q_ys.shape[1] :].reshape(-1, len(scale)), q_ys)
        for ys, q_ys in zip(answers, outputs, strict=True)
    ]
    wanted = np.concatenate([ys for ys, _ in pairs])
    got = np.concatenate([q_ys.reshape(-1, len(scale)) * scale for _, q_ys in pairs])
    strayed = [j for j in _judged(model, integer, wanted, got) if j.share > _SAID]
    if not strayed:
        return None
    worst = max(strayed, key=lambda judged: judged.share)
    return CalibrationDeparture(
        share=worst.share,
        output=worst.name,
        strayed=tuple(dict.fromkeys(judged.name for judged in strayed)),
        logits=worst.logits,
        codes=worst.codes,
        answers=len(wanted),
        precision=integer.precision,
    )


def _judged(
    model: FloatModel, integer: IntegerModel, wanted: FloatArray, got: FloatArray
) -> Iterator[_Judged]:
    """Every output separately; those that a softmax compares together, and by its probabilities.

    Args:
        model: the float network.
        integer: made from it.
        wanted: answers of the float network [N, O].
        got: those of the integer model [N, O].
    """
    output = integer.output
    away, spread = _root_mean_square(got - wanted), np.std(wanted, axis=0)
    size, codes = np.max(np.abs(wanted), axis=0), spread / output.scale
    unit = np.where(_sigmoids(model), _class_unit(wanted), _unit(spread, size, output.scale))
    for name, low, high, softmax in _ports(integer):
        if softmax:
            one = _unit(*(_root_mean_square(v[low:high]) for v in (spread, size, output.scale)))
            share = float(_root_mean_square(away[low:high]) / one)
            most = float(np.max(codes[low:high]))
            yield _Judged(name=name, logits=True, share=share, codes=most)
            p, q = (float_run.softmax(ys[:, low:high]) for ys in (wanted, got))
            away[low:high], unit[low:high] = _root_mean_square(q - p), _class_unit(p)
        for k in range(low, high):
            share = float(away[k] / unit[k])
            yield _Judged(name=output.names[k], logits=softmax, share=share, codes=float(codes[k]))


def _ports(integer: IntegerModel) -> Iterator[tuple[str, int, int, bool]]:
    """Name, first channel, end and whether a softmax compares its channels, of every port."""
    output = integer.output
    ends = np.cumsum([port.width for port in output.ports])
    for port, end in zip(output.ports, ends, strict=True):
        yield port.name, int(end) - port.width, int(end), port.softmax
    if not output.ports:
        yield "the logits", 0, output.width, output.softmax


def _sigmoids(model: FloatModel) -> list[bool]:
    """Which outputs are those of a sigmoid."""
    sources = [(model.layers[part.source], part.width) for part in model.wiring[-1]]
    return [
        isinstance(layer, FloatDense) and layer.activation == "sigmoid"
        for layer, width in sources
        for _ in range(width)
    ]


def _root_mean_square(values: FloatArray) -> FloatArray:
    """Over the first axis."""
    root: FloatArray = np.sqrt(np.mean(np.square(values), axis=0))
    return root


def _unit(spread: FloatArray, size: FloatArray, scale: FloatArray | float) -> FloatArray:
    """What differences are a share of: standard deviations, or sizes where nothing moves."""
    still = np.maximum(size, _STILL_CODES * np.asarray(scale))
    unit: FloatArray = np.where(spread > _STILL * size, spread, still)
    return unit


def _class_unit(p: FloatArray) -> FloatArray:
    """The same of probabilities [N, O], those that stay near 0 or 1 throughout in mind."""
    spread, undecided = np.std(p, axis=0), np.max(np.minimum(p, 1.0 - p), axis=0) < _UNDECIDED
    own = _unit(spread, np.max(p, axis=0), 0.0)
    unit: FloatArray = np.where(undecided, np.maximum(spread, _UNDECIDED_SPREAD), own)
    return unit
