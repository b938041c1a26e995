"""Target profiles: complete, sane, and refused by field where they are not."""

import shutil
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

from edgernn.cli import main
from edgernn.errors import TargetError
from edgernn_firmware_sim import targets
from edgernn_firmware_sim.targets import boards, cores, find, load_board
from edgernn_firmware_sim.targets.advice import needs
from edgernn_firmware_sim.targets.profile import Board, Core, parse

CORE = {
    "compiler": "cc",
    "flags": ["-mthumb"],
    "emulator": "qemu",
    "machine": "board",
    "flash_origin": 0,
    "flash_bytes": 1024,
    "ram_origin": 0x2000_0000,
    "ram_bytes": 512,
    "costs": {"x": {"accuracy": "-", "error_percent": 0, "instruction": [1, 1]}},
}
SECOND = {"constants_origin": 0x3000_0000, "constants_bytes": 4096}
BOARD = {
    "board": "Board",
    "core": "cortex-m4",
    "emulated_as": "cortex-m4",
    "clock_hz": 1_000_000,
    "flash_bytes": 1024,
    "ram_bytes": 512,
}


def test_the_seven_cores_are_there():
    assert set(cores()) == {
        "cortex-m0", "cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33", "cortex-m55", "rv32imc",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "core", "clock_hz", "flash_kib", "ram_kib"),
    [
        ("microbit", "cortex-m0", 16e6, 256, 16),
        ("pico", "cortex-m0plus", 125e6, 2048, 264),
        ("mkr1000", "cortex-m0plus", 48e6, 256, 32),
        ("bluepill", "cortex-m3", 72e6, 64, 20),
        ("nucleo-f446", "cortex-m4", 180e6, 512, 128),
        ("nucleo-h743", "cortex-m7", 480e6, 2048, 512),
        ("pico2", "cortex-m33", 150e6, 4096, 520),
        ("corstone-300", "cortex-m55", 32e6, 512, 512),
        ("esp32-c3", "rv32imc", 160e6, 4096, 400),
        ("uno-r4", "cortex-m4", 48e6, 256, 32),
        ("nrf52840-dk", "cortex-m4", 64e6, 1024, 256),
        ("nano-33-ble", "cortex-m4", 64e6, 1024, 256),
        ("nucleo-l476", "cortex-m4", 80e6, 1024, 96),
        ("nucleo-f767", "cortex-m7", 216e6, 2048, 512),
        ("pico2-riscv", "hazard3", 150e6, 4096, 520),
        ("esp32", "xtensa-lx6", 240e6, 4096, 520),
        ("esp32-s3", "xtensa-lx7", 240e6, 8192, 512),
    ],
)
def test_boards_have_the_figures_of_their_data_sheets(name, core, clock_hz, flash_kib, ram_kib):
    board = boards()[name]
    assert (board.core, board.clock_hz) == (core, clock_hz)
    assert (board.flash_bytes, board.ram_bytes) == (flash_kib * 1024, ram_kib * 1024)


def test_every_core_stands_in_for_a_board():
    assert {board.emulated_as for board in boards().values()} == {*cores(), "none"}


def test_which_cores_are_emulated_as_something_else_or_not_at_all():
    others = {b.core: b.emulated_as for b in boards().values() if b.core != b.emulated_as}
    assert others == {
        "cortex-m0plus": "cortex-m0",
        "hazard3": "rv32imc",
        "xtensa-lx6": "none",
        "xtensa-lx7": "none",
    }
    assert find("esp32") == (None, boards()["esp32"])


@pytest.mark.parametrize(
    ("name", "milliamperes", "volts"),
    [("nrf52840-dk", 3.3, 3.0), ("esp32-c3", 23, 3.3), ("bluepill", 27, 3.3)],
)
def test_supply_currents_of_data_sheets(name, milliamperes, volts):
    power = boards()[name].power
    assert (power.active_ma, power.supply_v) == (milliamperes, volts)
    # 1 ms at 1 mW is 1 microjoule.
    assert power.microjoules((1.0, 2.0)) == pytest.approx(
        (milliamperes * volts, 2 * milliamperes * volts)
    )


def test_a_core_is_found_without_a_board_and_a_board_with_its_core():
    assert find("cortex-m7") == (cores()["cortex-m7"], None)
    assert find("pico") == (cores()["cortex-m0"], boards()["pico"])


