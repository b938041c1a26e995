"""The sensitivity scan: figures measured again, choices checked against all others."""

from __future__ import annotations

import itertools
import json
from typing import Any

import numpy as np
import pytest

import edgernn
from edgernn.cli import main
from edgernn.container.memory import weight_memory
from edgernn.errors import QuantizationError
from edgernn_export import quantize
from edgernn_export.float_model.model import FloatModel
from edgernn_export.keras_reader.program_sets import passes
from edgernn_export.quantizer.report import quantization_report
from edgernn_export.quantizer.sensitivity import Measured, _choose, loss_db, scan
from tests.support.models.float import float_model, stream

XS, TEST = stream(300, 3), stream(200, 3, seed=5)
NAMES = ["gru_after_0", "dense_0", "dense_1"]


def network() -> FloatModel:
    return float_model("gru_after", inputs=3, units=12, dense=((6, "tanh"),))


@pytest.fixture(scope="module")
def scanned() -> Any:
    return scan(network(), XS, streams=TEST, max_loss_db=10.0, progress=False)


def again(bits: dict[str, int]) -> Measured:
    """The same by way of `quantize` and the report."""
    model = network()
    integer = quantize(model, XS, weight_bits=bits, progress=False)
    report = quantization_report(model, integer, TEST)
    size = weight_memory(integer.layers).total_bytes
    return Measured(bits=bits, sqnr_db=report.tensors[-1].sqnr_db, weights_bytes=size)


def bits(narrow: tuple[str, ...] | frozenset[str]) -> dict[str, int]:
    return {name: 4 if name in narrow else 8 for name in NAMES}


def test_the_figures_are_those_of_quantized_models(scanned: Any) -> None:
    result, _ = scanned
    assert (result.precision, result.steps) == ("w8a8", 200)
    assert result.wide == again(bits(()))
    assert result.narrow == again(bits(tuple(NAMES)))
    assert [cost.layer for cost in result.layers] == NAMES
    for cost in result.layers:
        alone = again(bits((cost.layer,)))
        assert cost.sqnr_db == alone.sqnr_db
        assert cost.loss_db == pytest.approx(result.wide.sqnr_db - alone.sqnr_db)
        assert cost.bytes_saved == result.wide.weights_bytes - alone.weights_bytes > 0
    assert result.narrow.weights_bytes * 2 == result.wide.weights_bytes


def test_the_chosen_model_keeps_the_loss_and_no_more_layer_would(scanned: Any) -> None:
    result, model = scanned
    chosen = result.chosen
    assert chosen == again(chosen.bits)
    assert loss_db(chosen, result.wide) <= 10.0
    assert chosen.weights_bytes < result.wide.weights_bytes
    narrow = frozenset(name for name, count in chosen.bits.items() if count == 4)
    for name in set(NAMES) - narrow:
        assert loss_db(again(bits(narrow | {name})), result.wide) > 10.0
    assert model == quantize(network(), XS, weight_bits=chosen.bits, progress=False)


def test_bytes_are_reached_at_the_least_loss() -> None:
    every = [
        again(bits(narrow)) for count in range(4) for narrow in itertools.combinations(NAMES, count)
    ]
    limit = 600
    result, model = scan(network(), XS, streams=TEST, max_bytes=limit, progress=False)
    assert model is not None
    assert result.chosen is not None
    assert weight_memory(model.layers).total_bytes == result.chosen.weights_bytes <= limit
    fitting = [m.sqnr_db for m in every if m.weights_bytes <= limit]
    assert 0 < len(fitting) < len(every)
    # Greedy, not exhaustive: within a dB of the best.
    assert result.chosen.sqnr_db >= max(fitting) - 1.0


COSTS = {"a": (1.0, 100), "b": (0.1, 50), "c": (5.0, 400)}


def measured(narrow: frozenset[str]) -> Measured:
    """Losses and savings that add up."""
    loss = sum(COSTS[name][0] for name in narrow)
    saved = sum(COSTS[name][1] for name in narrow)
    return Measured(bits={}, sqnr_db=40.0 - loss, weights_bytes=1000 - saved)


