"""`edgernn run` reads tables as people have them."""

import bz2
import gzip
import lzma

import pytest

from tests.support.run_command import RunCommand, answers, named_model

pytestmark = pytest.mark.device

NAN = float("nan")
PIPED = pytest.mark.parametrize("piped", [False, True], ids=["file", "pipe"])
WRITTEN = ["20.5,48.125", "21,48", "20.75,47.5"]


def with_commas(line):
    return line.replace(",", ";").replace(".", ",")


def alone(text):
    """An answer with a decimal comma in the only column: quoted, for it is no delimiter."""
    return f'"{text.replace(".", ",")}"'


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    return RunCommand(named_model(tmp_path), tmp_path, monkeypatch, capsys)


@pytest.fixture
def wanted(run):
    return answers(run.model_file)


@PIPED
@pytest.mark.parametrize(
    "lines",
    [
        [line.replace(",", ";") for line in WRITTEN],
        [line.replace(",", "\t") for line in WRITTEN],
        [line.replace(",", " | ") for line in WRITTEN],
        [f"  {line.replace(',', '   ')} " for line in WRITTEN],
    ],
    ids=["semicolon", "tab", "pipe", "blanks"],
)
def test_the_delimiter_is_told_by_the_lines(run, wanted, lines, piped):
    code, out, err = run("\n".join(lines) + "\n", piped=piped)
    assert (code, err) == (0, "3 readings, 0 bad (raise)\n")
    assert [line.strip() for line in out] == wanted


@PIPED
@pytest.mark.parametrize(
    "header", ["", "temperature;humidity\n", "sep=;\ntemperature;humidity\n"]
)  # fmt: skip
def test_a_decimal_comma_beside_semicolons_needs_no_option(run, wanted, header, piped):
    code, out, _ = run(header + "\n".join(map(with_commas, WRITTEN)), piped=piped)
    assert code == 0
    # The answers come in the dialect of the readings.
    assert out[-3:] == [alone(text) for text in wanted]
    assert out[:-3] == (["load"] if header else [])


@PIPED
def test_a_decimal_comma_beside_tabs_may_be_thousands_and_is_not_guessed(run, wanted, piped):
    lines = "\n".join(line.replace(",", "\t").replace(".", ",") for line in WRITTEN)
    assert run(lines, piped=piped)[:2] == (0, [alone(text) for text in wanted])
    thousands = "20,500\t48,125\n"
    code, _, err = run(thousands, piped=piped)
    assert code == 2
    assert (
        "got '20,500\\t48,125'. The lines are valid readings with other settings. "
        "Pass --decimal ,\n" in err
    )
    assert run(thousands, "--decimal", ",", piped=piped)[:2] == (0, [alone(wanted[0])])


def test_one_channel_with_decimal_commas_takes_an_option(tmp_path, monkeypatch, capsys):
    path = named_model(tmp_path, ("level",))
    run = RunCommand(path, tmp_path, monkeypatch, capsys)
    code, _, err = run("20,5\n21,25\n")
    assert code == 2
    assert "expected 1 value (level), got 2" in err
    assert "--decimal ," in err
    code, out, _ = run("20,5\n21,25\n", "--decimal", ",")
    quoted = [alone(text) for text in answers(path, [20.5, 21.25])]
    assert (code, out) == (0, quoted)
    assert run("\n".join(quoted), "--decimal", ",")[0] == 0


def test_a_line_break_in_a_cell_is_a_bad_line(run):
    text = 'temperature,humidity,note\n20,48,fine\n21,48,"two\nlines"\n22,48,\'"\'\n'
    code, out, err = run(text)
    assert (code, len(out)) == (2, 2)
    assert "line 3: expected cells between delimiters, got an unclosed quote at the end" in err
    assert run(text, "--on-bad-reading", "skip")[2] == "4 readings, 2 bad (skip)\n"


@PIPED
@pytest.mark.parametrize(
    ("encoding", "options"),
    [
        ("utf-8-sig", ()),
        ("utf-16", ()),
        ("utf-16-le", ()),
        ("utf-16-be", ()),
        ("utf-32", ()),
        ("cp1252", ("--encoding", "cp1252")),
    ],
)
def test_encodings(run, wanted, encoding, options, piped):
    text = "temperature,humidity,Zone °\n" + "".join(f"{line},é\n" for line in WRITTEN)
    code, out, _ = run(
        text.encode(encoding), *options, "--pass-through", "Zone °", piped=piped
    )  # fmt: skip
    assert (code, out[0], out[1:]) == (0, "Zone °,load", [f"é,{text}" for text in wanted])


