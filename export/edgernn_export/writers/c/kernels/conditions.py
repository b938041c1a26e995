"""C text as lines and ``#if`` ... ``#endif``, and what of it is left where some names are known."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

#: Text and the conditions in it, in order.
Items = list["str | Condition"]


@dataclass(slots=True, kw_only=True)
class Branch:
    """One branch of a condition.

    Attributes:
        directive: its line, with those that continue it.
        items: what it holds.
    """

    directive: str
    items: Items = field(default_factory=list)

    @property
    def expression(self) -> str:
        """The condition as one for ``#if``; "1" of an ``#else``."""
        found = re.match(r"#(\w+)\s*([^/]*)", self.directive.replace("\\\n", " "))
        assert found is not None
        word, rest = found[1], found[2].strip()
        return {"ifdef": f"defined({rest})", "ifndef": f"!defined({rest})", "else": "1"}.get(
            word, rest
        )


@dataclass(slots=True, kw_only=True)
class Condition:
    """``#if`` to ``#endif``."""

    branches: list[Branch]


def parse(text: str) -> Items:
    """Split a file into lines and conditions."""
    root: Items = []
    levels = [root]
    open_: list[Condition] = []
    for line in _lines(text):
        word = re.match(r"#(\w+)", line)
        kind = "" if word is None else word[1]
        if kind in ("if", "ifdef", "ifndef"):
            open_.append(Condition(branches=[Branch(directive=line)]))
            levels[-1].append(open_[-1])
            levels.append(open_[-1].branches[-1].items)
        elif kind in ("elif", "else"):
            open_[-1].branches.append(Branch(directive=line))
            levels[-1] = open_[-1].branches[-1].items
        elif kind == "endif":
            open_.pop()
            levels.pop()
        else:
            levels[-1].append(line)
    return root


def _lines(text: str) -> Iterator[str]:
    """Lines; those that a backslash continues as one."""
    yield from re.findall(r"(?:[^\n]*\\\n)*[^\n]*\n", text)


def settled(items: Items, known: Mapping[str, int | None]) -> Items:
    """The text without what these names rule out.

    Args:
        items: of a file.
        known: values of macros, None of those that are never defined; others may be anything.
    """
    left: Items = []
    for item in items:
        if isinstance(item, str):
            left.append(item)
            continue
        branches: list[Branch] = []
        for branch in item.branches:
            holds = _value(branch.expression, known)
            if holds is False:
                continue
            inside = settled(branch.items, known)
            if holds and not branches:
                left += inside
                break
            word = "#else\n" if holds else _as_first(branch, first=not branches)
            branches.append(Branch(directive=word, items=inside))
            if holds:
                break
        if branches:
            left.append(Condition(branches=branches))
    return left


def _as_first(branch: Branch, *, first: bool) -> str:
    return re.sub(r"^#elif", "#if", branch.directive) if first else branch.directive


def _value(expression: str, known: Mapping[str, int | None]) -> bool | None:
    """Whether an expression holds; None where that depends on other names."""

    def is_defined(found: re.Match[str]) -> str:
        return str(int(known[found[1]] is not None)) if found[1] in known else "unknown"

    def value(found: re.Match[str]) -> str:
        number = known.get(found[0])
        return found[0] if number is None else str(number)

    text = re.sub(r"defined\(?\s*(\w+)\)?", is_defined, expression)
    text = re.sub(r"\b[A-Za-z_]\w*\b", value, text)
    return _or(text)


def _or(text: str) -> bool | None:
    """Three-valued logic: terms joined by || and by &&, without brackets around them."""
    if "(" in text:
        return None
    whole: bool | None = False
    for sum_ in text.split("||"):
        part: bool | None = True
        for term in sum_.split("&&"):
            holds = _term(term.strip())
            part = False if False in (part, holds) else None if None in (part, holds) else True
        whole = True if True in (whole, part) else None if None in (whole, part) else False
    return whole


def _term(text: str) -> bool | None:
    found = re.fullmatch(r"(!?)\s*(\d+)(?:\s*(==|!=|>|<)\s*(\d+))?", text)
    if found is None:
        return None
    left, right = int(found[2]), int(found[4] or 0)
    holds = {"==": left == right, "!=": left != right, ">": left > right, "<": left < right}.get(
        found[3], left != 0
    )
    return holds != bool(found[1])
