"""What a variant of the kernels brings: one place asks which it is, and every slot is filled."""

import re

import pytest

from edgernn_export.writers.c.kernels.files import CORES, Kernels
from edgernn_firmware_sim.targets import cores
from tests.support.native.compilers import NATIVE, ROOT, require
from tests.support.native.package_folders import run
from tests.support.native.slots import README, REQUIRED, filled, read_me, slots, variants

ASKS = ("edgernn_config.h", "edgernn_variant.h")
EXTENSION = ROOT / "edgernn" / "extension"


def test_two_headers_ask_which_variant_it_is():
    asked = re.compile(r"^#\s*(?:if|elif)\b.*\bEDGERNN_VARIANT\b", re.M)
    files = [*NATIVE.rglob("*.[ch]"), *EXTENSION.rglob("*.[ch]")]
    found = {p.name for p in files if asked.search(p.read_text("ascii").replace("\\\n", " "))}
    assert found == set(ASKS)


def test_every_variant_of_the_configuration_has_a_folder():
    text = (NATIVE / "edgernn_config.h").read_text("ascii")
    named = re.findall(r"^#define EDGERNN_(\w+) [1-9]\b", text, re.M)
    assert [n for n in named if n not in ("GNU_LITTLE", "ONLY_THUMB1")] == list(variants())
    assert {p.name for p in (NATIVE / "isa").iterdir()} == set(variants().values())


def test_the_read_me_is_what_the_sources_say():
    assert README.read_text("ascii") == read_me()


@pytest.mark.parametrize("slot", slots())
def test_every_slot_is_filled_by_somebody(slot):
    having = [folder for folder in variants().values() if slot in filled(folder)]
    assert having
    if slot in REQUIRED:
        assert having == list(variants().values())
    else:
        asked = re.compile(rf"#ifn?def EDGERNN_{slot}\b")
        files = {p for p in NATIVE.rglob("*.[ch]") if asked.search(p.read_text("ascii"))}
        assert files or slot == "DOT_HEADER"  # of isa/scalar and isa/neon, which both name it


def test_no_variant_fills_what_is_no_slot():
    extra = {}
    for folder in variants().values():
        text = (NATIVE / "isa" / folder / "variant.h").read_text("ascii")
        names = re.findall(r"^#define EDGERNN_(\w+)", text, re.M)
        guard = f"ISA_{folder.upper()}_VARIANT_H"
        extra[folder] = {n for n in names if n not in slots() and n != guard}
    assert {k: v for k, v in extra.items() if v} == {"avx512": {"BYTE8"}}


@pytest.mark.parametrize("core", CORES)
def test_the_compiler_of_a_core_chooses_the_variant_that_is_exported_for_it(core):
    profile = cores()[core]
    require(profile.compiler)
    command = [profile.compiler, *profile.flags, "-E", "-dM", "-xc", str(NATIVE / ASKS[0])]
    macros = dict(re.findall(r"#define (\w+) (\w+)", run(command, ROOT)))
    assert macros["EDGERNN_VARIANT"] == CORES[core] or (
        macros[macros["EDGERNN_VARIANT"]] == macros[CORES[core]]
    )
    assert list(Kernels(core).variants) == [CORES[core]]


def test_every_core_of_the_simulator_is_one_to_export_for():
    assert set(CORES) == set(cores())


def test_what_users_include_has_a_prefix():
    wanted, seen = [NATIVE / "edgernn_kernels.h", NATIVE / "edgernn_check.h"], set()
    names = set()
    while wanted:
        path = wanted.pop().resolve()
        if path in seen:
            continue
        seen.add(path)
        text = re.sub(r"/\*.*?\*/", "", path.read_text("ascii"), flags=re.S)
        wanted += [path.parent / name for name in re.findall(r'^#include "([^"]+)"', text, re.M)]
        patterns = (
            r"^#define (\w+)",
            r"^} (\w+);",
            r"^typedef .*?(\w+);",
            r"^EDGERNN_API [^;]*?(\w+)\(",
        )
        names |= {name for pattern in patterns for name in re.findall(pattern, text, re.M)}
    assert {"EDGERNN_TILE8", "edgernn_map8", "edgernn_lstm8_step", "edgernn_check_map8"} <= names
    assert [name for name in names if not name.lower().startswith("edgernn_")] == []
