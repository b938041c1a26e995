"""How `edgernn run` ends: at the end, at a signal, and where going on would answer nothing."""

import gzip
import json
import math
import signal
import subprocess
import time

import pytest

from edgernn.cli import main
from edgernn.errors import EdgeRnnError
from edgernn.records.keys import KeyWatch
from tests.support.run_command import RunCommand, answers, named_model, started

pytestmark = pytest.mark.device

POLICIES = pytest.mark.parametrize("policy", ["hold", "skip"])


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    return RunCommand(named_model(tmp_path), tmp_path, monkeypatch, capsys)


# ---------------------------------------------------------------- every line is bad


@POLICIES
@pytest.mark.parametrize("piped", [False, True], ids=["file", "pipe"])
@pytest.mark.parametrize(
    ("line", "options", "reason"),
    [
        ("20,5;48", ["--decimal", "."], "settings. Pass --decimal ,\n"),
        ("20.5;48", ["--delimiter", "tab"], "settings. Pass --delimiter semicolon\n"),
        ("20.5 48", ["--delimiter", "comma"], "settings. Pass --delimiter space\n"),
        ("20,5\t48,5", ["--decimal", ".", "--delimiter", "tab"], "settings. Pass --decimal ,\n"),
        ("9:00,20.5,48", [], "The numbers are in other columns. Pass --columns 2,3\n"),
        ("2,1,3", [], "There are 3 columns of numbers; the model reads 2 (temperature, humidity)"),
        ("[1,2]", ["--input-format", "csv"], "look like JSON. Rename the file to end in .jsonl"),
        ("1,2", ["--input-format", "jsonl"], "or pass --input-format csv to edgernn run\n"),
        ('{"t":1,"h":2}', [], "The objects have the keys t, h; the model reads temperature, humid"),
        ("1\x00,\x002", [], "The text has zero bytes. If it is UTF-16, pass --encoding utf-16"),
        ("PK\x03\x04\x00", [], "Write the readings as a table with numpy.savetxt('readings.csv'"),
        ("nan,nan", [], "Compare the file with the model's inputs (edgernn info)\n"),
    ],
)
def test_a_policy_for_noise_does_not_cover_a_wrong_way_of_reading(
    run, policy, piped, line, options, reason
):
    text = f"{line}\n" * 25
    code, out, err = run(text, "--on-bad-reading", policy, *options, piped=piped)
    assert (code, len(out)) == (1, 19)
    assert "expected a reading in 20 lines, got none (line 1: expected" in err
    assert reason in err
    assert err.splitlines()[-1] == f"20 readings, 20 bad ({policy}); ended by error"


@POLICIES
def test_a_short_file_of_bad_lines_is_an_error_as_well(run, policy):
    code, _, err = run("x,y,z\n" * 3, "--on-bad-reading", policy, "--columns", "1,2")
    assert code == 1
    assert "expected a reading in 2 lines, got none (line 2: " in err


@POLICIES
def test_noise_at_the_beginning_is_noise(run, policy):
    wanted = answers(run.model_file, [[20, 48], [21, 47]])
    text = "20\n" * 19 + "20,48\n21,47\n" + "x\n" * 30
    code, out, err = run(text, "--on-bad-reading", policy)
    assert (code, out[19:21]) == (0, wanted)
    assert err == f"51 readings, 49 bad ({policy})\n"


def test_how_long_the_beginning_is_can_be_chosen(run):
    text = "20\n" * 30 + "20,48\n"
    assert run(text, "--on-bad-reading", "hold", "--give-up-after", "30")[0] == 1
    assert run(text, "--on-bad-reading", "hold", "--give-up-after", "31")[0] == 0
    assert run(text, "--on-bad-reading", "hold", "--give-up-after", "0")[0] == 0


# ---------------------------------------------------------------- interleaved sensors


