"""Every layer runs in every precision and is written in every format; a hole must be declared."""

from __future__ import annotations

import itertools
from functools import partial

from edgernn.errors import EdgeRnnError
from edgernn.graph.lowering import LOWERINGS
from edgernn.graph.ops import OPS, Function
from edgernn.model.formats import Precision
from edgernn.model.layers import LAYERS
from edgernn_export.float_model.cells import CELLS as FLOAT_CELLS
from edgernn_export.writers.file_formats import WRITERS, golden_vector, open_writer
from edgernn_export.writers.onnx.float_operators import WRITTEN
from edgernn_export.writers.onnx.float_steps import NODES
from edgernn_export.writers.onnx.interpreter import APPENDED
from edgernn_export.writers.tflite.interpreter import EMITTED
from edgernn_firmware_sim.reference.interpreter import INTERPRETED
from tests.exactness.contract_worker import CASES
from tests.support.models.convolutions import convolution_chain
from tests.support.models.integer import CELLS, random_model
from tests.support.models.networks import residual_network
from tests.support.models.tokens import token_chain

#: What makes a small model of a precision, by a name: all layers of the product but registered
#: cells, which have tests of their own.
MODELS = {
    **{cell: partial(random_model, cell, units=4) for cell in CELLS},
    "merge": residual_network,
    "convolution": convolution_chain,
    "tokens": token_chain,
}
#: (layer, precision, format) that no writer supports yet.
MISSING: set[tuple[str, str, str]] = set()


def test_every_layer_has_a_lowering_and_every_operation_an_interpreter():
    assert set(LAYERS.values()) <= set(LOWERINGS)
    assert set(INTERPRETED) == set(EMITTED) == set(APPENDED) == set(OPS)


def test_the_float_form_of_onnx_has_every_layer_and_every_function():
    assert set(WRITTEN) == set(FLOAT_CELLS)
    assert set(NODES.functions) == set(Function)


def test_random_models_and_the_contract_cover_every_layer():
    models = [made(precision=Precision.W8A8) for made in MODELS.values()]
    covered = {type(layer) for model in models for layer in model.layers}
    assert covered == {kind for kind in LOWERINGS if kind.__module__.startswith("edgernn.model.")}
    checked = {(cell, precision) for cell, precision, *_ in CASES}
    assert checked == set(itertools.product(CELLS, (p.value for p in Precision)))


def test_every_format_holds_every_layer_in_every_precision():
    holes = set()
    for made, precision, name in itertools.product(MODELS.values(), Precision, WRITERS):
        model = made(precision=precision)
        try:
            content = open_writer(name)[0](model, golden_vector(model))
        except (EdgeRnnError, KeyError):
            holes |= {(layer.kind, precision.value, name) for layer in model.layers}
        else:
            assert content, f"{model.name} as {name}"
    assert holes == MISSING
