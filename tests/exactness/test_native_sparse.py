"""Block-sparse weights in the native backend: every instruction set, 0 LSB, and what it refuses."""

from itertools import product

import pytest

from edgernn.backends.native import NativeBackend, _module, isas
from edgernn.backends.native_layout import LAYOUTS
from edgernn.model.formats import Precision
from tests.support.models.grid import reference_stream
from tests.support.models.integer import CELLS, random_codes, random_model, sparse_model
from tests.support.native.fuzz import arguments
from tests.support.native.programs import require_native

#: Inputs, units, outputs and density. Around the edges of tiles and blocks of rows; as many tiles
#: as permutations reach, and more.
SHAPES = [
    (1, 1, 1, 0.0), (5, 4, 3, 1.0), (13, 31, 9, 0.4), (33, 63, 17, 0.0), (12, 18, 8, 1.0),
    (190, 66, 2, 0.4), (290, 5, 2, 0.9),
]  # fmt: skip
#: 4 gates of 5 units over 9 inputs and 5 units: 5 groups of rows, 5 tiles of columns.
MODEL = sparse_model(random_model("lstm", inputs=9, units=5, outputs=0), 0.6)


@pytest.fixture(autouse=True)
def _native():
    require_native()


@pytest.mark.parametrize("precision", Precision)
@pytest.mark.parametrize("cell", CELLS)
def test_every_isa_gives_the_reference_bits(cell, precision):
    for inputs, units, outputs, density in SHAPES:
        for common in (True, False):
            plain = random_model(
                cell, precision, inputs=inputs, units=units, outputs=outputs,
                kind="hostile", common=common,
            )  # fmt: skip
            model = sparse_model(plain, density)
            q_xs = random_codes(model, 10)
            wanted = reference_stream(model, q_xs)["y"].tolist()
            for isa, layout in product(isas(), LAYOUTS):
                got = NativeBackend(model, isa, layout).new_stream().run_codes(q_xs)
                assert got.tolist() == wanted, (inputs, units, density, common, isa, layout)


def with_index(change):
    """Arguments of `Program` for MODEL with another index, and its own one."""
    head, (layer,), *tail = (lambda a: (a[:4], *a[4:]))(arguments(MODEL, "auto"))
    *fields, ((shift, bias, (term,)),) = layer
    *rest, index, bits = term
    gates = (shift, bias, ((*rest, change(index), bits),))
    return (*head, ((*fields, (gates,)),), *tail), index


def group_starts(index):
    """Where the groups of an index begin."""
    at = 0
    while at < len(index):
        yield at
        at += 2 + index[at]


def last_count(index, change):
    """The index with another count of its last group."""
    *_, at = group_starts(index)
    return index[:at] + bytes([index[at] + change]) + index[at + 1 :]


#: How an index can be wrong.
SPOILT = {
    "a byte more": lambda index: index + b"\0",
    "a byte less": lambda index: index[:-1],
    "only a count": lambda index: index[:1],
    "place": lambda index: index[:1] + b"\5" + index[2:],
    "largest place": lambda index: index[:-1] + b"\xff",
    "largest count": lambda index: b"\xff" + index[1:],
    "one more in the last group": lambda index: last_count(index, 1),
    "one less in the last group": lambda index: last_count(index, -1),
    "group more": lambda index: index + b"\0\0",
    "group less": lambda index: index[: list(group_starts(index))[-1]],
}  # fmt: skip


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT)
def test_an_index_that_does_not_fit_is_refused(spoil):
    right, index = with_index(lambda i: i)
    assert len(list(group_starts(index))) == 5
    assert index[0] > 0
    _module().Program(*right)
    wrong, _ = with_index(spoil)
    with pytest.raises(ValueError, match="index: expected the places of "):
        _module().Program(*wrong)


@pytest.mark.parametrize("index", [1.5, "x", [0], object()])
def test_an_index_of_another_type_is_refused(index):
    wrong, _ = with_index(lambda _: index)
    with pytest.raises(TypeError):
        _module().Program(*wrong)


def test_places_that_are_in_range_are_only_other_weights():
    """Order and repetition of places are no matter of memory."""
    swapped, index = with_index(lambda i: i[:1] + b"\4\0" + i[3:])
    assert index[0] > 0
    stream = _module().Program(*swapped).stream()
    assert stream.run_codes(random_codes(MODEL, 5)).shape == (5, 5)
