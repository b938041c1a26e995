"""The file that configures a service: all errors at once, each with its place and a cure."""

from __future__ import annotations

import pytest

from edgernn.errors import ConfigError
from edgernn.service.assembly import make_pipeline
from edgernn.service.config.reading import address, read_config

pytestmark = pytest.mark.device
ENDS = '[[source]]\nkind = "csv"\n[[sink]]\nkind = "stdout"\n'


def reasons(tmp_path, text):
    file = tmp_path / "serve.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        read_config(file)
    return caught.value.reasons


def test_the_smallest_file_has_defaults(tmp_path):
    file = tmp_path / "serve.toml"
    file.write_text(f'[model]\npath = "demo"\n{ENDS}', encoding="utf-8")
    config = read_config(file)
    assert config.model.path == "demo"
    assert config.store.commit_readings == 500
    assert config.store.commit_s == 1.0
    assert config.http.listen.startswith("127.0.0.1:")
    assert config.sources == ({"kind": "csv"},)
    assert config.deliveries[0].on_failure == "block"


def test_what_a_sink_does_on_failure_is_no_option_of_its_kind(tmp_path):
    file = tmp_path / "serve.toml"
    file.write_text(
        f'[model]\npath = "demo"\n{ENDS}on_failure = "drop"\nretry_s = 5\n', encoding="utf-8"
    )
    config = read_config(file)
    assert config.sinks == ({"kind": "stdout"},)
    assert (config.deliveries[0].on_failure, config.deliveries[0].retry_s) == ("drop", 5.0)


def test_all_errors_come_at_once(tmp_path):
    found = reasons(
        tmp_path,
        '[modell]\n[model]\nbackend = "nativ"\nsoftmax = 1\non_bad_reading = "hodl"\n'
        "[store]\ncommit_readings = 0\npth = 3\n"
        '[http]\nlisten = "8765"\n[service]\nworkers = 1.5\nstall_s = "long"\n',
    )
    text = "\n".join(found)
    assert len(found) == 12
    assert "serve.toml: expected the tables model, " in text
    assert "got 'modell'. Did you mean 'model'?" in text
    assert "[model] backend: expected auto, native, " in text
    assert "got 'nativ'. Did you mean 'native'?" in text
    assert "[model] softmax: expected true or false, got 1." in text
    assert "[model] path: expected a model, got none." in text
    assert "[model] on_bad_reading: expected one of raise, hold, skip" in text
    assert "[store] commit_readings: expected at least 1, got 0." in text
    assert "got 'pth'. Did you mean 'path'?" in text
    assert "[http] listen: expected an address and a port, got '8765'." in text
    assert "[service] workers: expected a whole number, got 1.5." in text
    assert "[service] stall_s: expected a number, got 'long'." in text
    assert "at least one [[source]], got none" in text
    assert "at least one [[sink]], got none" in text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            f'[model]\npath = "demo"\n[streams]\ncapacity = 9\n{ENDS}',
            "[streams]: expected a store for streams that leave memory, got none",
        ),
        ("[model\n", "expected TOML, got a file that is not"),
        ("\x00\x01", "expected TOML, got a file that is not"),
        (f"model = 3\n{ENDS}", "expected a table [model], got 3"),
        ('source = "csv"\n[model]\npath = "demo"\n', "expected tables [[source]], got one value"),
        (f'[model]\npath = "demo"\n{ENDS}on_failure = "wait"\n', "[[sink]] 1 on_failure"),
    ],
)
def test_a_broken_file_is_said(tmp_path, text, said):
    assert said in "\n".join(reasons(tmp_path, text))


def test_text_in_another_encoding_is_said(tmp_path):
    (tmp_path / "serve.toml").write_bytes(b"[model]\npath = '\xff'\n")
    with pytest.raises(ConfigError, match="expected TOML"):
        read_config(tmp_path / "serve.toml")


@pytest.mark.parametrize("listen", ["", "host", "host:", ":80", "host:x", "host:70000", "h:²"])
def test_what_is_no_address(listen):
    assert address(listen) is None


def test_memory_is_bounded_where_a_store_can_take_streams(tmp_path):
    text = f'[model]\npath = "demo"\n{ENDS}'
    for store, capacity in (('[store]\npath = "s.db"\n', 100_000), ("", None)):
        (tmp_path / "serve.toml").write_text(store + text)
        pipeline = make_pipeline(read_config(tmp_path / "serve.toml"))
        assert pipeline.capacity == capacity
        pipeline.close()
