"""Calibration as mappings of arrays, by the names of inputs or channels."""

import numpy as np
import pytest

from edgernn.errors import CalibrationError
from edgernn.model.interface import Port
from edgernn_export.calibration.streams import as_streams
from tests.support.models.float import stream

NAMES = ("a_0", "a_1", "b")
PORTS = (Port(name="a", width=2), Port(name="b", width=1))
XS = stream(50, 3)


def streams(given, ports=PORTS):
    return as_streams(given, 3, names=NAMES, ports=ports)


@pytest.mark.parametrize(
    "given",
    [
        {"a": XS[:, :2], "b": XS[:, 2:]},
        {"b": XS[:, 2], "a": XS[:, :2].tolist()},
        {"b": XS[:, 2], "a_1": XS[:, 1], "a_0": XS[:, 0]},
        [{"a": XS[:, :2], "b": XS[:, 2:]}],
    ],
    ids=["inputs", "in any order", "channels", "one stream of several"],
)
def test_they_stand_side_by_side_in_the_order_of_the_channels(given):
    (block,) = streams(given)
    np.testing.assert_array_equal(block, XS[None])


def test_a_frame_of_an_input_is_read_by_the_names_of_its_channels():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a_1": XS[:, 1], "a_0": XS[:, 0], "b": XS[:, 2]})
    for given in ({"a": frame[["a_1", "a_0"]], "b": frame[["b"]]}, {"a": frame, "b": XS[:, 2]}):
        (block,) = streams(given)
        np.testing.assert_array_equal(block, XS[None])
    with pytest.raises(CalibrationError, match="expected one column for each of a_0, a_1"):
        streams({"a": frame[["a_1", "b"]], "b": XS[:, 2]})


def test_batches_of_streams():
    both = np.stack([XS, XS[::-1]])
    (block,) = streams({"a": both[..., :2], "b": both[..., 2:]})
    np.testing.assert_array_equal(block, both)
    (block,) = streams({name: both[..., i] for i, name in enumerate(NAMES)})
    np.testing.assert_array_equal(block, both)


def test_channels_of_a_model_without_ports():
    (block,) = streams({name: XS[:, i] for i, name in enumerate(NAMES)}, ports=())
    np.testing.assert_array_equal(block, XS[None])


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"a": XS[:, :2]}, "each of the channels a_0, a_1, b or inputs a, b, got a. Pass exactly"),
        ({"a": XS[:, :2], "b": XS[:, 2], "c": 1}, "inputs a, b, got a, b, c"),
        ({"a": XS, "b": XS[:, 2]}, r"expected \[T, 2\] or \[B, T, 2\] for 'a', got shape \[50, 3"),
        ([XS[:, :2], XS[:, 2:]], r"shape \[1, 50, 2\]. .* mapping: {'a': \[T, 2\], 'b': \[T, 1\]}"),
        (
            {"a": XS[:, :2], "b": XS[:40, 2]},
            "the same number of readings for every name, got {'a': .50., 'b'",
        ),
    ],
)
def test_refusals(given, text):
    with pytest.raises(CalibrationError, match=text):
        streams(given)
