"""Maps whose two products are stored in different ways: 0 LSB, and what the second one costs."""

import pytest

from edgernn.model.formats import Precision
from edgernn.model.storage import Storage
from edgernn_export.writers.c.source import write_c
from edgernn_export.writers.file_formats import golden_vector, probe_codes
from edgernn_firmware_sim.emulator import emulate, reference_trace
from tests.support.models.hand_made import core_named
from tests.support.models.integer import random_model, sparse_model
from tests.support.models.stored import stored

pytestmark = pytest.mark.sampled(2)

PRECISIONS = [pytest.param(p, id=p.value) for p in Precision]
#: One core for each variant of the kernels without vectors.
CORES = ("cortex-m0", "cortex-m3", "cortex-m4", "rv32imc")
DENSE8, SPARSE8, DENSE4 = Storage.DENSE8, Storage.SPARSE8, Storage.DENSE4
#: Input, state, then two maps of one product.
MIXTURES = [
    (DENSE8, SPARSE8),
    (SPARSE8, DENSE8),
    (SPARSE8, DENSE4),
    (DENSE4, DENSE8),
    (DENSE8, DENSE4),
    (DENSE8, DENSE8, SPARSE8),
]


def emulated(core, model, folder, steps=20):
    q_xs = probe_codes(model, steps, seed=5)
    wanted = reference_trace(model, q_xs)
    sources = write_c(model, golden_vector(model))
    folder.mkdir(exist_ok=True)
    result = emulate(model, sources, core_named(core), q_xs, folder, wanted)
    assert (result.differing, result.first_difference) == (0, "")
    return result


def names(storages):
    return "-".join(storage.value for storage in storages)


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("storages", MIXTURES, ids=names)
def test_storages_within_one_map(storages, precision, core, tmp_path):
    # 42 and 21 rows: more than are made at once, and left over; few blocks leave rows without any.
    plain = random_model("gru_after", precision, inputs=9, units=21, common=False, kind="hostile")
    emulated(core, stored(plain, *storages, density=0.2), tmp_path)


@pytest.mark.parametrize("core", ["cortex-m0", "cortex-m4", "rv32imc"])
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("storages", [*MIXTURES[:2], (DENSE4, SPARSE8)], ids=names)
def test_more_columns_than_sums_hold_beside_few(storages, precision, core, tmp_path):
    plain = random_model("simple_rnn", precision, inputs=521, units=6, common=False)
    emulated(core, stored(plain, *storages, density=1.0), tmp_path, steps=6)


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("precision", PRECISIONS)
def test_two_sparse_products_take_little_more_than_one(precision, core, tmp_path):
    medians = {}
    for common in (True, False):
        plain = random_model("gru_after", precision, inputs=32, units=64, common=common)
        model = sparse_model(plain, 0.3)
        result = emulated(core, model, tmp_path / str(common), steps=3)
        medians[common] = result.instructions.median
    # What is made of the sums, four instructions a row and more, is made of two of them.
    assert medians[False] < (1.15 if precision is Precision.W8A8 else 1.25) * medians[True]


def test_a_second_dense_product_takes_little_more_than_its_columns(tmp_path):
    # Sixteen rows of RISC-V stay in registers from one product to the next.
    medians = {}
    for common in (True, False):
        model = random_model("gru_after", inputs=64, units=128, outputs=4, common=common)
        result = emulated("rv32imc", model, tmp_path / str(common), steps=3)
        medians[common] = result.instructions.median
    assert medians[False] < 1.01 * medians[True]
