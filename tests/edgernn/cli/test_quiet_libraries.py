"""Notes of libraries on stderr. Modules of the tests take the place of TensorFlow."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.device

ROOT = Path(__file__).parents[3]
PROGRAM = """
from edgernn.cli.quiet_libraries import silence_libraries
silence_libraries()
import tensorflow
import os
os.write(2, b"after ")
"""
FINE = """
import os
os.write(2, b"note ")
class config:
    @staticmethod
    def list_physical_devices():
        os.write(2, b"devices ")
"""
BROKEN = """
import os
os.write(2, b"why it fails")
raise ImportError("no")
"""


def stderr_of(folder, module, **environment):
    (folder / "tensorflow.py").write_text(module)
    env = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], stderr=subprocess.PIPE, text=True, check=False,
        env=env | {"PYTHONPATH": f"{folder}:{ROOT}"} | environment,
    )  # fmt: skip
    return done.stderr


def test_notes_are_dropped_while_the_module_is_loaded_and_only_then(tmp_path):
    assert stderr_of(tmp_path, FINE) == "after "


@pytest.mark.parametrize(("level", "wanted"), [("0", "note after "), ("3", "after ")])
def test_a_level_that_the_user_chose_is_kept(tmp_path, level, wanted):
    assert stderr_of(tmp_path, FINE, TF_CPP_MIN_LOG_LEVEL=level) == wanted


def test_the_reason_of_a_failure_is_printed(tmp_path):
    printed = stderr_of(tmp_path, BROKEN)
    assert printed.startswith("why it fails")
    assert "ImportError: no" in printed


def test_tensorflow_itself_is_quiet():
    pytest.importorskip("tensorflow")
    env = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
    program = PROGRAM + "import keras\nassert tensorflow.__spec__.loader.is_package('tensorflow')\n"
    done = subprocess.run(
        [sys.executable, "-c", program], stderr=subprocess.PIPE, text=True, check=False,
        env=env | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.stderr == "after "
