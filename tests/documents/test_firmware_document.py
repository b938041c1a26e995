"""What docs/guides/firmware.md tells a user to compile compiles, runs and forecasts."""

import ctypes
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import edgernn
from edgernn.cli import main
from tests.support.documents import blocks
from tests.support.models.programs import pair
from tests.support.native.compilers import ROOT, compile_c, require

DOCUMENT = "docs/guides/firmware.md"
DOCUMENTED = (ROOT / DOCUMENT).read_text(encoding="utf-8")
DEMO = ROOT / "edgernn" / "data" / "demo.edgernn"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    require("gcc")
    out = tmp_path_factory.mktemp("firmware")
    assert main(["export", str(DEMO), "--to", "c", "-o", str(out / "build")]) == 0
    return out


def test_the_self_test_of_the_document_passes(folder):
    (commands,) = [b.text for b in blocks(DOCUMENT) if "./selftest" in b.text]
    done = subprocess.run(
        ["sh", "-e", "-c", commands], cwd=folder, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert f"prints `{done.stdout.strip()}`" in (ROOT / DOCUMENT).read_text(encoding="utf-8")


@pytest.mark.filterwarnings("ignore::edgernn.ClippedReadingsWarning")
def test_the_program_of_the_document_forecasts_what_a_session_does(folder):
    program, _ = [b.text for b in blocks(DOCUMENT) if b.language == "c"]
    source = folder / "board.c"
    prototypes = re.findall(r"^(?:void|int32_t) on_\w+\(.*\)$", program, re.M)
    declared = "".join(f"{line};\n" for line in prototypes)
    source.write_text(program.replace('#include "model.h"\n', f'#include "model.h"\n{declared}'))
    own = folder / "build" / "demo_c"
    sources = [source, own / "model.c", *sorted(own.glob("edgernn_*.c"))]
    command = ["gcc", "-std=c99", "-shared", "-fPIC", "-I", str(own), "-o", "board.so"]
    compile_c(command, sources, folder)
    board = ctypes.CDLL(str(folder / "board.so"))
    board.on_start()
    with edgernn.load(DEMO) as session:
        for ppm in (0.3, 0.1, -0.2, 2.1, -2.0, 5.0):
            forecast = board.on_reading(round(ppm * 2**20)) / 2**20
            assert forecast == pytest.approx(session.step([ppm])[0], abs=2**-19)


def test_the_program_of_programs_answers_what_a_session_does(tmp_path):
    require("gcc")
    _, program = [b.text for b in blocks(DOCUMENT) if b.language == "c"]
    prototype = re.search(r"^void on_sequence\(.*\)$", program, re.M)
    assert prototype is not None
    own = tmp_path / "build" / "pair_c"
    model = str(pair().save(tmp_path / "pair.edgernn"))
    arguments = ["--to", "c", "--prefix", "pair", "-o", str(tmp_path / "build")]
    assert f"edgernn export pair.edgernn {' '.join(arguments[:-1])} build/" in DOCUMENTED
    assert main(["export", model, *arguments]) == 0
    declared = program.replace('#include "pair.h"\n', f'#include "pair.h"\n{prototype[0]};\n')
    source = tmp_path / "board.c"
    source.write_text(declared.replace("static pair_state_t state;", "pair_state_t state;"))
    sources = [source, own / "pair.c", *sorted(own.glob("edgernn_*.c"))]
    command = ["gcc", "-std=c99", "-shared", "-fPIC", "-I", str(own), "-o", "board.so"]
    compile_c(command, sources, tmp_path)
    board = ctypes.CDLL(str(tmp_path / "board.so"))
    board.pair_init(ctypes.byref(ctypes.c_char.in_dll(board, "state")))
    header = (own / "pair.h").read_text(encoding="ascii")

    def bits(program, side, count):
        wanted = f"PAIR_{program.upper()}_{side}_"
        found = [re.search(rf"{wanted}{i}_FRAC_BITS \((-?\d+)\)", header) for i in range(count)]
        return 2.0 ** np.array([int(match[1]) for match in found if match])

    def fixed(program, codes):
        real = codes * pair()[program].input.scale + pair()[program].input.offset
        return np.rint(real * bits(program, "INPUT", 3)).astype(np.int32)

    codes, first = np.arange(-12, 12).reshape(8, 3), np.array([5, -7, 90])
    with edgernn.load(pair()) as session:
        session.begin("encode")
        session.run_codes("encode", codes.astype(np.int8))
        session.begin("decode")
        wanted = session.step_codes("decode", first.astype(np.int8))
    answer = (ctypes.c_int32 * 2)()
    x, after = fixed("encode", codes), fixed("decode", first)
    board.on_sequence(x.ctypes.data_as(ctypes.c_void_p), 8,
                      after.ctypes.data_as(ctypes.c_void_p), answer)  # fmt: skip
    real = np.array(answer) / bits("decode", "OUTPUT", 2)
    assert np.rint(real / pair()["decode"].output.scale).tolist() == wanted.tolist()


def test_the_files_of_the_document_are_those_written(folder):
    text = Path(ROOT / DOCUMENT).read_text(encoding="utf-8")
    named = set(re.findall(r"^\| (`[^-].*?`) \|", text, re.M))
    patterns = [p for row in named for p in re.findall(r"`([^`]+)`", row)]
    written = {p.name for p in (folder / "build" / "demo_c").iterdir() if p.name != "selftest"}
    matched = {name for name in written if any(Path(name).match(p) for p in patterns)}
    assert (matched, len(patterns)) == (written, 10)


def test_the_forms_of_the_document_are_as_small_as_it_says(folder, monkeypatch):
    (commands,) = [b.text for b in blocks(DOCUMENT) if "--amalgamate" in b.text]
    monkeypatch.chdir(folder)
    shutil.copy(DEMO, folder)
    for command in commands.splitlines():
        assert main(command.split()[1:]) == 0
    one = folder / "build" / "one" / "demo_c"
    assert {p.name for p in one.iterdir()} == {"model.c", "model.h", "model_self_test.c"}
    text = (ROOT / DOCUMENT).read_text(encoding="utf-8")
    rows = re.findall(r"^\| (.*) \| (\d+) \| (\d+) \| (\d+) \| (\d+) \|$", text, re.M)
    assert len(rows) == 4
    for options, *sizes in rows:
        words = re.sub(r"^for every core$|`", "", options).split()
        measured = [*size_of(folder, words), *size_of(folder, [*words, "--package", "arduino"])]
        assert measured == pytest.approx([int(size) for size in sizes], rel=0.03)


def size_of(folder, options):
    """Files and kB of the demo exported like this."""
    target = folder / "sizes" / "_".join(["x", *options])
    assert main(["export", str(DEMO), "--to", "c", "-o", str(target), *options]) == 0
    files = [p for p in target.rglob("*") if p.is_file()]
    return len(files), round(sum(p.stat().st_size for p in files) / 1000)