@pytest.mark.parametrize("option", [[], ["--pass-through", "all"], ["--on-bad-reading", "hold"]])
@pytest.mark.parametrize(
    "text",
    [
        "sensor_id,temperature,humidity\na,20,48\nb,30,20\na,20,48\n",
        "t,temperature,humidity,Device Name\n1,20,48,hall\n2,20,48,hall\n3,30,20,roof\n",
        "id,temperature,humidity\n7,20,48\n8,30,20\n7,20,48\n",
        '{"sensor":"a","temperature":20,"humidity":48}\n{"sensor":"b","temperature":1,"humidity":2}',
    ],
)
def test_readings_of_several_sensors_are_not_mixed_in_silence(run, text, option):
    code, _, err = run(text, *option)
    assert code == 2
    assert "expected the readings of one sensor, got those of" in err
    assert err.endswith("pass --one-stream if all rows belong to one stream\n")
    assert run(text, *option, "--one-stream")[0] == 0


@pytest.mark.parametrize(
    "text",
    [
        "timestamp,temperature,humidity\n1,20,48\n2,30,20\n1,20,48\n",
        "id,temperature,humidity\n1,20,48\n2,30,20\n3,20,48\n",
        "sensor,temperature,humidity\na,20,48\na,30,20\na,20,48\n",
        "sensor,temperature,humidity\n1.5,20,48\n2.5,30,20\n1.5,20,48\n",
        "sensor,temperature,humidity\n,20,48\na,30,20\n,20,48\n",
        "activity,temperature,humidity\nwalk,20,48\nsit,30,20\nwalk,20,48\n",
        '{"device":{"a":1},"temperature":20,"humidity":48}\n{"temperature":1,"humidity":2}\n',
    ],
)
def test_other_columns_raise_no_false_alarm(run, text):
    code, _, err = run(text)
    assert (code, err) == (
        0,
        f"{len(text.splitlines()) - ('{' not in text)} readings, 0 bad (raise)\n",
    )


def test_a_column_that_feeds_the_model_is_no_key(run):
    text = "sensor,device\n1,2\n3,4\n1,2\n"
    assert run(text, "--columns", "sensor,device")[0] == 0


def test_a_number_of_the_row_that_wraps_round_is_no_key():
    watch = KeyWatch()
    for row in range(600):
        watch.check({"id": str(row % 256)})
    watch = KeyWatch()
    with pytest.raises(EdgeRnnError, match=r"got those of '0' after those of '9' \(column 'id'\)"):
        for row in range(600):
            watch.check({"id": str(row % 10)})


# ---------------------------------------------------------------- the summary


def test_the_summary_for_machines(run, tmp_path):
    path = tmp_path / "summary.json"
    text = "20,48\nx\n20,\n"
    code, _, err = run(text, "--on-bad-reading", "skip", "--json", "--summary", str(path))
    assert code == 0
    summary = json.loads(err)
    assert json.loads(path.read_text()) == summary
    assert summary == {
        "readings": 3, "bad_readings": 2, "on_bad_reading": "skip", "ended_by": "end of input",
        "unanswered_readings": 0,
        "clipped_readings": {"temperature": 0, "humidity": 0},
    }  # fmt: skip


def test_clipped_readings_are_said_once_and_counted_in_the_summary(run):
    text = "20,48\n20,4800\n-2e6,48\n20,1e9\n"
    code, _, err = run(text)
    warned, summary = err.splitlines()
    assert code == 0
    assert warned.startswith(
        "edgernn run: warning: session: expected 'humidity' within the calibrated range ["
    )
    assert summary == "4 readings, 0 bad (raise); clipped: temperature 1, humidity 2"
    code, _, err = run(text, "--json")
    assert json.loads(err.splitlines()[-1])["clipped_readings"] == {
        "temperature": 1,
        "humidity": 2,
    }


def test_the_summary_is_written_where_the_stream_ends_in_an_error(run, tmp_path):
    path = tmp_path / "summary.json"
    assert run("20,48\nx,48\n", "--summary", str(path))[0] == 2
    assert json.loads(path.read_text())["ended_by"] == "error"
    assert run("x\n", "--summary", str(path), "--on-bad-reading", "hold")[0] == 1
    assert json.loads(path.read_text())["bad_readings"] == 1


