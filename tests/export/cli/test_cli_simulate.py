"""`edgernn simulate` and `edgernn targets`."""

import json
import re
from dataclasses import replace

import pytest

from edgernn.cli import main
from edgernn.model.formats import Precision
from edgernn.model.interface import Rate, Window
from edgernn.model.program_sets.program_set import ProgramSet
from edgernn_export.simulation import firmware_runs, simulator
from edgernn_firmware_sim.targets import Board, boards, cores
from edgernn_firmware_sim.targets.advice import weights_bytes
from tests.support.models.hand_made import core_named
from tests.support.models.integer import random_model, sparse_model
from tests.support.models.programs import shared
from tests.support.models.rates import strided_network


@pytest.fixture
def model_file(tmp_path):
    return str(random_model("gru_after", Precision.W8A16).save(tmp_path / "model.edgernn"))


@pytest.fixture
def tiny_board(monkeypatch):
    board = Board(
        name="tiny", board="Tiny", core="cortex-m0plus", emulated_as="cortex-m0",
        clock_hz=1_000_000, flash_bytes=100, ram_bytes=10,
    )  # fmt: skip
    monkeypatch.setattr(simulator, "find", lambda name: (cores()["cortex-m0"], board))


def run(capsys, *arguments):
    code = main(["simulate", *arguments])
    return code, capsys.readouterr()


def test_without_emulation_it_says_what_the_file_says(model_file, capsys):
    code, printed = run(capsys, model_file, "--target", "nucleo-f446")
    # 3 inputs, 8 units: 2 x 8 rows of z and r and 8 of n, over 11 columns, and 2 x 8 of Dense.
    # In tiles of 4 by 4: 24 rows over 4 + 8 columns, and 4 x 8 of Dense.
    assert code == 0
    assert printed.out.splitlines() == [
        "gru_after-tame w8a16 on Nucleo-F446RE: cortex-m4",
        "work            280 multiply-accumulates per step",
        "weights         320 bytes",
        "state           16 bytes",
        "flash of board  at least 320 of 524,288 bytes (0.1%)",
        "RAM of board    at least 16 of 131,072 bytes (0.0%)",
        "Code, constants, scratch and stack come on top. Measure them with: --emulate",
    ]


def test_work_and_bytes_that_a_sparse_model_saves(tmp_path, capsys):
    model = sparse_model(random_model("lstm", inputs=4, units=4, outputs=0), 0.5)
    (term,) = model.layers[0].gates.terms
    kept = int(term.weights.reshape(4, 4, 2, 4).any(axis=(1, 3)).sum())
    assert 0 < kept < 8
    path = str(model.save(tmp_path / "model.edgernn"))
    _, printed = run(capsys, path, "--target", "cortex-m4")
    work = f"128 multiply-accumulates per step, with {1 - kept / 8:.0%} of the tiles left out"
    assert work in printed.out
    assert f"weights         {17 * kept + 4} bytes" in printed.out


def test_what_does_not_fit_is_said_in_bytes(model_file, tiny_board, capsys):
    code, printed = run(capsys, model_file, "--target", "tiny")
    assert code == 1
    assert "on Tiny: cortex-m0plus, emulated as cortex-m0" in printed.out
    assert printed.out.splitlines()[4:] == [
        "flash of board  at least 320 of 100 bytes: does not fit, 220 bytes too many",
        "RAM of board    at least 16 of 10 bytes: does not fit, 6 bytes too many",
        # Tiles of 4 by 4: z and r 2, n 2, Dense 1; with 3 units z and r have 8 rows, so 4.
        "advice          fewer units may fit, at most gru_after_0 8 -> 2: "
        "80 bytes of flash, 4 of RAM",
        "advice          w8a8 instead of w8a16 would not fit: 320 bytes of flash, 16 of RAM",
        "advice          4-bit weights would not fit: 160 bytes of flash, 16 of RAM",
        "advice          weights reduced to 31 % of their bytes may fit flash: fewer weights, "
        "or fewer bits per weight",
        f"advice          boards with room for the unchanged model: {', '.join(boards())}",
        "Code, constants, scratch and stack come on top. Measure them with: --emulate",
    ]


