"""A store gives back what was committed, or says in one sentence why it cannot."""

import sqlite3
from pathlib import Path

import numpy as np
import pytest

from edgernn import EdgeRnnError, StoreError
from edgernn.store import StateStore

pytestmark = pytest.mark.device

SHA, OTHER = "a" * 64, "b" * 64
BLOBS = {f"sensor {i}": bytes([i] * (40 + i)) for i in range(30)}


def opened(path, sha=SHA, **options):
    return StateStore(path, sha, **options)


def test_what_was_committed_comes_back(tmp_path):
    path = tmp_path / "s.sqlite"
    with opened(path) as store:
        store.commit(BLOBS, positions={"mqtt": {"offset": 7}, "file": None})
        store.commit({"sensor 3": b"new", "café": b""}, dropped=["sensor 4", "never there"])
        wanted = {**BLOBS, "sensor 3": b"new", "café": b""}
        del wanted["sensor 4"]
        assert store.load() == wanted and len(store) == len(wanted)
    with opened(path) as store:
        assert store.load() == wanted
        assert store.load(["sensor 4", "sensor 3", "café"]) == {"sensor 3": b"new", "café": b""}
        assert store.load([]) == {}
        assert store.positions() == {"mqtt": {"offset": 7}, "file": None}
        store.commit({}, positions={"file": 12})
        assert store.positions() == {"mqtt": {"offset": 7}, "file": 12}


def test_streams_that_were_not_saved_for_days_are_forgotten(tmp_path):
    path = tmp_path / "s.sqlite"
    with opened(path) as store:
        store.commit({"before": b"0", "before too": b"0"})
        store.commit({"a": b"1", "b": b"2", "c": b"3"}, day=20_000)
        assert store.forget(20_005, 7.0) == 0  # those without a day count from here
        store.commit({"b": b"4"}, positions={"p": 1}, day=20_006)
        assert store.forget(20_007, 7.0) == 0
        assert store.forget(20_008, 7.0, {"c"}) == 1
        assert store.load().keys() == {"before", "before too", "b", "c"}
        store.commit({"before": b"5"}, day=20_012)
    with opened(path) as store:  # whose totals are checked
        assert store.forget(20_013, 7.0) == 2
        assert store.load() == {"b": b"4", "before": b"5"}
        assert store.positions() == {"p": 1}
    opened(path).close()


def test_any_text_is_a_key(tmp_path):
    keys = [
        "",
        "'",
        '"',
        "a/b",
        "\n",
        "ä",
        "e\u0301",
        "\U0001f321",
        "%",
        "\\u0041",
        "A",
        "a",
        "x" * 9999,
    ]
    states = {key: key.encode() for key in keys}
    with opened(tmp_path / "s") as store:
        for _ in range(2):
            store.commit(states, positions=states.fromkeys(keys, 1))
            assert store.load() == states == store.load(keys)
            assert [store.load([key]) for key in keys] == [{key: states[key]} for key in keys]
    opened(tmp_path / "s").close()


def test_a_stream_that_is_saved_and_dropped_at_once_is_saved(tmp_path):
    with opened(tmp_path / "s") as store:
        store.commit({"a": b"1"}, dropped=["a"])
        assert store.load() == {"a": b"1"}


def test_a_commit_that_fails_changes_nothing(tmp_path):
    with opened(tmp_path / "s") as store:
        store.commit({"a": b"1"}, positions={"p": 1})
        with pytest.raises(TypeError):
            store.commit({"a": b"2"}, positions={"p": object()})
        for key in ("b\0", "b\udcff"):
            with pytest.raises(StoreError, match=r"^store: expected keys of Unicode text without"):
                store.commit({"a": b"2", key: b"3"}, positions={"p": 2})
        assert (store.load(), store.positions()) == ({"a": b"1"}, {"p": 1})


def test_a_full_disk_is_named_and_the_store_goes_on(tmp_path):
    with opened(tmp_path / "s") as store:
        store.commit({"a": b"1"})
        store._db.execute("PRAGMA max_page_count = 10")
        with pytest.raises(StoreError, match=r"is full. Check the folder, its permiss"):
            store.commit({f"k{i}": bytes(5000) for i in range(50)}, dropped=["a"])
        assert store.load() == {"a": b"1"}
        store.commit({"a": b"2"})
        assert store.load() == {"a": b"2"}


def test_the_states_of_another_model_are_refused_by_name(tmp_path):
    path = tmp_path / "s"
    with opened(path, model_name="pump") as store:
        store.commit({"a": b"1"})
    with pytest.raises(StoreError, match=r"of the model 'fan' \(b{12}\), got those of the"):
        opened(path, OTHER, model_name="fan")
    with opened(path, OTHER, migrate=True) as store:
        assert store.load() == {"a": b"1"}
    with pytest.raises(StoreError, match=r"of the model a{12}, got those of the model b{12}"):
        opened(path)
    with opened(path, OTHER) as store:
        store.commit({}, dropped=["a"])
    opened(path).close()  # without states, the file is anybody's


