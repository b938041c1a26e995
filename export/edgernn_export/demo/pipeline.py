"""The demo's steps in order: load, train, quantize, export, stream, score, draw."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from edgernn.cli.style import say
from edgernn.model.formats import FloatArray, PrecisionName
from edgernn.model.integer_model import IntegerModel
from edgernn_export.demo.data import (
    INPUT_NAME,
    OUTPUT_NAME,
    UNIT,
    Co2Record,
    load_record,
    write_sample,
)
from edgernn_export.demo.forecaster import (
    ForecastErrors,
    float_forecast,
    integer_forecast,
    score,
    train,
)
from edgernn_export.demo.plot import write_plot
from edgernn_export.quantizer.quantizer import quantize
from edgernn_export.verification.comparison import Verification, verify
from edgernn_export.writers.exporter import export

#: precision -> name of its files; the first is the demo model.
FILES: Final[dict[PrecisionName, str]] = {"w8a8": "demo", "w8a16": "demo_w8a16"}
_STEPS: Final = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoResult:
    """What the demo found.

    Attributes:
        validation: errors over the validation part, by forecaster.
        test: errors over the test part, by forecaster.
        files: every model file by precision ("float" for Keras) and format.
        streams: what each backend computed over the whole record, by precision.
        plot: the picture.
    """

    validation: Mapping[str, ForecastErrors]
    test: Mapping[str, ForecastErrors]
    files: Mapping[str, Mapping[str, Path]]
    streams: Mapping[str, Verification]
    plot: Path


def run_demo(out: Path, epochs: int, seed: int) -> DemoResult:
    """Run all steps, and print each one on stderr.

    Args:
        out: folder for everything the demo writes; made if missing.
        epochs: of the training.
        seed: of the training.
    """
    out.mkdir(parents=True, exist_ok=True)
    _say(1, "load the weekly CO2 record of Mauna Loa")
    record = load_record()
    write_sample(record, out / "demo_readings.csv")
    _say(2, f"train a GRU on {record.train_weeks} of {len(record.level)} weeks")
    network = train(record, epochs, seed)
    network.save(out / "demo.keras")
    _say(3, "quantize to w8a8 and w8a16")
    models: dict[PrecisionName, IntegerModel] = {
        name: _quantize(network, record, name, seed) for name in FILES
    }
    _say(4, "write .edgernn, .tflite and .onnx")
    files = {"float": {"keras": out / "demo.keras"}}
    files |= {name: _write(model, out, FILES[name]) for name, model in models.items()}
    _say(5, "stream every reading through every back-end")
    streams = _stream(models, record)
    _say(6, "score the forecasts")
    forecasts = _forecasts(network, models, record)
    _say(7, "draw the plot")
    plot = write_plot(record, forecasts, out / "forecast.png")
    return DemoResult(
        validation={name: score(record, f, record.validation) for name, f in forecasts.items()},
        test={name: score(record, f, record.test) for name, f in forecasts.items()},
        files=files,
        streams=streams,
        plot=plot,
    )


def _say(number: int, what: str) -> None:
    say(f"[{number}/{_STEPS}] {what}")


def _quantize(network: Any, record: Co2Record, precision: PrecisionName, seed: int) -> IntegerModel:
    return quantize(
        network,
        calibration=record.readings[: record.train_weeks],
        precision=precision,
        input_names=[INPUT_NAME],
        input_units=[UNIT],
        output_names=[OUTPUT_NAME],
        output_units=[UNIT],
        seeds=[("training", seed)],
        progress=False,
    )


def _write(model: IntegerModel, out: Path, name: str) -> dict[str, Path]:
    written = {"edgernn": model.save(out / f"{name}.edgernn")}
    return written | export(model, out, name=name)


def _stream(
    models: Mapping[PrecisionName, IntegerModel], record: Co2Record
) -> dict[str, Verification]:
    """Every model in every runtime, under one bar; one that is not installed takes no time."""
    from tqdm import tqdm

    with tqdm(desc="streaming", unit=" streams", file=sys.stderr, leave=False, disable=None) as bar:

        def tell(backend: str) -> None:
            bar.update()
            bar.set_postfix_str(backend)

        return {
            name: verify(model, model.interface().quantize(record.readings), progress=tell)
            for name, model in models.items()
        }


def _forecasts(
    network: Any, models: Mapping[PrecisionName, IntegerModel], record: Co2Record
) -> dict[str, FloatArray]:
    from edgernn_export.keras_reader.reader import read_keras

    forecasts = {"float": float_forecast(read_keras(network), record)}
    forecasts |= {name: integer_forecast(model, record) for name, model in models.items()}
    return forecasts | {
        "seasonal naive": record.seasonal_naive(),
        "persistence": record.persistence(),
    }
