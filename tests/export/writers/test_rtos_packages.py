"""The ESP-IDF component and the Zephyr module, built by CMake with stand-ins for both systems."""

import re

import pytest

import edgernn
from edgernn.model.formats import Precision
from tests.support.models.integer import random_model
from tests.support.native.compilers import require
from tests.support.native.package_folders import (
    BOTH,
    STAND_INS,
    cmake_build,
    run,
    write_package,
    yaml,
)

GRU = random_model("gru_after", Precision.W8A8)
LSTM = random_model("lstm", Precision.W8A16)


@pytest.fixture(autouse=True)
def _tools():
    require("gcc", "cmake")


def test_the_esp_idf_component_registers_its_sources_and_its_example_passes(tmp_path):
    folder = write_package(LSTM, tmp_path, "esp-idf", prefix="gas")
    manifest = yaml((folder / "idf_component.yml").read_text())
    assert manifest["version"] == edgernn.__version__
    assert manifest["dependencies"] == {"idf": ">=4.4"}
    assert manifest["description"].startswith(f"{LSTM.name}: ")
    build = cmake_build(
        folder / "examples" / "self_test", tmp_path / "build", IDF_PATH=str(STAND_INS / "esp_idf")
    )
    printed = run([str(build / "gas_self_test")], tmp_path)
    assert printed == "PASS: 0 differing values\n5 us per step\n"


def test_two_esp_idf_components_join_one_program(tmp_path):
    for model, prefix in ((GRU, "one"), (LSTM, "two")):
        write_package(model, tmp_path, "esp-idf", name=prefix, prefix=prefix)
    example = tmp_path / "one_esp_idf" / "examples" / "self_test"
    listed = (example / "CMakeLists.txt").read_text()
    own = "${CMAKE_CURRENT_LIST_DIR}/../.."
    other = own + '/../two_esp_idf" "'
    (example / "CMakeLists.txt").write_text(listed.replace(own, other + own))
    main = "#include <stdio.h>\n" + BOTH.replace("int main", "void app_main")
    main = re.sub(r"return (.*) == 0 .*;", r'printf("%ld differ", (long)(\1));', main)
    (example / "main" / "main.c").write_text(main + "void app_main(void);\n")
    cmake_build(example, tmp_path / "build", IDF_PATH=str(STAND_INS / "esp_idf"))
    assert run([str(tmp_path / "build" / "one_self_test")], tmp_path) == "0 differ"


def test_the_zephyr_module_is_found_and_its_sample_passes(tmp_path):
    folder = write_package(LSTM, tmp_path, "zephyr", prefix="gas")
    module = yaml((folder / "zephyr" / "module.yml").read_text())
    assert module == {
        "name": "edgernn_gas",
        "build": {"cmake": "zephyr", "kconfig": "zephyr/Kconfig"},
    }
    kconfig = (folder / "zephyr" / "Kconfig").read_text()
    assert re.fullmatch(r"config EDGERNN_GAS\n\tbool \"[^\"\n]*\"\n\thelp\n(\t  .*\n)+", kconfig)
    build = cmake_build(
        folder / "samples" / "self_test", tmp_path / "build",
        ZEPHYR_BASE=str(STAND_INS / "zephyr"),
    )  # fmt: skip
    assert run([str(build / "app")], tmp_path) == "PASS: 0 differing values\n5 us per step\n"


def test_two_zephyr_modules_share_kernels_though_libraries_are_linked_whole(tmp_path):
    for model, prefix in ((GRU, "one"), (LSTM, "two")):
        write_package(model, tmp_path, "zephyr", name=prefix, prefix=prefix)
    application = tmp_path / "application"
    (application / "src").mkdir(parents=True)
    (application / "src" / "main.c").write_text(BOTH)
    (application / "prj.conf").write_text("CONFIG_EDGERNN_ONE=y\nCONFIG_EDGERNN_TWO=y\n")
    sample = tmp_path / "one_zephyr" / "samples" / "self_test" / "CMakeLists.txt"
    modules = " ".join(f"${{CMAKE_CURRENT_SOURCE_DIR}}/../{n}_zephyr" for n in ("one", "two"))
    text = sample.read_text().replace("${CMAKE_CURRENT_SOURCE_DIR}/../..", modules)
    (application / "CMakeLists.txt").write_text(text)
    build = cmake_build(application, tmp_path / "build", ZEPHYR_BASE=str(STAND_INS / "zephyr"))
    run([str(build / "app")], tmp_path)