def test_a_file_belongs_to_one_process(tmp_path):
    path = tmp_path / "s"
    with opened(path) as store:
        store.commit({"a": b"1"})
        with pytest.raises(StoreError, match="nothing else has open, got one in use"):
            opened(path)
        assert store.load() == {"a": b"1"}


def text(path):
    path.write_text("no database " * 100)


def other_database(path):
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE t (x)")
    db.close()


def newer(path):
    opened(path).close()
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 2")
    db.close()


def folder(path):
    path.mkdir()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (text, "got a file that is no database"),
        (other_database, "got another SQLite database"),
        (newer, "expected schema 1, got 2"),
        (folder, "expected a file that can be read and written, got: unable to open"),
    ],
)
def test_a_file_that_is_no_store(tmp_path, make, said):
    path = tmp_path / "s"
    make(path)
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(StoreError, match=f"^store '{path}': .*{said}"):
        opened(path)
    assert before is None or path.read_bytes() == before


def test_a_store_that_was_closed(tmp_path):
    store = opened(tmp_path / "s")
    store.close()
    store.close()
    for call in (store.load, store.positions, lambda: store.commit({}), lambda: len(store)):
        with pytest.raises(StoreError, match="expected an open store, got a closed one"):
            call()
    with pytest.raises(EdgeRnnError, match="expected durable 'normal' or 'full', got 'often'"):
        opened(tmp_path / "s", durable="often")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("UPDATE states SET state = x'00' WHERE key = 'sensor 3'", "the state of 'sensor 3'"),
        ("UPDATE states SET state = 'text' WHERE key = 'sensor 3'", "the state of 'sensor 3'"),
        ("UPDATE states SET crc = 1 WHERE key = 'sensor 3'", "rows are missing or changed"),
        ("DELETE FROM states WHERE key = 'sensor 3'", "rows are missing or changed"),
        ("DELETE FROM positions", "rows are missing or changed"),
        ("UPDATE positions SET position = '2'", "the position of 'p'"),
        ("UPDATE facts SET value = '[1, 2]' WHERE name = 'totals'", "the fact 'totals'"),
        ("DROP TABLE positions", "no such table"),
    ],
)
def test_changed_rows_are_named(tmp_path, change, said):
    path = tmp_path / "s"
    with opened(path) as store:
        store.commit(BLOBS, positions={"p": 1})
    db = sqlite3.connect(path)
    db.execute(change)
    db.commit()
    db.close()
    with pytest.raises(StoreError, match=said), opened(path) as store:
        store.load(), store.positions()
    assert path.exists()


def snapshots(path):
    """Files of a store that was left in the midst of its life, and what its commits held."""
    streams, held = {}, [{}]
    with opened(path) as store:
        for n in range(12):
            changed = {f"sensor {i}": bytes([n, i] * 60) for i in range(n, n + 30)}
            store.commit(changed, positions={"p": n})
            streams = {**streams, **changed}
            held.append(streams)
        files = {p.name: p.read_bytes() for p in path.parent.iterdir()}
    return files, held


@pytest.fixture(scope="module")
def left(tmp_path_factory):
    files, held = snapshots(tmp_path_factory.mktemp("left") / "s")
    assert {"s", "s-wal"} <= files.keys() and len(files["s-wal"]) > 50_000
    return files, held


def reopened(folder: Path, files, held):
    """Open damaged files; whether an error named the damage."""
    for name, content in files.items():
        (folder / name).write_bytes(content)
    try:
        with opened(folder / "s") as store:
            got, position = store.load(), store.positions()
    except StoreError as error:
        assert str(error).startswith(f"store '{folder / 's'}': ")
        return True
    n = position.get("p", -1) + 1
    assert got == held[n]
    return False


def closed(left, folder):
    """The same store after it was closed: one file."""
    files, held = left
    assert not reopened(folder, files, held)
    assert [p.name for p in folder.iterdir()] == ["s"]
    return {"s": (folder / "s").read_bytes()}, held


@pytest.mark.parametrize("which", ["log", "file"])
def test_torn_files_are_an_earlier_commit_or_a_named_error(tmp_path, left, which):
    files, held = left if which == "log" else closed(left, tmp_path)
    name = "s-wal" if which == "log" else "s"
    rng = np.random.default_rng(5)
    whole = len(files[name])
    cuts = [0, 1, 31, 32, 33, 4096, whole - 1, *rng.integers(0, whole, 25)]
    named = [reopened(tmp_path, {**files, name: files[name][:cut]}, held) for cut in map(int, cuts)]
    # A log that is cut ends earlier; a file that is cut is damaged, or empty.
    assert any(named) == (which == "file")


@pytest.mark.parametrize("which", ["log", "file"])
def test_flipped_bits_are_an_earlier_commit_or_a_named_error(tmp_path, left, which):
    files, held = left if which == "log" else closed(left, tmp_path)
    name = "s-wal" if which == "log" else "s"
    rng = np.random.default_rng(6)
    named = []
    for place in (*range(0, 100, 3), *rng.integers(0, len(files[name]), 100)):
        damaged = bytearray(files[name])
        damaged[place] ^= 1 << rng.integers(8)
        named.append(reopened(tmp_path, {**files, name: bytes(damaged)}, held))
    assert any(named) == (which == "file")
