"""A network that was pruned in whole tiles becomes a smaller integer model."""

from __future__ import annotations

import numpy as np
import pytest

from edgernn.container.file import to_bytes
from edgernn.container.memory import weight_memory
from edgernn.model.storage import Storage
from edgernn_export import quantize
from tests.support.models.stored import densified
from tests.support.training.pruning_runs import XS, fit, network, pruner

pytestmark = pytest.mark.tf


@pytest.mark.filterwarnings("ignore:pruning. rnn/kernel. gate")  # of three inputs
@pytest.mark.parametrize("pattern", ["4x4", "8x4"])
def test_a_pruned_network_is_a_smaller_file(pattern):
    model = network(units=16)
    fit(model, pruner(0.25, end_step=4, pattern=pattern), epochs=2)
    sparse = quantize(model, XS, progress=False)
    dense = quantize(model, XS, sparse="never", progress=False)
    assert Storage.SPARSE8 in sparse.storages
    assert densified(sparse).layers == dense.layers
    memory = weight_memory(sparse.layers[:1])
    # A quarter of the tiles, and one for each group of four rows that lost all of its own.
    assert 0.25 <= memory.density < 0.4
    assert memory.total_bytes < 0.45 * memory.dense_bytes
    saved = memory.dense_bytes - memory.total_bytes
    # The kernel's 3 columns fill a tile of 4: the dense file has a quarter less of them.
    assert len(to_bytes(dense)) - len(to_bytes(sparse)) > 0.6 * saved
    assert np.count_nonzero(sparse.layers[0].gates.terms[0].weights)
