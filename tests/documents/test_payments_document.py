"""The commands in docs/recipes/payments.md run: a recipe trains, a service judges payments."""

import json
import shlex
from pathlib import Path

import numpy as np
import pytest

from edgernn.backends.native import NativeBackend
from edgernn.cli import main
from edgernn.model.integer_model import IntegerModel
from edgernn_export.datasets.payments import card_fraud as fraud
from edgernn_firmware_sim.reference.reference import Reference
from tests.support.documents import blocks
from tests.support.native.programs import require_native

DOCUMENT = "docs/recipes/payments.md"


@pytest.mark.tf
def test_the_commands_run(tmp_path, monkeypatch, capsys):
    require_native()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(fraud, "_VALIDATION_USERS", 100)
    monkeypatch.setattr(fraud, "_TEST_USERS", 100)
    for block in blocks(DOCUMENT):
        if block.title:
            Path(block.title).write_text(block.text, encoding="utf-8")
    train, serve, export = [block.text for block in blocks(DOCUMENT) if block.language == "bash"]
    program, *arguments = shlex.split(train)
    assert program == "edgernn"
    few = ["--epochs", "1", "--units", "6", "--set", "users=100"]
    assert main([*arguments, *few]) == 0, capsys.readouterr().err
    assert "average_precision" in capsys.readouterr().out

    model = IntegerModel.load("build/fraud/fraud.edgernn")
    assert model.preparation == fraud.PREPARATION
    x = fraud.features(fraud.card_stream(3, 40, 5))
    codes = model.interface().quantize(x)
    wanted, _ = Reference(model).run(codes)
    native = NativeBackend(model)
    for stream, answers in zip(codes, wanted, strict=True):
        np.testing.assert_array_equal(native.new_stream().advance(stream), answers)

    first, second = serve.splitlines()
    assert main(shlex.split(first)[1:]) == 0, capsys.readouterr().err
    answers = [json.loads(line) for line in Path(shlex.split(second)[1]).read_text().splitlines()]
    numbers = [(row["key"], row["sequence"]) for row in answers]
    assert numbers == [("u17", 1), ("u17", 2), ("u40", 1)]
    for row in answers:
        assert row["answer"] == max(fraud.CLASSES, key=row.__getitem__)

    assert main(shlex.split(export)[1:]) == 0, capsys.readouterr().err
    assert Path("build/fraud_c").is_dir()
