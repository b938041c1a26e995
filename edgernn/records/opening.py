"""From lines and what is said about them to a reader."""

from __future__ import annotations

from collections.abc import Sequence

from edgernn.records.columns import Picker
from edgernn.records.csv_records import CsvReader
from edgernn.records.dialect import Dialect, said_by_spreadsheet, told
from edgernn.records.json_records import JsonReader
from edgernn.records.keys import KeyWatch
from edgernn.records.options import TableOptions, guess_format
from edgernn.records.text_files import TextSource


def open_reader(
    source: TextSource,
    inputs: Sequence[str],
    options: TableOptions,
    *,
    codes: bool = False,
    passed: Sequence[str] = (),
) -> CsvReader | JsonReader:
    """A reader for the lines of a source.

    Args:
        source: the lines; its first ones are looked at.
        inputs: channel names I.
        options: what is said about the table.
        codes: numbers are integer codes.
        passed: columns that go through, by name, by position from 1, or "all".

    Raises:
        EdgeRnnError: columns that cannot be those of the channels.
    """
    picker = Picker(inputs, options.columns)
    keys = None if options.one_stream else KeyWatch()
    lines = [line for line in source.sample if line.strip()]
    name = options.format or guess_format(source.suffix, lines[0] if lines else "")
    if name == "jsonl":
        return JsonReader(picker, codes=codes, passed=passed, keys=keys)
    delimiter = options.delimiter or ("\t" if source.suffix in (".tsv", ".tab") else None)
    said = said_by_spreadsheet(lines[0]) if lines else None

    def tell(*some: str) -> Dialect:
        return told(some, picker.names, delimiter or said, options.decimal)

    return CsvReader(
        picker,
        tell(*lines),
        tell=tell if source.live else None,
        codes=codes,
        passed=passed,
        keys=keys,
    )
