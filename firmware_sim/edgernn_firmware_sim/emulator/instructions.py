"""What an instruction does, from the compiler's own disassembly: for histograms and costs."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

#: Kinds of instructions that may cost differently -> class in a histogram.
CLASSES: Final[dict[str, str]] = {
    "load": "load",
    "paired_load": "load",
    "load_many": "load",
    "store": "store",
    "store_many": "store",
    "multiply": "multiply",
    "mac": "multiply",
    "long_multiply": "multiply",
    "long_mac": "multiply",
    "divide": "divide",
    "alu": "alu",
    "shift": "shift",
    "saturate": "saturate",
    "branch": "branch",
    "call": "call",
    "return": "return",
    "return_many": "return",
    "vector": "vector",
    "other": "other",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruction:
    """One instruction of an image.

    Attributes:
        function: name of its function, without the suffix that the compiler appends to clones.
        mnemonic: as disassembled, for example ``ldrb.w``.
        operands: as disassembled.
        kind: one of `CLASSES`.
        registers: moved by an instruction that moves several; otherwise 0.
        target: address that the disassembly names as its target; None if it names none.
    """

    function: str
    mnemonic: str
    operands: str
    kind: str
    registers: int
    target: int | None = None


def _table(**kinds: str) -> dict[str, str]:
    return {word: kind for kind, words in kinds.items() for word in words.split()}


_ARM: Final = _table(
    load="ldr ldrb ldrsb ldrh ldrsh ldrt ldrbt ldrht ldrsbt ldrsht",
    load_many="ldrd ldm ldmia ldmdb ldmfd ldmea pop",
    store="str strb strh strt strbt strht",
    store_many="strd stm stmia stmdb stmea stmfd push",
    multiply="mul smulbb smulbt smultb smultt smulwb smulwt smuad smuadx smusd smusdx smmul smmulr",
    mac="mla mls smlabb smlabt smlatb smlatt smlawb smlawt smlad smladx smlsd smlsdx smmla smmlar "
    "smmls smmlsr usada8",
    long_multiply="smull umull",
    long_mac="smlal umlal umaal smlalbb smlalbt smlaltb smlaltt smlald smlaldx smlsld smlsldx",
    divide="sdiv udiv",
    alu="add addw sub subw adc sbc rsb rsc neg mov movw movt mvn and orr orn eor bic cmp cmn tst "
    "teq adr it itt ite ittt itte itet itee itttt ittte ittet ittee itett itete iteet iteee csel "
    "csinc csinv csneg cset csetm cinc cinv cneg sel dls dlstp lctp sadd8 sadd16 uadd8 uadd16 "
    "ssub8 ssub16 usub8 usub16 shadd8 shadd16 uhadd8 uhadd16 sasx ssax usad8",
    shift="lsl lsr asr ror rrx sxtb sxth sxtb16 uxtb uxth uxtb16 sxtab sxtah sxtab16 uxtab uxtah "
    "uxtab16 ubfx sbfx bfi bfc bfcsel pkhbt pkhtb rev rev16 revsh rbit clz lsll lsrl asrl",
    saturate="ssat usat ssat16 usat16 qadd qsub qdadd qdsub qadd8 qadd16 qsub8 qsub16 uqadd8 "
    "uqadd16 uqsub8 uqsub16 sqrshr sqrshrl sqshl sqshll srshr srshrl uqrshl uqrshll uqshl uqshll "
    "urshr urshrl",
    branch="b bx cbz cbnz tbb tbh le letp wls wlstp",
    call="bl blx",
)
_RISCV: Final = _table(
    load="lb lbu lh lhu lw",
    store="sb sh sw",
    multiply="mul",
    long_multiply="mulh mulhu mulhsu",
    divide="div divu rem remu",
    alu="add addi sub neg lui auipc li la mv not and andi or ori xor xori slt slti sltu sltiu seqz "
    "snez sltz sgtz sgt sgtu",
    shift="sll slli srl srli sra srai zext.b zext.h sext.b sext.h",
    branch="beq bne blt bge bltu bgeu bgt ble bgtu bleu beqz bnez blez bgez bltz bgtz j jr",
    call="jal jalr",
)
_ARM_CONDITION: Final = re.compile(r"(eq|ne|[ch]s|cc|lo|mi|pl|v[sc]|hi|ls|[gl][te]|al)$")
_REGISTER: Final = r"(?:r\d+|sl|fp|ip|sp|lr|pc)"
_CLONE: Final = re.compile(r"\.(isra|constprop|part|cold)\b.*$")

Classifier = Callable[[str, str], tuple[str, int]]


def classify_riscv(mnemonic: str, operands: str) -> tuple[str, int]:
    """Kind and number of registers of a RISC-V instruction (rv32imc, objdump's aliases)."""
    if mnemonic == "ret" or (mnemonic, operands) == ("jr", "ra"):
        return "return", 0
    return _RISCV.get(mnemonic, "other"), 0


def classify_arm(mnemonic: str, operands: str) -> tuple[str, int]:
    """Kind and number of registers of a Thumb instruction (Armv6-M to Armv8.1-M, UAL)."""
    if mnemonic.startswith("v"):
        return "vector", 0
    kind = _arm_kind(mnemonic.removesuffix(".n").removesuffix(".w"))
    registers = 0
    if kind in ("load_many", "store_many"):
        registers = 2 if mnemonic.startswith(("ldrd", "strd")) else _listed(operands)
    if kind == "load_many" and re.search(r"\bpc\b", operands):
        kind = "return_many"
    elif kind == "branch" and mnemonic.startswith("bx") and operands == "lr":
        kind = "return"
    elif kind in ("load", "alu") and operands.startswith("pc,"):
        kind = "return" if operands == "pc, lr" else "branch"
    return kind, registers


def _arm_kind(word: str) -> str:
    """The word itself, or without its condition, or without the S that sets flags."""
    bare = _ARM_CONDITION.sub("", word)
    for candidate in (word, bare, word.removesuffix("s"), bare.removesuffix("s")):
        if candidate in _ARM:
            return _ARM[candidate]
    return "other"


def _listed(operands: str) -> int:
    """Registers of a list such as ``{r4, r6-r8, lr}``."""
    listed = operands[operands.index("{") + 1 : operands.index("}")].split(",")
    count = 0
    for part in listed:
        first, _, last = part.strip().partition("-")
        count += _number(last) - _number(first) + 1 if last else 1
    return count


def _number(register: str) -> int:
    names = {"sl": 10, "fp": 11, "ip": 12, "sp": 13, "lr": 14, "pc": 15}
    return names[register] if register in names else int(register[1:])


def plain_name(symbol: str) -> str:
    """Without what gcc's optimizers append to clones: `block.isra.0` is `block` to a reader."""
    return _CLONE.sub("", symbol)


def parse_listing(text: str, classify: Classifier) -> dict[int, Instruction]:
    """All instructions of ``objdump -d --no-show-raw-insn`` by their address.

    Args:
        text: what objdump printed.
        classify: `classify_arm` or `classify_riscv`.
    """
    found: dict[int, Instruction] = {}
    function = ""
    before: Instruction | None = None
    for line in text.splitlines():
        if header := re.fullmatch(r"[0-9a-f]+ <(.+)>:", line):
            function, before = plain_name(header[1]), None
        elif row := re.fullmatch(r"\s*([0-9a-f]+):\t(\S+)(?:\s+(.*))?", line):
            operands = re.sub(r"\s*(@|#|;|<).*$", "", row[3] or "") if row[3] else ""
            kind, registers = classify(row[2], operands)
            if kind == "load" and before is not None and _is_paired(before, operands):
                kind = "paired_load"
            before = Instruction(
                function=function, mnemonic=row[2], operands=operands, kind=kind,
                registers=registers, target=_target(kind, row[3] or ""),
            )  # fmt: skip
            found[int(row[1], 16)] = before
    return found


def _target(kind: str, operands: str) -> int | None:
    """Of a branch or call, ``1018 <f>``; RISC-V says it of a pair of instructions in a comment."""
    named = re.search(r"([0-9a-f]+) <[^>]+>", operands)
    return int(named[1], 16) if named and kind in ("branch", "call") else None


def _is_paired(before: Instruction, operands: str) -> bool:
    """A load right behind a load on which its address does not depend (Cortex-M3 and M4 TRM)."""
    if before.kind not in ("load", "paired_load"):
        return False
    loaded = before.operands.partition(",")[0]
    return loaded not in re.findall(_REGISTER, operands.partition("[")[2])
