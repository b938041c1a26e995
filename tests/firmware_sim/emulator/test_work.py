"""What the executed instructions were: exact by address, and split without a remainder."""

import re
import subprocess
from collections import Counter

import numpy as np
import pytest

from edgernn.errors import EmulationError
from edgernn.model.formats import Precision
from edgernn_export.writers.c.source import write_c
from edgernn_export.writers.file_formats import golden_vector, probe_codes
from edgernn_firmware_sim.emulator import emulate
from edgernn_firmware_sim.emulator.image import read_symbols
from edgernn_firmware_sim.emulator.instructions import (
    CLASSES,
    classify_arm,
    classify_riscv,
    parse_listing,
)
from edgernn_firmware_sim.emulator.tools import beside
from edgernn_firmware_sim.emulator.work import join, read_addresses
from edgernn_firmware_sim.targets import cores
from edgernn_firmware_sim.targets.costs import KINDS
from tests.support.models.hand_made import EACH_CODE, assembly_model, c_model, core_named
from tests.support.models.integer import random_model

MODEL = random_model("simple_rnn", inputs=1, units=1, outputs=0)
#: Rounds of the loop below, in four calls: 111 in all.
Q_XS = np.array([[3], [100], [1], [7]], dtype=np.int8)
SILENT = np.zeros((4, 2), np.int16)
LOOP = {
    "arm": ["ldrb r3, [r1]", "1: subs r3, r3, #1", "bne 1b", "bx lr"],
    "riscv": ["lbu a3, 0(a1)", "1: addi a3, a3, -1", "bnez a3, 1b", "ret"],
}


def loop(core_name, folder):
    sources = assembly_model(cores()[core_name], **LOOP)
    return emulate(MODEL, sources, core_named(core_name), Q_XS, folder, SILENT)


def generated(core_name, folder, precision, cell="gru_after", steps=20):
    model = random_model(cell, precision, inputs=3, units=8)
    sources = write_c(model, golden_vector(model))
    return emulate(model, sources, core_named(core_name), probe_codes(model, steps, 5), folder)


@pytest.mark.parametrize("core", EACH_CODE)
def test_classes_and_taken_branches_are_those_of_the_assembly(core, tmp_path):
    work = loop(core, tmp_path).work
    assert (work.steps, work.instructions) == (4, 4 + 111 + 111 + 4)
    assert work.classes == {
        "alu": 111, "branch taken": 107, "branch not taken": 4, "load": 4, "return": 4,
    }  # fmt: skip
    assert work.functions == {"model_step": 230}
    assert (work.taken, work.registers) == (107 + 4, 0)
    assert work.per_step(work.classes["branch taken"]) == 107 / 4


@pytest.mark.parametrize("core", EACH_CODE)
def test_estimates_are_those_of_the_manual_s_table(core, tmp_path):
    # Per call with n rounds: a load, n subtractions, n - 1 branches taken and one not, a return.
    taken, load = {
        "cortex-m0": ((3, 3), 2), "cortex-m3": ((2, 4), 2), "cortex-m4": ((2, 4), 2),
        "rv32imc": ((3, 3), 1.4),
    }.get(core, ((1, 1), 1))  # fmt: skip
    factor, error = {
        "cortex-m0": (1, 0.2), "cortex-m3": (1, 0.2), "cortex-m4": (1, 0.1), "rv32imc": (1, 0),
        "cortex-m7": (0.87, 0), "cortex-m33": (1.15, 0.25), "cortex-m55": (1.09, 0.25),
    }[core]  # fmt: skip
    rounds = Q_XS[:, 0].tolist()
    low, high = (
        factor * sum(load + n + (n - 1) * end + 1 + end for n in rounds) / len(rounds)
        for end in taken
    )
    middle = (low + high) / 2
    estimate = loop(core, tmp_path).work.estimate(cores()[core].costs[core], 1.5)
    assert estimate.low_cycles == pytest.approx(1.5 * min(low, middle * (1 - error)))
    assert estimate.high_cycles == pytest.approx(1.5 * max(high, middle * (1 + error)))
    assert 0 < estimate.low_cycles <= estimate.high_cycles


