"""Build hook: compiles the extension module ``edgernn._native`` where there is a C compiler.

Environment:
    CC: the compiler; otherwise cc, gcc or clang, whichever is found first.
    EDGERNN_TARGET: aarch64 or armv7l, to compile for another machine than this one.
    EDGERNN_PURE: anything but "" and "0" builds no extension.

As a script it compiles the extension into the source tree, for an editable install whose C changed.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

HERE: Final = Path(__file__).resolve().parent
FILE_NAME: Final = "_native.abi3.so"
#: Sources without kernels. Every instruction set is a source of its own with flags of its own.
SOURCES: Final = (
    "keys/key_index.c", "keys/key_table.c",
    "numpy_arrays.c", "bound_type.c", "program/build_curves.c", "program/build_layers.c",
    "program/build_maps.c", "stream_bytes.c", "row_memory.c", "row_steps.c",
    "program/build_norms.c", "program/build_operations.c", "program/build_routes.c",
    "program/build_tables.c", "program/build_weights.c", "module.c", "dispatch.c", "isa/scalar.c",
    "program/program.c", "program_type.c", "readings.c", "sequences.c",
    "stream_memory.c", "stream_steps.c",
)  # fmt: skip
#: Processor family -> instruction set -> flags.
ISAS: Final[dict[str, dict[str, tuple[str, ...]]]] = {
    "x86_64": {
        "avx512": (
            "-mavx512f",
            "-mavx512bw",
            "-mavx512dq",
            "-mavx512vl",
            "-mavx512vnni",
            "-mtune=icelake-server",
        ),
        "avx2": ("-mavx2",),
    },
    "aarch64": {"sdot": ("-march=armv8.2-a+dotprod",), "neon": ()},
    "arm": {"neon": ("-march=armv7-a", "-mfpu=neon", "-mfloat-abi=hard")},
}
#: EDGERNN_TARGET -> compiler.
CROSS_COMPILERS: Final = {
    "aarch64": "aarch64-linux-gnu-gcc",
    "armv7l": "arm-linux-gnueabihf-gcc",
}
#: Contraction and excess precision would change bits of clause 9.1. Functions begin at lines of the
#: cache, so that a change of one leaves the time of the others as it was.
FLAGS: Final = (
    "-std=c99", "-O3", "-fPIC", "-fvisibility=hidden", "-ffp-contract=off", "-g0",
    "-falign-functions=64",
    "-Werror=implicit-function-declaration",
)  # fmt: skip
LINK_FLAGS: Final = ("-shared", "-s", "-Wl,--build-id=none")

#: What Python.h must know of another machine; the rest of the host's pyconfig.h may differ.
PYCONFIG: Final = """\
#define SIZEOF_INT __SIZEOF_INT__
#define SIZEOF_LONG __SIZEOF_LONG__
#define SIZEOF_LONG_LONG __SIZEOF_LONG_LONG__
#define SIZEOF_SHORT __SIZEOF_SHORT__
#define SIZEOF_SIZE_T __SIZEOF_SIZE_T__
#define SIZEOF_VOID_P __SIZEOF_POINTER__
#define SIZEOF_WCHAR_T __SIZEOF_WCHAR_T__
#define SIZEOF_DOUBLE __SIZEOF_DOUBLE__
#define SIZEOF_FLOAT __SIZEOF_FLOAT__
#define HAVE_SSIZE_T 1
#define HAVE_STDINT_H 1
#define HAVE_INTTYPES_H 1
#define HAVE_SYS_TYPES_H 1
#define HAVE_WCHAR_H 1
"""


class NoCompiler(Exception):
    """No compiler is usable; the message names the missing part."""


class Toolchain(NamedTuple):
    """A compiler, its target, and the folder of Python.h.

    Attributes:
        command: the compiler and its flags.
        family: key of `ISAS`, or another processor, which gets portable C.
        include: folder with Python.h.
        machine: last part of the wheel's platform tag.
        cross: compiles for another machine than this one.
    """

    command: tuple[str, ...]
    family: str
    include: Path
    machine: str
    cross: bool


def find_toolchain(environment: Mapping[str, str] = os.environ) -> Toolchain:
    """The compiler that the environment selects.

    Raises:
        NoCompiler: none was selected or installed, or Python's headers are missing.
        ValueError: EDGERNN_TARGET is unknown or has no compiler.
    """
    if environment.get("EDGERNN_PURE", "0") not in ("", "0"):
        raise NoCompiler("EDGERNN_PURE is set")
    if sys.platform != "linux":
        raise NoCompiler(f"the extension is built on Linux only, this is {sys.platform}")
    target = environment.get("EDGERNN_TARGET", "")
    if target and target not in CROSS_COMPILERS:
        raise ValueError(
            f"EDGERNN_TARGET: expected {' or '.join(CROSS_COMPILERS)}, got '{target}'."
        )
    command = _compiler(environment, target)
    include = Path(sysconfig.get_paths()["include"])
    if not (include / "Python.h").is_file():
        raise NoCompiler(f"Python.h is not in {include}; on Debian it is in python3-dev")
    family = _family(command)
    machine = sysconfig.get_platform().partition("-")[2].replace("-", "_")
    if family == "arm" and machine != "armv6l":
        machine = "armv7l"  # also under a 64-bit kernel, which gives its own name
    return Toolchain(
        command=command,
        family=family,
        include=include,
        machine=target or machine,
        cross=bool(target),
    )


def _compiler(environment: Mapping[str, str], target: str) -> tuple[str, ...]:
    if target:
        command = CROSS_COMPILERS[target]
        if shutil.which(command) is None:
            raise ValueError(
                f"EDGERNN_TARGET={target}: expected {command} on the path, got none. "
                f"On Debian it is in the package gcc-{command.removesuffix('-gcc')}."
            )
        return (command,)
    wanted = environment.get("CC", "")
    for candidate in [wanted] if wanted else ["cc", "gcc", "clang"]:
        words = shlex.split(candidate)
        if words and shutil.which(words[0]):
            return tuple(words)
    raise NoCompiler(f"no C compiler found ({wanted or 'cc, gcc, clang'})")


def _family(command: tuple[str, ...]) -> str:
    """Processor family the compiler writes for: the first part of its target triple."""
    triple = _run([*command, "-dumpmachine"]).strip()
    first = triple.partition("-")[0]
    if first.startswith("arm"):
        return "arm"
    if first in ("i386", "i486", "i586", "i686"):
        raise NoCompiler(f"{triple} computes with more than double precision")
    return first


def compile_extension(toolchain: Toolchain, target: Path) -> None:
    """Compile and link the module.

    Args:
        toolchain: from `find_toolchain`.
        target: file to write.

    Raises:
        RuntimeError: the compiler failed; the text is what it said.
    """
    isas = ISAS.get(toolchain.family, {})
    with tempfile.TemporaryDirectory() as folder:
        include = toolchain.include
        if toolchain.cross:
            include = Path(folder, "include")
            shutil.copytree(toolchain.include, include)
            (include / "pyconfig.h").write_text(PYCONFIG, encoding="utf-8")
        flags = [*FLAGS, "-I", str(include), *(f"-DNATIVE_HAS_{isa.upper()}" for isa in isas)]
        no_flags: tuple[str, ...] = ()
        sources = dict.fromkeys(SOURCES, no_flags) | {f"isa/{k}.c": v for k, v in isas.items()}
        objects: list[str] = []
        for source, extra in sources.items():
            objects.append(str(Path(folder, f"{len(objects)}.o")))
            _run([*toolchain.command, *flags, *extra, "-c", source, "-o", objects[-1]])
        _run([*toolchain.command, *LINK_FLAGS, *objects, "-o", str(Path(folder, FILE_NAME))])
        # Not into the file itself: a Python that runs may have it in memory.
        fresh = target.with_name(f"{target.name}.{os.getpid()}")
        shutil.copyfile(Path(folder, FILE_NAME), fresh)
        fresh.replace(target)


def _run(command: list[str]) -> str:
    """Run a compiler in the folder of the sources, so that no path of this machine gets in."""
    done = subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(
            f"{shlex.join(command)}: expected exit 0, got {done.returncode}:\n{done.stderr}\n"
            "Install another compiler, or set EDGERNN_PURE=1 to do without the extension."
        )
    return done.stdout


class NativeBuildHook(BuildHookInterface[Any]):
    """Compiles ``edgernn._native`` and tags the wheel; without a compiler the wheel is pure."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile before hatchling collects files.

        Args:
            version: "standard", or "editable", whose module is next to the sources.
            build_data: hatchling's; gets the file and the tag.
        """
        try:
            toolchain = find_toolchain()
        except NoCompiler as reason:
            self.app.display_warning(
                f"edgernn is built without its native backend: {reason}. "
                "Everything works, on the slower reference."
            )
            return
        if version == "editable":
            compile_extension(toolchain, Path(self.root, "edgernn", FILE_NAME))
        else:
            # Lives as long as the hook, hence until the file is in the wheel.
            self._folder = tempfile.TemporaryDirectory()
            built = Path(self._folder.name, FILE_NAME)
            compile_extension(toolchain, built)
            build_data["force_include"][str(built)] = f"edgernn/{FILE_NAME}"
        build_data["pure_python"] = False
        build_data["tag"] = f"cp311-abi3-linux_{toolchain.machine}"
        self.app.display_info(f"edgernn._native for {toolchain.machine}: {toolchain.command[0]}")


if __name__ == "__main__":
    compile_extension(find_toolchain(), HERE.parent / FILE_NAME)
