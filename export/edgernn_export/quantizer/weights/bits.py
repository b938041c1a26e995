"""How many bits the weights of each matrix get: what may be said, and what it means.

A layer has one or more matrices, each named by one word: ``input`` (the kernel) and ``recurrent``
of an LSTM, a GRU and a SimpleRNN, ``input`` alone of a Dense layer or a convolution, and of a
registered cell what its matrices are multiplied with (``x``, ``h``, ``rh``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from edgernn.errors import QuantizationError
from edgernn.model.affine import Source
from edgernn.model.storage import Storage
from edgernn_export.float_model.cell_plans import record_of
from edgernn_export.float_model.model import (
    FloatCell,
    FloatDense,
    FloatDenseRows,
    FloatGRU,
    FloatLayer,
    FloatLSTM,
    FloatSimpleRNN,
)

WIDE: Final = 8
NARROW: Final = 4
#: How weights of so many bits are stored, zeros included.
DENSE: Final[Mapping[int, Storage]] = {WIDE: Storage.DENSE8, NARROW: Storage.DENSE4}
INPUT: Final = "input"
RECURRENT: Final = "recurrent"
_CELLS: Final = (FloatSimpleRNN, FloatLSTM, FloatGRU)
#: Between the name of a layer and the word for a matrix; names of layers have none.
_OF: Final = "."
_CARRIED: Final = (Source.H, Source.RH)


@dataclass(frozen=True, slots=True)
class Matrices:
    """The matrices of a layer: by word, what each is multiplied with.

    Attributes:
        sources: operands of the products that read it.
        joinable: input and state may have one product between them, on one scale per row.
        joint: they always have, so that there is one number of bits.
    """

    sources: Mapping[str, tuple[Source, ...]]
    joinable: bool = False
    joint: bool = False


#: Cells of other functions, which are named as those of the usual ones.
_GENERAL: Final = (
    "general_lstm", "three_function_lstm", "general_gru_before", "general_gru_after", "general_rnn",
)  # fmt: skip


def matrices_of(layer: FloatLayer) -> Matrices | None:
    """The matrices of a float layer; None where it has none."""
    general = isinstance(layer, FloatCell) and layer.kind in _GENERAL
    if general or isinstance(layer, _CELLS):
        return Matrices({INPUT: (Source.X,), RECURRENT: _CARRIED}, joinable=True)
    if isinstance(layer, (FloatDense, FloatDenseRows)):
        return Matrices({INPUT: (Source.X,)})
    if not isinstance(layer, FloatCell):
        return None
    found = {source for sources in layer.plan.terms.values() for source in sources}
    ordered = [source for source in Source if source in found]
    joined = [
        allowed for _, allowed in record_of(layer.kind).shape.values() if (Source.XH,) in allowed
    ]
    return Matrices(
        {source.value: (source,) for source in ordered},
        joinable=bool(joined),
        joint=any((Source.X, Source.H) not in allowed for allowed in joined),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerBits:
    """Bits of the weights of one layer.

    Attributes:
        by_matrix: 8 or 4 by the word for each matrix.
        asked: the words of those that were requested by name, alone or with their layer.
        matrices: what the words mean.
    """

    by_matrix: Mapping[str, int]
    asked: frozenset[str]
    matrices: Matrices

    @property
    def by_source(self) -> dict[Source, int]:
        """The bits by what a product multiplies; of both operands together, those of the input."""
        made = {s: self.by_matrix[word] for word, own in self.matrices.sources.items() for s in own}
        return made | ({Source.XH: made[Source.X]} if Source.X in made else {})

    def __str__(self) -> str:
        """One number where all matrices have the same, else each with its word."""
        if len(set(self.by_matrix.values())) == 1:
            return str(next(iter(self.by_matrix.values())))
        return "/".join(f"{word}:{count}" for word, count in self.by_matrix.items())

    def with_matrix(self, word: str, bits: int) -> LayerBits:
        """The same with other bits in one matrix."""
        changed = {**self.by_matrix, word: bits}
        return LayerBits(by_matrix=changed, asked=self.asked, matrices=self.matrices)

    def with_all(self, bits: int) -> LayerBits:
        """The same with these bits in every matrix."""
        changed = dict.fromkeys(self.by_matrix, bits)
        return LayerBits(by_matrix=changed, asked=self.asked, matrices=self.matrices)


ModelBits = Mapping[str, LayerBits]


def matrix_name(layer: str, word: str) -> str:
    """The name of a matrix among those of other layers."""
    return f"{layer}{_OF}{word}"


def bits_by_layer(layers: Mapping[str, Matrices], bits: int, changes: Any) -> dict[str, LayerBits]:
    """Bits of the weights of every layer.

    Args:
        layers: their matrices by the names of the layers.
        bits: where nothing else is said.
        changes: 8 or 4 by the name of a layer, or of one of its matrices ("gru.recurrent"), which
            counts before that of its layer; or None.

    Raises:
        QuantizationError: no mapping, or, in one error, unknown layers and matrices, other
            bits, and differing bits in one product.
    """
    if not isinstance(changes, Mapping | None):
        raise QuantizationError(
            f"quantize weight_bits: expected a mapping of layer names to 8 or 4, "
            f"got {changes!r:.40}."
        )
    asked = dict(changes or {})
    reasons = [reason for item in asked.items() for reason in _unusable(layers, *item)]
    if not reasons:
        made = {name: _of_layer(name, own, bits, asked) for name, own in layers.items()}
        reasons = [reason for name, own in made.items() for reason in _split(name, own)]
    if reasons:
        raise QuantizationError("\n".join(f"quantize weight_bits: {reason}" for reason in reasons))
    return made


def _unusable(layers: Mapping[str, Matrices], name: Any, asked: Any) -> list[str]:
    layer, of, word = str(name).partition(_OF)
    known = layers.get(layer) if isinstance(name, str) else None
    if known is None:
        return [f"expected names among {', '.join(layers)}, got {name!r:.60}."]
    if of and word not in known.sources:
        words = ", ".join(matrix_name(layer, w) for w in known.sources)
        return [f"expected {layer} or one of its matrices, {words}, got {name!r:.60}."]
    if type(asked) is not int or asked not in DENSE:
        return [f"expected 8 or 4 bits for {name}, got {asked!r:.20}."]
    return []


def _of_layer(name: str, own: Matrices, bits: int, asked: Mapping[str, int]) -> LayerBits:
    whole = asked.get(name, bits)
    by_matrix = {word: asked.get(matrix_name(name, word), whole) for word in own.sources}
    said = {w for w in own.sources if name in asked or matrix_name(name, w) in asked}
    return LayerBits(by_matrix=by_matrix, asked=frozenset(said), matrices=own)


def _split(name: str, own: LayerBits) -> list[str]:
    if not own.matrices.joint or len(set(own.by_matrix.values())) == 1:
        return []
    got = ", ".join(f"{matrix_name(name, w)}={n}" for w, n in own.by_matrix.items())
    return [
        f"expected one number of bits in {name}, whose matrices form one product, got {got}. "
        f"Pass bits for {name} as a whole."
    ]


def check_scales(bits: ModelBits, operand_scales: str) -> None:
    """Refuse one scale for matrices that cannot have one.

    Raises:
        QuantizationError: "common" for layers whose matrices differ in bits.
    """
    if operand_scales != "common":
        return
    mixed = [
        f"{name}={own}"
        for name, own in bits.items()
        if own.matrices.joinable and len(set(own.by_matrix.values())) > 1
    ]
    if mixed:
        raise QuantizationError(
            "quantize operand_scales: expected one number of bits in each layer for 'common', "
            f"got {', '.join(mixed)}. Pass operand_scales='auto', which uses a separate scale "
            "for each matrix in these layers."
        )
