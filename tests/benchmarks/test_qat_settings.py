"""The comparison of settings of quantization-aware training, and its table in qat.md."""

import json
from dataclasses import asdict
from pathlib import Path

from benchmarks.compression import qat_settings
from benchmarks.compression.qat_settings import SETTINGS, Setting, jobs, main, table
from edgernn_export.training.compression import QAT_ALPHA, QAT_EPOCHS, QAT_RATE_SHARE

ROOT = Path(__file__).parents[2]


def test_every_setting_is_tried_everywhere():
    planned = jobs(2)
    assert len(planned) == len(SETTINGS) * 2 * 2 * 3
    assert len({json.dumps(job, sort_keys=True) for job in planned}) == len(planned)


def test_changes_are_those_of_what_is_kept():
    records = []
    for job in jobs(2):
        rising = job["recipe"] != "etth1"
        start, after = (0.7, 0.81) if rising else (0.05, 0.032)
        told = {"metric": "accuracy" if rising else "mse", "float": 0.8 if rising else 0.04}
        worse = 0.5 if rising else 0.09
        seed_start = start if job["seed"] else told["float"]
        records.append(job | told | {"validation": [seed_start, worse, after]})
    head, _, rounded, *trained = table(records)
    assert head.count("|") == rounded.count("|") == 3 + 2 * 3 + 1
    # Accuracies in points: 0 and -10, means of two seeds; errors as shares: 0 and 0.04/0.05 - 1.
    assert rounded.count("| -5.00 pt") == 4
    assert rounded.count("| -10.00 %") == 2
    assert len(trained) == len(SETTINGS)
    assert all(row.count("| +1.00 pt") == 4 for row in trained)
    assert all(row.count("| +25.00 %") == 2 for row in trained)


def test_what_is_known_is_not_measured_again(tmp_path, monkeypatch):
    asked = []

    def measure(cache, **job):
        asked.append(job)
        return {"metric": "accuracy", "float": 1.0, "validation": [1.0]}

    monkeypatch.setattr(qat_settings, "measure", measure)
    out = tmp_path / "settings.json"
    for seeds in (1, 2, 2):
        assert main(["--cache", str(tmp_path), "--out", str(out), "--seeds", str(seeds)]) == 0
    assert asked == [*jobs(1), *(job for job in jobs(2) if job["seed"] == 1)]
    assert len(json.loads(out.read_text(encoding="utf-8"))) == len(jobs(2))


def distance(row):
    """From float, over all recipes and precisions."""
    return sum(abs(float(cell.split()[0])) for cell in row.split("|")[4:-1])


def test_the_document_shows_the_results_and_the_chosen_setting():
    records = json.loads((ROOT / qat_settings.RESULTS).read_text(encoding="utf-8"))
    text = (ROOT / "docs/guides/qat.md").read_text(encoding="utf-8")
    rows = table(records)
    assert "\n".join(rows) in text
    chosen = Setting(alpha=QAT_ALPHA, rate_share=QAT_RATE_SHARE, epochs=QAT_EPOCHS)
    assert chosen == min(SETTINGS, key=lambda s: distance(rows[3 + SETTINGS.index(s)]))
    compared = [r for r in records if r.items() >= asdict(chosen).items()]
    assert {(r["recipe"], r["precision"], r["seed"]) for r in compared} == {
        (job["recipe"], job["precision"], job["seed"]) for job in jobs(2)
    }
