"""Score what the Numenta Anomaly Benchmark publishes for other detectors, by the recipe's rules.

    git clone --depth 1 https://github.com/numenta/NAB
    python -m benchmarks.nab_detectors NAB/results/randomCutForest

Prints the rows of docs/recipes/machines.md that need files from there. The recordings come from
EDGERNN_DATA, as for the recipe `anomaly`; files of other recordings are left out.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edgernn.cli.style import table
from edgernn.errors import EdgeRnnError
from edgernn.model.formats import FloatArray
from edgernn_export.datasets.machines.nab_forecast import REST
from edgernn_export.datasets.machines.nab_score import PROFILES, nab_scores
from edgernn_export.datasets.machines.nab_streams import NabRecording, read_recordings

#: Rules of alarms, and how many rows before an alarm are below the threshold.
RULES = {"every row": 0, "same rule of alarms": REST}


def main(argv: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("folder", type=Path, help="results/DETECTOR of NAB's repository")
    args = parser.parse_args(argv)
    try:
        found = scored(args.folder)
    except EdgeRnnError as error:
        parser.error(str(error))
    headings = [args.folder.name, *(profile.name for profile in PROFILES)]
    rows = [[rule, *(f"{score:.1f}" for score in scores)] for rule, scores in found.items()]
    print("\n".join(table(headings, rows, align="l" + "r" * len(PROFILES))))
    return 0


def scored(folder: Path) -> dict[str, list[float]]:
    """Scores by rule of alarms, of each profile with the threshold that is best for it.

    Args:
        folder: has ``REALM/DETECTOR_NAME.csv`` for each recording ``REALM/NAME.csv``.

    Raises:
        EdgeRnnError: a file is missing, or has another number of rows than the recording.
    """
    recordings = read_recordings()
    scores = [_anomaly_scores(folder, one) for one in recordings]
    return {
        rule: [nab_scores(recordings, scores, profile, rest).best[0] for profile in PROFILES]
        for rule, rest in RULES.items()
    }


def _anomaly_scores(folder: Path, recording: NabRecording) -> FloatArray:
    realm, _, name = recording.name.partition("/")
    path = folder / realm / f"{folder.name}_{name}"
    if not path.is_file():
        raise EdgeRnnError(f"folder: expected {path.name} in {path.parent}, got no such file.")
    with path.open(encoding="utf-8", newline="") as file:
        scores = np.array([float(row["anomaly_score"]) for row in csv.DictReader(file)])
    if len(scores) != len(recording.values):
        raise EdgeRnnError(
            f"folder: expected {len(recording.values):,} rows in {path.name}, got {len(scores):,}."
        )
    return scores


if __name__ == "__main__":
    sys.exit(main())
