"""Exported files of a benchmark's model, and the accuracy that it keeps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from edgernn.model.integer_model import IntegerModel
from edgernn.records.opening import TableOptions
from edgernn_export.evaluation.evaluator import evaluate
from edgernn_export.writers.exporter import export


def write_format(model: str, kind: str, folder: str) -> str:
    """Export a model in one format.

    Args:
        model: path of the .edgernn file.
        kind: "tflite" or "onnx".
        folder: where to write.

    Returns:
        The file's path.

    Raises:
        ImportError: a library of the writer is not installed.
    """
    written = export(IntegerModel.load(model), folder, (kind,), name="exported")
    return str(written[kind])


def accuracy(
    model: str, network: str | None, weights: str | None, order: dict[str, Any]
) -> dict[str, Any]:
    """Evaluate the model and the float network on test data.

    Args:
        model: path of the .edgernn file.
        network: path of the Keras file; None scores the integer model alone.
        weights: path of the weights of an architecture in JSON.
        order: other arguments of `evaluate` as JSON values; "labels" is a file with targets, and
            "table" the fields of `TableOptions`.

    Returns:
        Metrics and the share kept, with the names of `Evaluation.record`.

    Raises:
        EdgeRnnError: as `evaluate`.
    """
    arguments = dict(order)
    target: Any = arguments.pop("target", None)
    labels = arguments.pop("labels", None)
    table = arguments.pop("table", None)
    if table is not None:
        columns = table["columns"]
        table = TableOptions(**{**table, "columns": None if columns is None else tuple(columns)})
    found = evaluate(
        model,
        Path(arguments.pop("data")),
        target if labels is None else Path(labels),
        float_model=network,
        weights=weights,
        table=table,
        progress=False,
        **arguments,
    )
    named = ("metric", "kept", "answers", "readings", "task", "scores", "decides", "notes")
    record: dict[str, Any] = json.loads(found.to_json())
    return {name: record[name] for name in named}
