"""Ways to build the kernels: compiler, what runs the program, and what its assembly must show."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

AVX512: Final = ("-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mavx512vnni")
ARMV7: Final = ("arm-linux-gnueabihf-gcc", "-static", "-march=armv7-a", "-mfloat-abi=hard")
PORTABLE: Final = "-DEDGERNN_VARIANT=EDGERNN_PORTABLE"


@dataclass(frozen=True)
class Variant:
    """One way to build and run.

    Attributes:
        name: of the variant and the compiler.
        command: compiler and options that select the variant.
        instructions: mnemonics of the products; none of another variant's may appear.
        runner: command in front of the program, for a processor that this machine is not.
        features: what the processor must have, as Linux names it in /proc/cpuinfo.
    """

    name: str
    command: tuple[str, ...]
    instructions: tuple[str, ...] = ()
    runner: tuple[str, ...] = ()
    features: frozenset[str] = frozenset()

    @property
    def tools(self) -> tuple[str, ...]:
        """Commands it needs."""
        return (self.command[0], *self.runner[:1])


VNNI: Final = frozenset({"avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512_vnni"})
VARIANTS: Final = (
    Variant("portable", ("gcc", PORTABLE, "-march=native")),
    Variant("avx2", ("gcc", "-mavx2"), ("vpmaddubsw", "vpmaddwd"), (), frozenset({"avx2"})),
    Variant("avx2-clang", ("clang", "-mavx2"), ("vpmaddubsw", "vpmaddwd"), (), frozenset({"avx2"})),
    Variant("avx512", ("gcc", *AVX512), ("vpdpbusd", "vpdpwssd"), (), VNNI),
    Variant("avx512-clang", ("clang", *AVX512), ("vpdpbusd", "vpdpwssd"), (), VNNI),
    Variant(
        "neon",
        ("aarch64-linux-gnu-gcc", "-static", "-mcpu=cortex-a72"),
        ("sadalp",),
        ("qemu-aarch64", "-cpu", "cortex-a72"),
    ),
    Variant(
        "dot",
        ("aarch64-linux-gnu-gcc", "-static", "-march=armv8.2-a+dotprod"),
        ("sdot",),
        ("qemu-aarch64", "-cpu", "cortex-a76"),
    ),
    Variant(
        "aarch64-portable",
        ("aarch64-linux-gnu-gcc", "-static", PORTABLE),
        (),
        ("qemu-aarch64", "-cpu", "cortex-a53"),
    ),
    Variant(
        "armv7-neon",
        (*ARMV7, "-mfpu=neon-vfpv4"),
        ("vmlal.s8", "vpadal.s16"),
        ("qemu-arm", "-cpu", "cortex-a7"),
    ),
    Variant("armv7", (*ARMV7, "-mfpu=vfpv3-d16"), ("smlad",), ("qemu-arm", "-cpu", "cortex-a9")),
)


def processor_features() -> frozenset[str]:
    """Instruction sets of this machine, as Linux names them."""
    text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    return frozenset(" ".join(re.findall(r"^flags\s*:(.*)$", text, re.M)[:1]).split())


def runnable() -> list[Variant]:
    """The variants that a program on this machine, or an emulator, can run."""
    here = processor_features()
    return [variant for variant in VARIANTS if variant.features <= here]


def absent() -> list[str]:
    """Names of the others, for the header of a test run."""
    return [variant.name for variant in VARIANTS if variant not in runnable()]


#: Variants whose code gcc compiles too.
OTHER_COMPILERS: Final = ("avx2-clang", "avx512-clang")
#: These, and processors without their vectors.
RARE: Final = (*OTHER_COMPILERS, "aarch64-portable", "armv7")
#: What is emulated, and has the vectors of another variant.
EMULATED: Final = ("dot", "armv7-neon")


def parameters(variants: Iterable[Variant], rare: tuple[str, ...]) -> list[Any]:
    """Variants as parameters of a test; `make test-long` alone runs the rare ones."""
    return [
        pytest.param(variant, id=variant.name, marks=[pytest.mark.long] * (variant.name in rare))
        for variant in variants
    ]


def common() -> list[Any]:
    """What this machine can run, `RARE` and `EMULATED` ones in `make test-long` alone."""
    return parameters(runnable(), (*RARE, *EMULATED))
