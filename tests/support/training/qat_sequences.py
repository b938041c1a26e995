"""Networks with masks, attention, both directions and two streams, under training as integers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

import edgernn
from edgernn.model.formats import FloatArray
from edgernn.model.integer_model import IntegerModel
from edgernn.model.program_sets.program_set import ProgramSet
from tests.support.models.keras_attention import hybrid, readings, translator, with_weights

#: A value that no reading has by chance.
MASK: Final = 0.25


@dataclass(frozen=True, kw_only=True)
class SequenceCase:
    """A float network, and what it reads.

    Attributes:
        build: the network.
        given: readings of its inputs, [B, T, I] or tokens [B, T], of a count and a seed.
        options: of `quantize`.
        begins: programs in the order in which a session begins them; none of a model.
    """

    build: Callable[[], Any]
    given: Callable[[int, int], list[npt.NDArray[Any]]]
    options: dict[str, Any]
    begins: tuple[str, ...] = ()

    def network(self, seed: int = 1) -> Any:
        """The float network, with weights and biases of a seed."""
        import keras

        keras.utils.set_random_seed(seed)
        return with_weights(self.build(), seed)

    def calibration(self, count: int = 40) -> Any:
        """What `quantize` or `quantize_programs` gets."""
        found = self.given(count, 2)
        wide = [(x if x.ndim == 3 else x[..., None]).astype(np.float64) for x in found]
        return dict(zip(self.begins, wide, strict=True)) if self.begins else wide[0]


def _masked() -> Any:
    import keras

    la = keras.layers
    layers = [la.Masking(MASK), la.Dense(3, "tanh"), la.GRU(4, return_sequences=True)]
    return keras.Sequential([keras.Input((None, 3)), *layers, la.LSTM(3), la.Dense(2)])


def _masked_tokens() -> Any:
    import keras

    la = keras.layers
    tokens = keras.Input((None,), dtype="int32")
    hidden = la.GRU(4, return_sequences=True)(la.Embedding(9, 3, mask_zero=True)(tokens))
    return keras.Model(tokens, [la.Dense(2, name="a")(hidden), la.Dense(3, "softmax")(hidden)])


def _both(sequence: bool, mode: str, tokens: bool) -> Any:
    import keras

    la = keras.layers
    given = keras.Input((None, 1), dtype="int32") if tokens else keras.Input((None, 3))
    if tokens:
        front = la.Reshape((-1, 4))(la.Embedding(9, 4, name="front")(given))
    else:
        front = la.Dense(4, "tanh", name="front")(given)
    hidden = la.Bidirectional(la.GRU(3, return_sequences=True), merge_mode=mode)(front)
    hidden = la.Bidirectional(la.LSTM(2, return_sequences=sequence))(hidden)
    return keras.Model(given, la.Dense(2, name="head")(hidden))


def _backward() -> Any:
    """A sequence from the last step to the first, turned round."""
    import keras

    la = keras.layers
    given = keras.Input((None, 3))
    hidden = la.GRU(3, return_sequences=True, go_backwards=True)(given)
    return keras.Model(given, la.Dense(2)(keras.ops.flip(hidden, axis=1)))


def _handed_over() -> Any:
    """A decoder that begins with what a Dense makes of an encoder; its input comes first."""
    import keras

    la = keras.layers
    future, past = keras.Input((None, 3), name="future"), keras.Input((None, 3), name="past")
    table = la.Dense(3, name="of_both")
    h = la.LSTM(4)(table(past))
    begun = [la.Dense(3, "tanh", name="begins")(h), la.Dense(3, name="cell")(h)]
    hidden = la.LSTM(3, return_sequences=True)(table(future), initial_state=begun)
    return keras.Model([future, past], la.Dense(3, "softmax", name="answer")(hidden))


def _walks(*shapes: tuple[int, int], mask: bool = False) -> Callable[[int, int], Any]:
    def given(count: int, seed: int) -> list[npt.NDArray[Any]]:
        found = [readings(count, *shape, seed=10 * seed + i) for i, shape in enumerate(shapes)]
        if mask:
            masked = np.random.default_rng(seed).random(found[0].shape[:2]) < 0.3
            masked[0, :2] = masked[1, -2:] = masked[2] = True
            found[0][masked] = MASK
        return found

    return given


def _tokens(*shape: int) -> Callable[[int, int], Any]:
    def given(count: int, seed: int) -> list[npt.NDArray[Any]]:
        return [np.random.default_rng(seed).integers(0, 9, (count, *shape)).astype(np.int32)]

    return given


def _attending(kind: str) -> SequenceCase:
    return SequenceCase(
        build=lambda: hybrid(kind, 6), given=_walks((6, 3)), options={"stream": "endless"}
    )


def _pair(kind: str) -> SequenceCase:
    return SequenceCase(
        build=lambda: translator(kind, 5),
        given=_walks((5, 3), (3, 2)),
        options={},
        begins=("encode", "decode"),
    )


_ENDLESS: Final = {"stream": "endless"}
CASES: Final[dict[str, SequenceCase]] = {
    "masked": SequenceCase(build=_masked, given=_walks((7, 3), mask=True), options=_ENDLESS),
    "masked tokens": SequenceCase(build=_masked_tokens, given=_tokens(7), options=_ENDLESS),
    "both": SequenceCase(
        build=lambda: _both(True, "concat", False), given=_walks((6, 3)), options={}
    ),
    "both once": SequenceCase(
        build=lambda: _both(False, "sum", False), given=_walks((6, 3)), options={}
    ),
    "both tokens": SequenceCase(
        build=lambda: _both(True, "mul", True), given=_tokens(6, 1), options={}
    ),
    **{f"attends {kind}": _attending(kind) for kind in ("dot", "additive", "2", "last state")},
    **{f"pair {kind}": _pair(kind) for kind in ("dot", "additive", "alone")},
    "handed over": SequenceCase(
        build=_handed_over,
        given=_walks((3, 3), (5, 3)),
        options={},
        begins=("decode", "encode"),
    ),
}


def fed(given: list[npt.NDArray[Any]]) -> Any:
    """Readings of each input as a Keras model takes them."""
    import keras

    made = [keras.ops.convert_to_tensor(x) for x in given]
    return made if len(made) > 1 else made[0]


def codes(model: Any, given: list[npt.NDArray[Any]]) -> FloatArray:
    """Codes that a network under training puts out last."""
    import keras

    inner = keras.Model(model.input, model.get_layer("dequantize_output").input)
    return np.asarray(inner(fed(given)))


def session_codes(
    made: IntegerModel | ProgramSet, given: list[npt.NDArray[Any]], begins: tuple[str, ...]
) -> FloatArray:
    """Codes of a session of the reference over the same streams, one after another.

    Args:
        made: the integer model, or the programs.
        given: readings of each input.
        begins: whose they are; none of a model.
    """
    programs = isinstance(made, ProgramSet)
    scale = (made.programs[-1] if programs else made).output.scale
    found = []
    with edgernn.load(made, backend="reference") as session:
        for streams in zip(*given, strict=True):
            wide = [x if x.ndim == 2 else x[:, None] for x in streams]
            if begins:
                by_program = dict(zip(begins, wide, strict=True))
                for program in made.names:
                    session.begin(program)
                    answers = session.run(program, by_program[program])
            else:
                if not isinstance(made, ProgramSet):  # chunks begin by themselves
                    session.reset()
                answers = session.run(wide[0])
            found.append(np.rint(np.asarray(answers) / scale))
    return np.stack(found)
