"""Every clause as PyTorch computes it in training, against the reference."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest
import torch

import edgernn_export.compress
from edgernn.model.formats import Precision
from edgernn_export.compress.qat.arithmetic import exact_sums, straight_through
from edgernn_export.compress.qat.arithmetic.input_codes import InputCodes, ReachedCodes
from edgernn_export.compress.qat.arithmetic.requantization import rounded_sum
from edgernn_export.compress.tensors import torch_functions
from edgernn_export.compress.tensors.back_ends import ops
from edgernn_firmware_sim.reference import affine as affine_map
from edgernn_firmware_sim.reference import arithmetic, tables
from edgernn_firmware_sim.reference.events import Quiet

EVERY_CODE = np.arange(-32768, 32768, dtype=np.int32)


def tensor(values):
    return torch.from_numpy(np.asarray(values, np.float32))


def integers(found):
    made = found.detach().numpy()
    assert np.array_equal(made, np.rint(made))
    return made.astype(np.int64)


@pytest.mark.parametrize("name", ["sigmoid", "tanh", "hard_sigmoid"])
def test_tables_at_every_code(name):
    made = getattr(straight_through, name)(tensor(EVERY_CODE))
    assert np.array_equal(integers(made), getattr(tables, name)(EVERY_CODE))


@pytest.mark.parametrize("precision", [Precision.W8A8, Precision.W8A16])
def test_operand_of_every_value(precision):
    wanted = affine_map.operand(precision, EVERY_CODE, Quiet(), "v")
    made = straight_through.operand(tensor(EVERY_CODE), precision)
    assert np.array_equal(integers(made), wanted)


def test_products_and_sums():
    rng = np.random.default_rng(1)
    a, b = rng.integers(-32768, 32768, (2, 20_000)).astype(np.int32)
    a[:4], b[:4] = [-32768, -32768, 32767, 32767], [32767, -32767, 32767, -32768]
    for k in (0, 1, 15, 16, 20):
        made = straight_through.product(tensor(a), tensor(b), k)
        # A product that no shift makes smaller is more than float32 holds.
        wanted = arithmetic.round_product(a * b, k).astype(np.float32)
        assert np.array_equal(integers(made), wanted.astype(np.int64))
    made = straight_through.saturating_sum(tensor(a), tensor(b))
    assert np.array_equal(integers(made), arithmetic.sat16(a + b))


@pytest.mark.parametrize("precision", [Precision.W8A8, Precision.W8A16])
def test_input_codes_with_ties_and_ends(precision):
    rng = np.random.default_rng(0)
    scale, offset = np.array([0.25, 0.0137, 1e-3]), np.array([3.0, -0.4, 101325.0])
    step = precision.input_step
    low, high = -(-precision.input_low // step), precision.input_high // step
    ties = rng.integers(2 * low - 9, 2 * high + 9, (3000, 1)) * (0.5 * step * scale) + offset
    xs = np.concatenate([ties, rng.normal(size=(3000, 3)) * step * high * scale + offset])
    xs = xs.astype(np.float32)
    exact = np.rint((xs.astype(np.float64) - offset) / (step * scale))
    found = integers(InputCodes(scale, offset, precision)(tensor(xs)))
    assert np.array_equal(found, step * np.clip(exact, low, high))
    searched = ReachedCodes(lambda x: np.rint((x - offset) / (step * scale)), low - 1, high + 1)
    assert np.array_equal(integers(searched(tensor(xs))), np.clip(exact, low - 1, high + 1))


@pytest.mark.parametrize("kind", ["double_product", "product_in_parts"])
def test_sums_that_float32_cannot_hold(kind):
    rng = np.random.default_rng(5)
    drawn = 4 * rng.integers(-4096, 4097, (50, 1100))
    weights = rng.integers(-12, 13, (1100, 8))
    sums = getattr(exact_sums, kind)(tensor(drawn), tensor(weights))
    assert np.array_equal(exact_sums.whole(sums).numpy(), drawn @ weights)


def test_biases_in_any_order():
    """The integers of a bias do not change with the order of the columns."""
    rng = np.random.default_rng(6)
    kernel, rate = rng.normal(size=(200, 5)), rng.uniform(1e3, 1e6, (200, 5))
    order = rng.permutation(200)
    made = [
        integers(rounded_sum([(tensor(kernel[at]), tensor(rate[at]))], 2.0**29))
        for at in (slice(None), order)
    ]
    assert np.array_equal(*made)
    assert np.abs(made[0] - (kernel * rate).sum(axis=0)).max() < 100


def test_a_gradient_is_released_with_its_graph():
    """A clause whose rule holds what it made must not keep the graph alive."""
    import gc
    import weakref

    codes = tensor(EVERY_CODE[:10]).requires_grad_()
    made = straight_through.sigmoid(codes)
    made.sum().backward()
    node = weakref.ref(made.grad_fn)
    gc.disable()
    try:
        del made
        assert node() is None
    finally:
        gc.enable()


def test_every_function_that_a_clause_names_is_there_for_pytorch():
    """`ops` looks functions up by name, so a missing one would show in training alone."""
    folder = Path(edgernn_export.compress.__file__).parent
    shared = ("qat/arithmetic", "qat/maps", "qat/integer_side", "distillation")
    files = [folder / "qat/interpreter.py", *(f for s in shared for f in (folder / s).glob("*.py"))]
    named = {
        node.attr
        for file in files
        if file.name != "distiller.py"  # a Keras model
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
        if node.value.id == "ops"
    }
    assert len(named) > 30
    assert not [name for name in named if not callable(getattr(torch_functions, name, None))]
    assert ops.abs(tensor([-2.0])).tolist() == [2.0]
