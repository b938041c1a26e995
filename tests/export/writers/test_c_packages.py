"""Packages of the generated C are what their build systems expect, and build and pass there."""

import json
import re
import shutil
from dataclasses import replace

import pytest

import edgernn
from edgernn.model.formats import Precision
from edgernn_export.writers.c.packages import PACKAGES
from tests.support.documents import blocks, run_command
from tests.support.models.integer import random_model
from tests.support.native.compilers import ROOT, WARNINGS, compile_c, require
from tests.support.native.package_folders import (
    BOTH,
    cmake_build,
    expect_another_output,
    run,
    write_package,
    yaml,
)

GRU = random_model("gru_after", Precision.W8A8)
LSTM = random_model("lstm", Precision.W8A16)
CONSUMER = """\
cmake_minimum_required(VERSION 3.13)
project(consumer C)
{find}
add_executable(consumer main.c)
target_link_libraries(consumer PRIVATE {libraries})
"""
PROGRAM = """\
#include "model.h"

static model_state_t state;

int main()
{
    return model_self_test(&state) == 0 ? 0 : 1;
}
"""


@pytest.fixture(autouse=True)
def _tools():
    require("gcc", "cmake")


def files_of(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in _walk(folder)}


def _walk(folder):
    return sorted(p for p in folder.rglob("*") if p.is_file())


@pytest.mark.parametrize("package", PACKAGES)
def test_same_model_same_package_with_all_sources_and_no_second_main(tmp_path, package):
    folder = write_package(GRU, tmp_path / "a", package)
    files = files_of(folder)
    assert files == files_of(write_package(GRU, tmp_path / "b", package))
    plain = files_of(write_package(GRU, tmp_path, None))
    library = {f"src/{n}": b for n, b in plain.items() if n not in ("main.c", "selftest_host.c")}
    assert {n: b for n, b in files.items() if n.startswith("src/")} == library
    for name, content in files.items():
        # No field is left open; the samples of other systems define main outside src/.
        assert not re.search(rb"@\w+@", content), name
        assert not (name.startswith("src/") and re.search(rb"\bint main\b", content)), name
    readme = files["README.md"].decode()
    for wanted in (
        GRU.sha256,
        "Apache License 2.0",
        "| x1 |",
        f"{GRU.state_bytes} bytes",
        "are yo",
    ):
        assert wanted in readme


# ---------------------------------------------------------------- CMake


def test_the_cmake_project_builds_tests_itself_and_installs(tmp_path):
    source = write_package(GRU, tmp_path, "cmake", prefix="gas")
    build = cmake_build(source, tmp_path / "build")
    assert "100% tests passed" in run(["ctest", "--test-dir", str(build)], tmp_path)
    assert run([str(build / "selftest")], tmp_path) == "PASS: 0 differing values\n"
    run(["cmake", "--install", str(build), "--prefix", str(tmp_path / "there")], tmp_path)
    consumer = tmp_path / "consumer"
    consumer.mkdir()
    find = "find_package(edgernn_gas REQUIRED)"
    (consumer / "CMakeLists.txt").write_text(CONSUMER.format(find=find, libraries="edgernn::gas"))
    shutil.copy(source / "selftest" / "selftest_host.c", consumer / "main.c")
    shutil.rmtree(source)
    built = cmake_build(consumer, consumer / "build", f"-DCMAKE_PREFIX_PATH={tmp_path / 'there'}")
    assert run([str(built / "consumer")], tmp_path) == "PASS: 0 differing values\n"


def test_the_self_test_of_the_cmake_project_fails_where_an_output_differs(tmp_path):
    source = write_package(GRU, tmp_path, "cmake")
    expect_another_output(source)
    build = cmake_build(source, tmp_path / "build")
    with pytest.raises(AssertionError, match="1 tests failed out of 1"):
        run(["ctest", "--test-dir", str(build)], tmp_path)


def test_two_cmake_packages_join_one_program_with_one_copy_of_each_kernel(tmp_path):
    for model, prefix in ((GRU, "one"), (LSTM, "two")):
        write_package(model, tmp_path, "cmake", name=prefix, prefix=prefix)
    find = "add_subdirectory(one_cmake)\nadd_subdirectory(two_cmake)"
    libraries = "edgernn::one edgernn::two"
    (tmp_path / "CMakeLists.txt").write_text(CONSUMER.format(find=find, libraries=libraries))
    (tmp_path / "main.c").write_text(BOTH)
    build = cmake_build(tmp_path, tmp_path / "build")
    run([str(build / "consumer")], tmp_path)
    assert not list(build.rglob("selftest"))


