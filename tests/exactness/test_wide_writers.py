"""Curves, wide states, their rounding: TFLite and ONNX give the reference's integers."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from edgernn.backends.onnx import OPTIMIZATIONS
from edgernn.graph.builder import OpBuilder
from edgernn.graph.op_graph import OpGraph
from edgernn.graph.ops import Function, Gate, Value
from edgernn.model.formats import INT16_MAX, PREACTIVATION, UNIT, Precision, QFormat, low_format
from edgernn.model.functions.curves import CURVE_STEP_BITS, CurveTable
from edgernn.model.functions.pointwise import PointwiseFunction
from edgernn.model.scales import LeakConstants
from edgernn_export.writers.onnx.graph import GraphBuilder
from edgernn_export.writers.onnx.interpreter import NodeEmitter, NodeRows
from edgernn_export.writers.onnx.tables import Tables
from edgernn_export.writers.tflite.graph import Graph
from edgernn_export.writers.tflite.interpreter import OperatorEmitter
from edgernn_firmware_sim.reference.events import Quiet
from edgernn_firmware_sim.reference.interpreter import StepInterpreter
from tests.support.runtimes import RESOLVERS, RUNTIMES, require, run_python

WIDTH = 512
#: Values that states, targets and gates take besides random ones.
ENDS = np.array([-32768, -32767, -16384, -1, 0, 1, 16383, 16384, 32766, 32767])
#: A graph, and the rows that it reads.
Case = tuple[OpGraph, np.ndarray]


def quantized(bits: int) -> QFormat:
    return QFormat(bits=16, frac_bits=bits)


class Rows:
    """A graph that reads parts of one row, and puts out one row of the same width.

    Args:
        forms: of the parts.
        width: of each.
    """

    def __init__(self, *forms: QFormat | None, width: int = WIDTH) -> None:
        self.width = width
        self.g = OpBuilder(Precision.W8A8)
        self.g.layer = "layer"
        self.x = self.g.input("x", width * len(forms), operand=False)
        if len(forms) == 1:
            self.parts: tuple[Value, ...] = (self.x,)
        else:
            names = "abcdefgh"[: len(forms)]
            made = [UNIT if form is None else form for form in forms]
            self.parts = self.g.split(self.x, names, made)

    def finish(self, *made: Value) -> OpGraph:
        """The results, and behind them as much of the row as is left."""
        rest = self.x.width - self.width * len(made)
        if rest:
            made = (*made, self.g.part(self.x, 0, rest, "rest"))
        return self.g.finish((self.g.concatenated(made, "y"),))


def reference(graph: OpGraph, rows: np.ndarray) -> np.ndarray:
    (y,) = StepInterpreter(graph, Quiet())([rows.astype(np.int32)], [])
    return y.astype(np.int16)


def random_rows(count: int, parts: int, seed: int, lows: tuple[int, ...] = ()) -> np.ndarray:
    """Rows of any int16, a third of them ends; `lows` are parts that are 0 at least."""
    rng = np.random.default_rng(seed)
    shape = (count, parts, WIDTH)
    rows = rng.integers(-32768, 32768, shape)
    rows = np.where(rng.random(shape) < 1 / 3, rng.choice(ENDS, shape), rows)
    for part in lows:
        rows[:, part] &= INT16_MAX
    return rows.reshape(count, -1).astype(np.int16)


def curves() -> Iterator[tuple[str, Case]]:
    """Every step size over all codes, with limits and without."""
    rng = np.random.default_rng(1)
    for bits, limited in itertools.product(CURVE_STEP_BITS, (False, True)):
        entries = rng.choice(ENDS, (1 << (16 - bits)) + 1)
        smooth = rng.integers(-32768, 32768, entries.size)
        entries = np.where(rng.random(entries.size) < 0.3, entries, smooth).astype(np.int16)
        table = CurveTable(
            entries=entries, low=-20000 if limited else -32768, high=9000 if limited else 32767
        )
        at = Rows(None, width=8192)
        y = at.g.curve(PointwiseFunction.of("mish"), at.x, "t", table, "y1", UNIT)
        codes = np.arange(-32768, 32768).astype(np.int16).reshape(8, 8192)
        yield f"curve-{bits}-{limited}", (at.finish(y), codes)


def gates(fine: Value, share: Value) -> dict[str, Gate]:
    """Every kind of share."""
    return {
        f"{'fine' if is_fine else 'unit'}{'-rest' * complement}": Gate(
            value=fine if is_fine else share, fine=is_fine, complement=complement
        )
        for is_fine, complement in itertools.product((True, False), repeat=2)
    }


def blends() -> Iterator[tuple[str, Case]]:
    form = quantized(12)
    forms = (form, low_format(form), form, PREACTIVATION, UNIT)
    for name in gates(*(Rows(*forms).parts[3:])):
        at = Rows(*forms)
        high, low, target, fine, share = at.parts
        new = at.g.blend((high, low), target, gates(fine, share)[name], "h")
        yield f"blend-{name}", (at.finish(*new), random_rows(130, 5, 2, (4,)))


def gated_sums() -> Iterator[tuple[str, Case]]:
    names = list(itertools.product(("fine-rest", "unit-rest"), ("fine", "unit")))
    for number, shift in enumerate((0, 1, 2, 3, 5, 9, 15, 20, 29)):
        form = quantized(-14)
        forms = (form, low_format(form), quantized(shift - 14), PREACTIVATION, PREACTIVATION,
                 UNIT, UNIT)  # fmt: skip
        at = Rows(*forms)
        high, low, candidate, fine_loss, fine_gain, loss, gain = at.parts
        lost, gained = names[number % 4]
        new = at.g.gated_sum(
            (high, low), gates(fine_loss, loss)[lost], candidate, gates(fine_gain, gain)[gained],
            "c",
        )  # fmt: skip
        # Any low part is summed as the clause says.
        lows = (5, 6) if number % 2 else (1, 5, 6)
        yield f"gated-{shift}", (at.finish(*new), random_rows(60, 7, shift, lows))


def leaky_sums() -> Iterator[tuple[str, Case]]:
    rng = np.random.default_rng(3)
    for rectified in (False, True):
        ends = rng.random((2, WIDTH)) < 0.3
        shares = np.where(
            ends, rng.choice([0, 1, 32767], (2, WIDTH)), rng.integers(0, 32768, WIDTH)
        )
        leak = LeakConstants(
            high=shares[0].astype(np.int16),
            low=shares[1].astype(np.int16),
            shift=(np.arange(WIDTH) % 16).astype(np.int16),
        )
        form = quantized(3)
        at = Rows(form, low_format(form), None)
        high, low, entry = at.parts
        new = at.g.leaky_sum((high, low), entry, "leak", leak, "h", rectified=rectified)
        yield f"leaky-{rectified}", (at.finish(*new), random_rows(200, 3, 4))


def rescalings() -> Iterator[tuple[str, Case]]:
    """Wide ones by every shift, at ties too; plain ones by every negative shift, over all codes."""
    rng = np.random.default_rng(5)
    for shift in range(31):
        form = quantized(0)
        at = Rows(form, low_format(form))
        y = at.g.wide_rescaled(at.parts, quantized(15 - shift), "y1")
        rows = random_rows(14, 2, shift, (1,)).reshape(-1, 2, WIDTH)
        wide = rng.integers(-70000, 70000, (6, WIDTH)) << shift >> 1
        wide = wide.clip(-(1 << 30), (1 << 30) - 1)
        rows[:6] = np.stack([wide >> 15, wide & INT16_MAX], axis=1)
        yield f"wide-{shift}", (at.finish(y), rows.reshape(-1, 2 * WIDTH))
    codes = np.arange(-32768, 32768).astype(np.int16).reshape(8, 8192)
    for more in range(1, 16):
        at = Rows(None, quantized(-15), width=8192)
        y = at.g.rescaled(at.parts[1], quantized(more - 15), "y1")
        yield f"more-{more}", (at.finish(y), np.concatenate([codes[::-1], codes], axis=1))


def complements() -> Iterator[tuple[str, Case]]:
    codes = np.arange(-32768, 32768).astype(np.int16).reshape(8, 8192)
    for bits in range(16):
        at = Rows(None, quantized(bits), width=8192)
        y = at.g.complement(at.g.activation(Function.LINEAR, at.parts[1], "v"), "y1")
        yield f"one-{bits}", (at.finish(y), np.concatenate([codes[::-1], codes], axis=1))


def cases() -> dict[str, Case]:
    made = (curves, blends, gated_sums, leaky_sums, rescalings, complements)
    return {name: case for each in made for name, case in each()}


def test_the_cases_reach_the_ends():
    for name, (graph, rows) in cases().items():
        wanted = reference(graph, rows)
        assert wanted.shape == rows.shape
        if name.startswith(("gated", "leaky", "blend")):
            high = wanted[:, :WIDTH]
            ends = 0 if name == "leaky-True" else -32768, 32767
            assert (int(high.min()), int(high.max())) == ends, name


def test_tflite(tmp_path):
    require(*RUNTIMES)
    wanted, compared = {}, Counter[str]()
    for name, (graph, rows) in cases().items():
        file = Graph(name)
        x = file.tensor("x", rows.shape[1], "int16", UNIT.scale)
        (y,), _ = OperatorEmitter(file, graph.precision, UNIT.scale)(graph, [(x,)], ())
        (tmp_path / f"{name}.tflite").write_bytes(file.finish({"x": x}, {"y": y}, b"{}"))
        np.save(tmp_path / f"{name}.npy", rows)
        wanted[name] = reference(graph, rows)
    differing: dict[Any, int] = {}
    for runtime in RUNTIMES:
        run_python("-m", "tests.exactness.normalization_worker", str(tmp_path), runtime)
        for (name, result), resolver in itertools.product(wanted.items(), RESOLVERS):
            got = np.load(tmp_path / f"{name}.{runtime}.{resolver}.npy")
            compared[name.partition("-")[0]] += got.size
            wrong = int(np.count_nonzero(got != result))
            if wrong:
                differing[name, runtime, resolver] = wrong
    assert differing == {}
    assert min(compared.values()) > 6 * 100_000


@pytest.mark.parametrize("optimization", OPTIMIZATIONS)
def test_onnx(optimization):
    import onnxruntime

    differing, compared = {}, Counter[str]()
    for name, (graph, rows) in cases().items():
        g = GraphBuilder(name)
        codes = g.cast(g.input("x", np.int16, ["B", rows.shape[1]]), np.int32)
        (y,), _ = NodeEmitter(g, Tables(g, graph.precision))(
            graph, [[NodeRows(codes, rows.shape[1])]], []
        )
        g.output(g.cast(y, np.int16), "y", np.int16, ["B", rows.shape[1]])
        options = onnxruntime.SessionOptions()
        level = OPTIMIZATIONS[optimization]
        options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(g.to_bytes({}), options, ["CPUExecutionProvider"])
        (got,) = session.run(None, {"x": rows})
        compared[name.partition("-")[0]] += got.size
        wrong = int(np.count_nonzero(got != reference(graph, rows)))
        if wrong:
            differing[name] = wrong
    assert differing == {}
    assert min(compared.values()) > 100_000
