"""Which products the native backend holds as they are stored: the rule, its limits, 0 LSB."""

import re
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest

import edgernn
from edgernn import EdgeRnnError
from edgernn.backends.native_layout import (
    LAYOUTS,
    LIMITS,
    Int4Limit,
    SparseLimit,
    StorageChoice,
    StorageLimits,
)
from edgernn.model.formats import Precision
from edgernn.model.storage import Storage
from tests.support.models.integer import CELLS, random_model, sparse_model
from tests.support.models.stored import densified, stored
from tests.support.native.fuzz import arguments
from tests.support.native.programs import all_isas, require_native

DENSE, SPARSE, FOUR = Storage.DENSE8, Storage.SPARSE8, Storage.DENSE4
#: Instruction sets that no limits are known of.
UNMEASURED = ("portable", "neon", "dot")
#: Round numbers: of 80 tiles in 4 groups fewer than 0.5 * 80 - 2 * 4 = 32, in a small model too.
ROUND = StorageLimits(
    one_product=SparseLimit(share=0.5, per_group=2),
    most_columns=20,
    sparse=SparseLimit(share=0.25, per_group=1),
    int4=Int4Limit(model_bytes=1280, at_once=4),
)


def lstm(inputs, *, common=True):
    """4 gates of 4 units: 4 groups of rows over inputs and 4 units; 1 or 2 products."""
    return random_model("lstm", inputs=inputs, units=4, outputs=0, common=common)


