"""The Debian package, as Debian's own tools read it."""

import dataclasses
import shutil
import subprocess
from pathlib import Path

import pytest

from edgernn.deploy.debian import write_deb
from edgernn.deploy.layout import BundleManifest
from edgernn.errors import DeployError
from tests.support.bundles import make_demo_bundle
from tests.support.native.compilers import require


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return make_demo_bundle(tmp_path_factory.mktemp("bundle"))


@pytest.fixture(scope="module")
def package(bundle, tmp_path_factory):
    return write_deb(bundle, tmp_path_factory.mktemp("deb"), "1.2")


def read(*arguments):
    require("dpkg-deb")
    done = subprocess.run(["dpkg-deb", *arguments], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_the_name_of_the_file_is_the_usual_one(package):
    assert package.endswith("/edgernn-demo_1.2_all.deb")


def test_control_says_what_the_package_is(package):
    rows = dict(
        line.split(": ", 1) for line in read("--field", package).splitlines() if line[0] != " "
    )
    assert int(rows.pop("Installed-Size")) > 1000
    assert rows == {
        "Package": "edgernn-demo", "Version": "1.2", "Architecture": "all",
        "Maintainer": "edgernn deploy <root@localhost>",
        "Depends": "python3 (>= 3.11), python3-numpy (>= 1:1.24)",
        "Section": "misc", "Priority": "optional",
        "Description": "edgernn demo: predictions from sensor readings",
    }  # fmt: skip


def test_a_model_name_adds_no_field(bundle, tmp_path):
    shutil.copytree(bundle, tmp_path / "bundle")
    file = tmp_path / "bundle" / "manifest.json"
    manifest = dataclasses.replace(BundleManifest.read(file), model_name="a\nPre-Depends: evil")
    file.write_text(manifest.to_json())
    text = read("--field", write_deb(tmp_path / "bundle", tmp_path, "1.2"))
    assert "Pre-Depends: evil" in text and "\nPre-Depends" not in text


def test_everything_belongs_to_root_and_has_a_usual_mode(package):
    for line in read("--contents", package).splitlines():
        mode, owner, _, _, _, name = line.split()
        assert owner == "root/root"
        assert mode in ("drwxr-xr-x", "-rw-r--r--", "-rwxr-xr-x")
        assert (mode == "-rwxr-xr-x") == name.endswith(".sh")
        folders = ("./etc/", "./usr/share/", "./usr/lib/")
        assert name.startswith(folders) or name in ("./", "./usr/")


def test_the_files_are_those_of_the_bundle(bundle, package, tmp_path):
    read("--extract", package, str(tmp_path))
    share = tmp_path / "usr/share/edgernn/demo"
    for path in bundle.rglob("*"):
        if path.is_file():
            assert (share / path.relative_to(bundle)).read_bytes() == path.read_bytes()
    assert (tmp_path / "etc/edgernn/demo.toml").read_bytes() == (bundle / "serve.toml").read_bytes()
    assert (tmp_path / "usr/lib/systemd/system/edgernn-demo.service").is_file()


def test_the_config_is_a_conffile_and_the_scripts_are_posix_shell(package, tmp_path):
    read("--control", package, str(tmp_path))
    assert (tmp_path / "conffiles").read_text() == "/etc/edgernn/demo.toml\n"
    for name in ("postinst", "prerm", "postrm"):
        script = tmp_path / name
        assert script.stat().st_mode & 0o777 == 0o755
        subprocess.run(["sh", "-n", script], check=True)
        assert script.read_text().startswith("#!/bin/sh\nset -e\n")
        assert "{" not in script.read_text()


def test_scripts_act_on_their_own_occasion_alone(package, tmp_path):
    """dpkg calls them on upgrades too, with other words."""
    read("--control", package, str(tmp_path))
    for name, occasion in (("postinst", "abort-upgrade"), ("prerm", "upgrade")):
        subprocess.run(["sh", tmp_path / name, occasion], check=True)


def test_the_same_bundle_at_the_same_time_gives_the_same_bytes(bundle, tmp_path, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    paths = [write_deb(bundle, tmp_path / name) for name in ("a.deb", "b.deb")]
    first, second = (Path(path).read_bytes() for path in paths)
    assert first == second
    assert read("--field", paths[0], "Version") == "0.1.0+20231114221320\n"


@pytest.mark.parametrize("version", ["v1", "1_0", "", "1 0"])
def test_a_version_that_is_none_is_refused(bundle, tmp_path, version):
    if not version:
        assert "+" in write_deb(bundle, tmp_path)
        return
    with pytest.raises(DeployError, match="--deb-version: expected"):
        write_deb(bundle, tmp_path, version)


@pytest.mark.parametrize(
    ("targets", "architecture"),
    [
        (["aarch64"], "arm64"), (["armv7l", "pure"], "armhf"), (["x86_64"], "amd64"),
        (["aarch64", "armv7l", "pure"], "all"),
    ],
)  # fmt: skip
def test_the_architecture_is_that_of_the_wheels(bundle, tmp_path, targets, architecture):
    small = tmp_path / "bundle"
    small.mkdir()
    for name in ("serve.toml", "edgernn-demo.service"):
        (small / name).write_bytes((bundle / name).read_bytes())
    manifest = BundleManifest.read(bundle / "manifest.json")
    (small / "manifest.json").write_text(
        dataclasses.replace(manifest, targets=tuple(targets)).to_json()
    )
    assert write_deb(small, tmp_path, "1").endswith(f"_1_{architecture}.deb")
