"""4-bit weights on every emulated core: 0 LSB, also where sums are largest; half the bytes."""

from dataclasses import replace

import numpy as np
import pytest

from edgernn.model.affine import Affine16, Source, Term16
from edgernn.model.formats import Precision
from edgernn.model.storage import Storage
from edgernn_export.writers.c.source import write_c
from edgernn_export.writers.file_formats import golden_vector, probe_codes
from edgernn_firmware_sim.emulator import emulate, reference_trace
from tests.exactness.emulated.test_wide_maps import ROWS, extreme_model
from tests.support.models.hand_made import EACH_CODE, core_named
from tests.support.models.integer import random_model
from tests.support.models.stored import stored

pytestmark = pytest.mark.sampled(2)

PRECISIONS = [pytest.param(p, id=p.value) for p in Precision]
#: One core for each variant of the kernels.
VARIANT_CORES = ("cortex-m0", "cortex-m3", "cortex-m4", "cortex-m55", "rv32imc")
#: 5 tiles of 4 columns: a block of 4 and one more; one more than the 128 that sums have room for.
COLUMNS = (18, 513)


def emulated(core, model, q_xs, folder):
    wanted = reference_trace(model, q_xs)
    sources = write_c(model, golden_vector(model))
    result = emulate(model, sources, core_named(core), q_xs, folder, wanted)
    assert (result.differing, result.first_difference) == (0, "")
    return result, wanted


@pytest.mark.parametrize("core", EACH_CODE)
@pytest.mark.parametrize("precision", PRECISIONS)
def test_every_core_gives_the_reference_s_bits(precision, core, tmp_path):
    # Maps of one and of two products; 3 of 63 rows are left over, and so are 5 and 26 columns.
    plain = random_model("gru_after", precision, inputs=5, units=21, common=False)
    model = stored(plain, Storage.DENSE4)
    q_xs = probe_codes(model, 60, seed=5)
    result, _ = emulated(core, model, q_xs, tmp_path)
    assert 0 < result.stack_bytes <= result.static_stack_bytes < 1024


@pytest.mark.parametrize("core", VARIANT_CORES)
@pytest.mark.parametrize("precision", PRECISIONS)
def test_storages_side_by_side(precision, core, tmp_path):
    plain = random_model("gru_before", precision, inputs=9, units=14, common=False)
    model = stored(plain, Storage.DENSE4, Storage.SPARSE8, Storage.DENSE8, Storage.DENSE4)
    emulated(core, model, probe_codes(model, 60, seed=5), tmp_path)


def of_4_bits(model):
    """The model of `extreme_model` with weights 7 and -7 for 127 and -127."""
    (gru,) = model.layers
    (term,) = gru.n_x.terms
    weights = (term.weights // 127 * 7).astype(np.int8)
    return weights, term, gru


def extreme_model_8(columns):
    """`extreme_model` in 4 bits; the bias again leaves little of one product."""
    model, q_xs = extreme_model(columns)
    weights, term, gru = of_4_bits(model)
    products = (weights.astype(np.int64) * q_xs).sum(axis=1)
    bias = (2 * (np.arange(ROWS) * 9 - 99) - 2 * products).astype(np.int32)
    term = replace(term, weights=weights, storage=Storage.DENSE4)
    gru = replace(gru, n_x=replace(gru.n_x, terms=(term,), bias=bias))
    return replace(model, layers=(gru,)), q_xs


def constant16(affine, value):
    """A map that gives the same code for all operands."""
    (term,) = affine.terms
    rows = term.bias.size
    term = replace(
        term,
        weights=np.zeros_like(term.weights),
        bias=np.full(rows, 16 * value + 1, np.int32),
        shift=np.full(rows, 3, np.int32),
        multiplier=np.full(rows, 16384, np.int32),
    )
    return replace(affine, terms=(term,))


def extreme_model_16(columns):
    """The same for `w4a16`: codes at both ends, sums up to 7 * 32764 * columns."""
    weights, _, _ = of_4_bits(extreme_model(columns)[0])
    q_xs = np.where(weights > 0, 32764, -32764)
    q_xs[1::2] *= -1
    products = (weights.astype(np.int64) * q_xs).sum(axis=1)
    bias = (8 * (np.arange(ROWS) * 9 - 99) - products) // 4 * 4 + 1
    term = Term16(
        source=Source.X,
        weights=weights,
        bias=bias.astype(np.int32),
        shift=np.full(ROWS, 3, np.int32),
        multiplier=np.full(ROWS, 32767, np.int32),
        storage=Storage.DENSE4,
    )
    plain = random_model("gru_after", Precision.W8A16, inputs=columns, units=ROWS, outputs=0)
    (gru,) = plain.layers
    gru = replace(
        gru,
        zr=constant16(gru.zr, -16000),
        n_x=Affine16(terms=(term,)),
        n_h=constant16(gru.n_h, 0),
    )
    return replace(plain, layers=(gru,)), q_xs.astype(np.int16)


@pytest.mark.parametrize("columns", COLUMNS)
@pytest.mark.parametrize("core", VARIANT_CORES)
@pytest.mark.parametrize("extreme", [extreme_model_8, extreme_model_16], ids=["w4a8", "w4a16"])
def test_products_of_the_largest_numbers_are_exact(extreme, core, columns, tmp_path):
    model, q_xs = extreme(columns)
    _, wanted = emulated(core, model, q_xs, tmp_path)
    aimed_at = np.diagonal(wanted[:, -ROWS:])
    assert np.abs(aimed_at).max() < 200 * 32  # tanh is not saturated there
    assert len(set(aimed_at.tolist())) > ROWS // 2


def test_weights_take_half_the_flash(tmp_path):
    plain = random_model("lstm", inputs=20, units=40)
    sizes = {}
    for storage in (Storage.DENSE8, Storage.DENSE4):
        folder = tmp_path / storage.value
        folder.mkdir()
        model = stored(plain, storage)
        result, _ = emulated("cortex-m4", model, probe_codes(model, 3, seed=5), folder)
        sizes[storage] = result.sizes
    dense, four = sizes[Storage.DENSE8], sizes[Storage.DENSE4]
    weights = sum(
        t.weights.size for cl in plain.layers for a in cl.affines.values() for t in a.terms
    )
    assert dense.rodata_bytes - four.rodata_bytes == pytest.approx(weights / 2, abs=64)
    assert four.flash_bytes < dense.flash_bytes