@pytest.mark.parametrize(
    ("max_loss_db", "max_bytes", "wanted"),
    [
        (None, None, None),
        (0.05, None, ""),
        (0.5, None, "b"),  # 500 bytes per dB
        (1.5, None, "ab"),
        (5.5, None, "ab"),  # c would lose 6.1 dB with them
        (6.5, None, "abc"),
        (None, 1000, ""),
        (None, 950, "b"),
        (None, 900, "ab"),
        (None, 600, "abc"),
        (6.5, 940, "ab"),
    ],
)
def test_the_greedy_choice_by_hand(
    max_loss_db: float | None, max_bytes: int | None, wanted: str | None
) -> None:
    found = _choose(list(COSTS), measured, max_loss_db, max_bytes)
    assert (None if found is None else "".join(sorted(found))) == wanted


def test_models_without_noise_can_be_chosen() -> None:
    def silent(narrow: frozenset[str]) -> Measured:
        return Measured(bits={}, sqnr_db=float("inf"), weights_bytes=10 - len(narrow))

    assert _choose(["a", "b"], silent, 0.0, None) == {"a", "b"}


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"max_bytes": 10}, r"expected weights of at most 10 bytes, got at least \d+"),
        (
            {"max_bytes": 600, "max_loss_db": 0.0},
            r"at most 600 bytes within 0 dB, got at least \d+",
        ),
        ({"max_loss_db": -1}, "max_loss_db: expected a finite number >= 0, got -1"),
        ({"max_loss_db": float("nan")}, "max_loss_db: expected a finite number >= 0, got nan"),
        ({"max_bytes": 1.5}, "max_bytes: expected a finite number >= 0, got 1.5"),
        ({"max_bytes": True}, "max_bytes: expected a finite number >= 0, got True"),
        ({"precision": "w4a8"}, "precision: expected 'w8a8' or 'w8a16', got 'w4a8'"),
    ],
)
def test_limits_that_are_refused(options: dict[str, Any], text: str) -> None:
    with pytest.raises(QuantizationError, match=f"^sensitivity.*{text}"):
        scan(network(), XS, progress=False, **options)


@pytest.fixture
def arguments(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A command line; the float model comes from memory instead of a Keras file."""
    monkeypatch.setattr(passes, "read_whole", lambda path, **labels: network())
    np.save(tmp_path / "xs.npy", XS)
    np.save(tmp_path / "test.npy", TEST)
    files = ["--calibration", str(tmp_path / "xs.npy"), "--metric-file", str(tmp_path / "test.npy")]
    (tmp_path / "m.keras").write_text("{}", encoding="utf-8")
    return ["sensitivity", str(tmp_path / "m.keras"), *files]


def test_the_command_prints_a_table_and_writes_the_model(
    arguments: list[str], tmp_path: Any, capsys: pytest.CaptureFixture[str], scanned: Any
) -> None:
    out = tmp_path / "new" / "m.edgernn"
    assert main([*arguments, "--max-loss-db", "10", "-o", str(out)]) == 0
    printed = capsys.readouterr().out
    result, model = scanned
    assert "4-bit weights, otherwise w8a8, over 200 steps" in printed
    for cost in result.layers:
        row = next(line for line in printed.splitlines() if line.split()[:1] == [cost.layer])
        size = result.wide.weights_bytes - cost.bytes_saved
        figures = [f"{cost.sqnr_db:.2f}", f"{cost.loss_db:.2f}", str(size), str(cost.bytes_saved)]
        assert row.split()[1:] == figures
    assert "chosen: " in printed
    loaded = edgernn.IntegerModel.load(out)
    assert loaded.layers == model.layers
    assert loaded.name == "m"
    last = printed.splitlines()[-1]
    assert last == f"{out}  {model.precision_label}  {out.stat().st_size} bytes"


def test_the_command_as_json(
    arguments: list[str], capsys: pytest.CaptureFixture[str], scanned: Any
) -> None:
    assert main([*arguments, "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    result, _ = scanned
    assert (record["chosen"], record["path"]) == (None, None)
    assert record["wide"]["bits"] == bits(())
    assert [entry["loss_db"] for entry in record["layers"]] == [c.loss_db for c in result.layers]


@pytest.mark.parametrize(
    ("more", "text"),
    [
        (["-o", "m.tflite"], "--output: expected a name ending in .edgernn, got 'm.tflite'."),
        (["-o", "m.edgernn"], "--output: expected a limit for choosing a model, got none. Add"),
        (["--max-bytes", "1"], "expected weights of at most 1 bytes, got"),
        (["--precision", "w4a8"], "expected w8a8, w8a16, got 'w4a8'"),
    ],
)
def test_the_command_refuses(
    arguments: list[str], more: list[str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, *more]) == 2
    assert text in capsys.readouterr().err