def test_text_of_another_encoding_is_not_taken_for_a_header(run):
    content = "Temp °C,Hum\n20.5,48\n".encode("cp1252")
    for named in ((), ("--columns", "Temp °C,Hum")):
        code, out, err = run(content, *named)
        assert (code, out) == (2, [])
        assert "The text is not UTF-8. Pass its encoding, for example --encoding cp1252" in err


@PIPED
@pytest.mark.parametrize("compress", [gzip.compress, lzma.compress])
@pytest.mark.parametrize("name", ["readings.csv.gz", "readings.csv", "readings.xz"])
def test_compressed_readings_are_told_by_their_content(run, wanted, compress, name, piped):
    content = compress("\n".join(WRITTEN).encode())
    assert run(content, name=name, piped=piped)[:2] == (0, wanted)


@pytest.mark.parametrize("compress", [gzip.compress, lzma.compress])
@pytest.mark.parametrize("damage", ["cut", "changed"])
def test_damaged_compression_ends_in_a_sentence(run, compress, damage):
    content = bytearray(compress("\n".join(WRITTEN * 500).encode()))
    if damage == "cut":
        content = content[: len(content) // 2]
    else:
        content[-7 if compress is gzip.compress else -40] ^= 0xFF  # in the checksum, in the index
    code, _, err = run(bytes(content))
    assert code == 2
    assert "readings.txt: expected a file that is readable to its end, got" in err
    assert "Traceback" not in err


def test_another_compression_is_refused_without_a_traceback(run):
    code, _, err = run(bz2.compress(b"1,2\n" * 50), "--on-bad-reading", "skip")
    assert code in (1, 2)
    assert "expected" in err
    assert "Traceback" not in err


# ---------------------------------------------------------------- headers


@PIPED
def test_a_header_of_other_names_is_said_and_taken_in_order(run, wanted, piped):
    code, out, err = run("Temp,Hum\n" + "\n".join(WRITTEN), piped=piped)
    assert (code, out) == (0, ["load", *wanted])
    assert err.startswith(
        "edgernn run: warning: the first line looks like a header, but no column has the name "
        "of a model input, so the columns are used in order: Temp -> temperature, Hum -> "
        "humidity. Name them with --columns\n"
    )


@PIPED
def test_a_line_of_text_that_cannot_be_a_header_is_a_bad_line(run, wanted, piped):
    text = "logger v1.2 ready\n\x00\x02~,~\n" + "\n".join(map(with_commas, WRITTEN))
    code, _, err = run(text, piped=piped)
    assert code == 2
    assert "line 1: expected a header or 2 values (temperature, humidity), got 'logger" in err
    code, out, err = run(text, "--on-bad-reading", "skip", piped=piped)
    assert (code, err) == (0, "5 readings, 2 bad (skip)\n")
    assert out == ["nan", "nan", *map(alone, wanted)]


@pytest.mark.parametrize("token", ["ERR", "NA", "-", "timeout"])
def test_a_missing_value_in_the_first_line_is_no_header(tmp_path, monkeypatch, capsys, token):
    path = named_model(tmp_path, ("level",))
    run = RunCommand(path, tmp_path, monkeypatch, capsys)
    code, out, _ = run(f"{token}\n0.5\n", "--on-bad-reading", "hold")
    assert (code, out) == (0, ["nan", *answers(path, [0.5])])


# ---------------------------------------------------------------- columns


@PIPED
@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("t,Temp,Hum\n1,20.5,48.125\n2,21,48\n3,20.75,47.5\n", "Temp,Hum"),
        ("t,Hum,Temp\n1,48.125,20.5\n2,48,21\n3,47.5,20.75\n", "Temp, Hum"),
        ("t,Hum,temperature\n1,48.125,20.5\n2,48,21\n3,47.5,20.75\n", "humidity=Hum"),
        ("t,Temp,Temp\n1,20.5,48.125\n2,21,48\n3,20.75,47.5\n", "2,3"),
        ("9:00,20.5,48.125\n9:01,21,48\n9:02,20.75,47.5\n", "2,3"),
        ('"a,b",x,c=d\n20.5,0,48.125\n21,0,48\n20.75,0,47.5\n', '"a,b",c=d'),
        (
            '{"T":20.5,"h":48.125}\n{"h":48,"T":21,"z":"text"}\n{"T":20.75,"h":47.5}\n',
            "humidity=h,temperature=T",
        ),
        ("[0,48.125,20.5]\n[0,48,21]\n[0,47.5,20.75]\n", "3,2"),
    ],
)
def test_columns_are_chosen_by_name_position_or_channel(run, wanted, text, columns, piped):
    code, out, err = run(
        text, "--columns", columns, "--output-format", "csv", piped=piped
    )  # fmt: skip
    assert (code, out[-3:]) == (0, wanted)
    assert "warning" not in err


