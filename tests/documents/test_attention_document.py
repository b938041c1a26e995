"""The programs of docs/guides/attention.md run one after another, as the page says."""

import numpy as np
import pytest

from tests.support.documents import blocks

DOCUMENT = "docs/guides/attention.md"


@pytest.mark.tf
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::edgernn.EdgeRnnWarning")
def test_the_page(tmp_path, monkeypatch):
    pytest.importorskip("keras")
    monkeypatch.chdir(tmp_path)
    names = {}
    programs = [block.text for block in blocks(DOCUMENT) if block.language == "python"]
    for program in programs:
        exec(compile(program, DOCUMENT, "exec"), names)
        if "seen_by_decoder" not in names and "programs" in names:
            names["seen_by_decoder"] = names["shares"]
    assert len(programs) == 4
    assert names["y"].shape == (1,)
    assert names["ys"].shape == (5, 1)
    (decoder,) = names["seen_by_decoder"].values()
    assert decoder.shape == (5, 12)
    for shares in (decoder, names["shares"]):
        assert np.all(shares >= 0)
        assert np.all(np.abs(shares.sum(axis=1) - 1) < 0.01)
    assert (tmp_path / "shares.png").stat().st_size > 5000
