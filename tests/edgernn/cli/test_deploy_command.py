"""`edgernn deploy` from its arguments to files, messages and exit codes."""

import json
import shutil

import pytest

from edgernn.cli import main
from edgernn.deploy.layout import BundleManifest
from tests.support.bundles import CONFIG, DEMO, program, quick_wheel


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A folder with a model, a config and a wheel."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(DEMO, "m.edgernn")
    (tmp_path / "serve.toml").write_text(CONFIG.format(listen=""))
    (tmp_path / "wheels").mkdir()
    quick_wheel(tmp_path / "wheels")
    return tmp_path


MAKE = ["deploy", "m.edgernn", "--config", "serve.toml", "--wheels", "wheels", "--target", "pure"]


def test_a_bundle_and_a_package_come_from_one_call(files, capsys):
    assert main([*MAKE, "--bundle", "out", "--deb", ".", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["manifest"]["name"] == "co2-forecaster"
    assert record["bundle"] == "out"
    assert (files / record["deb"]).is_file()
    manifest = BundleManifest.read(files / "out/manifest.json")
    assert json.loads(json.dumps(record["manifest"]))["model_sha256"] == manifest.model_sha256


def test_the_next_step_is_named(files, capsys):
    assert main([*MAKE, "--bundle", "out", "--name", "soil"]) == 0
    assert capsys.readouterr().out == "out: copy it to the device and run: sudo sh install.sh\n"
    assert (files / "out/edgernn-soil.service").is_file()


def test_a_device_gets_the_wheels_that_fit_it(files, capsys, monkeypatch):
    answers = [
        '*uname*) printf "armv6l\\n32 3 11\\n0\\n" ;;',
        '*mktemp*) cat > "$HERE/sent"; echo /x ;;',
        '*install.sh*) echo "$2" ;;',
    ]
    program(files / "bin", "ssh", "\n".join(['case "$2" in', *answers, "esac"]))
    monkeypatch.setenv("PATH", f"{files}/bin:/usr/bin:/bin")
    monkeypatch.setenv("HERE", str(files))
    command = [word for word in MAKE if word not in ("--target", "pure")]
    assert main([*command, "--to", "pi@zero"]) == 0
    said = capsys.readouterr()
    assert "pi@zero: pure, Python 3.11" in said.err
    assert "sh /x/install.sh" in said.out
    assert (files / "sent").stat().st_size > 100_000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (MAKE, "expected --bundle, --deb or --to with --config, got none of them."),
        (["deploy", "m.edgernn", "--bundle", "out"], "expected --config with --bundle or --deb"),
        (["deploy", "--config", "serve.toml", "--bundle", "out"], "expected one model, got none"),
        ([*MAKE[:-1], "armv8", "--bundle", "o"], "expected aarch64, armv7l, x86_64, pure, got 'ar"),
        (["deploy", "m.edgernn", "--to", "pi"], "expected --name with the name of the service"),
        (["deploy", "m.edgernn", "--prefix", "none"], "expected one installed service, got none."),
        ([*MAKE, "--bundle", "out", "--name", "A"], "--name: expected lower-case letters"),
        ([*MAKE[:3], "no.toml", "--bundle", "out"], "got No such file or directory ('no.toml')"),
        ([*MAKE[:4], "--bundle", "out", "--no-download", "--target", "sparc"], "got 'sparc'"),
    ],
)
def test_wrong_calls_end_in_a_sentence(files, capsys, arguments, message):
    assert main(arguments) == 2
    assert message in capsys.readouterr().err


def test_a_config_that_is_no_toml_is_named(files, capsys):
    (files / "serve.toml").write_text("[model\n")
    assert main([*MAKE, "--bundle", "out"]) == 2
    assert "serve.toml: expected TOML, got a file that is not" in capsys.readouterr().err
    assert not (files / "out").exists()


def test_without_a_clone_the_wheels_are_asked_for(files, capsys, monkeypatch):
    from edgernn import install

    monkeypatch.setattr(
        "edgernn.deploy.wheels.find_installation",
        lambda: install.Installation(kind="index", source=""),
    )
    (files / "wheels" / "edgernn-0.1.0-py3-none-any.whl").unlink()
    assert main([*MAKE, "--bundle", "out"]) == 2
    assert "expected a wheel of edgernn for pure, got none." in capsys.readouterr().err


@pytest.mark.slow
def test_a_missing_cross_compiler_is_named(files, capsys, monkeypatch):
    monkeypatch.setenv("PATH", "")
    command = [word if word != "pure" else "aarch64" for word in MAKE]
    assert main([*command, "--bundle", "out"]) == 2
    assert "to build the wheel for aarch64, got an error: " in capsys.readouterr().err