def test_emulated_firmware_that_does_not_fit_fails_too(model_file, tiny_board, capsys):
    core_named("cortex-m0")
    code, printed = run(
        capsys, model_file, "--target", "tiny", "--emulate", "--steps", "2", "--json"
    )
    record = json.loads(printed.out)
    assert code == 1
    assert record["emulation"]["differing"] == 0
    flash, ram = record["fit"]
    assert flash["measured"] and flash["bytes"] == record["emulation"]["flash_bytes"]
    assert flash["over_bytes"] == flash["bytes"] - 100
    assert ram["bytes"] == record["emulation"]["ram_bytes"]
    # Code alone is over 100 bytes: no smaller model and no smaller weights can help.
    assert record["advice"]["narrower"] is None
    assert record["advice"]["weights_percent"] == 0
    assert record["advice"]["measured"]


def test_what_is_too_large_for_the_machine_gets_a_verdict_from_the_linker(
    tmp_path, monkeypatch, capsys
):
    core = core_named("cortex-m0")
    model = random_model("lstm", Precision.W8A16, inputs=4, units=40)
    path = str(model.save(tmp_path / "model.edgernn"))
    small = replace(core, flash_bytes=8192)
    board = replace(boards()["microbit"], flash_bytes=8192)
    monkeypatch.setattr(simulator, "find", lambda name: (small, board))
    code, printed = run(capsys, path, "--target", "microbit", "--emulate", "--json")
    record = json.loads(printed.out)
    assert (code, record["emulation"], record["estimated"]) == (1, None, None)
    flash, ram = record["fit"]
    assert flash["measured"] and flash["over_bytes"] > 0 and ram["over_bytes"] == 0
    ((name, before, after),) = record["advice"]["units"]
    assert (name, before) == ("lstm_0", 40) and 1 <= after < 40
    code, printed = run(capsys, path, "--target", "microbit", "--emulate")
    assert "\nemulated        no: the image is too large for microbit\n" in printed.out
    # A board that has the room is no reason to be silent about a machine that has not.
    monkeypatch.setattr(simulator, "find", lambda name: (small, boards()["pico"]))
    code, printed = run(capsys, path, "--target", "pico", "--emulate")
    assert code == 2
    assert "expected an image within 8,192 bytes of FLASH" in printed.err


def test_emulation_prints_every_measure(model_file, capsys):
    core_named("cortex-m4")
    code, printed = run(capsys, model_file, "--target", "cortex-m4", "--emulate", "--steps", "30")
    assert code == 0
    assert "compared        300 outputs and state values of 30 steps" in printed.out
    assert "differing       0\n" in printed.out
    for label in ("instructions", "by class", "by function", "flash", "RAM", "stack", "cycles"):
        assert f"\n{label} " in printed.out
    assert re.search(r"^ +edgernn_gru_after16_step +[\d,]+\.\d +\d+\.\d%$", printed.out, re.M)
    assert re.search(
        r"^cycles +estimated [\d,]+ to [\d,]+ per step on cortex-m4$", printed.out, re.M
    )
    assert "\nestimate        table of the manual, without wait states" in printed.out
    assert "\ntime" not in printed.out  # a core has no clock
    assert printed.err == "building and running cortex-m4 (mps2-an386)\n"


def test_json_and_text_hold_the_same_figures(model_file, capsys):
    core_named("rv32imc")
    arguments = (model_file, "--target", "esp32-c3", "--emulate", "--steps", "30")
    _, text = run(capsys, *arguments)
    code, printed = run(capsys, *arguments, "--json")
    record = json.loads(printed.out)
    emulation = record["emulation"]
    assert (code, record["core"], record["board"]) == (0, "rv32imc", "esp32-c3")
    assert f"{emulation['instructions']['median']:,} per step" in text.out
    assert f"{emulation['instructions_per_mac']:.2f} per multiply-accumulate" in text.out
    assert f"flash           {emulation['flash_bytes']:,} bytes" in text.out
    assert (
        f"stack           {emulation['stack_bytes']:,} bytes used at most (painted), " in text.out
    )
    assert f"{emulation['static_stack_bytes']:,} possible at most (call graph)" in text.out
    work, steps = emulation["work"], emulation["steps"]
    assert sum(work["classes"].values()) == sum(work["functions"].values()) == work["instructions"]
    for name, count in (work["classes"] | work["functions"]).items():
        mean = re.escape(f"{count / steps:,.1f}")
        assert re.search(rf"{re.escape(name)} +{mean} ", text.out)
    cycles = record["estimated"]
    assert cycles["core"] == "rv32imc"
    assert f"estimated {cycles['low_cycles']:,.0f} per step on rv32imc\n" in text.out
    assert cycles["low_ms"] == pytest.approx(1e3 * cycles["low_cycles"] / 160e6)
    assert f"estimated {cycles['low_ms']:.3g} ms per step at 160 MHz\n" in text.out