def test_the_summary_must_not_erase_the_input(run):
    text = "20,48\n"
    code, _, err = run(text, "--summary", str(run.folder / "readings.txt"))
    assert code == 2
    assert "expected a different file from --input" in err
    assert (run.folder / "readings.txt").read_text() == text


# ---------------------------------------------------------------- signals


SIGNALS = pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)], ids=["SIGTERM", "SIGINT"]
)


@SIGNALS
def test_a_signal_ends_the_stream_between_two_readings(run, number, code):
    wanted = answers(run.model_file, [[20.5, 48.125], [21, 48]])
    process = started(
        "run", run.model_file, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    with process:
        process.stdin.write("20.5,48.125\n21,48\n")
        process.stdin.flush()
        assert [process.stdout.readline().strip() for _ in wanted] == wanted
        process.send_signal(number)
        assert process.stdout.read() == ""
        err = process.stderr.read()
    assert process.returncode == code
    assert err == f"2 readings, 0 bad (raise); ended by {number.name}\n"


@SIGNALS
@pytest.mark.parametrize("written", ["", "20.5,48.125\n21,48\n"])
def test_a_signal_leaves_a_complete_compressed_file(run, tmp_path, number, code, written):
    path = tmp_path / "y.csv.gz"
    process = started(
        "run", run.model_file, "--output", path, "--json", stdin=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    with process:
        while not path.exists():  # from here on signals are taken
            assert process.poll() is None
            time.sleep(0.01)
        process.stdin.write(written)
        process.stdin.flush()
        process.send_signal(number)
        summary = json.loads(process.stderr.read())
    assert (process.returncode, summary["ended_by"]) == (code, number.name)
    wanted = answers(run.model_file, [[20.5, 48.125], [21, 48]])[: summary["readings"]]
    assert gzip.decompress(path.read_bytes()).decode().splitlines() == wanted


def test_the_signals_belong_to_the_program_again_afterwards(run):
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    assert run("20,48\n")[0] == 0
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


# ---------------------------------------------------------------- no standard streams


def without(redirection, *arguments, text=""):
    """The command under a shell that closes streams: exit code, stdout, stderr."""
    process = started(
        *arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, closing=redirection,
    )  # fmt: skip
    out, err = process.communicate(text)
    return process.returncode, out, err


@pytest.mark.parametrize(
    "arguments",
    [["info", "--model", "demo"], ["info", "--model", "demo", "--json"], ["--help"],
     ["run", "--help"], ["--version"], ["targets"], ["quantize", "--help"]],
)  # fmt: skip
def test_results_that_nobody_can_get_end_in_a_sentence(arguments):
    code, out, err = without(">&-", *arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert ": stdout: expected an open standard output for the results, got a closed one." in err


def test_a_run_without_standard_streams(run, tmp_path):
    readings, path = tmp_path / "x.csv", tmp_path / "y.csv"
    readings.write_text("20.5,48.125\n")
    code, _, err = without("<&-", "run", run.model_file)
    assert (code, err.count("\n")) == (2, 1)
    assert "stdin: expected readings on standard input, got a closed stream." in err
    code, _, err = without(">&-", "run", run.model_file, text="20.5,48.125\n")
    assert (code, err.count("\n")) == (2, 1)
    assert "stdout: expected an open standard output for the results, got a closed one." in err
    # A service with files of its own needs none of them, and nothing it says gets into the files.
    arguments = ["run", run.model_file, "--input", readings, "--output", path]
    assert without("<&- >&- 2>&-", *arguments) == (0, "", "")
    assert path.read_text().splitlines() == answers(run.model_file, [[20.5, 48.125]])
    assert without("2>&-", "info", "nothing.edgernn")[0] == 2


# ---------------------------------------------------------------- names


@pytest.mark.parametrize(
    "arguments",
    [
        ["--input", "n" * 300],
        ["--output", "n" * 300],
        ["--output", "n" * 300 + "/y.csv.gz"],
        ["--summary", "n" * 300],
        ["--input", "no/such/file"],
        ["--input", "."],
    ],
)
def test_names_that_are_no_files_end_in_a_sentence(run, arguments, capsys):
    assert main(["run", str(run.model_file), *arguments]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "edgernn run: expected a file that can be opened, got" in err
    assert len(err) < 200


def test_a_model_name_longer_than_a_file_system_takes(capsys):
    assert main(["run", "n" * 300 + ".edgernn"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


# ---------------------------------------------------------------- files that are there already


def test_a_refused_run_erases_nothing(run, tmp_path):
    old = tmp_path / "old.csv"
    old.write_text("kept\n")
    arguments = ("--output", str(old), "--pass-through", "nope")
    code, _, err = run("temperature,humidity\n20,48\n", *arguments)
    assert code == 2
    assert "nope" in err
    assert old.read_text() == "kept\n"


@pytest.mark.parametrize("name", ["out.csv", "out.csv.gz"])
def test_an_answered_run_replaces_what_was_there(run, tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"longer than what will be written, by far\n" * 20)
    code, _, _ = run("20,48\n", "--output", str(path))
    assert code == 0
    content = path.read_bytes()
    text = gzip.decompress(content) if name.endswith(".gz") else content
    assert len(text.splitlines()) == 1


def test_the_summary_is_no_output(run, tmp_path):
    path = str(tmp_path / "both")
    code, _, err = run("20,48\n", "--output", path, "--summary", path)
    assert code == 2
    assert "--summary: expected a different file from --output" in err


# ---------------------------------------------------------------- policies by name


def test_every_channel_has_its_own_policy(run, tmp_path):
    text = "20,48\n,48\n21,\n22,50\n"
    given = "temperature=hold,humidity=40.5"
    code, out, err = run(text, "--on-bad-reading", given)
    policies = {"temperature": "hold", "humidity": 40.5}
    xs = [[20, 48], [math.nan, 48], [21, math.nan], [22, 50]]
    assert (code, out) == (0, answers(tmp_path / "m.edgernn", xs, policies))
    assert err == "4 readings, 2 bad (temperature hold, humidity 40.5)\n"
    code, out, err = run(text, "--on-bad-reading", "temperature=skip", "--json")
    assert (code, len(out)) == (2, 3)
    message = json.loads(out[2])["error"]["message"]
    assert "line 3: expected a number, got an empty cell (column 2). Repair the line" in message
    assert json.loads(run(text, "--on-bad-reading", "30", "--json")[2])["on_bad_reading"] == 30.0


def test_a_channel_may_be_missing_for_ever_where_a_number_takes_its_place(run):
    text = "20,\n" * 25
    code, out, _ = run(text, "--on-bad-reading", "humidity=48", "--give-up-after", "20")
    assert (code, len(out)) == (0, 25)
    assert run(text, "--on-bad-reading", "humidity=hold,temperature=skip")[0] == 1
    assert run("x\n" * 25, "--on-bad-reading", "48")[0] == 1


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (
            "drop",
            "expected raise, hold, skip or a number, or one per channel, each once, as in ",
        ),
        ("humidity=drop", "pressure=1013.0, got 'humidity=drop'"),
        ("humidity=hold,humidity=skip", "pressure=1013.0, got "),
        ("hold,humidity=skip", "pressure=1013.0, got 'hold,humidity=skip'"),
        ("humidity=nan", "pressure=1013.0, got 'humidity=nan'"),
        ("wind=hold", "expected channels among temperature, humidity, got wind."),
        ("humidity=4800", "expected values within the calibrated range"),
    ],
)
def test_policies_that_are_none_are_refused(run, capsys, given, text):
    try:
        code, _, err = run("20,48\n", "--on-bad-reading", given)
    except SystemExit as stopped:
        code, err = stopped.code, capsys.readouterr().err
    assert code == 2
    assert text in err
