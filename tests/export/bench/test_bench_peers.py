"""Peers of the benchmark: the float network and stock conversions, compared, then timed."""

import csv
import json

import numpy as np
import pytest
import torch

from edgernn.bench import BenchLimits, Benchmark, benchmark
from edgernn.bench.probe import Probe
from edgernn.errors import EdgeRnnError
from edgernn.model.interface import Window
from edgernn_export.bench.model_files import write_float
from edgernn_export.bench.onnx_steps import BoundStep, open_session, quantize_dynamic
from edgernn_export.bench.step_network import reason_against, state_name
from edgernn_export.float_model.float_run import answers
from edgernn_export.networks.front_door import read_one_stream
from edgernn_export.writers.onnx.float_operators import write_onnx_float
from tests.support.models.float import float_model, stream

pytestmark = pytest.mark.tf


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A network of all stock layers with a softmax, its integer model, and a table with classes."""
    import keras

    from edgernn_export import quantize

    made = tmp_path_factory.mktemp("bench")
    keras.utils.set_random_seed(5)
    network = keras.Sequential(
        [
            keras.Input((None, 2)),
            keras.layers.LSTM(6, return_sequences=True, bias_initializer="normal"),
            keras.layers.GRU(
                5, return_sequences=True, reset_after=False, recurrent_activation="hard_sigmoid"
            ),
            keras.layers.SimpleRNN(4, return_sequences=True, use_bias=False, activation="relu"),
            keras.layers.Dense(4, activation="tanh"),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )
    network.save(made / "net.keras")
    xs = np.random.default_rng(0).normal(size=(400, 2))
    model = quantize(made / "net.keras", calibration=xs, input_names=["a", "b"])
    model.save(made / "net.edgernn")
    classes = np.asarray(network(xs[None, :120]))[0].argmax(axis=1)
    with (made / "data.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["a", "b", "state"])
        rows.writerows([*x, k] for x, k in zip(xs[:120], classes, strict=True))
    return made


@pytest.fixture(scope="module")
def found(folder) -> Benchmark:
    return benchmark(
        folder / "net.edgernn",
        float_model=folder / "net.keras",
        peers=True,
        data=folder / "data.csv",
        streams=1,
        rounds=2,
        limits=BenchLimits(min_kept=50, max_kb=100),
        evaluate={"data": str(folder / "data.csv"), "target": ["state"]},
    )


class Recurrent(torch.nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.rnn = torch.nn.GRU(2, 5, batch_first=True)

    def forward(self, x):
        return self.rnn(x)[0]


@pytest.mark.filterwarnings("ignore::edgernn.errors.StreamKindWarning")  # states are inputs
def test_a_module_becomes_a_file(tmp_path):
    """For the processes that run it."""
    module = Recurrent().eval()
    xs = np.random.default_rng(0).normal(size=(60, 2))
    Probe(xs=xs, ys=xs).save(tmp_path / "probe.npz")
    path = write_float(module, {}, tmp_path / "probe.npz", tmp_path)
    with torch.no_grad():
        wanted = module(torch.tensor(xs[None], dtype=torch.float32)).numpy()
    np.testing.assert_allclose(answers(read_one_stream(path), xs[None]), wanted, atol=1e-6)


@pytest.mark.long
@pytest.mark.parametrize("way", ["a module", "weights with a layout"])
def test_the_float_network_may_come_from_elsewhere(way, tmp_path):
    from edgernn_export import quantize, torch_layout

    module = Recurrent().eval()
    xs = np.random.default_rng(0).normal(size=(300, 2))
    quantize(module, xs, "w8a16", progress=False).save(tmp_path / "m.edgernn")
    network, options = module, {}
    if way != "a module":
        network = tmp_path / "w.npz"
        np.savez(network, **{name: one.numpy() for name, one in module.state_dict().items()})
        options = {"layout": torch_layout([{"GRU": "rnn"}])}
    found = benchmark(
        tmp_path / "m.edgernn", float_model=network, backends=["native"], streams=1, rounds=1,
        **options,
    )  # fmt: skip
    assert 0.0 < found.timings[0].departure < 0.01


def peers(found):
    return {(t.program, t.form, t.way): t for t in found.timings if not t.exact}


def test_float_peers_compute_the_float_network(found):
    floats = {label: t for label, t in peers(found).items() if label[1] == "float32"}
    programs = {label[0] for label in floats}
    assert programs == {"keras", "tflite-runtime", "ai-edge-litert", "onnxruntime"}
    assert {label: t.departure < 1e-5 for label, t in floats.items()} == dict.fromkeys(floats, True)


def test_conversions_have_an_error_and_are_timed(found):
    int8 = {label: t for label, t in peers(found).items() if label[1].startswith("int8")}
    assert {label[:2] for label in int8} >= {
        ("tflite-runtime", "int8, converter"),
        ("ai-edge-litert", "int8, converter"),
        ("onnxruntime", "int8, quantize_dynamic"),
    }
    assert all(0 < t.departure < 1 and t.median_us > 0 for t in int8.values())
    dynamic = int8["onnxruntime", "int8, quantize_dynamic", "bare"]
    assert "DynamicQuantizeLSTM" in dynamic.note


def test_our_backends_stand_first_with_the_error_of_the_integer_model(found):
    exact = [timing.exact for timing in found.timings]
    assert exact == sorted(exact, reverse=True)
    ways = {(timing.program, timing.way) for timing in found.timings if timing.exact}
    runtimes = ("tflite-runtime", "ai-edge-litert", "onnxruntime")
    assert ways >= {(program, way) for program in runtimes for way in ("step", "codes")}
    shares = {timing.departure for timing in found.timings if timing.exact}
    assert len(shares) == 1
    assert 0 < shares.pop() < 0.2


def test_sizes_name_the_formats_of_peers(found, folder):
    sizes = {size.name: size for size in found.sizes}
    assert {".edgernn", ".tflite", ".onnx", ".tflite, float step", ".onnx, float operators"} <= {
        *sizes
    }
    weights = 4 * 24 * 9 + 3 * 5 * 12 + 4 * (5 + 4) + 4 * 5 + 3 * 5
    keras_file = sizes[".keras, without optimizer"]
    assert weights < keras_file.bytes <= (folder / "net.keras").stat().st_size


def test_accuracy_that_is_kept_is_held_against_the_limit(found):
    kept = next(check for check in found.checks if check.what == "accuracy kept")
    assert found.accuracy["metric"] == "accuracy"
    # The targets are the float network's own classes: it is right everywhere.
    assert kept.measured == pytest.approx(100 * found.accuracy["kept"])
    assert 50 <= kept.measured <= 100
    assert found.passed


def test_the_record_is_json_and_the_picture_repeats(found, tmp_path):
    record = json.loads(found.to_json())
    assert record["accuracy"]["kept"] == found.accuracy["kept"]
    first, second = (found.plot(tmp_path / f"{k}.png").read_bytes() for k in range(2))
    assert first == second
    assert first.startswith(b"\x89PNG")


def test_networks_without_a_stock_step_say_why():
    plain = float_model("lstm")
    assert reason_against(plain) == ""
    assert "window" in reason_against(plain, Window(steps=4))
    assert [state_name(k) for k in (2, 10)] == sorted(state_name(k) for k in (10, 2))


def test_bound_steps_go_on_where_a_run_would(tmp_path):
    model = float_model("lstm", inputs=3, units=5, outputs=2)
    (tmp_path / "f.onnx").write_bytes(write_onnx_float(model))
    xs = stream(9, 3).astype(np.float32)
    bound = BoundStep(open_session(tmp_path / "f.onnx"))
    by_run = bound.run(xs, bound.zero_state())
    fresh = BoundStep(open_session(tmp_path / "f.onnx"))
    np.testing.assert_array_equal(np.stack([fresh.next(x) for x in xs]), by_run)
    np.testing.assert_array_equal(fresh.run(xs, fresh.zero_state()), by_run)
    np.testing.assert_allclose(by_run, answers(model, xs[None].astype(float))[0], atol=1e-6)
    assert quantize_dynamic(tmp_path / "f.onnx", tmp_path / "q.onnx") == {
        "DynamicQuantizeLSTM": 1, "MatMulInteger": 1,
    }  # fmt: skip


def test_limits_on_accuracy_need_a_float_network_and_targets(folder):
    with pytest.raises(EdgeRnnError, match="got no test data"):
        benchmark(
            folder / "net.edgernn",
            float_model=folder / "net.keras",
            limits=BenchLimits(min_kept=90),
        )
