"""The programs of docs/guides/train-in-pytorch.md run, one after the other, on a small network."""

import numpy as np
import torch

from edgernn.model.integer_model import IntegerModel
from edgernn_export.compress.pytorch import integer_model, tuned_network
from edgernn_export.float_model.float_run import run
from tests.support.documents import blocks
from tests.support.training.torch_runs import (
    codes,
    forecaster,
    reference_codes,
    streams,
)

DOCUMENT = "docs/guides/train-in-pytorch.md"


def test_every_program_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    network, x = forecaster("gru"), streams(4, 30)
    y = torch.zeros(4, 30, 2)
    before = network(x).detach()
    names = {"network": network, "x": x, "y": y}
    names["batches"] = 2 * list(zip(x.split(1), y.split(1), strict=True))
    programs = [block for block in blocks(DOCUMENT) if block.language == "python"]
    trained = []
    for block in programs:
        exec(compile(block.text, block.document, "exec"), names)
        trained.append(integer_model(names["model"]))
        assert np.array_equal(codes(names["model"], x), reference_codes(trained[-1], x))
        names["model"].train()
        if "write_back" in block.text:
            tuned = run(tuned_network(names["model"]), x.double().numpy())[0]
            assert np.allclose(network(x).detach(), tuned, atol=1e-5)
            assert not torch.allclose(network(x).detach(), before, atol=1e-3)
    assert len(programs) == 7
    assert IntegerModel.load(tmp_path / "model.edgernn") == trained[0]
    assert trained[0] != trained[1] != trained[2] != trained[3]
    assert trained[3] == trained[4] == trained[5] == trained[6]  # loaded, written back, not pruned
    assert names["pruner"].batches == 8
    assert names["pruner"].densities()["rnn/recurrent_kernel"]["all"] < 1.0
    assert (tmp_path / "tuned.pt").is_file()
    assert (tmp_path / "pruning.npz").is_file()
