"""A bundle on emulated Raspberry Pis: installed by its own script, its smoke test passed there."""

import os
import shutil
import subprocess

import pytest

from edgernn.deploy.bundle import BundleOrder, make_bundle
from edgernn.deploy.layout import ServicePlace
from edgernn.deploy.vectors import read_vectors, write_vectors
from tests.support.arm.roots import MACHINES, make_root, python_command, run_python
from tests.support.bundles import CONFIG, DEMO, ROOT, library_wheel, program
from tests.support.native.compilers import require

#: The 32-bit one has the NumPy of Debian 12, the oldest that is accepted.
TARGETS = (pytest.param("aarch64", marks=pytest.mark.long), "armv7l")
#: Target -> processor of QEMU, and what the smoke test names.
PROCESSORS = {"aarch64": ("cortex-a72", "neon"), "armv7l": ("cortex-a7", "neon")}


@pytest.fixture(scope="module", params=TARGETS)
def machine(request):
    found = MACHINES[request.param]
    require(f"{found.triple}-gcc", found.qemu, "mmdebstrap")
    return found


@pytest.fixture(scope="module")
def bundle(machine, tmp_path_factory):
    """A bundle for one machine, with the wheel that `edgernn deploy` builds for it."""
    folder = tmp_path_factory.mktemp("bundle")
    root = make_root(machine)
    (given := folder / "given").mkdir()
    library_wheel(given, "prometheus_client", "0.26.0")
    for wheel in root.glob("numpy-*.whl"):  # the armv7l root has Debian's NumPy instead
        shutil.copy(wheel, given)
    (folder / "serve.toml").write_text(CONFIG.format(listen="127.0.0.1:8765"))
    order = BundleOrder(
        model=DEMO, config=folder / "serve.toml", name="demo", targets=(machine.target,),
        wheels=(given,), download=False,
    )  # fmt: skip
    manifest = make_bundle(order, folder / "out")
    assert manifest.offline
    return folder / "out"


def expected(machine, version):
    return [
        f"edgernn 0.1.0, Python 3.11.2, NumPy {version}, {machine.target}",
        "native (neon): 1340 numbers, all equal",
        "reference: 1340 numbers, all equal",
        "passed",
    ]


NUMPY = {"aarch64": "1.26.4", "armv7l": "1.24.2"}


@pytest.mark.slow
def test_the_smoke_test_of_a_bundle_passes_on_the_processor(machine, bundle):
    (wheel,) = bundle.glob("wheels/edgernn-*.whl")
    cpu, _ = PROCESSORS[machine.target]
    said = run_python(machine, cpu, wheel, bundle / "smoke_test.py")
    shutil.rmtree(wheel.with_suffix(""))
    assert said.splitlines() == expected(machine, NUMPY[machine.target])


@pytest.mark.long
def test_install_runs_on_the_processor_without_a_network(machine, bundle, tmp_path):
    cpu, _ = PROCESSORS[machine.target]
    command = python_command(machine, cpu)
    runner = program(tmp_path, "runner", f'exec {" ".join(map(str, command[:-1]))} "$@"')
    bare = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    done = subprocess.run(
        ["sh", bundle / "install.sh", "--prefix", tmp_path / "device", "--python", command[-1]],
        env=bare | {"EDGERNN_RUN": str(runner), "PIP_NO_INDEX": "1"},
        capture_output=True, text=True, check=False, timeout=1800,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    said = done.stdout.splitlines()
    first = next(i for i, line in enumerate(said) if line.startswith("edgernn 0.1.0"))
    assert said[first : first + 4] == expected(machine, NUMPY[machine.target])
    place = ServicePlace(name="demo", prefix=tmp_path / "device")
    assert place.model.read_bytes() == DEMO.read_bytes()
    # The installed service, and a wrong number in the vectors, which it must find.
    vectors = read_vectors(place.link / "vectors.npz")
    vectors["hold.outputs"][199] += 2.0**-40
    write_vectors(tmp_path / "wrong.npz", vectors)
    wrong = subprocess.run(
        [runner, place.python, "-m", "edgernn.deploy.smoke", place.model, tmp_path / "wrong.npz"],
        env=bare, capture_output=True, text=True, check=False, timeout=1800,
    )  # fmt: skip
    assert wrong.returncode == 1, wrong.stderr
    assert "hold.outputs[199, 0]: expected " in wrong.stdout


def test_a_bundle_finds_a_device_of_every_kind():
    """What `edgernn deploy --to` calls a machine is what the wheels are built for."""
    from edgernn.deploy.wheels import TARGETS as KNOWN

    assert set(MACHINES) < set(KNOWN)
    assert {machine.debian for machine in MACHINES.values()} < set(KNOWN.values())
    assert (ROOT / "edgernn/deploy/files/install.sh").is_file()
