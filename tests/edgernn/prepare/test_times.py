"""Times of tables: numbers, ISO 8601, local times around changes of the clock."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from edgernn.errors import DeclarationError, ReadingError
from edgernn.prepare.times import TimeReader

pytestmark = pytest.mark.device


def utc(*parts):
    return datetime(*parts, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (0, 0.0),
        ("1700000000.25", 1_700_000_000.25),
        ("2024-01-02 03:04:05", utc(2024, 1, 2, 3, 4, 5)),
        ("2024-01-02T03:04:05Z", utc(2024, 1, 2, 3, 4, 5)),
        ("2024-01-02T03:04:05+02:00", utc(2024, 1, 2, 1, 4, 5)),
        ("2024-01-02", utc(2024, 1, 2)),
        (datetime(2024, 1, 2, 3), utc(2024, 1, 2, 3)),
    ],
)
def test_what_a_cell_means(value, wanted):
    assert TimeReader().seconds(value) == wanted


@pytest.mark.parametrize("value", ["", "noon", "nan", "inf", None, True, 10**400, "2024-13-01"])
def test_what_is_no_time(value):
    with pytest.raises(ReadingError, match="time: expected seconds since 1970 or ISO 8601, got"):
        TimeReader().seconds(value)


def test_the_hour_that_comes_twice_is_read_in_order():
    for zone, day, offset in (("Europe/Berlin", 27, 2), ("America/New_York", 3, -4)):
        month, hour = (10, 2) if zone == "Europe/Berlin" else (11, 1)
        reader = TimeReader(zone)
        texts = [f"2024-{month}-{day:02d} {hour:02d}:{m:02d}:00" for m in (0, 30, 0, 0, 30)]
        got = [reader.seconds(text) for text in texts]
        first = utc(2024, month, day, hour) - 3600 * offset
        assert got == [first, first + 1800, first + 3600, first + 3600, first + 5400]


@pytest.mark.parametrize(
    ("zone", "begin", "step_s"),
    [
        ("Europe/Berlin", utc(2024, 10, 26, 20), 3600),
        ("Europe/Berlin", utc(2024, 10, 26, 20, 15), 1800),
        ("America/New_York", utc(2024, 11, 3, 1), 3600),
        ("Australia/Lord_Howe", utc(2024, 4, 6, 12), 1800),
    ],
)
def test_no_reading_of_a_stream_is_lost_or_moved_in_the_night_of_the_change(zone, begin, step_s):
    wanted = [begin + n * step_s for n in range(20)]
    texts = [datetime.fromtimestamp(t, ZoneInfo(zone)).replace(tzinfo=None) for t in wanted]
    reader = TimeReader(zone)
    assert [reader.seconds(str(text)) for text in texts] == wanted


def test_a_row_that_comes_twice_stays_where_it_is():
    texts = [f"2024-10-27 02:{m:02d}:00" for m in (0, 10, 10, 20)]
    reader, first = TimeReader("Europe/Berlin"), utc(2024, 10, 27)
    assert [reader.seconds(text) - first for text in texts] == [0, 600, 600, 1200]


def test_a_local_time_that_does_not_exist_has_the_offset_before_the_change():
    got = TimeReader("Europe/Berlin").seconds("2024-03-31 02:30:00")
    assert got == utc(2024, 3, 31, 1, 30)


def test_a_zone_that_does_not_exist():
    with pytest.raises(
        DeclarationError, match=r'got .Europe/Berlyn.\. Did you mean "Europe/Berlin"'
    ):
        TimeReader("Europe/Berlyn")