def with_tiles(model, *kept):
    """The model with that many tiles of weights in each product of its gates, stored sparse."""
    (layer,) = model.layers
    terms = []
    for term, tiles in zip(layer.gates.terms, kept, strict=True):
        rows, columns = term.weights.shape
        mask = np.zeros((rows // 4, columns // 4), bool)
        mask[:, 0] = True  # no group of rows is without a tile
        mask.flat[np.flatnonzero(~mask)[: tiles - rows // 4]] = True
        weights = np.kron(mask, np.ones((4, 4), np.int8))  # not zero wherever a tile is
        terms.append(replace(term, weights=weights, storage=SPARSE))
    return replace(model, layers=(replace(layer, gates=replace(layer.gates, terms=tuple(terms))),))


def chosen(model, isa="made", layout="fast"):
    """The storages of the first map."""
    layer = model.layers[0]
    return StorageChoice(model, isa, layout).storages(layer, next(iter(layer.affines.values())))


@pytest.fixture
def limits(monkeypatch):
    """Sets the limits of an instruction set named "made"."""

    def set_them(**changes):
        monkeypatch.setitem(LIMITS, ("made", 8), replace(ROUND, **changes))

    set_them()
    return set_them


def test_a_sparse_map_stays_sparse_below_the_limit_only(limits):
    model = lstm(76)
    assert chosen(with_tiles(model, 31)) == (SPARSE,)
    assert chosen(with_tiles(model, 32)) == (DENSE,)
    assert chosen(with_tiles(model, 32), layout="stored") == (SPARSE,)


def test_sparse_maps_without_a_kernel_of_their_own_have_another_limit(limits):
    two = lstm(76, common=False)  # 19 and 1 columns: fewer than 80 / 4 - 8 = 12 tiles
    assert chosen(with_tiles(two, 7, 4)) == (SPARSE, SPARSE)
    assert chosen(with_tiles(two, 8, 4)) == (DENSE, DENSE)
    wide = lstm(80)  # 21 columns of tiles are more than 20: 84 / 4 - 4 = 17
    assert chosen(with_tiles(wide, 16)) == (SPARSE,)
    assert chosen(with_tiles(wide, 17)) == (DENSE,)


def test_a_limit_may_hold_for_models_of_some_size_only(limits):
    model = with_tiles(lstm(76), 5)  # 80 tiles of 16 bytes
    for least, wanted in ((1280, SPARSE), (1281, DENSE)):
        limits(one_product=replace(ROUND.one_product, model_bytes=least))
        assert chosen(model) == (wanted,)


def test_4_bit_maps_stay_so_in_large_models_of_whole_loads(limits):
    assert chosen(stored(lstm(76), FOUR)) == (FOUR,)
    assert chosen(stored(lstm(72), FOUR)) == (DENSE,)  # 19 columns of tiles; too small as well
    assert chosen(stored(lstm(80), FOUR)) == (DENSE,)  # 21 columns
    assert chosen(stored(lstm(60), FOUR)) == (DENSE,)  # 16 columns, 1024 bytes
    assert chosen(stored(lstm(76), FOUR), layout="stored") == (FOUR,)
    limits(int4=None)
    assert chosen(stored(lstm(76), FOUR)) == (DENSE,)


def test_a_map_of_several_storages_becomes_dense(limits):
    model = lstm(76, common=False)
    for pair in ((SPARSE, FOUR), (DENSE, SPARSE), (FOUR, DENSE)):
        assert chosen(stored(model, *pair, density=0.1)) == (DENSE, DENSE)
        assert chosen(stored(model, *pair, density=0.1), layout="stored") == pair


@pytest.mark.parametrize("precision", Precision)
def test_instruction_sets_without_limits_keep_every_storage(precision):
    plain = random_model("gru_before", precision, inputs=9, units=13, common=False)
    for storages in product(Storage, Storage):
        model = stored(plain, *storages)
        own = tuple(t.storage for t in next(iter(model.layers[0].affines.values())).terms)
        for isa in UNMEASURED:
            assert chosen(model, isa) == own


def test_measured_limits_of_networks():
    """Small ones are dense on AVX-512; a large one keeps what it gains by."""
    small = random_model("gru_after", inputs=8, units=32, outputs=4)
    large = random_model("gru_after", inputs=64, units=128, outputs=4)
    assert chosen(sparse_model(small, 0.3), "avx512") == (DENSE,)
    assert chosen(stored(small, FOUR), "avx512") == (DENSE,)
    assert chosen(sparse_model(small, 0.3), "avx2") == (SPARSE,)
    assert chosen(stored(small, FOUR), "avx2") == (DENSE,)
    for isa in ("avx512", "avx2"):
        assert chosen(sparse_model(large, 1.0), isa) == (DENSE,)
        assert chosen(sparse_model(large, 0.3), isa) == (SPARSE,)
        assert chosen(stored(large, FOUR), isa) == (FOUR,)


def test_the_kernels_get_what_the_layout_says():
    require_native()
    model = sparse_model(random_model("lstm", inputs=9, units=5, outputs=0), 0.6)
    fast, kept = (arguments(model, "avx512", layout)[4] for layout in LAYOUTS)
    assert fast == arguments(densified(model), "avx512", "stored")[4]
    assert fast != kept
    assert kept == arguments(model, "portable", "fast")[4]


@pytest.mark.filterwarnings("ignore::edgernn.ClippedReadingsWarning")
@pytest.mark.parametrize("isa", all_isas())
@pytest.mark.parametrize("precision", Precision)
def test_every_way_of_stepping_gives_the_reference_bits_in_either_layout(precision, isa):
    require_native()
    for cell, storages in product(CELLS, [(SPARSE,), (FOUR,), (SPARSE, FOUR, DENSE)]):
        plain = random_model(cell, precision, inputs=40, units=36, kind="hostile")
        model = stored(plain, *storages, density=0.1)
        xs = np.random.default_rng(0).uniform(-5, 5, (8, 40))
        with edgernn.load(model, "reference") as reference:
            wanted = reference.run(xs)
        for layout in LAYOUTS:
            with edgernn.load(model, "native", isa=isa, layout=layout) as session:
                assert np.array_equal(session.run(xs), wanted)
                session.reset()
                x, y = np.empty(40), np.empty(2)
                step = session.bind(x, y)
                for reading, outputs in zip(xs, wanted, strict=True):
                    x[...] = reading
                    step()
                    assert np.array_equal(y, outputs)


def test_the_layout_is_an_option_of_the_native_backend(tmp_path):
    require_native()
    path = tmp_path / "m.edgernn"
    model = stored(lstm(5), SPARSE)
    model.save(path)
    for layout in LAYOUTS:
        assert edgernn.load(path, "native", layout=layout).run(np.zeros((3, 5))).shape == (3, 4)
    text = "backend 'native': expected layout fast or stored, got 'small'"
    for source in (path, model):
        with pytest.raises(EdgeRnnError, match=text):
            edgernn.load(source, "native", layout="small")
    with pytest.raises(EdgeRnnError, match="got layout"):
        edgernn.load(path, "reference", layout="stored")


def test_every_limit_is_of_an_instruction_set_there_is():
    source = Path(edgernn.__file__).parent / "extension" / "dispatch.c"
    known = set(re.findall(r"extern const native_isa native_(\w+);", source.read_text()))
    assert known == {isa for isa, _ in LIMITS} | set(UNMEASURED)
    assert {bits for _, bits in LIMITS} == {8, 16}
