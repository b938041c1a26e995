"""What importing the packages costs, and what it drags in."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
#: Modules that `import edgernn` may load besides NumPy's; there were 119 with importlib.metadata.
MOST_MODULES = 100
RUNTIMES = {
    "ai_edge_litert", "flatbuffers", "h5py", "keras", "matplotlib", "onnx", "onnxruntime", "optuna",
    "pandas", "rich", "sklearn", "statsmodels", "tensorflow", "tflite_runtime", "torch", "tqdm",
}  # fmt: skip

#: Layers and cells of Keras, graphs of TensorFlow, modules of PyTorch, and estimators; what is
#: above loads them on use.
GRAPHS = (
    "edgernn_export.compress.pytorch.,edgernn_export.compress.tensors.torch_functions,"
    "edgernn_export.compress.qat.,edgernn_export.sklearn_wrappers.,edgernn_export.cells.keras_cell,"
    "edgernn_export.cells.cfc_cell,edgernn_export.cells.fast_cells,edgernn_export.cells.svdf_layer,"
    "edgernn_export.cells.zoneout_cells"
)

IMPORT_EDGERNN = """
import json, sys
import numpy
before = set(sys.modules)
import edgernn
loaded = set(sys.modules) - before
print(json.dumps([len(loaded), sorted({m.partition(".")[0] for m in loaded})]))
"""

IMPORT_EVERY_MODULE = """
import importlib, json, pkgutil, sys
import numpy.random
before = set(sys.modules)
sys.path[:0] = ["", "export", "firmware_sim"]
package = importlib.import_module(sys.argv[1])
names = [m.name for m in pkgutil.walk_packages(package.__path__, sys.argv[1] + ".")]
for name in names:
    if not name.endswith("__main__") and not name.startswith(tuple(sys.argv[2].split(","))):
        importlib.import_module(name)
loaded = {m.partition(".")[0] for m in set(sys.modules) - before}
print(json.dumps([len(names), sorted(loaded)]))
"""


def fresh_interpreter(code, *arguments):
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.device
def test_import_edgernn_is_light():
    count, loaded = fresh_interpreter(IMPORT_EDGERNN)
    assert set(loaded) - sys.stdlib_module_names <= {"numpy", "edgernn"}
    assert "edgernn" in loaded
    assert count <= MOST_MODULES


@pytest.mark.parametrize("package", ["edgernn", "edgernn_firmware_sim", "edgernn_export"])
def test_no_module_loads_a_heavy_library_when_imported(package):
    count, loaded = fresh_interpreter(IMPORT_EVERY_MODULE, package, GRAPHS)
    assert count > 0
    assert RUNTIMES & set(loaded) == set()


@pytest.mark.device
def test_every_device_module_imports_on_numpy_alone():
    _, loaded = fresh_interpreter(IMPORT_EVERY_MODULE, "edgernn", GRAPHS)
    assert set(loaded) - sys.stdlib_module_names <= {"numpy", "edgernn"}
