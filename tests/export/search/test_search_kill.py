"""A search that is killed in the middle of a trial goes on, and loses nothing; so do workers."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edgernn.errors import SearchError
from edgernn_export.search import search
from edgernn_export.search.searcher import rows
from edgernn_export.search.study import opened
from tests.support.training.search_trainers import StuckTrainer, TinyTrainer, priced, tiny_settings

ROOT = Path(__file__).parents[3]
PATIENCE_S = 120
#: What one killed search was doing; the trainers of both processes have one identity.
PROGRAM = """
import sys
from pathlib import Path
from edgernn_export.search import pareto, search, trials
from tests.support.training.search_trainers import StuckTrainer, priced, tiny_settings

if __name__ == "__main__":
    folder, after, workers = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    if workers == 1:
        pareto.measure = trials.measure = priced
    trainer = StuckTrainer(folder=folder, after=after)
    settings = tiny_settings(folder, trainer=trainer, trials=4, workers=workers)
    search(settings, folder / "out", progress=False)
"""


def wait_for(what, process):
    end = time.monotonic() + PATIENCE_S
    while not what():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.05)


def alive(pid):
    """Not a zombie that nobody has waited for."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def killed_search(folder, *, after, workers):
    """Start a search, let trials get stuck, kill it; labels of the stuck configurations."""
    program = folder / "program.py"
    program.write_text(PROGRAM, encoding="utf-8")
    path = os.pathsep.join(str(ROOT / part) for part in ("", "export", "firmware_sim"))
    process = subprocess.Popen(
        [sys.executable, str(program), str(folder), str(after), str(workers)],
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    wait_for(lambda: len(list(folder.glob("stuck-*"))) == workers, process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    end = time.monotonic() + PATIENCE_S
    while any(alive(file.name.removeprefix("stuck-")) for file in folder.glob("stuck-*")):
        assert time.monotonic() < end, "a worker outlived its search"
        time.sleep(0.05)
    return {file.read_text(encoding="ascii") for file in folder.glob("stuck-*")}


@pytest.mark.parametrize(("after", "workers"), [(2, 1), (1, 2)])
def test_killed_in_the_middle_of_a_trial(after, workers, tmp_path, monkeypatch):
    monkeypatch.setattr("edgernn_export.search.trials.measure", priced)
    monkeypatch.setattr("edgernn_export.search.pareto.measure", priced)
    stuck = killed_search(tmp_path, after=after, workers=workers)
    assert len(stuck) == workers
    settings = tiny_settings(tmp_path, trials=4)
    with opened(settings) as study:
        before = rows(settings, study)
        states = [trial.state.name for trial in study.get_trials()]
    assert [row.outcome for row in before] == ["trained"] * after
    assert states.count("RUNNING") == workers

    trainer = StuckTrainer(folder=tmp_path, after=100)
    again = tiny_settings(tmp_path, trials=4, trainer=trainer, workers=workers)
    outcome = search(again, tmp_path / "out", progress=False)
    assert outcome.passed
    assert outcome.reclaimed == workers
    assert [row for row in outcome.rows if row in before] == before
    assert [row.outcome for row in outcome.rows] == ["trained"] * 4
    assert len({row.configuration for row in outcome.rows}) == 4
    redone = outcome.rows[after : after + workers]
    assert {row.configuration.label for row in redone} == stuck
    with opened(settings) as study:
        assert "RUNNING" not in {trial.state.name for trial in study.get_trials()}


class BrokenTrainer(TinyTrainer):
    """Ends its process as a crash of a library would."""

    def train(self, configuration, pattern):
        os._exit(7)


def test_a_worker_that_crashes_ends_the_search(tmp_path):
    settings = tiny_settings(tmp_path, workers=2, trainer=BrokenTrainer())
    with pytest.raises(
        SearchError, match="expected exit status 0 from all workers, got 7 from one"
    ):
        search(settings, tmp_path / "out", progress=False)
