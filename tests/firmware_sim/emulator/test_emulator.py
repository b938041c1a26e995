"""The emulator's own measurements, against programs whose answer is known beforehand."""

import numpy as np
import pytest

from edgernn.errors import (
    BackendUnavailable,
    EmulationError,
    ImageTooLargeError,
    ShapeError,
)
from edgernn_firmware_sim.emulator import emulate
from edgernn_firmware_sim.emulator.image import forbidden_symbols
from edgernn_firmware_sim.emulator.tools import require
from edgernn_firmware_sim.targets import cores
from tests.support.models.hand_made import CORES, assembly_model, c_model, core_named
from tests.support.models.integer import random_model

# One input, one output, one state: the shape of the hand-made models.
MODEL = random_model("simple_rnn", inputs=1, units=1, outputs=0)
ECHO = "    state->h[0] = (int16_t)(state->h[0] + x[0]);\n    y[0] = x[0];"
Q_XS = np.array([[1], [-2], [100], [-128], [127]], dtype=np.int8)
ECHOED = np.array([[1, 8], [-2, 6], [100, 106], [-128, -22], [127, 105]], dtype=np.int16)
#: One core of each toolchain, for what only compiler and linker decide.
ONE_OF_EACH = ("cortex-m0", "rv32imc")


def run(core_name, sources, folder, q_xs=Q_XS, wanted=ECHOED):
    return emulate(MODEL, sources, core_named(core_name), q_xs, folder, wanted)


@pytest.mark.parametrize("core", CORES)
def test_every_reading_arrives_and_every_value_comes_back(core, tmp_path):
    result = run(core, c_model(ECHO), tmp_path)
    assert (result.steps, result.compared, result.differing) == (5, 10, 0)
    assert result.first_difference == ""
    assert result.struct_bytes == 8


@pytest.mark.parametrize("core", CORES)
def test_one_altered_value_is_found_and_named(core, tmp_path):
    wanted = ECHOED.copy()
    wanted[3, 1] += 1
    result = run(core, c_model(ECHO), tmp_path, wanted=wanted)
    assert result.differing == 1
    assert result.first_difference == "step 3, simple_rnn_0.h[0]: expected -21, got -22"


@pytest.mark.parametrize("core", CORES)
def test_instruction_counts_are_those_of_the_assembly(core, tmp_path):
    # One load, x rounds of two instructions, one return.
    sources = assembly_model(
        cores()[core],
        arm=["ldrb r3, [r1]", "1: subs r3, r3, #1", "bne 1b", "bx lr"],
        riscv=["lbu a3, 0(a1)", "1: addi a3, a3, -1", "bnez a3, 1b", "ret"],
    )
    q_xs = np.array([[3], [100], [1], [7]], dtype=np.int8)
    result = run(core, sources, tmp_path, q_xs, np.zeros((4, 2), np.int16))
    counts = result.instructions
    assert (counts.steps, counts.least, counts.median, counts.most) == (4, 4, 8, 202)
    assert counts.per_mac(4) == 2.0


@pytest.mark.parametrize("core", CORES)
def test_instructions_of_callees_count(core, tmp_path):
    sources = assembly_model(
        cores()[core],
        arm=["push {r4, lr}", "bl 2f", "pop {r4, pc}", "2: movs r3, #1", "bx lr"],
        riscv=["mv t1, ra", "jal 2f", "jr t1", "2: li a3, 1", "ret"],
    )
    result = run(core, sources, tmp_path, wanted=np.zeros((5, 2), np.int16))
    assert {result.instructions.least, result.instructions.most} == {5}


@pytest.mark.parametrize("core", CORES)
def test_stack_is_what_the_step_touches(core, tmp_path):
    sources = assembly_model(
        cores()[core],
        arm=["sub sp, sp, #64", "str r0, [sp, #0]", "add sp, sp, #64", "bx lr"],
        riscv=["addi sp, sp, -64", "sw a0, 0(sp)", "addi sp, sp, 64", "ret"],
    )
    result = run(core, sources, tmp_path, wanted=np.zeros((5, 2), np.int16))
    assert result.stack_bytes == 64
    assert result.ram_bytes == 8 + 64


@pytest.mark.parametrize("core", ONE_OF_EACH)
def test_constants_are_counted_as_flash(core, tmp_path):
    body = "    static const int16_t table[{n}] = {{5}};\n    y[0] = table[x[0] & 15];\n"
    body += "    state->h[0] = 0;"
    sizes = {}
    for n in (100, 500):
        folder = tmp_path / str(n)
        folder.mkdir()
        wanted = np.zeros((5, 2), np.int16)
        sizes[n] = run(core, c_model(body.format(n=n)), folder, wanted=wanted).sizes
    assert sizes[500].rodata_bytes - sizes[100].rodata_bytes == 800
    assert sizes[500].text_bytes == sizes[100].text_bytes > 0
    assert sizes[100].rodata_bytes == 200
    assert sizes[100].flash_bytes == sizes[100].text_bytes + 200


@pytest.mark.parametrize("core", CORES)
def test_a_fault_is_reported(core, tmp_path):
    sources = assembly_model(cores()[core], arm=["udf #0"], riscv=["unimp"])
    with pytest.raises(EmulationError, match=rf"^{core}: .* got 99 \(the core faulted\)\."):
        run(core, sources, tmp_path)


@pytest.mark.parametrize("core", [c for c in CORES if c.startswith("cortex")])
def test_a_load_from_between_words_is_a_fault(core, tmp_path):
    sources = assembly_model(cores()[core], arm=["adds r0, #1", "ldr r0, [r0]", "bx lr"], riscv=[])
    with pytest.raises(EmulationError, match=rf"^{core}: .* got 99 \(the core faulted\)\."):
        run(core, sources, tmp_path)


