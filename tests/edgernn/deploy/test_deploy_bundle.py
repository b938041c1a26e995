"""What a bundle holds, and that it can be installed, updated and removed on this machine."""

import hashlib
import shutil
import subprocess
import sys
import tomllib

import pytest

from edgernn.deploy.bundle import BundleOrder, make_bundle, write_sums
from edgernn.deploy.layout import BundleManifest, ServicePlace, check_name, name_of
from edgernn.deploy.needs import EXTRAS, needs_of, refuse_standard_input, with_model_path
from edgernn.errors import DeployError
from tests.support.bundles import CONFIG, DEMO, ROOT, device_python, make_demo_bundle

FILES = {
    "README.txt", "SHA256SUMS", "edgernn-demo.service", "install.sh", "manifest.json",
    "model/model.edgernn", "model/vectors.npz", "requirements.txt", "serve.toml", "smoke_test.py",
    "uninstall.sh", "wheels/edgernn-0.1.0-py3-none-any.whl",
}  # fmt: skip


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return make_demo_bundle(tmp_path_factory.mktemp("bundle"))


def files_of(folder):
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


def test_the_bundle_holds_all_that_a_device_needs(bundle):
    names = {name for name in files_of(bundle) if not name.startswith("wheels/pip-")}
    assert names == FILES
    assert (bundle / "model/model.edgernn").read_bytes() == DEMO.read_bytes()
    manifest = BundleManifest.read(bundle / "manifest.json")
    assert (manifest.name, manifest.targets) == ("demo", ("pure",))
    assert (bundle / "requirements.txt").read_text() == "edgernn==0.1.0\n"


def test_the_sums_are_those_of_the_files(bundle):
    lines = (bundle / "SHA256SUMS").read_text().splitlines()
    found = dict(reversed(line.split("  ")) for line in lines)
    assert set(found) == files_of(bundle) - {"SHA256SUMS"}
    for name, digest in found.items():
        assert hashlib.sha256((bundle / name).read_bytes()).hexdigest() == digest


def test_the_config_leads_to_the_model_on_the_device_and_keeps_the_rest(bundle):
    text = (bundle / "serve.toml").read_text()
    own = CONFIG.format(listen="")
    assert text == own.replace('"demo"', '"/opt/edgernn/demo/model/model.edgernn"')
    assert "# inside the package" in text


def test_the_scripts_are_posix_shell(bundle):
    for name in ("install.sh", "uninstall.sh"):
        subprocess.run(["sh", "-n", bundle / name], check=True)
        assert "@" not in (bundle / name).read_text().replace('"$@"', "").replace("@system", "")


def test_the_same_order_gives_the_same_bundle(bundle, tmp_path):
    again = make_demo_bundle(tmp_path)
    assert (again / "SHA256SUMS").read_text() == (bundle / "SHA256SUMS").read_text()


def test_a_folder_with_other_files_is_not_replaced(tmp_path):
    (tmp_path / "letter.txt").write_text("mine")
    config = tmp_path / "serve.toml"
    config.write_text(CONFIG.format(listen=""))
    with pytest.raises(DeployError, match="holds other files"):
        make_bundle(BundleOrder(model=DEMO, config=config), tmp_path)


def test_extras_are_those_of_the_project():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    for name in ("mqtt", "modbus", "serial"):
        assert list(EXTRAS[name]) == extras[name]
    assert EXTRAS["prometheus"][0] in extras["serve"]


@pytest.mark.parametrize(
    ("text", "extras", "network", "devices", "processes"),
    [
        ('http = {listen = ""}', (), False, 0, False),
        ("", ("prometheus",), False, 0, False),
        ('[http]\nlisten = "0.0.0.0:80"', ("prometheus",), True, 0, False),
        ('[[source]]\nkind = "mqtt"', ("mqtt", "prometheus"), True, 0, False),
        ('[[source]]\nkind = "serial"', ("serial", "prometheus"), False, 4, False),
        ('[[source]]\nkind = "load"\n[[sink]]\nkind = "influx"', ("prometheus",), True, 0, True),
    ],
)
def test_needs_follow_from_the_kinds(text, extras, network, devices, processes):
    needs = needs_of(tomllib.loads(text))
    assert (needs.extras, needs.network) == (extras, network)
    assert (len(needs.devices), needs.processes) == (devices, processes)


