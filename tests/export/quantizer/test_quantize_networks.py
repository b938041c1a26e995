"""Networks quantized: merges within their bound, scales by reader, what goes layer by layer."""

from dataclasses import replace

import numpy as np
import pytest

import edgernn_export
from edgernn.errors import CalibrationError, QuantizationError
from edgernn.model.interface import Window
from edgernn.model.merges import MergeOperation
from edgernn_export.calibration.statistics import head_of
from edgernn_export.float_model.float_run import run, with_softmax
from edgernn_export.float_model.model import FloatMerge
from edgernn_export.quantizer.overflow_proof import prove
from edgernn_export.quantizer.quantizer import quantize
from edgernn_export.quantizer.report import quantization_report
from edgernn_export.quantizer.sensitivity import scan
from edgernn_firmware_sim.reference.reference import Reference
from tests.support.models.float import stream
from tests.support.models.float_networks import merging_network, two_port_network, whole

pytestmark = pytest.mark.sampled(2)

PRECISIONS = ("w8a8", "w8a16")


def made(model, xs, precision="w8a8", **options):
    return quantize(model, xs, precision, progress=False, **options)


def codes_of(integer, xs):
    """What the layers of a network put out, and its input, as codes [T, N] by source."""
    every = [part for i, layer in enumerate(integer.layers) for part in whole(i, layer.units)]
    width = sum(part.width for part in every)
    names = tuple(f"v{i}" for i in range(width))
    output = replace(
        integer.output, names=names, units=("",) * width, scale=np.ones(width), ports=(),
        softmax=False,
    )  # fmt: skip
    seen = replace(integer, routes=(*integer.wiring[:-1], tuple(every)), output=output)
    q_x = integer.interface().quantize(xs)
    q_ys = Reference(seen).run(q_x[None])[0][0].astype(np.int64)
    cuts = np.cumsum([part.width for part in every])[:-1]
    return {-1: q_x.astype(np.int64)} | dict(enumerate(np.split(q_ys, cuts, axis=1)))


def real_values(integer, codes, source, start, width):
    """Real values of the elements of a part."""
    got = codes[source][:, start : start + width]
    if source == -1:
        channels = slice(start, start + width)
        return got * integer.input.scale[channels] + integer.input.offset[channels]
    return got * integer.layers[source].output_scale


@pytest.mark.parametrize("plain", [True, False], ids=["plain", "scaled"])
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("operation", MergeOperation, ids=lambda o: o.value)
def test_a_merge_stays_within_its_bound(operation, precision, plain):
    """The bound that `quantizer.merges` states, on what the merge of the integer model reads."""
    model, xs = merging_network(operation, plain=plain), stream(1500, 7)
    integer = made(model, xs, precision)
    codes = codes_of(integer, xs)
    merge, layer = integer.layers[2], model.layers[2]
    parts = integer.wiring[2]
    scale = integer.output.scale
    read = [real_values(integer, codes, p.source, p.start, p.width) for p in parts]
    real = [x * g + o for x, g, o in zip(read, layer.gain, layer.offset, strict=True)]
    errors = [
        np.abs(codes[p.source][:, p.start : p.start + p.width]) * 2.0 ** -(term.shift + 1)
        + (0.5 if not exact(term) else 0.0) + 0.5 * term.has_bias
        for p, term in zip(parts, merge.terms, strict=True)
    ]  # fmt: skip
    got = codes[2] * scale
    if operation is MergeOperation.SUM:
        wanted, bound = sum(real), sum(errors)
    elif operation is MergeOperation.PRODUCT:
        wanted = real[0] * real[1]
        scales = np.array([np.abs(t.multiplier) / 2.0**t.shift for t in merge.terms])
        a = [np.abs(codes[p.source][:, p.start : p.start + p.width] * s) + np.abs(t.bias)
             for p, s, t in zip(parts, scales, merge.terms, strict=True)]  # fmt: skip
        first, second = errors
        bound = (a[1] * first + a[0] * second + first * second) / 2.0**merge.shift + 0.5
    elif operation is MergeOperation.HYPOTENUSE:
        wanted, bound = np.hypot(*real), np.hypot(*errors) + 0.5
    else:
        largest = operation is MergeOperation.MAXIMUM
        wanted = (np.maximum if largest else np.minimum).reduce(real)
        bound = np.maximum.reduce(errors)
    away = np.abs(got - wanted) / scale
    assert (away <= bound + 1e-6).all()
    assert np.abs(wanted / scale).max() > 2000  # few codes would prove nothing


