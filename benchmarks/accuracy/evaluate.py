"""Run a float model and its integer forms over the test streams and score them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from benchmarks.accuracy import metrics
from benchmarks.accuracy.tasks import Task
from edgernn.model.formats import FloatArray
from edgernn.model.integer_model import IntegerModel
from edgernn_export.datasets.splits import Splits
from edgernn_export.float_model import float_run
from edgernn_export.float_model.model import FloatModel
from edgernn_export.quantizer.quantizer import quantize
from edgernn_export.quantizer.report import quantization_report
from edgernn_firmware_sim.reference.reference import Reference

#: Streams of the test part that the diagnosis looks at.
_DIAGNOSED_STREAMS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One way to quantize."""

    precision: str
    range_method: str = "minmax"
    operand_scales: str = "auto"


#: The first two are the defaults, which the summary shows.
VARIANTS: Final = (
    Variant(precision="w8a8"),
    Variant(precision="w8a16"),
    *(
        Variant(precision=precision, **choice)
        for precision in ("w8a8", "w8a16")
        for choice in (
            {"range_method": "percentile"},
            {"range_method": "mse"},
            {"operand_scales": "common"},
            {"operand_scales": "separate"},
        )
    ),
)


def evaluate(task: Task, splits: Splits, model: FloatModel, seed: int) -> dict[str, Any]:
    """All metrics of one trained model, as the record that goes into the results file."""
    output, _ = float_run.run(model, splits.test.x)
    original = task.score(output, splits.test, splits)
    record: dict[str, Any] = {"seed": seed, "float": original, "variants": []}
    if splits.validation is not None:
        output, _ = float_run.run(model, splits.validation.x)
        record["float_validation"] = task.score(output, splits.validation, splits)
    for variant in VARIANTS:
        integer = _quantize(task, splits, model, variant, seed)
        scores = task.score(_integer_output(integer, splits.test.x), splits.test, splits)
        record["variants"].append(
            {
                "precision": variant.precision,
                "range_method": variant.range_method,
                "operand_scales": variant.operand_scales,
                "metrics": scores,
                "kept": {m: metrics.kept(m, original[m], scores[m]) for m in scores},
            }
        )
        if variant in VARIANTS[:2]:
            record[variant.precision] = _diagnose(task, splits, model, integer, original)
    return record


def _quantize(
    task: Task, splits: Splits, model: FloatModel, variant: Variant, seed: int
) -> IntegerModel:
    return quantize(
        model,
        task.calibration(splits),
        variant.precision,
        range_method=variant.range_method,
        operand_scales=variant.operand_scales,
        seeds=(("training", seed),),
        progress=False,
    )


def _integer_output(integer: IntegerModel, x: FloatArray) -> FloatArray:
    """Real outputs [B, T, O] of B streams, each from the zero state."""
    interface = integer.interface()
    q_ys, _ = Reference(integer).run(interface.quantize(x))
    return interface.dequantize(q_ys)


def _diagnose(
    task: Task,
    splits: Splits,
    model: FloatModel,
    integer: IntegerModel,
    original: dict[str, float],
) -> dict[str, Any]:
    """Where the difference comes from: input codes alone, then every tensor's noise."""
    coded = _through_input_codes(integer, splits.test.x)
    output, _ = float_run.run(model, coded)
    alone = task.score(output, splits.test, splits)[task.primary]
    streams = splits.test.x[:: max(1, splits.test.x.shape[0] // _DIAGNOSED_STREAMS)]
    report = quantization_report(model, integer, streams)
    return {
        "kept_with_coded_input_only": metrics.kept(task.primary, original[task.primary], alone),
        "input_clip_rate_max": max(report.input_clip_rate),
        "sqnr_db": {tensor.name: tensor.sqnr_db for tensor in report.tensors},
        "saturated": dict(report.saturations),
        "joint_product": any(
            term.source.value == "xh"
            for layer in integer.layers
            for affine in layer.affines.values()
            for term in affine.terms
        ),
    }


def _through_input_codes(integer: IntegerModel, x: FloatArray) -> FloatArray:
    """Readings as the integer model sees them: coded (clause 9.1) and back."""
    codes = integer.interface().quantize(x).astype(np.float64)
    return codes * integer.input.scale + integer.input.offset
