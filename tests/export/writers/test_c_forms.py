"""C for one core and C in one source: what is written, refused, compiled; both run right here."""

import subprocess

import pytest

from edgernn.cli import main
from edgernn.errors import EdgeRnnError
from edgernn.model.formats import Precision
from edgernn_export import export
from edgernn_export.verification.compiled_c import c_sources, run_self_test, run_stream
from edgernn_export.writers.c import layers
from edgernn_export.writers.c.kernels.conditions import parse, settled
from edgernn_export.writers.c.kernels.files import CORES, Kernels, native_text
from edgernn_export.writers.c.packages import PACKAGES
from edgernn_firmware_sim.targets import cores
from tests.support.models.integer import random_codes, random_model
from tests.support.models.kernel_cases import MODELS
from tests.support.native.compilers import ROOT, SANITIZERS, compile_c, require
from tests.support.native.package_folders import run
from tests.support.native.variants import AVX512

pytestmark = pytest.mark.sampled(2)

MODEL = random_model("lstm", Precision.W8A8)
COMPILERS = [
    ["gcc", "-std=c99"],
    ["clang", "-std=c99"],
    ["gcc", "-std=c99", "-O0", "-mavx2"],
    ["clang", "-std=c99", *AVX512],
    ["g++", "-x", "c++", "-std=c++11"],
]


def paths(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def written(folder, model=MODEL, **options):
    return export(model, folder, ["c"], name="net", **options)["c"]


def own_sources(folder):
    return sorted(p for p in folder.glob("*.c") if p.name not in ("main.c", "selftest_host.c"))


@pytest.mark.parametrize("core", CORES)
def test_a_core_brings_no_other_core_s_kernels_and_compiles_without_a_warning(core, tmp_path):
    profile = cores()[core]
    folder = written(tmp_path / "own", core=core)
    every = written(tmp_path / "every")
    (variant,) = Kernels(core).variants.values()
    isas = {path.split("/")[1] for path in paths(folder) if path.startswith("isa/")}
    assert variant.split("/")[1] in isas
    assert isas <= {variant.split("/")[1], "scalar"}
    assert len(paths(folder)) < 0.55 * len(paths(every))
    for path in set(paths(folder)) - {"edgernn_variant.h"}:
        assert (folder / path).read_bytes() == (every / path).read_bytes()
    require(profile.compiler)
    command = [profile.compiler, *profile.flags, "-std=c99", "-O2", "-ffreestanding", "-c"]
    compile_c(command, own_sources(folder), tmp_path)


def test_a_compiler_for_another_core_is_refused(tmp_path):
    require("gcc")
    folder = written(tmp_path, core="cortex-m4")
    done = subprocess.run(
        ["gcc", "-fsyntax-only", "model.c"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "edgernn_variant.h: expected a compiler for cortex-m4, whose kernels" in done.stderr
    assert "--core CORE, or without --core for every core." in done.stderr


def test_host_is_every_core(tmp_path):
    every, host = written(tmp_path / "every"), written(tmp_path / "host", core="host")
    assert paths(every) == paths(host)
    assert all((every / p).read_bytes() == (host / p).read_bytes() for p in paths(every))


@pytest.mark.parametrize("command", COMPILERS, ids=" ".join)
def test_one_source_and_one_header_say_nothing_to_a_compiler(command, tmp_path):
    require(command[0])
    for index, model in enumerate(MODELS.values()):
        folder = written(tmp_path / str(index), model, amalgamate=True)
        assert paths(folder) == ["model.c", "model.h", "model_self_test.c"]
        compile_c([*command, "-c"], own_sources(folder), tmp_path)


@pytest.mark.parametrize("core", CORES)
def test_one_source_for_a_core_says_nothing_to_its_compiler(core, tmp_path):
    profile = cores()[core]
    require(profile.compiler)
    for index, model in enumerate(MODELS.values()):
        folder = written(tmp_path / str(index), model, core=core, amalgamate=True)
        command = [profile.compiler, *profile.flags, "-std=c99", "-O2", "-ffreestanding", "-c"]
        compile_c(command, own_sources(folder), tmp_path)
        text = (folder / "model.c").read_text()
        assert not set(Kernels(None).variants) & set(text.split()) - {*Kernels(core).variants}


def test_two_such_sources_join_one_program(tmp_path):
    require("gcc", "g++")
    one, two = list(MODELS.values())[:2]
    written(tmp_path, one, prefix="one", amalgamate=True)
    folder = written(tmp_path, two, prefix="two", amalgamate=True)
    main_ = folder / "both.cc"
    main_.write_text(
        '#include "one.h"\n#include "two.h"\n\nstatic one_state_t one;\nstatic two_state_t two;\n\n'
        "int main()\n{\n    return one_self_test(&one) + two_self_test(&two) + one_check() + "
        "two_check();\n}\n"
    )
    sources = own_sources(folder)
    compile_c(["gcc", "-std=c99", "-O2", *SANITIZERS, "-c"], sources, folder)
    objects = [p.with_suffix(".o") for p in sources]
    compile_c(["g++", *SANITIZERS, "-o", "both", *map(str, objects)], [main_], folder)
    run(["./both"], folder)


@pytest.mark.parametrize("name", MODELS)
def test_one_source_is_verified_like_others(name, tmp_path):
    require("gcc")
    model = MODELS[name]
    sources = c_sources(written(tmp_path, model, amalgamate=True))
    outcome = run_self_test(sources)
    assert (outcome.status, outcome.differing, outcome.message) == ("ran", 0, "")
    found = run_stream(sources, model, random_codes(model, 200)).outcomes[-1]
    assert (found.status, found.differing) == ("ran", 0)
    assert found.compared > 200


@pytest.mark.parametrize("amalgamate", [False, True])
@pytest.mark.parametrize("package", PACKAGES)
def test_packages_take_both(package, amalgamate, tmp_path):
    folder = written(tmp_path, package=package, core="cortex-m4", amalgamate=amalgamate)
    sources = [path for path in paths(folder) if path.startswith("src/")]
    if amalgamate:
        assert sources == ["src/model.c", "src/model.h", "src/model_self_test.c"]
    else:
        assert not [path for path in sources if "/isa/mve/" in path]
        assert "src/isa/dsp/dot.h" in sources
    if package in ("cmake", "esp-idf"):
        listed = (folder / "CMakeLists.txt").read_text().split()
        assert {p for p in sources if p.endswith(".c")} <= set(listed)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"core": "cortex-m9"}, "expected a core among cortex-m0, .* or host, got 'cortex-m9'"),
        ({"core": ""}, "expected a core among .*, got ''. See them with: edgernn targets"),
    ],
)
def test_other_cores_are_refused(options, message, tmp_path):
    with pytest.raises(EdgeRnnError, match=message):
        export(MODEL, tmp_path, ["c"], **options)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "what"), [({"core": "host"}, "a core"), ({"amalgamate": True}, "amalgamation")]
)
def test_both_are_of_c_alone(options, what, tmp_path):
    with pytest.raises(EdgeRnnError, match=f"expected c among the formats because of {what}"):
        export(MODEL, tmp_path, ["tflite"], **options)