def test_the_cmake_project_builds_for_a_board(tmp_path):
    require("arm-none-eabi-gcc")
    source = write_package(GRU, tmp_path, "cmake")
    build = cmake_build(
        source, tmp_path / "build", "-DCMAKE_SYSTEM_NAME=Generic", "-DCMAKE_SYSTEM_PROCESSOR=arm",
        "-DCMAKE_C_COMPILER=arm-none-eabi-gcc", "-DCMAKE_TRY_COMPILE_TARGET_TYPE=STATIC_LIBRARY",
        "-DCMAKE_C_COMPILER_WORKS=1",
    )  # fmt: skip
    assert [p.name for p in build.glob("*.a")] == ["libedgernn_model.a"]


def test_the_commands_of_the_document_build_and_pass(tmp_path):
    (commands,) = [b.text for b in blocks("docs/guides/firmware.md") if "cmake -S" in b.text]
    shutil.copy(ROOT / "edgernn" / "data" / "demo.edgernn", tmp_path)
    done = run_command(commands, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "100% tests passed" in done.stdout


def test_the_document_lists_the_packages_and_their_folders(tmp_path):
    text = (ROOT / "docs" / "guides" / "firmware.md").read_text("utf-8")
    listed = dict(re.findall(r"^\| [\w-]+ \| `([a-z-]+)` \| `(\w+)` \| ", text, re.M))
    assert listed == {p: write_package(GRU, tmp_path, p, name="demo").name for p in PACKAGES}


# ---------------------------------------------------------------- PlatformIO


def test_the_platformio_library_names_files_that_are_there(tmp_path):
    folder = write_package(GRU, tmp_path, "platformio", name="Air 2")
    record = json.loads((folder / "library.json").read_text())
    assert record["name"] == folder.name == "Air_2_platformio"
    assert record["version"] == edgernn.__version__
    assert (record["frameworks"], record["platforms"]) == ("*", "*")
    assert all(re.fullmatch(r"[a-z0-9+. -]{1,50}", word) for word in record["keywords"])
    assert all((folder / "src" / header).is_file() for header in record["headers"])
    (example,) = record["examples"]
    base = folder / example["base"]
    assert sorted(example["files"]) == sorted(p.name for p in base.iterdir())
    build = record["build"]
    assert (build["srcDir"], build["includeDir"], build["srcFilter"]) == ("src", "src", ["+<*.c>"])
    main = folder / "src" / "main.cc"
    main.write_text(PROGRAM)
    sources = sorted((folder / "src").glob("*.c"))
    compile_c(["gcc", "-c", "-std=c99"], sources, folder)
    run(
        [
            "g++",
            *WARNINGS,
            "-o",
            "program",
            str(main),
            *[p.with_suffix(".o").name for p in sources],
        ],
        folder,
    )
    run(["./program"], folder)


def hostile_model():
    units = ('"\n#error {', "µ*/ ]]", "a|b\\")
    names = tuple(text.replace("\n", " ") for text in units)
    return replace(GRU, name='*/ "x\\', input=replace(GRU.input, names=names, units=units))


def test_hostile_labels_leave_data_files_readable(tmp_path):
    folders = {p: write_package(hostile_model(), tmp_path, p) for p in PACKAGES}
    description = json.loads((folders["platformio"] / "library.json").read_text())["description"]
    assert description.startswith('* / "x\\: ')
    manifest = yaml((folders["esp-idf"] / "idf_component.yml").read_text())
    assert manifest["description"].startswith('* / "x\\: ')
    properties = (folders["arduino"] / "library.properties").read_text()
    assert len(properties.splitlines()) == 11
    for folder in folders.values():
        rows = re.findall(r"^\| .*", (folder / "README.md").read_text("utf-8"), re.M)
        cells = [len(re.findall(r"(?<!\\)\|", row.replace("\\\\", ""))) for row in rows]
        assert cells == [6] * 4 + [4] * 3


def test_hostile_labels_leave_the_cmake_project_in_order(tmp_path):
    source = write_package(hostile_model(), tmp_path, "cmake")
    cmake_build(source, tmp_path / "build")