def test_a_memory_factor_multiplies_the_estimate_and_nothing_else(model_file, capsys):
    core_named("cortex-m0")
    arguments = (model_file, "--target", "pico", "--emulate", "--steps", "3", "--json")
    plain = json.loads(run(capsys, *arguments)[1].out)
    slow = json.loads(run(capsys, *arguments, "--memory-factor", "1.5")[1].out)
    assert slow["emulation"] == plain["emulation"]
    assert slow["estimated"]["core"] == "cortex-m0plus"
    for field in ("low_cycles", "high_cycles", "low_ms", "high_ms"):
        assert slow["estimated"][field] == pytest.approx(1.5 * plain["estimated"][field])
    text = run(capsys, *arguments[:-1], "--memory-factor", "1.5")[1].out
    assert re.search(
        r"^cycles .* per step on cortex-m0plus, memory factor 1\.5 applied$", text, re.M
    )


def test_a_bar_shows_what_is_done_on_a_terminal_only(model_file, monkeypatch, capsys):
    core_named("cortex-m4")
    arguments = (model_file, "--target", "cortex-m4", "--emulate", "--steps", "3")
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    _, printed = run(capsys, *arguments)
    for stage in ("reference", "compilers", "QEMU", "comparison"):
        assert stage in printed.err


def test_a_difference_fails_the_command(model_file, monkeypatch, capsys):
    core_named("cortex-m3")
    other = random_model("gru_after", Precision.W8A16, seed=1)
    genuine = firmware_runs.write_c
    monkeypatch.setattr(firmware_runs, "write_c", lambda model, golden, **_: genuine(other, golden))
    code, printed = run(capsys, model_file, "--target", "cortex-m3", "--emulate", "--steps", "9")
    assert code == 1
    assert "\nfirst           step " in printed.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--target", "cortex-m9"), "--target: expected one of cortex-m0, .*, got 'cortex-m9'"),
        (
            ("--target", "pico", "--steps", "5"),
            "--steps: expected --emulate as well, got none",
        ),
        (("--target", "pico", "--emulate", "--steps", "0"), "--steps: expected at least 1.*got 0"),
        (
            ("--target", "pico", "--memory-factor", "2"),
            "--memory-factor: expected --emulate as well",
        ),
        (
            ("--target", "pico", "--emulate", "--memory-factor", "0.5"),
            r"--memory-factor: expected at least 1 \(no wait states\), got 0\.5",
        ),
        (("--target", "pico", "--seed", "-1"), "--seed: expected at least 0, got -1"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message, model_file, capsys):
    code, printed = run(capsys, model_file, *arguments)
    assert code == 2
    assert re.search(message, printed.err)