def test_an_unknown_target_is_refused_with_all_names():
    with pytest.raises(TargetError, match=r"cortex-m0, .*rv32imc, bluepill, .* got 'arduino'\."):
        find("arduino")
    with pytest.raises(TargetError, match=r"got 'picoo'\. Did you mean 'pico'\? List them with"):
        find("picoo")


def test_names_are_unique_over_cores_and_boards():
    assert not set(cores()) & set(boards())


def test_a_profile_becomes_a_frozen_record():
    core = parse(Core, "x", CORE)
    assert core.flags == ("-mthumb",)
    assert core.costs["x"].cycles == {"instruction": (1.0, 1.0)}
    with pytest.raises(FrozenInstanceError):
        core.ram_bytes = 1


@pytest.mark.parametrize(
    ("kind", "table", "message"),
    [
        (Core, CORE | {"speed": 1}, r"^x: expected the fields compiler, .*, got .*speed\."),
        (Board, {}, r"^x: expected the fields board, .*, got none\."),
        (Core, CORE | {"flash_bytes": "1K"}, r"^x\.flash_bytes: expected int, got '1K'\."),
        (Core, CORE | {"flash_bytes": True}, r"^x\.flash_bytes: expected int, got True\."),
        (Core, CORE | {"flags": "-mthumb"}, r"^x\.flags: expected list, got '-mthumb'\."),
        (Core, CORE | {"flags": [1]}, r"^x: expected lists of text"),
        (Core, CORE | {"flags": []}, r"^x\.flags: expected no empty text, got \(\)\."),
        (Core, CORE | {"machine": ""}, r"^x\.machine: expected no empty text, got ''\."),
        (Core, CORE | {"ram_bytes": 0}, r"^x\.ram_bytes: expected at least 1, got 0\."),
        (Core, CORE | {"flash_origin": -4}, r"^x\.flash_origin: expected at least 0, got -4\."),
        (Core, CORE | {"ram_origin": 1000}, r"^x: expected flash and RAM apart, got an overlap\."),
        (
            Core,
            CORE | {"constants_origin": 0},
            r"^x: expected constants_origin and constants_bytes",
        ),
        (Core, CORE | SECOND | {"constants_bytes": 0}, r"^x\.constants_bytes: expected at least 1"),
        (Core, CORE | SECOND | {"constants_bytes": "1"}, r"^x\.constants_bytes: expected int, got"),
        (Core, CORE | SECOND | {"constants_origin": 9}, r"^x: expected flash and constants apart"),
        (Core, CORE | {"ram_origin": 2**32 - 511}, r"^x: expected memory below 2\^32, got more\."),
        (Core, CORE | {"costs": []}, r"^x\.costs: expected dict, got \[\]\."),
        (Core, CORE | {"costs": {"y": CORE["costs"]["x"]}}, r"^x\.costs: expected a table for x,"),
        (Core, CORE | {"costs": {"x": {}}}, r"^x\.costs\.x\.accuracy: expected a text, got None"),
        (Board, BOARD | {"clock_hz": 0}, r"^x\.clock_hz: expected at least 1, got 0\."),
        (Board, BOARD | {"clock_hz": 1.5}, r"^x\.clock_hz: expected int, got 1\.5\."),
    ],
)
def test_a_wrong_profile_is_refused_by_field(kind, table, message):
    with pytest.raises(TargetError, match=message):
        parse(kind, "x", table)


def test_memory_may_end_exactly_at_the_end_of_the_address_space():
    assert parse(Core, "x", CORE | {"ram_origin": 2**32 - 512}).ram_bytes == 512


@pytest.mark.parametrize("name", ("", "Cortex M4", "cortex_m4", "-m4"))
def test_a_wrong_name_is_refused(name):
    with pytest.raises(TargetError, match="expected a name like 'cortex-m4', got"):
        parse(Board, name, BOARD)