@pytest.mark.parametrize(
    "text",
    [
        '[model]\npath = "a.edgernn"\n',
        "[http]\nlisten=''\n[model] # it\nbackend='auto'\n path='a' # this\n[[sink]]\npath='x'",
        '[[source]]\npath = "no"\n\n[model]\n\n# path = "old"\npath = "a"',
    ],
)
def test_the_path_of_the_model_is_replaced_and_nothing_else(text):
    found = tomllib.loads(with_model_path(text, "/new", "serve.toml"))
    wanted = tomllib.loads(text)
    assert found == wanted | {"model": wanted["model"] | {"path": "/new"}}


@pytest.mark.parametrize("text", ["", 'model = {path = "a"}', "[model]\n", '[a]\npath = "x"'])
def test_a_config_without_a_line_for_the_path_is_refused(text):
    with pytest.raises(DeployError, match=r"serve.toml, \[model\]: expected a line with the path"):
        with_model_path(text, "/new", "serve.toml")


def test_a_source_that_reads_a_pipe_is_refused():
    sources = [{"kind": "csv", "path": "in.csv"}, {"kind": "jsonl", "path": "-"}]
    refuse_standard_input({"source": sources[:1]}, "serve.toml")
    with pytest.raises(DeployError, match=r"serve.toml, \[\[source\]\] 2: .* follow = true"):
        refuse_standard_input({"source": sources}, "serve.toml")


@pytest.mark.parametrize("name", ["", "Soil", "1a", "a b", "../x", "a" * 32])
def test_names_that_are_none_are_refused(name):
    with pytest.raises(DeployError, match="--name: expected"):
        check_name(name)


def test_a_name_is_made_from_the_name_of_a_model():
    assert name_of("CO2 forecaster (v2)") == "co2-forecaster-v2"
    assert name_of("42") == ""


# ---------------------------------------------------------------- on this machine


def run(bundle, tmp, *options, script="install.sh"):
    prefix = tmp / "device"
    return subprocess.run(
        ["sh", bundle / script, "--prefix", prefix, *options],
        env=device_python(tmp), capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def device(bundle, tmp_path_factory):
    """Folder with a device on which the bundle is installed, and what the script said."""
    folder = tmp_path_factory.mktemp("installed")
    return folder, run(bundle, folder, "--python", sys.executable)


@pytest.mark.slow
def test_install_runs_the_smoke_test_and_puts_everything_in_its_place(bundle, device):
    folder, done = device
    assert done.returncode == 0, done.stderr
    assert "reference: 1340 numbers, all equal\npassed\n" in done.stdout
    place = ServicePlace(name="demo", prefix=folder / "device")
    assert place.config.read_bytes() == (bundle / "serve.toml").read_bytes()
    assert place.model.read_bytes() == DEMO.read_bytes()
    assert place.python.exists()
    assert (folder / "device/etc/systemd/system/edgernn-demo.service").is_file()


@pytest.mark.slow
def test_install_can_be_repeated_and_keeps_the_config(bundle, device):
    folder, _ = device
    place = ServicePlace(name="demo", prefix=folder / "device")
    mine = place.config.read_text() + "# mine\n"
    place.config.write_text(mine)
    stamp = place.python.parent.parent.joinpath("pyvenv.cfg").stat().st_mtime_ns
    done = run(bundle, folder, "--python", sys.executable)
    assert done.returncode == 0, done.stderr
    assert "is installed already" in done.stdout
    assert f"config: {place.config} is kept" in done.stdout
    assert place.config.read_text() == mine
    assert place.python.parent.parent.joinpath("pyvenv.cfg").stat().st_mtime_ns == stamp
    assert len(list((place.app / "releases").iterdir())) == 1


@pytest.mark.slow
def test_a_device_that_computes_other_bits_keeps_its_release(bundle, device, tmp_path):
    folder, _ = device
    place = ServicePlace(name="demo", prefix=folder / "device")
    before = (place.app / "release").readlink()
    other = shutil.copytree(bundle, tmp_path / "out")
    lines = (other / "smoke_test.py").read_text().replace("failed = False", "failed = True")
    (other / "smoke_test.py").write_text(lines)
    write_sums(other)
    done = run(other, folder, "--python", sys.executable)
    assert done.returncode == 1
    assert "Nothing was switched" in done.stderr
    assert (place.app / "release").readlink() == before


def test_a_damaged_bundle_changes_nothing(bundle, tmp_path):
    other = shutil.copytree(bundle, tmp_path / "out")
    (other / "model/model.edgernn").write_bytes(b"x")
    done = run(other, tmp_path, "--python", sys.executable)
    assert done.returncode == 1
    assert "model/model.edgernn: FAILED" in done.stderr
    assert done.stderr.endswith("got damaged or missing ones. Copy the bundle again.\n")
    assert not (tmp_path / "device").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--python", "/bin/false"], "expected Python 3.11 or newer as '/bin/false', got none."),
        (["--nonsense"], "unknown option '--nonsense'. See: sh install.sh --help"),
        (["--python"], "--python: expected a value, got none."),
    ],
)
def test_wrong_calls_of_install_are_named(bundle, tmp_path, options, message):
    done = run(bundle, tmp_path, *options)
    assert done.returncode == 1
    assert message in done.stderr