@pytest.mark.parametrize("core", CORES)
def test_a_stack_overflow_is_reported(core, tmp_path):
    body = "    volatile int16_t deep[1024];\n    for (int i = 0; i < 1024; i++) deep[i] = 1;\n"
    body += "    y[0] = deep[x[0] & 3];\n    state->h[0] = 0;"
    with pytest.raises(EmulationError, match="a step needs more than 2048 bytes of stack"):
        run(core, c_model(body), tmp_path)


@pytest.mark.parametrize("core", ("cortex-m0", "cortex-m4"))
@pytest.mark.parametrize(
    ("body", "helper"),
    [
        ("    y[0] = (int16_t)((float)x[0] * (float)state->h[0]);", "__aeabi_fmul"),
        ("    y[0] = (int16_t)((double)x[0] / (double)state->h[0]);", "__aeabi_ddiv"),
        ("    y[0] = (int16_t)((int64_t)1000000000000 / state->h[0] / x[0]);", "__aeabi_ldivmod"),
    ],
)
def test_float_and_long_division_are_refused(core, body, helper, tmp_path):
    with pytest.raises(EmulationError, match=rf"expected no heap, software float.*{helper}"):
        run(core, c_model(body), tmp_path)


@pytest.mark.parametrize("core", ONE_OF_EACH)
@pytest.mark.parametrize("initial", ("0", "3"))
def test_variables_of_the_model_are_refused(core, initial, tmp_path):
    body = f"    static volatile int16_t calls = {initial};\n    calls = (int16_t)(calls + 1);\n"
    with pytest.raises(EmulationError, match="expected a model without variables of its own"):
        run(core, c_model(body + ECHO), tmp_path)


def test_a_model_that_is_too_large_for_the_machine_is_refused(tmp_path):
    body = "    static const int8_t table[300000] = {5};\n    y[0] = table[x[0] & 15];\n"
    body += "    state->h[0] = 0;"
    message = r"cortex-m0: expected an image within 262,144 bytes of FLASH \(microbit\), got \d\d,"
    with pytest.raises(EmulationError, match=message):
        run("cortex-m0", c_model(body), tmp_path)


def of_table(entries):
    """A model whose output is in a table of this many bytes."""
    body = f"    static const int8_t table[{entries}] = {{[{entries - 16}] = 5, 6, 7, 8}};\n"
    body += f"    y[0] = table[{entries - 16} + (x[0] & 15)];\n    state->h[0] = 0;"
    return c_model(body)


@pytest.mark.parametrize(("entries", "apart"), [(500_000, False), (600_000, True)])
def test_constants_that_are_too_many_for_the_first_memory_are_in_the_second(
    entries, apart, tmp_path
):
    wanted = np.array([[6, 0], [0, 0], [0, 0], [5, 0], [0, 0]], np.int16)
    result = run("cortex-m55", of_table(entries), tmp_path, wanted=wanted)
    assert result.differing == 0
    assert result.sizes.constants_apart == apart
    assert result.sizes.rodata_bytes == entries


def test_a_model_that_is_too_large_for_both_memories_is_refused(tmp_path):
    message = r"cortex-m55: expected an image within 8,388,608 bytes of CONSTANTS \(mps3-an547\), "
    with pytest.raises(ImageTooLargeError, match=message + r"got 611,\d\d\d bytes more"):
        run("cortex-m55", of_table(9_000_000), tmp_path)


def test_c_that_does_not_compile_is_refused_with_the_compiler_s_words(tmp_path):
    with pytest.raises(EmulationError, match=r"(?s)cortex-m3: .*'absent' undeclared"):
        run("cortex-m3", c_model("    y[0] = absent;"), tmp_path)


def test_sources_of_another_model_are_refused(tmp_path):
    with pytest.raises(EmulationError, match=r"expected 30 bytes in output\.bin, got 20"):
        run("cortex-m3", c_model(ECHO), tmp_path, wanted=np.zeros((5, 3), np.int16))


def test_an_empty_stream_is_refused(tmp_path):
    with pytest.raises(ShapeError, match="expected at least one reading, got none"):
        run("cortex-m3", c_model(ECHO), tmp_path, np.zeros((0, 1), np.int8))


@pytest.mark.parametrize(
    ("core", "packages"),
    [
        ("cortex-m4", "gcc libc6-dev gcc-arm-none-eabi qemu-system-arm"),
        ("rv32imc", "gcc libc6-dev gcc-riscv64-linux-gnu qemu-system-misc"),
    ],
)
def test_missing_programs_are_named_with_their_packages(core, packages, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BackendUnavailable, match=f"sudo apt-get install {packages}$"):
        require(cores()[core])


HARMFUL = """malloc _malloc_r calloc free _sbrk __aeabi_fadd __aeabi_dmul __aeabi_i2f __aeabi_l2d
    __aeabi_f2iz __aeabi_cdcmple __addsf3 __muldf3 __gedf2 __extendsfdf2 __fixunssfsi __floatsidf
    __aeabi_ldivmod __aeabi_uldivmod __divdi3 __umoddi3 __udivmoddi4"""
HARMLESS = """model_step edgernn_lstm8_step memcpy memset __aeabi_idiv __aeabi_uidivmod __divsi3
    __aeabi_lmul __aeabi_llsl __gnu_thumb1_case_uqi __stack_top __bss_start freeze"""


def test_symbols_of_heap_float_and_long_division_are_recognised():
    names = [*HARMFUL.split(), *HARMLESS.split()]
    assert forbidden_symbols(names) == sorted(HARMFUL.split())
