"""A model and its kernels as one source and one header."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Final

from edgernn_export.writers.c.kernels.conditions import Condition, Items, parse, settled
from edgernn_export.writers.c.kernels.files import STORAGE_HEADER, VARIANT_HEADER, Kernels

#: What a user of the header needs of the kernels: the types in a state.
_TYPES: Final = "common/tile.h"
#: Headers that define what is known.
_SETTLES: Final = (STORAGE_HEADER, VARIANT_HEADER)
#: Kernels of the one source are its own: several such sources join one program.
_OWN: Final = """\
/* The kernels are in this file only: several such files can join one program. They are compiled as
 * in separate files, for any caller: a compiler that sees lengths and places could combine half
 * words to words that do not begin at words. */
#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 8
#define EDGERNN_API static __attribute__((noipa, unused))
#elif defined(__GNUC__)
#define EDGERNN_API static __attribute__((noinline, unused))
#else
#define EDGERNN_API static
#endif

"""


class Amalgamation:
    """Joins texts, so that none occurs twice in one scope."""

    def __init__(
        self, kernels: Kernels, texts: Mapping[str, str], storages: dict[str, int]
    ) -> None:
        """Take what there is to join.

        Args:
            kernels: where a text comes from that is not among the others.
            texts: by path; they take the place of kernels of the same path.
            storages: values of the macros of edgernn_storage.h.
        """
        self._kernels = kernels
        self._texts = texts
        some = int(any(storages.values()))
        self._known = {**kernels.known, **storages, "EDGERNN_HAS_STORAGES": some}

    def files(self, prefix: str, kernels: list[str]) -> dict[str, str]:
        """The model's header, source and self-test, and the programs that call it.

        Args:
            prefix: of the model's files.
            kernels: sources of its kernels.
        """
        header, source, test = f"{prefix}.h", f"{prefix}.c", f"{prefix}_self_test.c"
        vectors = f"{prefix}_test_vectors.h"
        types, seen = self._header(header)
        golden = self._texts[vectors].partition(f'#include "{header}"\n')[2]
        golden = f'#include "{header}"\n' + golden.rpartition("#endif")[0]
        joined = (header, source, test, vectors, STORAGE_HEADER)
        return {
            header: types,
            source: self._source(source, kernels, {*seen, header}),
            test: self._texts[test].replace(f'#include "{vectors}"\n', golden),
            **{name: text for name, text in self._texts.items() if name not in joined},
        }

    def _header(self, name: str) -> tuple[str, set[str]]:
        """The header of the model with what it needs of the kernels, and the paths in it."""
        seen: set[str] = set()
        first = self._joined(_TYPES, seen, frozenset(self._kernels.variants))
        kept = re.sub(r'#include "edgernn_kernels.h"\n\n?', lambda _: first, self._texts[name])
        kept = re.sub(
            r'#include "(edgernn_\w+\.h)"\n',
            lambda found: self._joined(found[1], seen, frozenset(self._kernels.variants)),
            kept,
        )
        return re.sub(r"\n{3,}", "\n\n", kept), seen

    def _source(self, name: str, kernels: list[str], seen: set[str]) -> str:
        """The source of the model behind its kernels.

        Args:
            name: of the model's source.
            kernels: sources of its kernels.
            seen: paths in the model's header, and its own.
        """
        header = name.removesuffix("c") + "h"
        everything = frozenset(self._kernels.variants)
        comment, _, rest = self._texts[name].partition(f'#include "{header}"\n')
        joined = [self._joined(path, seen, everything) for path in kernels]
        model = self._lines(name, parse(rest), seen, everything)
        text = comment + _OWN + f'#include "{header}"\n\n' + "\n".join([*joined, model])
        return re.sub(r"\n{3,}", "\n\n", _without_idle_prototypes(text))

    def _joined(self, path: str, seen: set[str], variants: frozenset[str]) -> str:
        """A file with what it includes in place of each line that does."""
        if path in seen:
            return ""
        seen.add(path)
        text = self._texts.get(path) or self._kernels.text(path)
        known = {} if path in _SETTLES else self._known
        return self._lines(path, settled(parse(text), known), seen, variants)

    def _lines(self, path: str, items: Items, seen: set[str], variants: frozenset[str]) -> str:
        parts = []
        for item in items:
            if isinstance(item, Condition):
                parts.append(self._condition(path, item, seen, variants))
            elif item.startswith("#include <"):
                parts.append("" if item in seen else item)
                seen.add(item)
            else:
                parts.append(self._included(path, item, seen, variants))
        return "".join(parts)

    def _condition(
        self, path: str, item: Condition, seen: set[str], variants: frozenset[str]
    ) -> str:
        """A condition; what only one branch includes is not there for what follows."""
        guard = re.match(r"#ifndef (EDGERNN_\w+_H)\n", item.branches[0].directive)
        text = ""
        for branch in item.branches:
            within = seen if guard else set(seen)
            chosen = variants
            if found := re.match(r"#(?:el)?if EDGERNN_VARIANT == (\w+)\n", branch.directive):
                chosen = variants & {found[1]}
            text += branch.directive + self._lines(path, branch.items, within, chosen)
        return text + "#endif\n"

    def _included(self, path: str, line: str, seen: set[str], variants: frozenset[str]) -> str:
        found = {
            place: chosen & variants
            for place, chosen in self._kernels.included(path, line).items()
            if chosen & variants
        }
        if not line.startswith("#include"):
            return line
        if len(found) == 1 and variants in found.values():
            return self._joined(next(iter(found)), seen, variants)
        text, word = "", "#if"
        for place, chosen in found.items():
            condition = " || ".join(f"EDGERNN_VARIANT == {v}" for v in sorted(chosen))
            text += f"{word} {condition}\n" + self._joined(place, set(seen), chosen)
            word = "#elif"
        return text + "#endif\n" if text else ""


def _without_idle_prototypes(text: str) -> str:
    """The text without functions that it declares but does not define or call."""
    names = Counter(re.findall(r"\bedgernn_\w+", text))
    return re.sub(
        r"^EDGERNN_API [^;{}]*?\b(edgernn_\w+)\([^;{}]*\);\n",
        lambda found: found[0] if names[found[1]] > 1 else "",
        text,
        flags=re.M,
    )