def test_missing_tools_end_in_one_sentence(model_file, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    code, printed = run(capsys, model_file, "--target", "cortex-m4", "--emulate")
    assert code == 2
    assert printed.err.splitlines()[-1].endswith(
        "sudo apt-get install gcc libc6-dev gcc-arm-none-eabi qemu-system-arm"
    )


def test_targets_lists_every_core_and_board(capsys):
    assert main(["targets"]) == 0
    lines = capsys.readouterr().out.splitlines()
    first_words = [line.split()[0] for line in lines if line and not line.startswith("-")]
    assert first_words == ["core", *cores(), "board", *boards()]


def test_targets_as_json(capsys):
    assert main(["targets", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert [c["name"] for c in record["cores"]] == list(cores())
    assert list(record["cores"][0]["costs"]) == ["cortex-m0", "cortex-m0plus"]
    assert {b["name"]: b["clock_hz"] for b in record["boards"]} == {
        b.name: b.clock_hz for b in boards().values()
    }


def test_windows_are_counted_by_answers(tmp_path, capsys):
    model = replace(random_model("gru_after", inputs=1, units=4), window=Window(steps=12, hop=4))
    path = model.save(tmp_path / "window.edgernn")
    assert main(["simulate", str(path), "--target", "nucleo-f446", "--emulate"]) == 0
    text = capsys.readouterr().out
    assert "windows of 12 readings, one answer every 4" in text
    assert (
        f"{12 * model.macs:,} multiply-accumulates per answer, {3 * model.macs:,} per rea" in text
    )
    assert "without an answer to" in text
    assert "a reading with an answer takes 4 times that" in text
    assert main(["simulate", str(path), "--target", "cortex-m4", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["window"] == {"steps": 12, "hop": 4}
    assert record["state_bytes"] == model.state_bytes == 12 + 2 + 8
    assert main(["simulate", str(path), "--target", "cortex-m4"]) == 0
    assert "22 bytes, 14 of them the readings of a window" in capsys.readouterr().out
    assert main(["info", str(path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [told[name] for name in ("state_bytes", "carried_bytes")] == [22, 14]
    assert [record[name] for name in ("state_bytes", "carried_bytes")] == [22, 14]


def test_programs_are_held_against_a_board_one_by_one_and_together(tmp_path, capsys):
    path = str(shared().save(tmp_path / "shared.edgernn"))
    code, printed = run(capsys, path, "--target", "nucleo-f446")
    assert code == 0
    blocks = printed.out.split("\n\n")
    assert [block.split(" on ")[0] for block in blocks[:-1]] == ["warm w8a8", "forecast w8a8"]
    assert blocks[-1].splitlines() == [
        "shared: 2 programs together, shared parts once",
        # In tiles of 4 by 4: 12 rows over 4 + 8 columns, 8 over 4, 8 over 8; two heads of 4 over 8.
        "weights         304 bytes",
        "state           12 bytes",
        "flash of board  at least 304 of 524,288 bytes (0.1%)",
        "RAM of board    at least 12 of 131,072 bytes (0.0%)",
    ]
    _, printed = run(capsys, path, "--target", "cortex-m4", "--json")
    record = json.loads(printed.out)
    assert (record["set"], record["weights_bytes"], record["state_bytes"]) == ("shared", 304, 12)
    assert [program["model"] for program in record["programs"]] == ["warm", "forecast"]
    assert record["fit"] == []
    _, printed = run(capsys, path, "--target", "cortex-m4", "--program", "forecast")
    assert printed.out.startswith("forecast w8a8 on cortex-m4")


def test_programs_that_fit_alone_may_not_fit_together(tmp_path, capsys, tiny_board):
    models = [replace(random_model("gru_after", units=1, seed=i), name=f"p{i}") for i in range(3)]
    single = weights_bytes(models[0])
    programs = ProgramSet(name="three", programs=tuple(
        replace(m, layers=tuple(replace(y, name=f"{y.name}{m.name}") for y in m.layers))
        for m in models
    ))  # fmt: skip
    assert single <= 100 < 3 * single
    code, printed = run(capsys, str(programs.save(tmp_path / "m.edgernn")), "--target", "tiny")
    assert code == 1
    assert f"flash of board  at least {single} of 100 bytes" in printed.out
    assert f"{3 * single} of 100 bytes: does not fit" in printed.out


def test_models_that_answer_every_few_readings_are_counted_by_answers(tmp_path, capsys):
    model = strided_network(Precision.W8A8, Rate(readings=4, first=4))
    path = model.save(tmp_path / "rated.edgernn")
    assert main(["simulate", str(path), "--target", "nucleo-f446", "--emulate"]) == 0
    text = capsys.readouterr().out
    assert "one answer every 4 readings, the first after 4: " in text
    assert f"{model.macs:,} multiply-accumulates per answer, {model.macs / 4:,.0f} per rea" in text
    assert "per reading (mean; " in text
    assert "a reading with an answer takes 4 times that, " in text
    assert main(["simulate", str(path), "--target", "cortex-m4", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["rate"] == {"readings": 4, "first": 4, "latency": 0, "start": []}
    windows = replace(model, window=Window(steps=8)).save(tmp_path / "windows.edgernn")
    assert main(["simulate", str(windows), "--target", "cortex-m4"]) == 0
    wanted = "windows of 8 readings (inside, one answer every 4 readings, the first after 4; the la"
    assert wanted in capsys.readouterr().out
    assert record["state_bytes"] == model.state_bytes


def test_several_targets_give_one_table(model_file, capsys):
    code, printed = run(
        capsys, model_file, "--target", "nucleo-f446,pico", "--target", "esp32", "--target", "pico"
    )
    lines = printed.out.splitlines()
    assert code == 0
    assert lines[0] == "gru_after-tame w8a16: 280 multiply-accumulates per step"
    assert [line.split()[0] for line in lines[3:6]] == ["nucleo-f446", "pico", "esp32"]
    assert lines[3].split()[4:8] == ["≥", "320", "≥", "16"]
    assert any(line.startswith("esp32: no emulator for xtensa-lx6") for line in lines)
    _, printed = run(capsys, model_file, "--target", "nucleo-f446,esp32", "--json")
    record = json.loads(printed.out)
    assert [(t["core"], t["board"]) for t in record["targets"]] == [
        ("cortex-m4", "nucleo-f446"),
        (None, "esp32"),
    ]


def test_a_board_file_and_readings_of_ones_own(tmp_path, model_file, capsys):
    core_named("cortex-m4")
    board = tmp_path / "mine.toml"
    board.write_text(
        'board = "Mine"\ncore = "cortex-m4"\nemulated_as = "cortex-m4"\nclock_hz = 1_000_000\n'
        "flash_bytes = 65_536\nram_bytes = 8_192\n"
        '[power]\nactive_ma = 2\nsupply_v = 1.5\nsource = "my datasheet"\n'
    )
    names = ["a", "b", "c"]
    rows = [[f"{0.1 * i - 0.2 * j:.2f}" for j in range(3)] for i in range(12)]
    table = tmp_path / "readings.csv"
    table.write_text("\n".join(",".join(row) for row in [names, *rows]) + "\n")
    arguments = (model_file, "--board", str(board), "--emulate", "--input", str(table))
    code, printed = run(capsys, *arguments, "--columns", "c,b,a", "--json")
    record = json.loads(printed.out)
    assert (code, record["board"], record["emulation"]["steps"]) == (0, "mine", 12)
    assert "readings.csv: 12 readings" in printed.err
    # Microjoules: 2 mA at 1.5 V are 3 mW, times milliseconds at 1 MHz.
    estimated = record["estimated"]
    assert estimated["low_ms"] == pytest.approx(estimated["low_cycles"] / 1000)
    assert estimated["low_uj"] == pytest.approx(3 * estimated["low_ms"])
    assert estimated["power_source"] == "my datasheet"
    code, printed = run(capsys, *arguments, "--columns", "c,b,a", "--steps", "5")
    assert code == 0 and " outputs and state values of 5 steps" in printed.out
    assert "µJ per step, chip alone (estimate: datasheet power × estimated cycles)" in printed.out
    assert "2 mA at 1.5 V: my datasheet" in printed.out
    table.write_text("a,b,c\n0.1,nan,0.2\n")
    code, printed = run(capsys, *arguments, "--columns", "c,b,a")
    assert code == 2 and "readings.csv, line 2" in printed.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "--target: expected at least one target, got none"),
        (("--target", "pico", "--input", "x.csv"), "--input: expected --emulate as well"),
        (("--target", "esp32", "--emulate"), r"--emulate: expected a target whose core QEMU emul"),
        (("--board", "missing.toml"), "expected a file that can be opened"),
    ],
)
def test_targets_that_cannot_be_are_refused(arguments, message, model_file, capsys):
    code, printed = run(capsys, model_file, *arguments)
    assert code == 2
    assert re.search(message, printed.err)
