"""Files of tensors, read as the programs that wrote them read them."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from edgernn.errors import UnsupportedModelError
from edgernn_export.file_contents.contents import contents_of
from edgernn_export.weight_files.tensors.tensor_file import holds_tensors, read_tensors

torch = pytest.importorskip("torch")
safetensors = pytest.importorskip("safetensors")
safetensors_torch = pytest.importorskip("safetensors.torch")


def same(found, wanted):
    assert list(found) == list(wanted)
    for name, values in wanted.items():
        assert found[name].dtype == values.dtype, name
        np.testing.assert_array_equal(found[name], values, err_msg=name)


def plain(tensor):
    """A tensor as an array; NumPy has no bfloat16."""
    tensor = tensor.detach()
    return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()


TYPES = (
    torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.int8, torch.int16,
    torch.int32, torch.int64, torch.uint8, torch.bool,
)  # fmt: skip
SPECIAL = torch.tensor([0.0, -0.0, 1.5, -2.0, float("inf"), float("nan"), 3e-39, 65504.0])
TENSORS = {
    **{str(kind): (SPECIAL.nan_to_num(1, 2) if not kind.is_floating_point else SPECIAL).to(kind)
       for kind in TYPES},
    "two axes": torch.arange(6.0).reshape(2, 3),
    "scalar": torch.tensor(2.0),
    "none": torch.zeros(0, 3),
    "π/é": torch.ones(1),
}  # fmt: skip
BASE = torch.arange(24.0).reshape(4, 6)
VIEWS = {
    "transposed": BASE.T, "rows": BASE[1:3], "every second": BASE[::2, 1::2],
    "one column": BASE[:, 3], "whole": BASE, "expanded": torch.ones(1).expand(3, 4),
    "parameter": torch.nn.Parameter(BASE[2]), "tied": BASE,
}  # fmt: skip


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_state_dicts_of_torch(tmp_path, protocol):
    path = tmp_path / "a.bin"
    torch.save(TENSORS | VIEWS, path)
    wanted = torch.load(path, weights_only=True)  # which knows protocol 2 alone
    torch.save(TENSORS | VIEWS, path, pickle_protocol=protocol)
    same(read_tensors(path), {name: plain(tensor) for name, tensor in wanted.items()})


def test_modules_and_checkpoints_of_torch(tmp_path):
    module = torch.nn.Sequential(torch.nn.LSTM(3, 4), torch.nn.BatchNorm1d(4))
    optimizer = torch.optim.Adam(module.parameters())
    module[0](torch.zeros(2, 3))[0].sum().backward()
    optimizer.step()
    state = module.state_dict()
    checkpoint = {"model": state, "epoch": 3, "optimizer": optimizer.state_dict(),
                  "note": None, "losses": [0.5, torch.tensor(0.25)]}  # fmt: skip
    torch.save(state, tmp_path / "plain.pt")
    torch.save(checkpoint, tmp_path / "checkpoint.pt")
    wanted = {name: plain(tensor) for name, tensor in state.items()}
    same(read_tensors(tmp_path / "plain.pt"), wanted)
    found = read_tensors(tmp_path / "checkpoint.pt")
    same({k.removeprefix("model."): v for k, v in found.items() if k.startswith("model.")}, wanted)
    assert found["losses.1"] == 0.25
    assert "optimizer.state.0.exp_avg" in found


def test_safetensors(tmp_path):
    path = tmp_path / "a.safetensors"
    tensors = TENSORS | {name: view.clone().contiguous() for name, view in VIEWS.items()}
    safetensors_torch.save_file(tensors, path, metadata={"format": "pt"})
    wanted = safetensors_torch.load_file(path)
    found = read_tensors(path)
    same(dict(sorted(found.items())), {name: plain(wanted[name]) for name in sorted(wanted)})


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_archives_of_numpy(tmp_path, save):
    arrays = {
        "a/b": np.arange(6, dtype=np.float32).reshape(2, 3), "scalar": np.float64(3),
        "columns": np.asfortranarray(np.arange(6.0).reshape(2, 3)), "none": np.zeros((0, 2)),
        "other end": np.arange(3, dtype=">f4"), "half": np.ones(2, np.float16),
        "bytes": np.arange(3, dtype=np.uint8), "flags": np.array([True, False]),
    }  # fmt: skip
    save(tmp_path / "a.npz", **arrays)
    with np.load(tmp_path / "a.npz") as file:
        wanted = {name: file[name].astype(file[name].dtype.newbyteorder("=")) for name in file}
    same(read_tensors(tmp_path / "a.npz"), wanted)


def test_the_other_byte_order_of_torch(tmp_path):
    torch.save({"a": torch.arange(3.0)}, tmp_path / "a.pt")
    members = dict(zip_members(tmp_path / "a.pt"))
    members["a/byteorder"] = b"big"
    members["a/data/0"] = np.arange(3, dtype=">f4").tobytes()
    same(read_tensors(written(tmp_path / "b.pt", members)), {"a": np.arange(3, dtype=np.float32)})


def zip_members(path):
    with zipfile.ZipFile(path) as archive:
        return [(name, archive.read(name)) for name in archive.namelist()]


def written(path, members):
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


class Net(torch.nn.Module):
    """A class of the user's."""

    def __init__(self):
        super().__init__()
        self.rnn = torch.nn.LSTM(2, 2)


