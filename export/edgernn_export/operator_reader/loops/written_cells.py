"""Cells that a user wrote out of matrices, gates and products: which recurrent layer they are.

The new state of one step is expanded into sums of products of gates, old states, and matrices
times readings and states. GRU, LSTM and SimpleRNN are known by their sums, however they
are written: z*h + (1-z)*n is n + z*(h-n).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edgernn.model.formats import FloatArray
from edgernn_export.operator_reader.loops.step_algebra import (
    Factor,
    NoSum,
    ProductSum,
    StepAlgebra,
    times,
)

#: The value of a state after a step, by its place.
NewState = Callable[[int], ProductSum]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WrittenCell:
    """A recurrent layer that operators of a step compute.

    Attributes:
        kind: "SimpleRNN", "LSTM" or "GRU".
        states: places of its states: of h, and of c of an LSTM.
        readings: names of what it reads in the step, one behind another.
        kernel: [G*H, I], gates in the order of torch.
        recurrent: [G*H, H].
        biases: [G*H] each.
        gate, function: of gates, and of the rest.
        reset_after: of a GRU.
    """

    kind: str
    states: tuple[int, ...]
    readings: tuple[str, ...]
    kernel: FloatArray
    recurrent: FloatArray
    biases: tuple[FloatArray, ...]
    gate: str = "sigmoid"
    function: str = "tanh"
    reset_after: bool = True


def written_cells(
    algebra: StepAlgebra, carried: set[int], new_state: NewState
) -> list[WrittenCell]:
    """The cells that pass these states on, as far as they are known.

    Args:
        algebra: of the step.
        carried: places of states that the next step reads.
        new_state: the value of a state after the step; NoSum where it is no sum of products.
    """
    cells: list[WrittenCell] = []
    left = set(carried)
    while left:
        tried = (_cell(algebra, new_state, place, left) for place in sorted(left))
        found = next((one for one in tried if one is not None), None)
        if found is None:
            break
        cells.append(found)
        left -= set(found.states)
    return cells


def _cell(
    algebra: StepAlgebra, new_state: NewState, place: int, carried: set[int]
) -> WrittenCell | None:
    """The cell whose state h is that at a place."""
    try:
        new = new_state(place)
        if new.matrices or (new.bias.size and new.bias.any()):
            return None
        if len(new.products) == 1:
            return _of_one_product(algebra, new_state, place, new, carried)
        return _gru(algebra, place, new)
    except NoSum:
        return None


def _of_one_product(
    algebra: StepAlgebra, new_state: NewState, place: int, new: ProductSum, carried: set[int]
) -> WrittenCell | None:
    ((factors, number),) = new.products.items()
    if number != 1.0 or any(kind != "g" for kind, _ in factors):
        return None
    if len(factors) == 1:
        function, inner = algebra.gates[factors[0][1]]
        rows = _gate_rows(inner, place)
        return _made("SimpleRNN", (place,), [rows], function=function)
    if len(factors) != 2:
        return None
    for shown, gate in (factors, factors[::-1]):
        found = _lstm(algebra, new_state, place, (shown[1], gate[1]), carried)
        if found is not None:
            return found
    return None


def _lstm(
    algebra: StepAlgebra,
    new_state: NewState,
    place: int,
    shown_and_gate: tuple[int, int],
    carried: set[int],
) -> WrittenCell | None:
    """An LSTM whose h is the output gate times a function of the new c."""
    shown, output = shown_and_gate
    function, inner = algebra.gates[shown]
    for memory in sorted(carried - {place}):
        new = new_state(memory)
        if new.matrices or new.products != inner.products or inner.matrices:
            continue
        if new.bias.any() or inner.bias.any():
            continue
        kept = [f for f in new.products if f.count(("s", memory)) == 1 and len(f) == 2]
        added = [f for f in new.products if ("s", memory) not in f and len(f) == 2]
        if len(kept) != 1 or len(added) != 1 or set(new.products.values()) != {1.0}:
            continue
        (forget,) = [one for one in kept[0] if one != ("s", memory)]
        gate = algebra.gates[output][0]
        if any(kind != "g" for kind, _ in added[0]):
            continue
        pair = [index for _, index in added[0]]
        chosen = [one for one in pair if algebra.gates[one][0] == function != gate]
        if forget[0] != "g" or len(chosen) != 1:
            continue
        candidate = chosen[0]
        entry = pair[1 - pair.index(candidate)]
        order = (entry, forget[1], candidate, output)  # i f g o, as torch has them
        if {algebra.gates[one][0] for one in (entry, forget[1], output)} != {gate}:
            continue
        rows = [_gate_rows(algebra.gates[one][1], place) for one in order]
        return _made("LSTM", (place, memory), rows, gate=gate, function=function)
    return None


def _gru(algebra: StepAlgebra, place: int, new: ProductSum) -> WrittenCell | None:
    """A GRU: n - z n + z h, or its mirror z n + h - z h."""
    old, products = ("s", place), new.products
    single = [factors for factors in products if len(factors) == 1]
    if len(products) != 3 or len(single) != 1 or products[single[0]] != 1.0:
        return None
    mirrored = single[0] == (old,)
    mixed = [factors for factors in products if len(factors) == 2]
    with_old = [factors for factors in mixed if factors.count(old) == 1]
    with_new = [factors for factors in mixed if old not in factors]
    if len(with_old) != 1 or len(with_new) != 1:
        return None
    (update,) = [one for one in with_old[0] if one != old]
    rest = [one for one in with_new[0] if one != update]
    sign = -1.0 if mirrored else 1.0
    numbers = (products[with_old[0]], products[with_new[0]])
    if len(rest) != 1 or numbers != (sign, -sign) or update[0] != "g" or rest[0][0] != "g":
        return None
    if not mirrored and single[0] != (rest[0],):
        return None
    gate, z = algebra.gates[update[1]]
    function, n = algebra.gates[rest[0][1]]
    if mirrored:
        if gate != "sigmoid":
            return None
        z = times(z, -1.0)  # 1 - s(a) = s(-a)
    return _gru_of(algebra, place, gate, z, function, n)


def _gru_of(
    algebra: StepAlgebra, place: int, gate: str, z: ProductSum, function: str, n: ProductSum
) -> WrittenCell | None:
    """A GRU of its update gate and its candidate, with either convention of the reset gate."""
    state = ("s", place)
    inner = [leaf for leaf in n.matrices if leaf[0] == "v"]
    if inner:
        if len(inner) != 1 or n.products:
            return None
        reset = _reset_of(algebra.leaf(inner[0][1]).products, state)
        matrices = {k: v for k, v in n.matrices.items() if k != inner[0]}
        seen = ProductSum(width=n.width, matrices=matrices, bias=n.bias)
        kernel, recurrent, bias = _gate_rows(seen, place)
        if reset is None or recurrent is not None:
            return None
        rows_n = kernel, n.matrices[inner[0]], bias
        second = np.zeros(n.width)
    else:
        found = [factors for factors in n.products if len(factors) == 2]
        whole = [one for factors in found for one in factors if one[0] in "as" and one != ("x", "")]
        gates = [one for factors in found for one in factors if one[0] == "g"]
        if len(found) != 1 or len(whole) != 1 or len(gates) != 1 or n.products[found[0]] != 1.0:
            return None
        reset = gates[0][1]
        if whole[0] == state:
            own = np.eye(n.width)
            second = np.zeros(n.width)
        else:
            inside = algebra.affine(whole[0][1]) if whole[0][0] == "a" else None
            if inside is None or inside.products or set(inside.matrices) != {state}:
                return None
            own, second = inside.matrices[state], inside.bias
        rest = {factors: v for factors, v in n.products.items() if factors != found[0]}
        seen = ProductSum(width=n.width, matrices=n.matrices, bias=n.bias, products=rest)
        kernel, recurrent, bias = _gate_rows(seen, place)
        if recurrent is not None:
            return None
        rows_n = kernel, own, bias
    other, r = algebra.gates[reset]
    if other != gate:
        return None
    rows = [_gate_rows(r, place), _gate_rows(z, place), rows_n]
    return _made(
        "GRU", (place,), rows, gate=gate, function=function,
        reset_after=not inner, second=second,
    )  # fmt: skip


def _reset_of(products: Mapping[tuple[Factor, ...], float], state: Factor) -> int | None:
    """The gate of a product with the old state."""
    if len(products) != 1:
        return None
    ((factors, number),) = products.items()
    gates = [one for one in factors if one[0] == "g"]
    if number != 1.0 or len(factors) != 2 or len(gates) != 1 or state not in factors:
        return None
    return int(gates[0][1])


_Rows = tuple[dict[str, FloatArray], FloatArray | None, FloatArray]


def _gate_rows(value: ProductSum, place: int) -> _Rows:
    """What multiplies readings by name, what multiplies the state h, and the bias.

    Raises:
        NoSum: it depends on more.
    """
    kernel: dict[str, FloatArray] = {}
    recurrent: FloatArray | None = None
    entries = list(value.matrices.items())
    for factors, number in value.products.items():
        if len(factors) != 1:
            raise NoSum
        entries.append((factors[0], np.eye(value.width) * number))
    for (kind, key), matrix in entries:
        if kind == "x":
            kernel[key] = kernel[key] + matrix if key in kernel else matrix
        elif (kind, key) == ("s", place):
            recurrent = matrix if recurrent is None else recurrent + matrix
        else:
            raise NoSum
    bias = value.bias if value.bias.size else np.zeros(value.width)
    return kernel, recurrent, bias


def _made(
    kind: str,
    states: tuple[int, ...],
    rows: Sequence[_Rows],
    *,
    gate: str = "sigmoid",
    function: str = "tanh",
    reset_after: bool = True,
    second: FloatArray | None = None,
) -> WrittenCell:
    """The cell of the rows of its gates."""
    units = len(rows[0][2])
    names = list(dict.fromkeys(name for kernel, _, _ in rows for name in kernel))
    widths = {
        name: next(kernel[name].shape[1] for kernel, _, _ in rows if name in kernel)
        for name in names
    }
    if not names:
        raise NoSum
    kernel = np.vstack(
        [
            np.hstack([own.get(name, np.zeros((units, widths[name]))) for name in names])
            for own, _, _ in rows
        ]
    )
    recurrent = np.vstack([np.zeros((units, units)) if own is None else own for _, own, _ in rows])
    biases = [np.concatenate([bias for _, _, bias in rows])]
    if second is not None and reset_after:
        biases.append(np.concatenate([np.zeros(2 * units), second]))
    return WrittenCell(
        kind=kind,
        states=states,
        readings=tuple(names),
        kernel=kernel,
        recurrent=recurrent,
        biases=tuple(biases),
        gate=gate,
        function=function,
        reset_after=reset_after,
    )
