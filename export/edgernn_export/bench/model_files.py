"""Exported files of a benchmark's model, and the accuracy that it keeps."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgernn.bench.probe import Probe
from edgernn.model.integer_model import IntegerModel
from edgernn.records.opening import TableOptions
from edgernn_export.evaluation.evaluator import evaluate
from edgernn_export.float_model.model import FloatModel
from edgernn_export.networks.front_door import format_of, read_one_stream
from edgernn_export.writers.exporter import export
from edgernn_export.writers.onnx.float_operators import write_onnx_float


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


def write_float(network: Any, options: Mapping[str, Any], probe: Path, folder: Path) -> str:
    """Write a float network that is no file.

    Args:
        network: whatever `read_network` reads.
        options: of its reader.
        probe: file of the readings.
        folder: where to write.

    Returns:
        The file's path: a Keras file of a Keras model, else ONNX.

    Raises:
        BackendUnavailable: a library that the network needs is not installed.
        UnsupportedModelError: edgernn does not read the network.
    """
    if not isinstance(network, FloatModel) and format_of(network).name == "Keras":
        network.save(Path(folder) / "float.keras")
        return str(Path(folder) / "float.keras")
    readings = Probe.load(Path(probe)).xs
    read = read_one_stream(network, readings=readings, **options)
    path = Path(folder) / "network.onnx"
    path.write_bytes(write_onnx_float(read))
    return str(path)


def accuracy(
    model: str, network: str | None, options: Mapping[str, Any], order: dict[str, Any]
) -> dict[str, Any]:
    """Evaluate the model and the float network on test data.

    Args:
        model: path of the .edgernn file.
        network: path of the float network; None scores the integer model alone.
        options: of the reader of the network.
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
        **options,
        table=table,
        progress=False,
        **arguments,
    )
    named = ("metric", "kept", "answers", "readings", "task", "scores", "decides", "notes")
    record: dict[str, Any] = json.loads(found.to_json())
    return {name: record[name] for name in named}