def test_needs_say_what_is_over_and_by_how_much():
    board = parse(Board, "x", BOARD)
    flash, ram = needs(board, flash_bytes=1024, ram_bytes=513, measured=True)
    assert (flash.over_bytes, ram.over_bytes) == (0, 1)
    assert flash.sentence() == "1,024 of 1,024 bytes (100.0%)"
    assert ram.sentence() == "513 of 512 bytes: does not fit, 1 bytes too many"
    known, _ = needs(board, flash_bytes=256, ram_bytes=1, measured=False)
    assert known.sentence() == "at least 256 of 1,024 bytes (25.0%)"


@pytest.fixture
def profiles(tmp_path, monkeypatch):
    """A copy of the profiles that a test may change."""
    shutil.copytree(Path(targets.__file__).parent, tmp_path / "targets")
    monkeypatch.setattr(targets.resources, "files", lambda _: tmp_path / "targets")
    boards.cache_clear()
    cores.cache_clear()
    yield tmp_path / "targets"
    boards.cache_clear()
    cores.cache_clear()


MINE = """board = "My own board"
core = "{core}"
emulated_as = "{emulated_as}"
clock_hz = 48_000_000
flash_bytes = 131_072
ram_bytes = 16_384
"""


def test_adding_a_board_is_adding_a_file(profiles, capsys):
    (profiles / "boards" / "my-board.toml").write_text(
        MINE.format(core="cortex-m0plus", emulated_as="cortex-m0")
    )
    core, board = find("my-board")
    assert (core.name, board.board, board.flash_bytes) == ("cortex-m0", "My own board", 131_072)
    assert main(["targets"]) == 0
    row = next(line for line in capsys.readouterr().out.splitlines() if "My own board" in line)
    assert row.split()[0] == "my-board" and "48 MHz" in row


@pytest.mark.parametrize(
    ("core", "emulated_as", "message"),
    [
        (
            "cortex-m9",
            "cortex-m9",
            r"^my-board\.emulated_as: expected one of cortex-m0, .*'cortex-m9'",
        ),
        (
            "cortex-m4",
            "cortex-m3",
            r"^my-board\.core: expected one of cortex-m3, .*got 'cortex-m4'",
        ),
    ],
)
def test_a_board_whose_core_has_no_profile_is_refused(core, emulated_as, message, profiles):
    (profiles / "boards" / "my-board.toml").write_text(
        MINE.format(core=core, emulated_as=emulated_as)
    )
    with pytest.raises(TargetError, match=message):
        find("my-board")


def test_a_board_of_ones_own_is_read_from_a_file(tmp_path):
    path = tmp_path / "My Board_2.toml"
    power = '[power]\nactive_ma = 5\nsupply_v = 1.8\nsource = "mine"\n'
    path.write_text(MINE.format(core="cortex-m0plus", emulated_as="cortex-m0") + power)
    core, board = find(path)
    assert (core.name, board.name, board.power.active_ma) == ("cortex-m0", "my-board-2", 5.0)
    assert find(str(path)) == (core, board)


def test_all_errors_of_a_board_file_are_named_together(tmp_path):
    path = tmp_path / "mine.toml"
    text = MINE.format(core="cortex-m4f", emulated_as="cortex-m4")
    text = text.replace("flash_bytes = 131_072", "flash_bytes = -1").replace("48_000_000", '"48"')
    power = "[power]\nactive_ma = 0\nsupply_v = 3\n"
    path.write_text(text + 'colour = "red"\n' + power)
    with pytest.raises(TargetError) as caught:
        load_board(path)
    lines = str(caught.value).splitlines()
    assert lines[0].startswith("6 problems")
    for wanted in (
        "mine: expected the fields board, core,",
        "mine.clock_hz: expected int, got '48'.",
        "mine.flash_bytes: expected at least 1, got -1.",
        "mine.power.active_ma: expected a number above 0, got 0.",
        "mine.power: expected the fields active_ma, supply_v, source, got active_ma, supply_v.",
        "mine.core: expected one of cortex-m4, for which cortex-m4 has costs, got 'cortex-m4f'.",
    ):
        assert any(line.strip().startswith(wanted) for line in lines), wanted


@pytest.mark.parametrize("content", [b"board = ", b"\xff\xfe"])
def test_a_file_that_is_no_toml_is_refused(content, tmp_path):
    path = tmp_path / "mine.toml"
    path.write_bytes(content)
    with pytest.raises(TargetError, match=r"expected a board profile in TOML, got 'mine\.toml'"):
        load_board(path)