@pytest.mark.filterwarnings("ignore::UserWarning")  # of torch, about quantized tensors
@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Net(), "a whole module: "),
        ({"a": Net()}, "torch.nn.modules.rnn.LSTM"),
        ({"a": {1, 2}}, "other objects: __builtin__.set"),
        ({"a": torch.eye(2).to_sparse()}, "a sparse tensor (torch._utils._rebuild_sparse_tensor)"),
        (lambda: {"a": torch.quantize_per_tensor(BASE, 0.1, 0, torch.qint8)}, "a quantized tensor"),
        ({"a": torch.ones(2).to(torch.float8_e5m2)}, "numbers of a type that edgernn does not"),
        ({"a": torch.ones(2, dtype=torch.complex64)}, "torch.ComplexFloatStorage"),
        ({"a": torch.ones(2, device="meta")}, "a tensor without values"),
        ({"a": np.ones(2)}, "other objects: numpy"),
        ([BASE], "a dictionary of tensors, got list"),
        (BASE, "a dictionary of tensors, got one tensor"),
        ({"a": 1}, "got a dictionary without any"),
    ],
)
def test_what_is_no_state_dict(tmp_path, value, text):
    torch.save(value() if type(value) is type(written) else value, tmp_path / "a.pt")
    assert text in refused(tmp_path / "a.pt")


def refused(path):
    with pytest.raises(UnsupportedModelError) as caught:
        read_tensors(path)
    (reason,) = caught.value.reasons
    assert reason.startswith(f"{path.name}")
    assert ": expected " in reason
    assert ", got " in reason
    assert reason.endswith(".")
    return reason


def test_the_cure_for_a_whole_module_works(tmp_path):
    path, module = tmp_path / "a.pt", Net()
    torch.save(module, path)
    assert refused(path).endswith("torch.save(model.state_dict(), 'weights.pt').")
    torch.save(module.state_dict(), path)
    assert len(read_tensors(path)) == 4


def test_old_files_of_torch_and_their_cure(tmp_path):
    path = tmp_path / "a.pt"
    torch.save({"a": BASE}, path, _use_new_zipfile_serialization=False)
    assert "It is of a PyTorch before 1.6" in refused(path)
    torch.save(torch.load(path, weights_only=True), path)
    same(read_tensors(path), {"a": BASE.numpy()})


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch.jit
def test_torchscript_and_its_cure(tmp_path):
    path = tmp_path / "a.pt"
    torch.jit.script(torch.nn.Linear(2, 3)).save(path)
    assert "a TorchScript module" in refused(path)
    torch.save(torch.jit.load(path).state_dict(), path)
    assert list(read_tensors(path)) == ["weight", "bias"]


FOREIGN = {
    b"": "got an empty file",
    b"nothing of the kind": "got another file",
    b"\x89HDF\r\n\x1a\n": "got a Keras file. Pass the Keras file itself",
    b"\x80\x04\x95": "got a pickled Python object. Save the network itself",
    b"\0" * 257 + b"ustar": "got an old file of PyTorch, or another tar archive",
    b"version https://git-lfs": "git lfs pull",
    b"<html>": "got a web page",
    b"\x1f\x8b\x08": "got a gzip file",
    b"PK\x03\x04": "got a damaged one",
}


@pytest.mark.parametrize("data", FOREIGN)
def test_other_files(tmp_path, data):
    (tmp_path / "a").write_bytes(data)
    assert FOREIGN[data] in refused(tmp_path / "a")


def test_other_archives_and_no_file(tmp_path):
    assert "got a Keras file" in refused(written(tmp_path / "a", {"config.json": b"{}"}))
    assert "got another file" in refused(written(tmp_path / "b", {"c": b"{}"}))
    with pytest.raises(FileNotFoundError, match="nothing at this path"):
        read_tensors(tmp_path / "nothing")
    assert "a directory" in refused(tmp_path)
    one = io.BytesIO()
    np.save(one, np.ones(2))
    (tmp_path / "one").write_bytes(one.getvalue())
    assert "numpy.savez" in refused(tmp_path / "one")


def test_an_edgernn_file_is_told_from_safetensors():
    file = next((Path(__file__).parents[2] / "golden" / "trained").glob("*.edgernn"))
    assert "got an .edgernn file. It is quantized already" in refused(file)


def test_whose_files_are_told_apart(tmp_path):
    torch.save({"a": BASE}, tmp_path / "a.pt")
    np.savez(tmp_path / "a.npz", a=BASE.numpy())
    safetensors_torch.save_file({"a": BASE}, tmp_path / "a.safetensors")
    ours = [contents_of(tmp_path / f"a.{end}") for end in ("pt", "npz", "safetensors")]
    others = [contents_of(tmp_path), contents_of(written(tmp_path / "b", {"c": b"{}"}))]
    assert [holds_tensors(contents) for contents in (*ours, *others)] == [True] * 3 + [False] * 2
