from pathlib import Path

import numpy as np
import pytest

from benchmarks import session_inputs
from benchmarks.pages.speed import inputs_section
from tests.support.native.programs import require_native

RECORD = {
    "rounds": 3,
    "microseconds": {
        "here": {
            "step float64 array": [1.0, 2.0, 4.0],
            "step dictionary": [3.0, 4.0, 8.0],
            "run float64 array": [0.5, 0.5, 0.5],
            "stream new_stream and close": [1.0, 1.0, 1.0],
        }
    },
    "stream_bytes": {"here": 300},
}


def shown(turns):
    return inputs_section(session_inputs.summary(turns))


def test_ratios_are_medians_within_one_round():
    text = shown(RECORD)
    assert "| `step`, float64 array | 2 | 1.00 |" in text
    assert "| `step`, dictionary | 4 | 2.00 |" in text
    assert "| `new_stream and close` | 1 | 1.00 |" in text
    assert text.endswith("An open stream takes 300 bytes of memory.\n")


def test_another_checkout_stands_beside_and_may_lack_a_case():
    before = {k: [2 * v for v in vs] for k, vs in RECORD["microseconds"]["here"].items()}
    del before["step dictionary"]
    record = RECORD | {
        "microseconds": RECORD["microseconds"] | {"before": before},
        "stream_bytes": {"here": 300, "before": 900},
    }
    text = shown(record)
    assert "| `step`, float64 array | 2 | 1.00 | 4 | 1.00 |" in text
    assert "| `step`, dictionary | 4 | 2.00 | – | – |" in text
    assert "300 bytes of memory (900 before)." in text


@pytest.mark.filterwarnings("ignore::edgernn.ClippedReadingsWarning")
def test_the_page_names_every_case():
    require_native()
    page = Path("docs/results/speed.md").read_text(encoding="utf-8")
    _, turns = session_inputs.all_turns()
    for case in turns:
        group, _, kind = case.partition(" ")
        assert f"`{kind}` |" in page if group == "stream" else f"| `{group}`, {kind} |" in page


@pytest.mark.filterwarnings("ignore::edgernn.ClippedReadingsWarning")
def test_every_turn_can_be_taken():
    require_native()
    _, turns = session_inputs.all_turns()
    for turn in turns.values():
        turn()


def test_a_process_answers_for_itself():
    require_native()
    worker = session_inputs.Worker(session_inputs.FILE.parents[1])
    try:
        assert worker.cases[0] == "step float64 array"
        assert 0.0 < float(worker.ask(worker.cases[0])) < np.inf
    finally:
        worker.close()


@pytest.mark.parametrize("arguments", [["--rounds", "0"], ["--against", "nowhere"]])
def test_arguments_are_checked(arguments, capsys):
    with pytest.raises(SystemExit):
        session_inputs.main(arguments)
    assert "expected" in capsys.readouterr().err
