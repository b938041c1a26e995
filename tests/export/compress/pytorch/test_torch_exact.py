"""A PyTorch module under training and its integer model give the same codes: 0 LSB."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

import edgernn
from edgernn.model.merges import MergeOperation
from edgernn.model.routes import RoutePart
from edgernn_export import quantize
from edgernn_export.compress.pytorch import integer_model, qat_module, tuned_network, write_back
from edgernn_export.float_model.float_run import answers
from edgernn_export.float_model.model import FloatAttention, FloatDense, FloatModel
from tests.support.models.float import FLOAT_CELLS, float_model
from tests.support.models.float_networks import (
    delaying_network,
    merging_network,
    two_port_network,
)
from tests.support.models.registered import ALL_CELLS, float_cell
from tests.support.models.torch_modules import Normalized
from tests.support.training.torch_runs import (
    by_port,
    codes,
    fitted,
    moved,
    reference_codes,
    streams,
)

PRECISIONS = ("w8a8", "w8a16", "w4a8", "w4a16")
FEW = {
    ("lstm", "w8a8"), ("gru_after", "w4a8"), ("gru_before", "w8a16"), ("simple_rnn", "w4a16"),
}  # fmt: skip
CASES = [
    pytest.param(cell, precision, marks=() if (cell, precision) in FEW else pytest.mark.long)
    for cell in FLOAT_CELLS
    for precision in PRECISIONS
]


def attending():
    """Attention of a GRU over its last five steps, by either kind of score."""
    rng = np.random.default_rng(3)
    heads = {
        "dot": FloatAttention(name="dot", slots=5, width=6, units=6, tied=True, factor=np.ones(6)),
        "added": FloatAttention(
            name="added", slots=5, width=6, units=6, score="additive", factor=rng.normal(size=6)
        ),
    }
    whole = RoutePart(source=0, start=0, width=6)
    routes = [[RoutePart(source=-1, start=0, width=3)], [whole] * 2, [whole] * 3]
    joined = [RoutePart(source=index, start=0, width=6) for index in (1, 2)]
    last = FloatDense(name="head", kernel=rng.normal(size=(2, 12)), bias=np.zeros(2))
    first = float_model("gru_after", units=6).layers[0]
    return FloatModel(
        name="attending",
        layers=(first, *heads.values(), last),
        routes=(*map(tuple, (*routes, joined)), (RoutePart(source=3, start=0, width=2),)),
        input_names=("a", "b", "c"),
        input_units=("",) * 3,
        output_names=("y", "z"),
        output_units=("",) * 2,
    )


NETWORKS = {
    "sum": lambda: merging_network(MergeOperation.SUM),
    "product": lambda: merging_network(MergeOperation.PRODUCT),
    "hypotenuse": lambda: merging_network(MergeOperation.HYPOTENUSE),
    "ports": two_port_network,
    "delays": lambda: delaying_network(0.5),
    "attention": attending,
}


def registered(kind):
    rng = np.random.default_rng(0)
    head = FloatDense(name="head", kernel=rng.normal(size=(2, 6)), bias=np.zeros(2))
    return FloatModel(
        name=kind,
        layers=(float_cell(kind, "cell", 3, 6, gain=0.6), head),
        input_names=("a", "b", "c"),
        input_units=("",) * 3,
        output_names=("y", "z"),
        output_units=("",) * 2,
    )


def differing(model, x):
    return np.count_nonzero(codes(model, x) != reference_codes(integer_model(model), x))


def check(network, precision, **options):
    """Before training, after weights have moved, and no layer the same as before."""
    x = streams(2, 60, network.inputs)
    model = qat_module(network, x.numpy(), precision, **options)
    before = integer_model(model)
    assert differing(model, x) == 0
    assert differing(moved(model, x), x) == 0
    after = integer_model(model)
    for old, new in zip(before.layers, after.layers, strict=True):
        assert (old != new) == bool(old.affines or old.scale_shape), old.name
    return before


@pytest.mark.parametrize(("cell", "precision"), CASES)
def test_moved_weights_give_the_codes_of_the_reference(cell, precision):
    dense = ((4, "tanh"), (4, "relu"), (4, "sigmoid"))
    check(float_model(cell, units=6, dense=dense), precision)


@pytest.mark.parametrize(
    ("cell", "precision"),
    [
        pytest.param(cell, precision, marks=() if cell == "gru_after" else pytest.mark.long)
        for cell, precision in (("gru_after", "w8a8"), ("lstm", "w4a16"), ("gru_before", "w8a16"))
    ],
)
def test_wide_states_do_too(cell, precision):
    check(float_model(cell, units=6), precision, state="32")


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_that_are_no_chains_do_too(name):
    """Merges have no weights and stay as they are; so do delays."""
    network = NETWORKS[name]()
    x = streams(2, 40, network.inputs)
    model = qat_module(network, x.numpy(), "w8a8")
    assert differing(moved(model, x), x) == 0


def test_layer_normalizations_keep_their_constants():
    torch.manual_seed(2)
    module = Normalized().eval()
    x = streams(2, 40)
    model = qat_module(module, x.numpy(), "w8a8", example=x)
    before = integer_model(model)
    assert differing(model, x) == 0
    assert differing(moved(model, x), x) == 0
    changed = [a != b for a, b in zip(before.layers, integer_model(model).layers, strict=True)]
    assert changed == [True, False, True, False, True]
    norms = [name for name in module.state_dict() if name.startswith(("before", "behind"))]
    kept = {name: module.state_dict()[name].clone() for name in norms}
    write_back(model, module)
    assert all(torch.equal(module.state_dict()[name], kept[name]) for name in norms)
    with torch.no_grad():
        tuned = answers(tuned_network(model), x.numpy().astype(np.float64))
        assert np.abs(tuned - module(x).numpy()).max() < 1e-5


CELL_CASES = [
    pytest.param(kind, precision, marks=() if few else pytest.mark.long)
    for kind in ALL_CELLS
    for precision in PRECISIONS
    for few in (precision == "w8a8" and kind in ("peephole_lstm", "layer_norm_gru", "min_gru"),)
]


@pytest.mark.parametrize(("kind", "precision"), CELL_CASES)
def test_registered_cells_do_too(kind, precision):
    x = streams(2, 40)
    # Layers this small would keep 8 bits.
    bits = {"cell": 4, "head": 4} if precision.startswith("w4") else None
    model = qat_module(registered(kind), x.numpy(), precision, weight_bits=bits)
    assert differing(model, x) == 0
    assert differing(moved(model, x), x) == 0


@pytest.mark.parametrize("precision", ["w8a8", "w4a16"])
def test_training_starts_at_the_post_training_model(precision):
    network, x = float_model("gru_after", units=6), streams(3, 50)
    start = integer_model(qat_module(network, x.numpy(), precision))
    rounded = quantize(network, x.numpy(), precision)
    assert (start.input, start.output) == (rounded.input, rounded.output)
    for made, wanted in zip(start.layers, rounded.layers, strict=True):
        for a, b in zip(made.affines.values(), wanted.affines.values(), strict=True):
            for s, t in zip(a.terms, b.terms, strict=True):
                assert np.array_equal(s.weights, t.weights)
                assert np.array_equal(s.multiplier, t.multiplier)


@pytest.mark.parametrize("state", ["16", "32"])
def test_streams_that_begin_with_other_states_than_zero(state):
    network = float_model("lstm", units=6)
    start = np.linspace(-0.9, 0.9, 12)
    first = dataclasses.replace(network.layers[0], start=start)
    network = dataclasses.replace(network, layers=(first, *network.layers[1:]))
    x = streams(2, 20)
    model = qat_module(network, x.numpy(), state=state)
    assert integer_model(model).layers[0].starts
    assert differing(moved(model, x), x) == 0
    assert np.array_equal(tuned_network(model).layers[0].start, start)


def test_fitted_weights_give_the_codes_of_the_reference_on_unseen_streams():
    x, unseen = streams(8, 20), streams(2, 200, seed=7)
    model = qat_module(float_model("gru_before", units=6), x.numpy(), "w4a8")
    losses = fitted(model, x, torch.zeros(8, 20, 2), rate=0.02, steps=12, batch=4)
    assert losses[-1] < 0.7 * losses[0]
    integer = integer_model(model)
    assert np.array_equal(codes(model, unseen), reference_codes(integer, unseen))
    assert integer.provenance.settings[-1] == ("training", "quantization-aware")
    outputs = model(unseen).detach().numpy()
    assert np.allclose(outputs, reference_codes(integer, unseen) * integer.output.scale, atol=1e-6)


def test_several_inputs_and_outputs_by_position_and_by_name():
    network = two_port_network()
    x = streams(2, 30, network.inputs)
    model = qat_module(network, x.numpy()).eval()
    parts = by_port(model, x)
    level, kind = model(*parts)
    for made in (model(dict(zip("ab", parts, strict=True))), model.stream(*parts)[0]):
        assert torch.equal(made[0], level)
        assert torch.equal(made[1], kind)
    logits = reference_codes(integer_model(model), x) * integer_model(model).output.scale
    assert np.allclose(level.detach(), logits[..., :2], atol=1e-6)
    wanted = np.exp(logits[..., 2:])
    wanted /= wanted.sum(axis=-1, keepdims=True)
    assert np.allclose(kind.detach(), wanted, atol=1e-6)


def test_masked_steps_leave_the_states():
    """The outputs are those of a session, before the first step too, and weights have moved."""
    network = dataclasses.replace(float_model("lstm", units=6), mask=0.25)
    x = streams(2, 30)
    x[0, :3], x[1, 7:11] = 0.25, 0.25
    model = moved(qat_module(network, x.numpy(), "w8a8"), x)
    made = codes(model, x)
    with edgernn.load(integer_model(model), backend="reference") as session:
        for found, readings in zip(made, x.numpy(), strict=True):
            session.reset()
            wanted = session.run(readings) / integer_model(model).output.scale
            assert np.array_equal(found, np.rint(wanted))
    assert np.array_equal(made[0, :3], np.tile(integer_model(model).output.masked, (3, 1)))


@pytest.mark.parametrize("network", ["delays", "sum", "attention"])
def test_a_stream_in_parts_is_the_stream_in_one(network):
    network = NETWORKS[network]()
    x = streams(2, 30, network.inputs)
    model = qat_module(network, x.numpy()).eval()
    whole, parts, states = model(x), [], None
    for part in (x[:, :7], x[:, 7:8], x[:, 8:]):
        made, states = model.stream(part, states=states)
        parts.append(made)
    assert torch.equal(torch.cat(parts, dim=1), whole)


@pytest.mark.parametrize("change", ["autocast", "float64 readings", "less exact products"])
def test_nothing_around_the_module_changes_a_code(change):
    x = streams(2, 40)
    model = qat_module(float_model("lstm", units=6), x.numpy(), "w8a16")
    wanted = reference_codes(integer_model(model), x)
    if change == "autocast":
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found = codes(model, x)
    elif change == "float64 readings":
        found = codes(model, x.double())
    else:
        before = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("medium")
        try:
            found = codes(model, x)
        finally:
            torch.set_float32_matmul_precision(before)
    assert np.array_equal(found, wanted)