@pytest.mark.parametrize(
    ("text", "columns", "message"),
    [
        ("a,b\n1,2\n", "a", "--columns: expected one column for each of the 2 channels"),
        ("a,b\n1,2\n", "a,,b", "--columns: expected names or positions of columns, got 'a,,b'"),
        ("a,b\n1,2\n", "temperature=a,hum=b", "--columns: expected channels among temperature, hu"),
        ("a,b\n1,2\n", "a,c", "the columns a, c, got one without c. The header has"),
        ("1,2\n", "a,b", "--columns: expected positions in a table without a header, got a, b."),
        ("1,2\n", "2,3", "line 1: expected columns 2, 3, got 2"),
    ],
)
def test_columns_that_are_not_there_are_refused(run, text, columns, message):
    code, out, err = run(text, "--columns", columns)
    assert (code, out) == (2, [])
    assert message in err


@pytest.mark.parametrize(
    ("text", "cure"),
    [
        (
            "t,Temperature,HUMIDITY\n1,2,3\n",
            "differ only in case. Pass --columns Temperature,HUMIDITY\n",
        ),
        (
            "t,a,b\n1,2,3\n",
            "The header has t, a, b. List those that feed temperature, humidity, in this",
        ),
        ("temperature\n1\n", "The header has temperature. Add the other columns."),
        ("9:00,20.5,48\n", "The numbers are in other columns. Pass --columns 2,3\n"),
        ("1,20.5,48\n", "There are 3 columns of numbers; the model reads 2 (temperature, humidity"),
    ],
)
def test_messages_give_the_cure_that_fits(run, text, cure):
    code, out, err = run(text)
    assert (code, out) == (2, [])
    assert cure in err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--delimiter", "ab"], "--delimiter: expected one character between cells"),
        (["--decimal", ";"], "--decimal: expected '.' or ',', got ';'."),
        (
            ["--decimal", ",", "--delimiter", "comma"],
            "expected a mark that differs from the delimiter",
        ),
        (["--encoding", "utf-9"], "--encoding: expected a name such as utf-8, utf-16, latin-1"),
        (["--encoding", "base64"], "--encoding: expected a name such as utf-8, utf-16, latin-1"),
        (["--give-up-after", "-1"], "--give-up-after: expected at least 0, got -1."),
    ],
)
def test_options_that_say_nothing_are_refused(run, options, message):
    code, out, err = run("1,2\n", *options)
    assert (code, out) == (2, [])
    assert message in err


# ---------------------------------------------------------------- missing values


@pytest.mark.parametrize("policy", ["hold", "skip"])
@pytest.mark.parametrize(
    "text",
    [
        "20.5,48.125\n21,\n,n/a\n20.75,47.5,1\n20.75,inf\n20.75,47.5\n",
        '[20.5,48.125]\n[21,null]\n[null,"n/a"]\n[20.75]\n[20.75,NaN]\n[20.75,47.5]\n',
        '{"temperature":20.5,"humidity":48.125}\n{"temperature":21}\n{}\n{"x":1}\n'
        '{"temperature":20.75,"humidity":true}\n{"temperature":20.75,"humidity":47.5}\n',
    ],
    ids=["cells", "lists", "objects"],
)
def test_a_cell_without_a_number_is_missing_for_its_channel_alone(run, text, policy):
    xs = [[20.5, 48.125], [21, NAN], [NAN, NAN], [NAN, NAN], [20.75, NAN], [20.75, 47.5]]
    wanted = answers(run.model_file, xs, policy)
    code, out, err = run(text, "--on-bad-reading", policy, "--output-format", "csv")
    assert (code, out[-6:]) == (0, wanted)
    assert err == f"6 readings, 4 bad ({policy})\n"
    last = [
        [20.5, 48.125],
        [21, 48.125],
        [21, 48.125],
        [21, 48.125],
        [20.75, 48.125],
        [20.75, 47.5],
    ]
    if policy == "hold":
        assert out[-6:] == answers(run.model_file, last)
