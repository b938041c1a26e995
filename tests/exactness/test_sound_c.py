"""C of the log-mel layer on the host: every code is that of the reference."""

import dataclasses
import re
import subprocess

import numpy as np
import pytest

import edgernn
from edgernn.errors import UnsupportedModelError
from edgernn.model.formats import Precision
from edgernn.model.interface import Window
from edgernn.prepare.audio.log_mel import LogMel
from edgernn.prepare.preparation import Preparation
from edgernn_export.writers.c.preparation.sound import sound_front
from edgernn_export.writers.c.source import write_c
from edgernn_export.writers.file_formats import golden_vector
from tests.support.models.integer import random_model
from tests.support.native.compilers import NATIVE, SANITIZERS, compile_c, require
from tests.support.sounds import FRONT_ENDS, codes_of_sound, hearing_model, hostile_samples

#: Prints the codes and outputs of every frame; samples come in blocks of a length.
HARNESS = """\
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model.h"

int main(int count, char **arguments)
{
    static model_state_t state;
    static model_audio_t audio;
    static int16_t block[5000];
    int16_t y[MODEL_OUTPUTS] = {0};
    size_t length = (size_t)atoi(arguments[count - 1]);
    size_t got;
    memset(&audio, 0xA5, sizeof audio);
    memset(&state, 0xA5, sizeof state);
    model_init(&state);
    model_audio_init(&audio);
    while ((got = fread(block, sizeof block[0], length, stdin)) != 0) {
        const int32_t answers = model_push_samples(&state, &audio, block, (int32_t)got, y);
        int i;
        printf("%ld", (long)answers);
        for (i = 0; i < MODEL_OUTPUTS; ++i) {
            printf(" %d", y[i]);
        }
        printf("\\n");
    }
    return model_check() + (int)model_self_test(&state) + (int)model_audio_self_test(&audio);
}
"""


def build(model, folder, *options, **kind):
    require("gcc")
    folder.mkdir(parents=True, exist_ok=True)
    files = write_c(model, golden_vector(model), **kind)
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    (folder / "harness.c").write_text(HARNESS)
    sources = [n for n in files if n.endswith(".c") and n not in ("main.c", "selftest_host.c")]
    compile_c(
        ["gcc", *(options or ["-O1"]), "-std=c99", "-o", "run"], ["harness.c", *sources], folder
    )
    return folder / "run"


