"""4-bit weights in the native backend: every instruction set, 0 LSB, and what it refuses."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from edgernn.backends.native import NativeBackend, _module, isas
from edgernn.backends.native_layout import LAYOUTS
from edgernn.model.formats import Precision
from edgernn.model.storage import Storage
from tests.support.models.grid import reference_stream
from tests.support.models.integer import CELLS, random_codes, random_model
from tests.support.models.stored import densified, stored
from tests.support.native.fuzz import arguments
from tests.support.native.programs import require_native

#: Around the edges of tiles, of registers full of them, and of blocks of rows.
WIDTHS = [(1, 1, 1), (5, 4, 3), (13, 31, 9), (33, 63, 17)]
#: Layer by layer, map by map, product by product.
MIXTURES = [
    (Storage.DENSE4,),
    (Storage.DENSE4, Storage.DENSE8),
    (Storage.DENSE8, Storage.DENSE4),
    (Storage.SPARSE8, Storage.DENSE4, Storage.DENSE8, Storage.DENSE4, Storage.DENSE4),
]


@pytest.fixture(autouse=True)
def _native():
    require_native()


@pytest.mark.parametrize("precision", Precision)
@pytest.mark.parametrize("cell", CELLS)
def test_every_isa_gives_the_reference_bits(cell, precision):
    for (inputs, units, outputs), common in product(WIDTHS, (True, False)):
        plain = random_model(
            cell, precision, inputs=inputs, units=units, outputs=outputs, stack=2,
            kind="hostile", common=common,
        )  # fmt: skip
        for mixture in MIXTURES:
            model = stored(plain, *mixture)
            q_xs = random_codes(model, 20)
            wanted = reference_stream(densified(model), q_xs)["y"]
            for isa, layout in product(isas(), LAYOUTS):
                got = NativeBackend(model, isa, layout).new_stream().run_codes(q_xs)
                assert np.array_equal(got, wanted), (inputs, units, common, mixture, isa, layout)


@pytest.mark.parametrize("precision", Precision)
def test_products_of_the_largest_numbers_are_exact(precision):
    model = stored(random_model("lstm", precision, inputs=520, units=3), Storage.DENSE4)
    lstm = model.layers[0]
    (term,) = lstm.gates.terms
    signs = np.where(np.arange(term.weights.size) % 7 < 5, 7, -7).reshape(term.weights.shape)
    term = replace(term, weights=signs.astype(np.int8))
    model = replace(
        model, layers=(replace(lstm, gates=replace(lstm.gates, terms=(term,))), *model.layers[1:])
    )
    step, high = precision.input_step, -precision.input_low
    q_xs = np.stack([np.full(520, high - step), np.full(520, -high), *random_codes(model, 8)])
    q_xs = np.clip(q_xs, precision.input_low, precision.input_high).astype(precision.operand_dtype)
    wanted = reference_stream(model, q_xs)["y"]
    for isa, layout in product(isas(), LAYOUTS):
        stream = NativeBackend(model, isa, layout).new_stream()
        assert np.array_equal(stream.run_codes(q_xs), wanted)


def with_first_term(given, change):
    """The arguments of `Program` with the first product of the first layer changed."""
    (kind, inputs, units, number, exponent, maps), *layers = given[4]
    *head, terms = maps[0]
    changed = (*head, (change(terms[0]), *terms[1:]))
    layer = (kind, inputs, units, number, exponent, (changed, *maps[1:]))
    return *given[:4], (layer, *layers), *given[5:]


REFUSALS = {
    "a weight of 8": (
        lambda t: (t[0], bytes([8]) + t[1][1:], *t[2:]),
        "weights: expected -7..7 for 4 bits, got 8",
    ),
    "a weight of -8": (
        lambda t: (t[0], t[1][:-1] + bytes([248]), *t[2:]),
        "weights: expected -7..7 for 4 bits, got -8",
    ),
    "5 bits": (lambda t: (*t[:-1], 5), "bits: expected 4 or 8, got 5"),
    "an index": (
        lambda t: (*t[:-2], bytes([0, 0]), 4),
        "index: expected none for weights of 4 bits, got one",
    ),
    "half the rows": (
        lambda t: (t[0], t[1][: len(t[1]) // 2 - 8], *t[2:]),
        "weights: expected whole tiles",
    ),
}


@pytest.mark.parametrize("precision", Precision)
@pytest.mark.parametrize("name", REFUSALS)
def test_refused(name, precision):
    change, text = REFUSALS[name]
    model = stored(random_model("lstm", precision, units=5), Storage.DENSE4)
    given = arguments(model, "portable")
    _module().Program(*given)
    with pytest.raises(ValueError, match=text):
        _module().Program(*with_first_term(given, change))
