"""The benchmark of long memories and other activations: figures by hand, one small network."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.arithmetic import figures, networks, run, tasks
from benchmarks.pages.arithmetic import page, refused


@pytest.fixture
def any_threads(monkeypatch):
    """Keras as it is: other tests of the process have begun to use it on several threads."""
    import keras

    monkeypatch.setattr(networks, "keras_on_one_thread", lambda: keras)


def test_noise_by_hand():
    steps = 10 * figures.SHORT_STEPS
    float_y = np.tile([[1.0], [-1.0]], (steps // 2, 2)) * (1.0, 10.0)
    integer_y = float_y + np.array([0.1, 0.1])
    integer_y[-figures.SHORT_STEPS :, 0] += 0.9
    found = figures.noise(float_y, integer_y)
    assert found["short_db"] == pytest.approx(20.0)
    assert found["long_db"] == pytest.approx(10 * np.log10(1 / (0.9 * 0.01 + 0.1)))
    assert found["last_db"] == pytest.approx(0.0)
    assert found["peak"] == pytest.approx(0.5)


def test_a_constant_offset_of_the_output_is_no_signal():
    float_y = np.tile([[101.0], [99.0]], (figures.SHORT_STEPS // 2, 1))
    assert figures.noise(float_y, float_y + 1.0)["short_db"] == pytest.approx(0.0)


def test_a_quarter_of_a_year_later():
    task = tasks.seasons()
    wanted, later = task.wanted[0, :, 1], tasks.QUARTER_STEPS
    # half a year later the season is the opposite one
    np.testing.assert_allclose(wanted[2 * later :], -wanted[: -2 * later], atol=1e-9)
    day = task.calibration[:, tasks.DAY_STEPS :, 0]
    ratio = day / task.wanted[:, : day.shape[1], 0]
    np.testing.assert_allclose(ratio, ratio[0, 0])


def test_networks_are_of_every_cell_and_activation():
    made = networks.other_activations()
    assert len({network.name for network in made}) == 16
    assert len({network.title for network in made}) == 16


@pytest.mark.usefixtures("any_threads")
def test_trained_once_measured_and_shown(tmp_path):
    task = replace(tasks.room(), updates=12)
    network = replace(networks.other_activations()[-4], longest_steps=None)
    assert network.name == "room_simple_rnn_relu"
    path = networks.trained(network, task, 0, tmp_path)
    before = path.stat().st_mtime_ns
    assert networks.trained(network, task, 0, tmp_path) == path
    assert path.stat().st_mtime_ns == before
    trial = (network, task, [path])
    record = {"activations": run.activation_figures([(trial, run.rows(*trial))]), "long": []}
    record |= {"steps": [1, 2], "seeds": {"activations": [0]}}
    (line,) = [row for row in page(record).splitlines() if row.startswith("| SimpleRNN-12, relu")]
    assert line.startswith("| SimpleRNN-12, relu | 0.")
    assert line.count("%") >= 4


@pytest.mark.usefixtures("any_threads")
def test_chrono_initialisation_gives_memories_up_to_the_longest(tmp_path):
    task = replace(tasks.room(), updates=1)
    for network in networks.long_memory("room", 1000):
        found = figures.memories(networks.trained(network, task, 0, tmp_path), task)
        assert 250 < found["median"] < 1000
        assert found["median"] < found["longest"] < 2500


def test_what_is_refused_is_said():
    seeds = [{"refused": "RangeRefused: too wide"}, {"kept": 1.0}]
    assert refused(seeds, of_all=True) == " (1 of 2 refused: RangeRefused: too wide)"
    assert refused(seeds[1:], of_all=True) == ""


def test_missing_data_is_named(monkeypatch, capsys, tmp_path):
    monkeypatch.delenv("EDGERNN_DATA", raising=False)
    assert run.main(["--part", "long", "--cache", str(tmp_path)]) == 2
    assert "EDGERNN_DATA: expected the folder" in capsys.readouterr().err
