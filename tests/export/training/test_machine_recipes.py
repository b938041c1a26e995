"""The recipes of machines, on small files: one epoch, integers, decisions, reports."""

import numpy as np
import pytest

import edgernn
from edgernn.backends.native import NativeBackend
from edgernn.cli import main
from edgernn.errors import ClippedReadingsWarning
from edgernn.model.integer_model import IntegerModel
from edgernn_export.datasets.machines.nab_forecast import DECISIONS, REST, THRESHOLD, unusual
from edgernn_export.training import evaluate, find_recipe
from edgernn_firmware_sim.reference.reference import Reference
from tests.support.training.machine_files import spiky_streams, write_cmapss, write_nab


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Both recipes, trained from the command line."""
    data = tmp_path_factory.mktemp("data")
    write_cmapss(data, train=(40, 40, 40, 40, 50), test=(40, 40), left=(20, 3))
    write_nab(data, spiky_streams(2, 1000))
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGERNN_DATA", str(data))
        for name in ("turbofan", "anomaly"):
            options = ["--epochs", "1", "--units", "4", "-o", str(folder / name)]
            assert main(["train", name, *options]) == 0
        yield folder


@pytest.mark.parametrize("name", ["turbofan", "anomaly"])
def test_integers_are_the_same_in_native_and_reference(made, name):
    data = find_recipe(name).load()
    model = IntegerModel.load(made / name / f"{name}.edgernn")
    for stream, end in zip(data.test.x, data.test.steps, strict=True):
        codes = model.interface().quantize(stream[:end])
        ys, _ = Reference(model).run(codes[None])
        np.testing.assert_array_equal(NativeBackend(model).new_stream().advance(codes), ys[0])


def test_engines_are_drawn(made):
    picture = (made / "turbofan/turbofan.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    assert b"Date" not in picture


def test_a_spike_is_an_alarm(made):
    recipe = find_recipe("anomaly")
    data = recipe.load()
    scores = evaluate(made / "anomaly/anomaly.edgernn", recipe, data=data)
    assert scores["nab_standard"] > 40  # the spikes are the only anomalies
    assert scores["nab_standard"] >= scores["nab_fixed"]
    assert (made / "anomaly/anomaly.png").read_bytes().startswith(b"\x89PNG")


def test_the_model_raises_the_alarms_that_are_scored(made):
    data = find_recipe("anomaly").load()
    model = IntegerModel.load(made / "anomaly/anomaly.edgernn")
    assert model.decisions == DECISIONS
    end = data.test.steps[0]
    x = data.test.x[0, :end]
    with edgernn.load(model) as session, pytest.warns(ClippedReadingsWarning, match="level"):
        output = np.stack([session.step(reading) for reading in x])
    (scores,) = unusual(x[None], output[None], np.array([end]))
    stream = model.decisions.stream()
    alarm = np.array([stream.push(None, a, b)["alarm"] for a, b in zip(x, output, strict=True)])
    begins = np.flatnonzero(alarm & ~np.concatenate(([False], alarm[:-1])))
    # An alarm begins where a score is high and none of the REST before it was.
    high = scores >= THRESHOLD
    wanted = [t for t in np.flatnonzero(high) if not high[max(t - REST, 0) : t].any()]
    assert begins.tolist() == wanted != []
