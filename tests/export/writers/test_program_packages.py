"""Packages of programs that share states are built by every build system's tools or stand-ins."""

import json
import subprocess

import pytest

from edgernn.model.formats import Precision
from edgernn_export import export
from edgernn_export.writers.c.packages import PACKAGES
from tests.support.models.programs import pair, random_programs
from tests.support.native.compilers import SANITIZERS, WARNINGS, compile_c, require
from tests.support.native.package_folders import STAND_INS, cmake_build, run

RANDOM = random_programs(Precision.W8A16, 4)


def package(folder, kind, programs=RANDOM, **options):
    options = {"prefix": "pair", "name": "net"} | options
    return export(programs, folder, ["c"], package=kind, **options)["c"]


@pytest.mark.parametrize("kind", PACKAGES)
@pytest.mark.parametrize("amalgamate", [False, True])
def test_no_package_has_a_field_left_or_the_sketch_of_a_model(tmp_path, kind, amalgamate):
    folder = package(tmp_path, kind, amalgamate=amalgamate)
    assert folder.name == f"net{PACKAGES[kind].suffix}"
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert not any("ReadSensor" in str(path) for path in files)
    for path in files:
        text = path.read_text()
        assert "ReadSensor" not in text
        assert path.parent.name == "src" or "@" not in text.replace("@edgernn", "")
    readme = (folder / "README.md").read_text()
    assert readme.count("void on_") == 1 + len(RANDOM.names)
    assert "| input of decode | unit |" in readme
    # The last output of the context is carried, too.
    assert f"of which {RANDOM.state_bytes + 12} bytes are state" in readme


def test_the_interface_of_the_readme_compiles(tmp_path):
    require("gcc")
    folder = package(tmp_path, "cmake")
    code = (folder / "README.md").read_text().partition("```c\n")[2].partition("```")[0]
    (tmp_path / "use.c").write_text(code)
    warnings = ["-c", "-std=c99", "-I", str(folder / "src"), "-o", str(tmp_path / "use.o")]
    compile_c(["gcc", *warnings], [tmp_path / "use.c"], tmp_path)


def test_the_cmake_project_tests_itself(tmp_path):
    require("gcc", "cmake")
    build = cmake_build(package(tmp_path, "cmake"), tmp_path / "build")
    assert run([str(build / "selftest")], tmp_path) == "PASS: 0 differing values\n"


def test_the_samples_of_esp_idf_and_zephyr_pass(tmp_path):
    require("gcc", "cmake")
    component = package(tmp_path, "esp-idf", pair())
    build = cmake_build(
        component / "examples" / "self_test", tmp_path / "esp", IDF_PATH=str(STAND_INS / "esp_idf")
    )
    assert run([str(build / "pair_self_test")], tmp_path) == "PASS: 0 differing values\n"
    module = package(tmp_path, "zephyr", pair())
    build = cmake_build(
        module / "samples" / "self_test", tmp_path / "zephyr",
        ZEPHYR_BASE=str(STAND_INS / "zephyr"),
    )  # fmt: skip
    assert run([str(build / "app")], tmp_path) == "PASS: 0 differing values\n"


@pytest.mark.parametrize("broken", [False, True])
def test_the_sketch_says_whether_the_self_test_passes(tmp_path, broken):
    require("gcc", "g++")
    folder = package(tmp_path, "arduino", pair())
    if broken:
        vectors = folder / "src" / "pair_test_vectors.h"
        text = vectors.read_text()
        assert "golden_state_layer0_enc_h[6] = {\n    " in text
        vectors.write_text(text.replace("_enc_h[6] = {\n    ", "_enc_h[6] = {\n    1 + "))
    compile_c(["gcc", "-c", "-std=c99", *SANITIZERS], sorted(folder.rglob("src/**/*.c")), folder)
    sketch = folder / "examples" / "SelfTest" / "SelfTest.ino"
    board = STAND_INS / "arduino"
    run(
        ["g++", *SANITIZERS, *WARNINGS, "-I", str(board), "-I", "src", "-include", "Arduino.h",
         "-x", "c++", str(sketch), str(board / "board.cpp"), "-x", "none",
         *map(str, folder.glob("*.o")), "-o", "sketch"],
        folder,
    )  # fmt: skip
    done = subprocess.run(
        [folder / "sketch"], input="1\n", capture_output=True, text=True, check=False, timeout=60
    )
    said = "FAIL: this build does not compute the networks' bits" if broken else "PASS"
    assert done.stdout.splitlines()[0] == said


def test_the_platformio_library_names_files_that_are_there(tmp_path):
    folder = package(tmp_path, "platformio")
    about = json.loads((folder / "library.json").read_text())
    (example,) = about["examples"]
    assert all((folder / example["base"] / name).is_file() for name in example["files"])
    assert all((folder / "src" / name).is_file() for name in about["headers"])