def answers(program, samples, length):
    done = subprocess.run(
        [str(program), str(length)], input=samples.tobytes(), capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
    return np.array([line.split() for line in done.stdout.decode().splitlines()], dtype=int)


#: A model of which nothing is needed but its inputs.
STUB = """\
#include <stdint.h>
#include "edgernn_sound.h"
#define MODEL_INPUTS {inputs}
typedef {code} model_input_t;
typedef int model_state_t;
static inline void model_step(model_state_t *state, const model_input_t *x, int16_t *y)
{{
    (void)state, (void)x, (void)y;
}}
{declarations}
"""
CODES = """\
#include <stdio.h>
#include "model.h"
{functions}
int main(void)
{{
    static model_audio_t audio;
    int16_t sample;
    model_audio_init(&audio);
    while (fread(&sample, sizeof sample, 1, stdin) == 1) {{
        if (model_push_sample(&audio, sample) != 0) {{
            model_input_t q_x[MODEL_INPUTS];
            model_audio_codes(&audio, q_x);
            fwrite(q_x, sizeof q_x, 1, stdout);
        }}
    }}
    return 0;
}}
"""


@pytest.mark.parametrize("precision", Precision)
@pytest.mark.parametrize("settings", FRONT_ENDS.values(), ids=FRONT_ENDS)
def test_every_code_is_the_reference_s(settings, precision, tmp_path):
    require("gcc")
    model = hearing_model(settings, precision)
    front = sound_front(model, settings, "model")
    code = f"{model.code_dtype.name}_t"
    inputs, declarations = settings.width, front.declarations
    (tmp_path / "model.h").write_text(
        STUB.format(inputs=inputs, code=code, declarations=declarations)
    )
    includes = "".join(f'#include "{header}"\n' for header in front.headers)
    (tmp_path / "codes.c").write_text(CODES.format(functions=includes + front.functions))
    sources = [tmp_path / "codes.c", NATIVE / "edgernn_log_mel.c"]
    compile_c(
        ["gcc", "-O1", "-std=c99", *SANITIZERS, f"-I{NATIVE}", f"-I{tmp_path}", "-o", "run"],
        sources,
        tmp_path,
    )
    samples = hostile_samples(settings, frames=40)
    done = subprocess.run(
        [str(tmp_path / "run")], input=samples.tobytes(), capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
    got = np.frombuffer(done.stdout, model.code_dtype).reshape(-1, inputs)
    np.testing.assert_array_equal(got, codes_of_sound(model, settings, samples))


@pytest.mark.parametrize(
    ("name", "precision"), [("digits", Precision.W8A8), ("mfcc", Precision.W8A16)]
)
def test_samples_become_the_network_s_outputs(name, precision, tmp_path):
    settings = FRONT_ENDS[name]
    model = hearing_model(settings, precision)
    program = build(model, tmp_path, "-O1")
    samples = hostile_samples(settings, frames=24)
    with edgernn.load(model, "reference") as session:
        wanted = session.run_codes(codes_of_sound(model, settings, samples))
    got = answers(program, samples, 1)
    np.testing.assert_array_equal(got[got[:, 0] == 1][:, 1:], wanted)
    assert np.flatnonzero(got[:, 0]).tolist() == [
        settings.frame - 1 + t * settings.hop for t in range(24)
    ]
    blocks = answers(program, samples, 1000)
    assert blocks[:, 0].sum() == 24
    np.testing.assert_array_equal(blocks[-1, 1:], wanted[-1])


@pytest.mark.parametrize("kind", [{"amalgamate": True}, {"core": "cortex-m4"}])
def test_every_kind_of_files(kind, tmp_path):
    settings = FRONT_ENDS["digits"]
    model = hearing_model(settings, Precision.W8A8)
    if kind.get("core"):
        files = write_c(model, golden_vector(model), **kind)
        assert {"edgernn_log_mel.c", "edgernn_log_mel.h", "edgernn_sound.h"} <= files.keys()
        return
    program = build(model, tmp_path, **kind)
    assert answers(program, hostile_samples(settings, 5), 10**4)[-1, 0] == 5
    if kind.get("amalgamate"):
        assert not list(tmp_path.glob("edgernn_*"))
    sources = [p.name for p in tmp_path.glob("*.c") if p.name not in ("harness.c", "main.c")]
    compile_c(["gcc", "-O1", "-std=c99", "-o", "test"], sources, tmp_path)
    done = subprocess.run([str(tmp_path / "test")], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "PASS: 0 differing values\n")


def test_windows_answer_where_they_are_complete(tmp_path):
    settings = FRONT_ENDS["digits"]
    model = dataclasses.replace(
        hearing_model(settings, Precision.W8A8), window=Window(steps=4, hop=3)
    )
    samples = hostile_samples(settings, frames=12)
    with edgernn.load(model, "reference") as session:
        q_ys = session.run_codes(codes_of_sound(model, settings, samples))
    got = answers(build(model, tmp_path), samples, 1)
    np.testing.assert_array_equal(got[got[:, 0] == 1][:, 1:], np.ma.filled(q_ys, 0)[3::3])


@pytest.mark.slow
def test_the_check_reads_the_constants_of_the_layer(tmp_path):
    settings = FRONT_ENDS["mfcc"]
    model = hearing_model(settings, Precision.W8A8)
    build(model, tmp_path)
    text = (tmp_path / "model.c").read_text()
    arrays = re.findall(r"front_end_(\w+)\[", text)
    assert len(arrays) == 9
    (tmp_path / "only_check.c").write_text(
        '#include "model.h"\nint main(void) { return model_check(); }\n'
    )
    kernels = [p.name for p in tmp_path.glob("edgernn_*.c")]
    compile_c(["gcc", "-std=c99", "-c"], [*kernels, "only_check.c"], tmp_path)
    objects = [f"{name[:-2]}.o" for name in [*kernels, "only_check.c"]]
    for name in arrays:
        changed = re.sub(
            rf"(front_end_{name}\[\d+\] = \{{\n +)(-?\d+)", lambda m: f"{m[1]}{int(m[2]) ^ 1}", text
        )
        assert changed != text
        (tmp_path / "model.c").write_text(changed)
        compile_c(["gcc", "-std=c99", "-o", "check"], ["model.c", *objects], tmp_path)
        assert subprocess.run([str(tmp_path / "check")], check=False).returncode == 1, name


def test_a_model_without_sound_has_no_word_of_it():
    model = random_model("lstm")
    files = write_c(model, golden_vector(model))
    assert not any("log_mel" in name or "sound" in name for name in files)
    assert b"audio" not in files["model.h"] + files["model.c"]


def test_the_network_alone_has_no_layer():
    model = hearing_model(FRONT_ENDS["digits"], Precision.W8A8)
    files = write_c(model, golden_vector(model), network_only=True)
    plain = dataclasses.replace(model, preparation=None)
    assert files.keys() == write_c(plain, golden_vector(plain)).keys()
    assert b"audio" not in files["model.h"] + files["model.c"]


def test_a_model_that_reads_something_else_is_refused():
    model = random_model("lstm", inputs=3)
    with pytest.raises(UnsupportedModelError, match=r"expected a model with 20 inputs.* got 3"):
        sound_front(model, LogMel(), "model")
    some = Preparation(inputs=("sample",), audio=LogMel(), outputs=("mel_3", "mel_1"))
    with pytest.raises(UnsupportedModelError, match=r"all features .* in their order"):
        sound_front(prepared_by(some), LogMel(), "model")


def prepared_by(preparation):
    names = preparation.channels
    model = random_model("lstm", inputs=len(names))
    source = dataclasses.replace(model.input, names=names)
    return dataclasses.replace(model, input=source, preparation=preparation)