def test_an_installed_service_takes_another_model_with_its_streams(bundle):
    """The store refuses another model, so the link alone would keep the service from starting."""
    text = (bundle / "install.sh").read_text()
    keeps = text.index('exchange=yes\nelse\n    point "$app/model"')
    restart = text.index('systemctl restart "$SERVICE"')
    exchange = text.index("-P -m edgernn deploy --name")
    assert keeps < exchange < restart < text.index('switch_model\n    say "$SERVICE runs')
    assert text.count("\n    switch_model\n") == 3


def test_a_path_with_spaces_is_refused(bundle, tmp_path):
    other = shutil.copytree(bundle, tmp_path / "my bundle")
    done = run(other, tmp_path, "--python", sys.executable)
    assert done.returncode == 1
    assert "expected a folder without spaces in its path, got '" in done.stderr


def test_without_numpy_the_command_that_installs_it_is_named(bundle, tmp_path):
    environment = device_python(tmp_path)
    shutil.rmtree(tmp_path / "site")
    code = "import importlib.util, sys; sys.exit(importlib.util.find_spec('numpy') is not None)"
    bare = subprocess.run([sys.executable, "-S", "-c", code], check=False).returncode == 0
    assert bare
    runner = tmp_path / "runner"
    runner.write_text('#!/bin/sh\nprogram=$1; shift\nexec "$program" -S "$@"\n')
    done = subprocess.run(
        ["sh", bundle / "install.sh", "--prefix", tmp_path / "d", "--python", sys.executable],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "Run: sudo apt-get install python3-numpy" in done.stderr


@pytest.mark.slow
def test_uninstall_keeps_config_and_states_until_they_are_purged(device):
    folder, _ = device
    place = ServicePlace(name="demo", prefix=folder / "device")
    place.states.mkdir(parents=True)
    (place.states / "states.db").write_text("x")
    script = shutil.copy(place.app / "release/uninstall.sh", folder)
    assert script
    done = run(folder, folder, script="uninstall.sh")
    assert done.returncode == 0, done.stderr
    assert "kept:" in done.stdout
    assert files_of(folder / "device") == {
        "etc/edgernn/demo.toml", "etc/edgernn/demo.toml.new", "var/lib/edgernn/demo/states.db",
    }  # fmt: skip
    done = run(folder, folder, "--purge", script="uninstall.sh")
    assert done.returncode == 0, done.stderr
    assert files_of(folder / "device") == set()
