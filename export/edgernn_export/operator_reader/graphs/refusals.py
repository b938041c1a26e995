"""Operators behind a refused one: all reasons at once, without mere consequences.

Where a refused operator gives a value of the axes that it is given, what reads that value is looked
at as well. Mere consequences are left out there: it counts that no handler reads an operator of its
kind, or that operators of its kind are refused for their attributes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from edgernn_export.operator_reader.operators import OperatorNode
from edgernn_export.operator_reader.trace import CallTrace
from edgernn_export.operator_reader.values import UNKNOWN, Traced

#: The class of what stands for a refused operator.
REFUSED: Final = "Refused"


def keeps_nothing(_: OperatorNode, __: Traced) -> bool:
    """No operator gives a value of the axes that it is given."""
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusalRules:
    """Facts of a format about operators that are refused, or come behind such ones.

    Attributes:
        foldable: kinds that are computed where all inputs are constants.
        independent: kinds of which a reason never follows from what they read.
        keeping: whether an operator gives a value of the axes that it is given.
    """

    foldable: frozenset[str] = frozenset()
    independent: frozenset[str] = frozenset()
    keeping: Callable[[OperatorNode, Traced], bool] = keeps_nothing


#: Of a format that says nothing about them.
NO_RULES: Final = RefusalRules()


def is_behind(inputs: Iterable[Any], trace: CallTrace) -> bool:
    """Whether one of the inputs of an operator comes from a refused one."""
    return any(
        isinstance(value, Traced) and any(id(one.call) in trace.refused for one in value.tensors)
        for value in inputs
    )


def stand_ins(
    rules: RefusalRules, node: OperatorNode, inputs: Sequence[Any], trace: CallTrace
) -> list[Any]:
    """The values in the places of the results of a refused operator."""
    nothing: list[Any] = [UNKNOWN] * len(node.outputs)
    traced = [value for value in inputs if isinstance(value, Traced)]
    if not traced:
        return nothing
    widest = max(traced, key=lambda value: (value.rank, len(value.atoms)))
    if widest.late or not rules.keeping(node, widest):
        return nothing
    layer = trace.layer(REFUSED)
    made = widest.each(lambda tensor: trace.call(layer, [tensor]))
    trace.refused |= {id(tensor.call) for tensor in made.tensors}
    return [made, *nothing[1:]]