@pytest.mark.parametrize("core", EACH_CODE)
def test_several_registers_are_counted_one_by_one(core, tmp_path):
    sources = assembly_model(
        cores()[core],
        arm=["push {r4-r6, lr}", "nop", "pop {r4-r6, pc}"],
        riscv=["addi sp, sp, -4", "sw ra, 0(sp)", "nop", "lw ra, 0(sp)", "addi sp, sp, 4", "ret"],
    )
    work = emulate(MODEL, sources, core_named(core), Q_XS, tmp_path, SILENT).work
    if core == "rv32imc":
        assert work.classes == {"alu": 8, "load": 4, "other": 4, "return": 4, "store": 4}
        assert work.registers == 0
    else:
        assert work.classes == {"other": 4, "return": 4, "store": 4}
        assert work.registers == 4 * (4 + 4)
    costs = cores()["cortex-m0"].costs["cortex-m0"]
    if core == "cortex-m0":  # PUSH 1 + 4, NOP 1, POP with PC 4 + 4
        assert work.estimate(costs).high_cycles == pytest.approx(1.2 * (5 + 1 + 8))


@pytest.mark.parametrize("core", EACH_CODE)
def test_every_function_is_counted_without_its_callees(core, tmp_path):
    arm = ["push {r4, lr}", "bl model_part", "bl model_part", "pop {r4, pc}"]
    riscv = ["mv t1, ra", "jal model_part", "jal model_part", "jr t1"]
    body = ["movs r3, #1", "bx lr"] if core != "rv32imc" else ["li a3, 1", "ret"]
    syntax = "" if core == "rv32imc" else ".syntax unified\\n"
    part = "void model_part(void);\n__attribute__((naked)) void model_part(void) "
    part += f'{{ __asm volatile("{syntax}{body[0]}\\n{body[1]}\\n"); }}\n'
    sources = assembly_model(cores()[core], arm=arm, riscv=riscv, extra=part)
    work = emulate(MODEL, sources, core_named(core), Q_XS, tmp_path, SILENT).work
    assert work.functions == {"model_part": 16, "model_step": 16}
    assert work.classes["call"] == 8


@pytest.mark.parametrize("core", EACH_CODE)
@pytest.mark.parametrize("precision", [pytest.param(p, id=p.value) for p in Precision])
def test_every_split_adds_up_to_the_counted_calls(precision, core, tmp_path):
    work = generated(core, tmp_path, precision).work
    calls = [int(line) for line in (tmp_path / "calls.txt").read_text().split()]
    assert len(calls) == work.steps == 20
    assert work.instructions == sum(calls)
    for split in (work.classes, work.functions, work.kinds):
        assert sum(split.values()) == work.instructions
        assert list(split.values()) == sorted(split.values(), reverse=True)
    width = precision.value.removeprefix("w8a")
    assert f"edgernn_affine{width}" in work.functions
    assert work.functions["model_step"] > 0
    assert ("vector" in work.classes) <= (core == "cortex-m55")


@pytest.mark.parametrize("core", EACH_CODE)
def test_no_instruction_of_generated_firmware_is_unknown(core, tmp_path):
    image = tmp_path / "firmware.elf"
    generated(core, tmp_path, Precision.W8A16, "lstm", steps=2)
    options = [] if core == "rv32imc" else ["-marmv8.1-m.main"]
    program = beside(cores()[core].compiler, "objdump")
    text = subprocess.check_output(
        [program, "-d", "--no-show-raw-insn", *options, image], text=True
    )
    classify = classify_riscv if core == "rv32imc" else classify_arm
    names = read_symbols(cores()[core], image)
    own = [
        i for i in parse_listing(text, classify).values()
        if i.function.startswith(("edgernn", "model")) and not i.mnemonic.startswith(".")
    ]  # fmt: skip
    assert "model_step" in names and len(own) > 200
    assert {i.mnemonic for i in own if i.kind == "other"} <= {"nop", "nop.w"}