def test_the_command_takes_both(tmp_path, capsys):
    demo = ROOT / "edgernn" / "data" / "demo.edgernn"
    command = ["export", str(demo), "--to", "c", "-o", str(tmp_path), "--core", "rv32imc"]
    assert main([*command, "--amalgamate"]) == 0
    assert capsys.readouterr().out.startswith(f"{tmp_path / 'demo_c'}  ")
    assert paths(tmp_path / "demo_c") == ["model.c", "model.h", "model_self_test.c"]


TEXT = """\
a
#ifndef G
#if A || L == 1
b
#elif B
c
#else
d
#endif
#endif
#ifdef B
e
#endif
"""


@pytest.mark.parametrize(
    ("known", "left"),
    [
        ({}, TEXT),
        ({"A": 1, "G": None, "B": None}, "a\nb\n"),
        ({"A": 0, "G": None}, TEXT.replace("#ifndef G\n", "").replace("#endif\n#", "#", 1)),
        ({"A": 0, "L": 4, "B": 0}, "a\n#ifndef G\nd\n#endif\ne\n"),
        (
            {"A": 0, "L": 4},
            "a\n#ifndef G\n#if B\nc\n#else\nd\n#endif\n#endif\n#ifdef B\ne\n#endif\n",
        ),
        ({"G": 1, "B": None}, "a\n"),
    ],
)
def test_conditions_that_are_known_leave_their_text_alone(known, left):
    assert "".join(as_text(settled(parse(TEXT), known))) == left


def as_text(items):
    for item in items:
        if isinstance(item, str):
            yield item
        else:
            for branch in item.branches:
                yield branch.directive
                yield from as_text(branch.items)
            yield "#endif\n"


@pytest.mark.parametrize("path", ["edgernn_affine.c", "common/lanes.h", "edgernn_config.h"])
def test_what_is_parsed_is_the_text(path):
    assert "".join(as_text(parse(native_text(path)))) == native_text(path)


def test_layers_operation_by_operation_are_in_the_one_source_too(monkeypatch, tmp_path):
    require("gcc", "clang")
    monkeypatch.setattr(layers, "KERNELS", {})
    for index, model in enumerate(list(MODELS.values())[:2]):
        folder = written(tmp_path / str(index), model, amalgamate=True)
        assert "edgernn_product(" in (folder / "model.c").read_text()
        for compiler in ("gcc", "clang"):
            compile_c([compiler, "-std=c99", "-O2", "-c"], own_sources(folder), tmp_path)
        assert run_self_test(c_sources(folder)).differing == 0
