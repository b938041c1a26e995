"""The parts of a model's files that an optional layer around the model adds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from edgernn_export.writers.c.constants import Check

#: How the names of sources of tests end, behind prefix and name of the layer.
SELF_TEST: Final = "_self_test.c"


@dataclass(frozen=True, slots=True, kw_only=True)
class CFront:
    """Optional layers around a model, as parts of the model's files.

    Attributes:
        types: headers that the model's header includes.
        declarations: text of the model's header.
        headers: those that the model's source includes.
        sources: of the kernels.
        functions: constants and definitions, text of the model's source.
        checks: of these constants.
        tests: sources of self-tests by the name of the layer, whose state has the type
            ``PREFIX_NAME_t``.
    """

    types: tuple[str, ...] = ()
    declarations: str = ""
    headers: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    functions: str = ""
    checks: tuple[Check, ...] = ()
    tests: Mapping[str, str] = field(default_factory=dict)

    def test_files(self, prefix: str) -> dict[str, str]:
        """Sources of self-tests.

        Args:
            prefix: of files and symbols.

        Returns:
            Text by file name.
        """
        return {f"{prefix}_{name}{SELF_TEST}": text for name, text in self.tests.items()}

    def test_states(self, prefix: str) -> str:
        """Definitions of what the self-tests need, for a program that runs them."""
        return "".join(f"static {prefix}_{name}_t {name};\n" for name in self.tests)

    def test_calls(self, prefix: str) -> str:
        """What is added to the number of differing values."""
        return "".join(f" + {prefix}_{name}_self_test(&{name})" for name in self.tests)


def included(headers: Iterable[str]) -> str:
    """Lines of C that include headers.

    Args:
        headers: by name, in their order.
    """
    return "".join(f'#include "{name}"\n' for name in headers)
