"""JSON lines: a list, an object keyed by channel names, or a number."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence

from edgernn.errors import ReadingError
from edgernn.records.columns import ALL, Picker, listed, passed_columns
from edgernn.records.keys import KeyWatch
from edgernn.records.record import Form, Number, Record


class JsonReader:
    """One JSON value per line.

    Args:
        picker: keys of the channels; positions in lists.
        codes: numbers are integer codes, checked by the session.
        passed: keys that go through, positions in lists, or "all".
        keys: watches keys that identify sensors; None where nobody cares.
    """

    def __init__(
        self,
        picker: Picker,
        *,
        codes: bool = False,
        passed: Sequence[str] = (),
        keys: KeyWatch | None = None,
    ) -> None:
        """Begin before the first line."""
        self._picker, self._codes = picker, codes
        self._wanted_passed, self._keys = tuple(passed), keys
        self._names: tuple[str, ...] = ()
        self._watched: list[str] = []
        names = [*self._wanted_passed, *(picker.wanted if picker.said else ())]
        named = any(name != ALL and not name.isdecimal() for name in names)
        self._form = Form.OBJECT if named else Form.LIST

    def read(self, line: str) -> Record | None:
        """See `Reader.read`."""
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            reason = str(error).partition(":")[0]  # it repeats the text of a decoder
            return self._malformed(
                f"expected a JSON value, got {line.strip()!r:.40} ({reason:.80})"
            )
        if isinstance(value, dict):
            return self._of_object(value)
        if isinstance(value, list):
            return self._of_list(value)
        self._form = Form.NUMBER
        return self._record([value], {})

    def _of_object(self, value: dict[str, object]) -> Record:
        self._form = Form.OBJECT
        if self._keys:
            names = tuple(value)
            if names != self._names:
                self._names = names
                fed, known = set(self._picker.wanted), self._picker.known
                others = [name for name in names if name not in fed and not known.is_fed(name)]
                self._watched = self._keys.candidates(others)
            if self._watched:
                self._keys.check({name: value[name] for name in self._watched})
        wanted, passed = self._picker.wanted, self._passed_keys(value)
        try:
            found = self._picker.known.by_channel(value)
        except ReadingError as error:
            return self._malformed(str(error), passed)
        missing = [name for name in wanted if name not in found]
        if len(missing) == len(wanted):
            return self._malformed(
                f"expected the keys {listed(wanted)}, got an object without {listed(missing)}",
                passed,
            )
        record = self._record([found.get(name) for name in wanted], passed)
        if not missing:
            return record
        problem = f"expected the keys {listed(wanted)}, got an object without {listed(missing)}"
        return Record(
            x=record.x, problem=ReadingError(problem), form=record.form, passed=record.passed
        )

    def _passed_keys(self, value: dict[str, object]) -> Mapping[str | int, object]:
        if self._wanted_passed == (ALL,) and ALL not in value:
            return dict(value.items())
        return {name: value.get(name) for name in self._wanted_passed}

    def _of_list(self, cells: list[object]) -> Record:
        self._form = Form.LIST
        columns = self._picker.from_width(len(cells))
        if columns is None:
            names = listed(self._picker.wanted)
            return self._malformed(
                f"expected {len(self._picker.inputs)} values ({names}), got {len(cells)}"
            )
        passed = passed_columns(self._wanted_passed, None, len(cells))
        return self._record(
            [cells[index] for index in columns],
            {name: cells[index] for name, index in passed.items()},
        )

    def _record(self, cells: list[object], passed: Mapping[str | int, object]) -> Record:
        x: list[Number] = []
        problem = ""
        for channel, cell in enumerate(cells):
            value = self._number(cell)
            if value is None:
                name = self._picker.inputs[channel] if channel < len(self._picker.inputs) else ""
                got = f"{json.dumps(cell):.40} (channel '{name:.40}')"
                problem = problem or f"expected a number, got {got}"
            x.append(math.nan if value is None else value)
        if len(x) != len(self._picker.inputs):
            return self._malformed(
                f"expected {len(self._picker.inputs)} values ({listed(self._picker.inputs)}), "
                f"got {len(x)}",
                passed,
            )
        return Record(
            x=x,
            problem=ReadingError(problem) if problem else None,
            form=self._form,
            passed=passed,
        )

    def _number(self, cell: object) -> Number | None:
        """The finite number of a cell, None where it holds none."""
        if isinstance(cell, bool) or not isinstance(cell, (int, float)):
            return None
        if self._codes:
            return cell
        try:
            value = float(cell)
        except OverflowError:
            return None
        return value if math.isfinite(value) else None

    def _malformed(self, problem: str, passed: Mapping[str | int, object] | None = None) -> Record:
        names = () if self._wanted_passed == (ALL,) else self._wanted_passed
        if passed is None and self._form is Form.OBJECT:
            passed = dict.fromkeys(names)
        return Record(
            x=[math.nan] * len(self._picker.inputs),
            problem=ReadingError(problem),
            malformed=True,
            form=self._form,
            passed=passed or {},
        )

    def header_names(self, record: Record | None) -> Sequence[str] | None:
        """See `Reader.header_names`: the keys of the first line."""
        return [str(name) for name in record.passed] if record else None

    def advice(self, lines: list[str]) -> str:
        """See `Reader.advice`."""
        if not any(line.lstrip()[:1] in ("[", "{") for line in lines):
            return (
                "The lines are not JSON. Rename the file to end in .csv, or pass --input-format "
                "csv to edgernn run"
            )
        try:
            values = [json.loads(line) for line in lines[:1]]
        except (ValueError, RecursionError):
            return ""
        return self._renaming(values[0]) if values and isinstance(values[0], dict) else ""

    def _renaming(self, value: dict[str, object]) -> str:
        known = self._picker.known
        try:
            known.by_channel(value)
        except ReadingError:  # its keys are right, and what they hold is not
            return ""
        keys = f"The objects have the keys {listed(list(value))}; the model"
        channels = listed(self._picker.inputs)
        if known.ports:
            return (
                f"{keys} has the inputs {listed(known.ports)} with the channels {channels}. "
                "Rename the keys, or name the channels' keys with --columns"
            )
        return f"{keys} reads {channels}. Name the keys with --columns"