def exact(term):
    """Whether a scale changes no bit."""
    return not term.has_bias and (np.abs(term.multiplier) == 1 << term.shift).all()


def test_a_factor_keeps_its_scale():
    model, xs = merging_network(MergeOperation.PRODUCT, plain=True), stream(800, 7)
    terms = made(model, xs).layers[2].terms
    assert exact(terms[0])
    assert terms[0].shift == 14
    assert np.abs(terms[1].multiplier).max() > 1 << 14  # as many bits as int16 has


def test_offsets_together_are_off_by_half_a_code():
    model, xs = merging_network(MergeOperation.SUM), stream(800, 7)
    integer = made(model, xs)
    merge, layer, scale = integer.layers[2], model.layers[2], integer.output.scale
    offset = layer.offset.sum(axis=0) + layer.gain[2] * integer.input.offset[:6]
    biases = np.sum([term.bias.astype(int) for term in merge.terms], axis=0)
    assert (np.abs(biases - offset / scale) <= 0.5 + 1e-9).all()


@pytest.mark.parametrize(("precision", "least"), [("w8a8", 27.0), ("w8a16", 42.0)])
def test_a_network_answers_as_the_float_network(precision, least):
    model, xs = two_port_network(), stream(2500, 5)
    integer = made(model, {"a": xs[:, :3], "b": xs[:, 3:]}, precision)
    assert integer.routes == model.routes
    assert (integer.input.ports, integer.output.ports) == (model.input_ports, model.output_ports)
    assert integer.provenance.float_model_sha256 == model.sha256
    report = quantization_report(model, integer, stream(2500, 5, seed=2))
    found = {t.name: t.sqnr_db for t in report.tensors}
    assert list(found)[-2:] == ["output[level]", "output[kind]"]
    assert min(found.values()) > least
    assert {proof.name for proof in prove(integer)} >= {"level.out", "kind.out"}


def test_the_report_compares_what_the_model_puts_out():
    model, xs = two_port_network(), stream(600, 5)
    integer = made(model, xs)
    wanted, _ = run(model, xs[None])
    interface = integer.interface()
    got = interface.dequantize(Reference(integer).run(interface.quantize(xs)[None])[0])
    found = {t.name: t.sqnr_db for t in quantization_report(model, integer, xs).tensors}
    for name, columns in (("level", slice(0, 2)), ("kind", slice(2, 5))):
        signal = wanted[0, :, columns].var(axis=0).sum()
        noise = np.mean(np.square(got - wanted)[0, :, columns], axis=0).sum()
        assert found[f"output[{name}]"] == pytest.approx(10 * np.log10(signal / noise))


def test_scales_go_by_who_reads_them():
    model, xs = two_port_network(), stream(800, 5)
    scale = made(model, xs).output.scale
    assert scale[0] != scale[1]  # rows of a linear Dense that only the output reads
    assert len(set(scale[2:])) == 1  # logits are compared
    ones = np.ones((2, 2))
    merge = FloatMerge(name="m", operation=MergeOperation.SUM, gain=ones, offset=ones * 0)
    routes = (*model.routes[:5], (*whole(3, 2), *whole(3, 2)), (*whole(3, 2), *whole(5, 2)))
    read = replace(
        model, layers=(*model.layers[:5], merge),
        routes=(*routes[:6], (*whole(4, 3), *whole(3, 2), *whole(5, 2))),
        final_activation="linear", output_ports=(),
        output_names=tuple("abcdefg"), output_units=("",) * 7,
    )  # fmt: skip
    integer = made(read, xs)
    assert integer.output.scale[3] == integer.output.scale[4] == integer.layers[3].output_scale
    assert integer.output.scale[5] != integer.output.scale[6]  # those of the merge are its own


