"""The .edgernn file: round trips, equal bytes, the example of FORMAT.md, a second reader."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import os
import re
import stat
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

import edgernn
from edgernn.container.defects import FormatDefect
from edgernn.container.file import from_bytes, load, model_sha256, parsed, save, to_bytes
from edgernn.container.stored.stored_layers import options
from edgernn.errors import EdgeRnnError, FormatError, ModelError
from edgernn.model.affine import Affine8
from edgernn.model.formats import Precision
from edgernn.model.integer_model import IntegerModel, Provenance
from edgernn.model.interface import InputSpec, Window
from edgernn.model.layer_record import ScaledRecord
from edgernn.model.layers import (
    LAYERS,
    LSTM,
    DenseActivation,
    GateActivation,
)
from tests.support.container.examples import example_model, example_network, example_programs
from tests.support.container.surgery import resealed, split
from tests.support.models.integer import CELLS, random_layer, random_model

pytestmark = pytest.mark.device

FORMAT = (Path(edgernn.__file__).parent / "container" / "FORMAT.md").read_text(encoding="utf-8")

VARIANTS = [
    pytest.param(
        cell, precision, common, id=f"{cell}-{precision.value}-{'xh' if common else 'x+h'}"
    )
    for cell, precision, common in itertools.product(CELLS, Precision, (True, False))
]


def check_round_trip(model: IntegerModel) -> None:
    data = to_bytes(model)
    loaded = from_bytes(data)
    assert loaded == model
    assert to_bytes(loaded) == data


@pytest.mark.parametrize(("cell", "precision", "common"), VARIANTS)
@pytest.mark.parametrize("kind", ["tame", "hostile"])
@pytest.mark.parametrize("stack", [1, 3])
def test_round_trip(cell, precision, common, kind, stack):
    check_round_trip(random_model(cell, precision, common=common, kind=kind, stack=stack))


@pytest.mark.parametrize("precision", Precision)
def test_round_trip_without_dense_layer(precision):
    check_round_trip(random_model("lstm", precision, outputs=0, units=1, inputs=1))


@pytest.mark.parametrize("gate", GateActivation)
@pytest.mark.parametrize("cell", ["lstm", "gru_after", "gru_before"])
def test_round_trip_of_gate_activations(cell, gate):
    model = random_model(cell, gate_activation=gate)
    check_round_trip(model)
    assert from_bytes(to_bytes(model)).layers[0].gate_activation is gate


@pytest.mark.parametrize("exponent", range(10, 15))
def test_round_trip_of_cell_exponents(exponent):
    model = random_model("lstm", cell_exponent=exponent)
    check_round_trip(model)
    assert from_bytes(to_bytes(model)).states[1].format.frac_bits == exponent


@pytest.mark.parametrize("exponent", range(16))
def test_round_trip_of_relu_exponents(exponent):
    check_round_trip(random_model("simple_rnn_relu", Precision.W8A16, state_exponent=exponent))


@pytest.mark.parametrize("activation", DenseActivation)
@pytest.mark.parametrize("precision", Precision)
def test_round_trip_of_dense_activations(activation, precision):
    base = random_model("gru_after", precision, outputs=2)
    dense = random_layer(
        np.random.default_rng(5), "dense", "head", 8, 2, precision, activation=activation
    )
    check_round_trip(dataclasses.replace(base, layers=(base.layers[0], dense)))


def test_round_trip_of_awkward_texts_and_reals():
    base = random_model("gru_before", inputs=2)
    tiny, third = float.fromhex("0x0.0000000000001p-1022"), 1.0 / 3.0
    model = dataclasses.replace(
        base,
        name='δ "quoted" \\ \n\t\x00\x1f\x7f\u2028 🌡',
        input=InputSpec(
            names=("", '"],{'),
            units=("°C", "µg/m³"),
            scale=np.array([tiny, third]),
            offset=np.array([-1.7976931348623157e308, 0.1]),
        ),
        output=dataclasses.replace(base.output, softmax=True),
        provenance=Provenance(
            float_model_sha256="é" * 64,
            calibration_sha256="",
            seeds=(("z", 2**63 - 1), ("a", -(2**63))),
            versions=(("numpy", "1.26.4"), ("numpy", "twice")),
            settings=(("ranges", "percentile 99.9"),),
        ),
    )
    check_round_trip(model)


@pytest.mark.parametrize("window", [Window(steps=1), Window(steps=60), Window(steps=32767, hop=7)])
def test_round_trip_of_windows(window):
    model = dataclasses.replace(random_model("lstm"), window=window)
    check_round_trip(model)
    assert from_bytes(to_bytes(model)).window == window
    assert model.sha256 != random_model("lstm").sha256


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("precision", Precision)
def test_files_of_version_1_are_read(cell, precision):
    model = random_model(cell, precision)
    old = to_bytes(model, "1")
    assert b'"edgernn_schema":"1"' in old
    assert b"sha256" not in old.replace(b"_sha256", b"")
    assert from_bytes(old) == model


def test_equal_models_give_equal_bytes_even_for_negative_zero():
    model = random_model("lstm", inputs=2)
    plus, minus = (
        dataclasses.replace(model, input=dataclasses.replace(model.input, offset=np.array(zero)))
        for zero in ([0.0, 0.0], [-0.0, 0.0])
    )
    assert plus == minus
    assert to_bytes(plus) == to_bytes(minus)


def test_any_changed_number_changes_the_hash():
    model = random_model("lstm")
    hashes = {model_sha256(random_model("lstm", seed=seed)) for seed in range(5)}
    hashes.add(model_sha256(dataclasses.replace(model, name="other")))
    assert len(hashes) == 6
    assert model.sha256 == model_sha256(model) == hashlib.sha256(to_bytes(model, "1")).hexdigest()


def test_the_identity_does_not_depend_on_the_version_of_the_file():
    model = random_model("lstm")
    for version in ("1", "3"):
        assert from_bytes(to_bytes(model, version)).sha256 == model.sha256
    windowed = dataclasses.replace(model, window=Window(steps=3))
    assert windowed.sha256 == hashlib.sha256(to_bytes(windowed)).hexdigest()


@pytest.mark.parametrize(("cell", "precision", "common"), VARIANTS)
def test_safetensors_reads_the_same_arrays(cell, precision, common):
    model = random_model(cell, precision, common=common)
    safetensors_numpy = pytest.importorskip("safetensors.numpy", reason="device environment")
    tensors = safetensors_numpy.load(to_bytes(model))
    wanted = {
        "input/scale": model.input.scale,
        "input/offset": model.input.offset,
        "output/scale": model.output.scale,
    }
    for layer in model.layers:
        for name, affine in layer.affines.items():
            for index, term in enumerate(affine.terms):
                for field in ("weights", "multiplier", "bias", "shift"):
                    if hasattr(term, field):
                        wanted[f"{layer.name}/{name}/{index}/{field}"] = getattr(term, field)
            if isinstance(affine, Affine8):
                wanted[f"{layer.name}/{name}/bias"] = affine.bias
    assert tensors.keys() == wanted.keys()
    for name, tensor in tensors.items():
        assert tensor.dtype == wanted[name].dtype, name
        np.testing.assert_array_equal(tensor, wanted[name], err_msg=name)


def test_a_file_safetensors_wrote_is_read_only_in_canonical_spelling():
    data = to_bytes(random_model("lstm"))
    header, section = split(data)
    safetensors_numpy = pytest.importorskip("safetensors.numpy", reason="device environment")
    saved = safetensors_numpy.save(safetensors_numpy.load(data), header["__metadata__"])
    assert split(saved) == (header, section)
    rewritten = resealed(saved)
    with pytest.raises(
        FormatError, match="expected exactly the bytes that edgernn writes"
    ) as caught:
        from_bytes(rewritten)
    assert caught.value.defect == FormatDefect.NOT_CANONICAL


def test_tensors_are_aligned_to_their_element_size():
    data = to_bytes(random_model("gru_after", Precision.W8A16, inputs=3, units=5, outputs=3))
    header, section = split(data)
    assert (len(data) - len(section)) % 8 == 0
    width = {"F64": 8, "I32": 4, "I8": 1}
    for name, entry in header.items():
        if name != "__metadata__":
            assert entry["data_offsets"][0] % width[entry["dtype"]] == 0


@pytest.mark.parametrize(
    ("section", "model"),
    [("## 7 ", example_model()), ("## 8 ", example_network()), ("## 9 ", example_programs())],
)
def test_the_examples_in_format_md_are_what_is_written(section, model):
    text = FORMAT.split(section)[1].split("\n## ")[0]
    blocks = re.findall(r"```(hex|json)\n(.*?)\n```", text, re.DOTALL)
    assert [kind for kind, _ in blocks] == ["hex", "json", "hex"]
    length, header, data_section = (
        bytes.fromhex(block) if kind == "hex" else block.encode() for kind, block in blocks
    )
    data = length + header + b" " * (-len(header) % 8) + data_section
    assert data == to_bytes(model)
    assert parsed(data) == model
    assert f"{len(data):,} bytes" in text
    assert hashlib.sha256(data).hexdigest() in text


def test_format_md_lists_every_defect_and_no_other():
    table = FORMAT.split("## 6 Defects")[1].split("## 7")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == [
        defect.value for defect in sorted(FormatDefect, key=lambda d: table.index(f"`{d.value}`"))
    ]


def test_every_field_of_every_layer_is_stored():
    for kind, layer in LAYERS.items():
        fields = {field.name for field in dataclasses.fields(layer)}
        scales = {*layer.scale_shape, *(["terms"] if kind == "merge" else [])}
        own = {*layer.shape, *layer.norm_shape, *layer.tables, *layer.input_vectors, *scales}
        own |= {"unit_scales"} if issubclass(layer, ScaledRecord) else set()
        own |= {*layer.curve_shape, *layer.leak_shape, *(fields & {"wide"})}
        assert fields == {"name", "inputs", "units", "starts", *own, *options(layer)}, kind


def test_save_and_load(tmp_path):
    model = random_model("gru_after")
    path = model.save(str(tmp_path / "model.edgernn"))
    assert path == tmp_path / "model.edgernn"
    assert path.read_bytes() == to_bytes(model)
    assert IntegerModel.load(path) == load(str(path)) == model


def test_save_replaces_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "model.edgernn"
    save(random_model("lstm"), path)
    save(random_model("gru_after"), path)
    assert load(path) == random_model("gru_after")
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["nowhere/m.edgernn", ""])
def test_save_needs_a_name_in_an_existing_folder(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    wanted = f"save: expected a file name in an existing folder, got '{name}'. Create the folder"
    with pytest.raises(EdgeRnnError, match=wanted):
        random_model("lstm").save(name)


def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    path = save(random_model("lstm"), tmp_path / "model.edgernn")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(EdgeRnnError, match=r"got '.*' \(No space left on device\)\. Nothing"):
        save(random_model("gru_after"), path)
    assert load(path) == random_model("lstm")
    assert list(tmp_path.iterdir()) == [path]


def test_a_saved_file_follows_the_umask(tmp_path):
    path = save(random_model("lstm"), tmp_path / "model.edgernn")
    other = tmp_path / "other"
    other.touch()
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(other.stat().st_mode)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OddLayer(LSTM):
    """A record with an option no file can hold."""

    kind: ClassVar[str] = "odd"
    rates: tuple[float, ...]


def test_an_option_of_another_type_is_refused_by_name():
    with pytest.raises(ModelError, match=r"^odd\.rates: expected an option of type int, .*tuple"):
        options(OddLayer)
