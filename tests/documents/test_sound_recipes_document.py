"""The commands and the program in docs/recipes/audio.md, and what their models hear."""

import shlex
import subprocess
from pathlib import Path

import numpy as np
import pytest

import edgernn
from edgernn.cli import main
from edgernn_export.datasets.audio import scenes, spoken_words, voice_activity
from edgernn_export.datasets.audio.fsdd_digits import load_fsdd
from edgernn_export.training import find_recipe
from edgernn_export.training.evaluation import outputs
from tests.support.documents import blocks, commands
from tests.support.native.compilers import compile_c, require
from tests.support.training.data_files import write_recordings

pytestmark = [
    pytest.mark.tf,
    pytest.mark.slow,
    # Few streams calibrate, so that others are louder.
    pytest.mark.filterwarnings("ignore::edgernn.errors.ClippedReadingsWarning"),
]

PAGE = "docs/recipes/audio.md"
#: Commands that train here; of the others the data sets are loaded.
TRAINED = ("build/spoken_digit", "build/vad")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the commands of the page were run, on generated recordings."""
    folder = tmp_path_factory.mktemp("user")
    write_recordings(folder)
    with pytest.MonkeyPatch.context() as patch:
        few(patch, folder)
        patch.chdir(folder)
        for command in map(shlex.split, commands(PAGE)):
            if command[-1] in TRAINED:
                assert main([*command[1:], "--epochs", "1", "--units", "4"]) == 0
    return folder


def few(patch, folder):
    """Take the recordings of a folder, and few streams of them."""
    patch.setenv("EDGERNN_DATA", str(folder))
    patch.setattr(spoken_words, "COPIES", 1)
    patch.setattr(voice_activity, "_TRAIN_SCENES", 6)
    patch.setattr(voice_activity, "_ROUNDS", 1)
    patch.setattr(voice_activity, "CONDITIONS", (("white", 0.0), ("hum", np.inf)))


@pytest.fixture
def user(folder, monkeypatch):
    few(monkeypatch, folder)
    monkeypatch.chdir(folder)
    return folder


def test_the_options_of_the_page_are_those_of_the_recipes(user, monkeypatch):
    speakers = {"george": "ada", "jackson": "bob"}
    loaded = []
    for command in map(shlex.split, commands(PAGE)):
        if "--set" in command:
            name, value = command[command.index("--set") + 1].split("=")
            options = {name: speakers.get(value, value)}
            loaded.append((name, find_recipe(command[2]).configured(options).load()))
    assert [name for name, _ in loaded] == ["level", "speaker", "unheard", "speaker"]
    assert all(len(task.test.x) for _, task in loaded)


def test_the_integer_model_hears_the_samples_that_it_was_trained_on(user):
    sound, _ = spoken_words.placed(load_fsdd()[0].sound, 0, spoken_words.LEAD_STEPS)
    x, y, decided = heard("spoken_digit", scenes.recorded(sound))
    recipe = find_recipe("spoken_digit")
    np.testing.assert_array_equal(x, recipe.load().test.x[0])
    voted = spoken_words.votes(y.argmax(axis=1))
    assert [one["word"] for one in decided] == [spoken_words.CLASSES[v] for v in voted]


def test_the_integer_model_decides_as_it_is_scored(user):
    clips = [clip for clip in load_fsdd() if clip.speaker == "ada"]
    samples, _ = voice_activity.scene(clips, "pink", 5.0, np.random.default_rng(0))
    x, y, decided = heard("vad", samples)
    assert len(x) == voice_activity.STEPS
    assert [one["speech"] for one in decided] == voice_activity.decided(y.T)[0].tolist()


def heard(name, samples):
    """What a microphone gives to the model of a recipe: rows, outputs and decisions."""
    path = f"build/{name}/{name}.edgernn"
    with edgernn.load(path) as session, edgernn.load(path, "reference") as reference:
        stream = session.interface.preparation.stream()
        decisions = session.interface.decisions.stream()
        rows = []
        for block in np.array_split(samples, 17):
            rows += stream.push(None, block.astype(float).tolist())
        x = np.array([row.x for row in rows])
        y = session.run(x)
        np.testing.assert_array_equal(y[:20], reference.run(x[:20]))
    model = edgernn.IntegerModel.load(path)
    np.testing.assert_array_equal(y, outputs(model, x[None])[0])
    pushed = zip(rows, y, strict=True)
    return x, y, [decisions.push(row.time_s, row.x, one) for row, one in pushed]


def test_the_program_listens(user, capsys):
    (program,) = [block.text for block in blocks(PAGE) if block.language == "python"]
    exec(compile(program, PAGE, "exec"), {})
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("name", ["spoken_digit", "vad"])
def test_the_c_code_of_the_page_passes_its_own_test(user, name):
    require("gcc")
    source = Path(f"build/{name}/{name}_c").resolve()
    header = (source / "model.h").read_text()
    assert "model_push_samples" in header
    assert "model_decide" in header
    files = [path.name for path in source.glob("*.c") if path.name != "main.c"]
    compile_c(["gcc", "-O1", "-std=c99", "-o", "test"], files, source)
    done = subprocess.run([str(source / "test")], capture_output=True, text=True, check=False)
    assert done.stdout == "PASS: 0 differing values\n"