def test_windows_are_calibrated_where_the_network_answers():
    model, xs = two_port_network(), stream(900, 5)
    assert head_of(model) == {2, 3, 4}
    windowed = replace(model, steps=12, return_sequences=False)
    integer = made(windowed, xs)
    assert integer.window == Window(steps=12)
    report = quantization_report(windowed, integer, xs)
    assert report.windows is not None
    assert min(t.sqnr_db for t in report.tensors) > 25


@pytest.mark.filterwarnings("ignore:input x")
@pytest.mark.parametrize("method", ["percentile", "mse"])
def test_other_ranges(method):
    model, xs = merging_network(MergeOperation.SUM), stream(1500, 7)
    tensors = quantization_report(model, made(model, xs, range_method=method), xs).tensors
    assert tensors[-1].sqnr_db > 20


def test_a_sum_that_saturates_is_said():
    """Calibration of one kind, and a merge whose constants are far too large for it."""
    from edgernn_export.guards.saturation import saturations

    model, xs = merging_network(MergeOperation.SUM, plain=True), stream(800, 7)
    integer = made(model, xs)
    assert saturations(integer, [xs[None]]) == ()
    merge = integer.layers[2]
    terms = tuple(
        replace(term, multiplier=np.full(6, 32767, np.int16), shift=1) for term in merge.terms
    )
    loud = replace(integer, layers=(*integer.layers[:2], replace(merge, terms=terms)))
    found = saturations(loud, [xs[None]])
    assert {f.tensor.split(".")[0] for f in found} == {"m"}
    assert all("range_method" in f.cure for f in found)


def test_the_range_of_an_input_is_that_of_its_channels_without_one():
    model, xs = two_port_network(), stream(300, 5)
    own, wide = model.input_names[1], (-40, 85)
    integer = made(model, xs, input_range={"a": wide, own: (-9, 9)})
    assert integer == made(model, xs, input_range=[wide, (-9, 9), wide, None, None])
    with pytest.raises(QuantizationError, match=r"among .* or inputs among a, b, got 'c'\."):
        made(model, xs, input_range={"a": wide, "c": wide})


def test_a_merge_that_never_moves_is_refused():
    model, xs = merging_network(MergeOperation.PRODUCT, plain=True), stream(300, 7)
    still = replace(model.layers[2], gain=np.zeros((2, 6)))
    with pytest.raises(
        CalibrationError, match=r"m: expected values that change during calibration"
    ):
        made(replace(model, layers=(*model.layers[:2], still)), xs)


def test_weights_of_4_bits_are_those_of_layers_with_weights():
    model, xs = two_port_network(), stream(800, 5)
    with pytest.raises(QuantizationError, match="names among first, second, level, kind, got"):
        made(model, xs, weight_bits={"add": 4})
    found, chosen = scan(model, xs, max_loss_db=30.0, progress=False)
    assert [cost.layer for cost in found.layers] == ["first", "second", "level", "kind"]
    assert chosen.precision_label == "w4a8"
    report = quantization_report(model, made(model, xs), xs)
    assert found.wide.sqnr_db == min(t.sqnr_db for t in report.tensors[-2:])


def test_evaluate_judges_all_outputs():
    model, xs = two_port_network(), stream(1200, 5)
    integer = made(model, xs, "w8a16")
    targets = with_softmax(model, run(model, xs[None])[0])[0]
    result = edgernn_export.evaluate(integer, xs, targets, float_model=model, progress=False)
    assert result.task == "regression"  # probabilities are numbers
    assert [d.output for d in result.departures] == list(model.output_names)
    assert max(d.relative for d in result.departures) < 0.05
