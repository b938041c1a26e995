"""Files are written whole or not at all."""

import os
import stat

import pytest

from edgernn.container.disk import write_atomically


@pytest.mark.parametrize("synced", [False, True])
def test_a_write_replaces_the_old_file_and_leaves_nothing_else(tmp_path, synced):
    path = tmp_path / ("m" * 240)  # a draft with a longer name could not be made
    path.write_bytes(b"old")
    write_atomically(path, b"new", synced=synced)
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_the_disk_is_waited_for_where_that_is_asked(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(descriptor))
    write_atomically(tmp_path / "a", b"")
    assert synced == []
    write_atomically(tmp_path / "a", b"", synced=True)
    assert len(synced) == 1


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "m.tflite"
    path.write_bytes(b"old")
    monkeypatch.setattr("pathlib.Path.replace", lambda self, target: (_ for _ in ()).throw(OSError))
    with pytest.raises(OSError):
        write_atomically(path, b"new")
    assert [p.name for p in tmp_path.iterdir()] == ["m.tflite"]
    assert path.read_bytes() == b"old"


def test_written_files_have_the_mode_of_any_new_file(tmp_path):
    (tmp_path / "plain").touch()
    write_atomically(tmp_path / "m", b"")
    modes = {stat.S_IMODE((tmp_path / n).stat().st_mode) for n in ("plain", "m")}
    assert len(modes) == 1