@pytest.mark.parametrize("core", ("cortex-m0", "cortex-m4", "cortex-m55", "rv32imc"))
def test_counts_by_address_are_those_of_qemu_s_own_log(core, tmp_path):
    # One line for each instruction, written by QEMU without any plugin.
    generated(core, tmp_path, Precision.W8A8, steps=3)
    profile = cores()[core]
    entry = read_symbols(profile, tmp_path / "firmware.elf")["model_step"] & ~1
    sizes = _text_range(profile, tmp_path)
    machine = ["-M", profile.machine, *(["-bios", "none"] if profile.machine == "virt" else [])]
    subprocess.run(
        [profile.emulator, *machine, "-nographic", "-monitor", "none", "-serial", "null",
         "-semihosting-config", "enable=on,target=native", "-singlestep", "-d", "exec,nochain",
         "-dfilter", f"{sizes.start:#x}+{len(sizes):#x}", "-D", "exec.log",
         "-kernel", "firmware.elf"],
        cwd=tmp_path, check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    log = (tmp_path / "exec.log").read_text()
    pcs = [int(pc, 16) for pc in re.findall(r"^Trace \d+: \S+ \[[0-9a-f]+/([0-9a-f]+)/", log, re.M)]
    steps = pcs[pcs.index(entry) :]
    assert steps.count(entry) == 3
    addresses = read_addresses(tmp_path / "addresses.txt")
    assert {pc: count for pc, (count, _) in addresses.items()} == Counter(steps)
    # Behind each instruction stands the next one of the disassembly.
    listed = sorted(_listed(profile, tmp_path))
    behind = dict(zip(listed, [*listed[1:], None], strict=True))
    elsewhere = Counter(
        pc for pc, after in zip(steps, [*steps[1:], None], strict=True) if after != behind[pc]
    )
    assert {pc: taken for pc, (_, taken) in addresses.items() if taken} == elsewhere


def _text_range(core, folder):
    listing = subprocess.check_output(
        [beside(core.compiler, "objdump"), "-h", "firmware.elf"], cwd=folder, text=True
    )
    size, start = re.search(r" \.text +([0-9a-f]+) +([0-9a-f]+)", listing).groups()
    return range(int(start, 16), int(start, 16) + int(size, 16))


def _listed(core, folder):
    options = [] if core.name == "rv32imc" else ["-marmv8.1-m.main"]
    text = subprocess.check_output(
        [beside(core.compiler, "objdump"), "-d", *options, "firmware.elf"], cwd=folder, text=True
    )
    return [int(a, 16) for a in re.findall(r"^\s*([0-9a-f]+):\t", text, re.M)]


def test_only_the_disassembly_of_helium_needs_to_be_asked_for(tmp_path):
    # For an older core the option of `read_listing` changes no instruction.
    generated("cortex-m4", tmp_path, Precision.W8A16, steps=2)
    command = ["arm-none-eabi-objdump", "-d", "--no-show-raw-insn"]
    image = tmp_path / "firmware.elf"
    plain = subprocess.check_output([*command, image], text=True)
    asked = subprocess.check_output([*command, "-marmv8.1-m.main", image], text=True)
    assert parse_listing(plain, classify_arm) == parse_listing(asked, classify_arm)


def test_an_executed_address_that_the_disassembly_lacks_is_refused():
    with pytest.raises(EmulationError, match="an instruction at 0x10, which was executed 3 times"):
        join(1, {0x10: (3, 0)}, {})


def test_every_kind_has_a_class_and_may_have_a_price():
    assert set(KINDS) == set(CLASSES)


@pytest.mark.parametrize(
    ("text", "kind", "registers"),
    [
        ("ldrb.w r3, [r1], #1", "load", 0), ("ldrsheq r3, [r1]", "load", 0),
        ("ldrd r2, r3, [sp, #8]", "load_many", 2), ("ldmia.w r0!, {r1, r2, r4-r6}", "load_many", 5),
        ("pop {r4, r5}", "load_many", 2), ("pop {r4, r5, pc}", "return_many", 3),
        ("ldmia.w sp!, {r4, r5, r6, r7, r8, pc}", "return_many", 6),
        ("ldr pc, [r3]", "branch", 0), ("mov pc, lr", "return", 0), ("mov pc, r3", "branch", 0),
        ("strh r3, [r1]", "store", 0), ("strd r2, r3, [sp]", "store_many", 2),
        ("push {r4-r7, lr}", "store_many", 5), ("stmdb sp!, {sl, fp, lr}", "store_many", 3),
        ("ldmia r0!, {r8-fp}", "load_many", 4),
        ("muls r3, r2", "multiply", 0), ("mul.w r3, r2, r1", "multiply", 0),
        ("smulbb r3, r2, r1", "multiply", 0), ("mla r3, r2, r1, r0", "mac", 0),
        ("smlad r3, r2, r1, r0", "mac", 0), ("mls r3, r2, r1, r0", "mac", 0),
        ("smull r3, r2, r1, r0", "long_multiply", 0), ("smlal r3, r2, r1, r0", "long_mac", 0),
        ("udiv r3, r2, r1", "divide", 0), ("movs r3, #1", "alu", 0), ("bics r3, r2", "alu", 0),
        ("addseq r3, r2, #1", "alu", 0), ("sbcs r3, r2", "alu", 0), ("it ne", "alu", 0),
        ("teq r1, r2", "alu", 0), ("csel r1, r2, r3, ge", "alu", 0), ("dls lr, r3", "alu", 0),
        ("lsls r3, r2, #4", "shift", 0), ("sxtb16 r3, r2, ror #8", "shift", 0),
        ("asrne r3, r2, #1", "shift", 0), ("pkhbt r1, r2, r3, lsl #16", "shift", 0),
        ("ssat r3, #16, r2", "saturate", 0), ("ssatlt r3, #16, r2", "saturate", 0),
        ("bhs.n 10", "branch", 0),
        ("bls.n 10", "branch", 0), ("ble.n 10", "branch", 0), ("blt.n 10", "branch", 0),
        ("b.w 10", "branch", 0), ("bx r3", "branch", 0), ("cbz r3, 10", "branch", 0),
        ("le lr, 10", "branch", 0), ("tbb [pc, r3]", "branch", 0), ("bx lr", "return", 0),
        ("bxeq lr", "return", 0), ("bl 10", "call", 0), ("blx r3", "call", 0),
        ("vmladava.s8 r0, q1, q2", "vector", 0), ("nop", "other", 0), ("dmb ish", "other", 0),
    ],
)  # fmt: skip
def test_thumb_instructions_are_classified(text, kind, registers):
    mnemonic, _, operands = text.partition(" ")
    assert classify_arm(mnemonic, operands) == (kind, registers)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("lbu a4,0(a0)", "load"), ("sw a4,0(a0)", "store"), ("mul a0,a1,a2", "multiply"),
        ("mulhu a0,a1,a2", "long_multiply"), ("remu a0,a1,a2", "divide"), ("add a0,a1,-1", "alu"),
        ("li a0,1", "alu"), ("sra a0,a1,0x8", "shift"), ("bgeu a0,a1,10", "branch"),
        ("j 10", "branch"), ("jr a5", "branch"), ("jal 10", "call"), ("jalr a5", "call"),
        ("ret", "return"), ("jr ra", "return"), ("nop", "other"), ("unimp", "other"),
    ],
)  # fmt: skip
def test_risc_v_instructions_are_classified(text, kind):
    mnemonic, _, operands = text.partition(" ")
    assert classify_riscv(mnemonic, operands) == (kind, 0)


def test_a_load_is_paired_where_it_follows_a_load_and_does_not_wait_for_it():
    text = "\n".join(
        [
            "00000010 <f.isra.0>:",
            "  10:\tldr\tr0, [r1, #4]",
            "  12:\tldr\tr2, [r1, r3]\t@ comment",
            "  14:\tldrb.w\tr4, [r2, #1]",
            "  18:\tadds\tr0, r0, r4",
            "  1a:\tldr\tr5, [pc, #8]\t@ (24 <f+0x14>)",
            "",
            "0000001c <g>:",
            "  1c:\tldr\tr6, [r7]",
            "  1e:\tbeq.n\t10 <f.isra.0>",
        ]
    )
    found = parse_listing(text, classify_arm)
    kinds = ["load", "paired_load", "load", "alu", "load", "load", "branch"]
    assert [i.kind for i in found.values()] == kinds
    assert [i.function for i in found.values()] == ["f"] * 5 + ["g"] * 2
    assert found[0x12].operands == "r2, [r1, r3]"
    assert list(found) == [0x10, 0x12, 0x14, 0x18, 0x1A, 0x1C, 0x1E]


def test_functions_of_c_are_split_by_name(tmp_path):
    body = "    y[0] = x[0];\n    state->h[0] = 0;"
    work = emulate(
        MODEL, c_model(body), core_named("cortex-m4"), Q_XS, tmp_path,
        np.array([[q, 0] for q in Q_XS[:, 0]], np.int16),
    ).work  # fmt: skip
    assert set(work.functions) == {"model_step"}
