"""Numbers of every kind give the reference's bits; the native backend takes them as they are."""

import array
import ctypes
import warnings

import numpy as np
import pytest

import edgernn
from edgernn.backends.native import NativeBackend
from edgernn.model.formats import Precision
from tests.support.models.integer import random_model
from tests.support.native.programs import require_native

pytestmark = pytest.mark.device

#: Reaches the range of an int8 without clipping, so that every kind can hold the same numbers.
MODELS = {inputs: random_model("gru_after", Precision.W8A16, inputs=inputs) for inputs in (1, 3)}
NUMBERS = np.random.default_rng(5).integers(0, 100, (40, 3))
DTYPES = "bBhHiIlLqQ?efd"


@pytest.fixture(autouse=True)
def _native():
    require_native()


def taken(model, xs, *, many):
    """What the native stream answers without help, and what the reference does."""
    stream = NativeBackend(model).new_stream()
    ys = stream.run(xs) if many else [stream.step(x) for x in xs]
    assert ys is not None
    assert not many or ys.dtype == np.float64
    return np.asarray(ys, dtype=np.float64)


def wanted(model, xs):
    return edgernn.load(model, "reference").run(np.asarray(xs, dtype=np.float64))


@pytest.mark.parametrize("form", ["plain", "fortran", "strided", "reversed", "unaligned", "view"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_arrays(dtype, form):
    xs = NUMBERS.astype(dtype)
    if form == "fortran":
        xs = np.asfortranarray(xs)
    elif form == "strided":
        xs = np.repeat(np.repeat(xs, 2, axis=0), 3, axis=1)[::2, ::3]
    elif form == "reversed":
        xs = xs[::-1, ::-1]
    elif form == "unaligned":
        shape = xs.shape
        xs = np.frombuffer(b"." + xs.tobytes(), xs.dtype, offset=1).reshape(shape)
    elif form == "view":
        xs.flags.writeable = False
    model = MODELS[3]
    assert np.array_equal(taken(model, xs, many=True), wanted(model, xs))
    assert np.array_equal(taken(model, xs, many=False), wanted(model, xs))
    assert np.array_equal(taken(model, memoryview(xs), many=True), wanted(model, xs))
    one = MODELS[1]
    assert np.array_equal(taken(one, xs[:, 0], many=True), wanted(one, xs[:, :1]))
    assert np.array_equal(taken(one, xs[:, :1], many=True), wanted(one, xs[:, :1]))
    assert np.array_equal(taken(one, [*xs[:, 0]], many=False), wanted(one, xs[:, :1]))
    assert np.array_equal(taken(one, [x.reshape(()) for x in xs[:, 0]], many=False),
                          wanted(one, xs[:, :1]))  # fmt: skip


@pytest.mark.long
def test_halves_of_every_kind_have_their_exact_value():
    model = random_model("lstm", Precision.W8A16, inputs=1)
    halves = np.arange(1 << 16).astype(np.uint16).view(np.float16)
    halves = halves[np.isfinite(halves) & (abs(halves.astype(float)) < 500)]
    assert np.array_equal(taken(model, halves, many=True), wanted(model, halves))


@pytest.mark.parametrize("dtype", ["q", "Q"])
def test_integers_beyond_doubles_are_rounded_as_numpy_does(dtype):
    info = np.iinfo(dtype)
    xs = np.array([info.max, info.min, info.max - 511, 2**53 + 1, 2**53 + 3, 1], dtype)[:, None]
    model = MODELS[1]
    scale = np.array([float(info.max) / 4000])
    spec = {"scale": scale, "offset": np.zeros(1), "names": ("x",), "units": ("",)}
    model = edgernn.IntegerModel(
        **{f: getattr(model, f) for f in model.__dataclass_fields__}
        | {"input": type(model.input)(**spec)}
    )
    assert np.array_equal(taken(model, xs, many=True), wanted(model, xs))
    assert np.array_equal(taken(model, xs.tolist(), many=True), wanted(model, xs))


SEQUENCES = {
    "floats": lambda x: [float(v) for v in x],
    "ints": lambda x: [int(v) for v in x],
    "tuple": tuple,
    "numpy scalars": lambda x: [np.float32(x[0]), np.int16(x[1]), np.uint8(x[2])],
    "mixed": lambda x: [float(x[0]), int(x[1]), np.float16(x[2])],
    "array.array of float": lambda x: array.array("f", x),
    "array.array of short": lambda x: array.array("h", x.tolist()),
    "ctypes": lambda x: (ctypes.c_double * 3)(*x.tolist()),
    "bytearray": lambda x: bytearray(x.tolist()),
    "memoryview": lambda x: memoryview(x.astype(np.float32)),
    "array": lambda x: x.astype(np.float32),
}


@pytest.mark.parametrize("kind", SEQUENCES)
def test_sequences(kind):
    model, xs = MODELS[3], [SEQUENCES[kind](x) for x in NUMBERS]
    expected = wanted(model, NUMBERS)
    assert np.array_equal(taken(model, xs, many=False), expected)
    assert np.array_equal(taken(model, xs, many=True), expected)
    assert np.array_equal(taken(model, tuple(xs), many=True), expected)


@pytest.mark.parametrize("kind", [float, int, bool, np.float32, np.int64, np.bool_, np.longdouble])
def test_scalars_of_one_channel(kind):
    model, xs = MODELS[1], [kind(v) for v in (0, 1, 1, 0)]
    expected = wanted(model, [[float(x)] for x in xs])
    assert np.array_equal(taken(model, xs, many=False), expected)
    assert np.array_equal(taken(model, xs, many=True), expected)


@pytest.mark.parametrize("make", [
    lambda: np.ma.masked_array(np.zeros(3), [0, 1, 0]), lambda: np.matrix([0.0, 0, 0]),
    lambda: np.zeros(3, ">f4"), lambda: np.zeros(3, np.longdouble), lambda: np.zeros(3, complex),
    lambda: np.zeros(3, "m8[s]"), lambda: np.zeros(3, "M8[s]"), lambda: np.zeros(3, "f4,f4"),
    lambda: np.zeros(3, "S1"), lambda: np.zeros(3, object), lambda: b"abc", lambda: "abc",
    lambda: [0.0, None, 0.0], lambda: [0.0, "1", 0.0], lambda: [0.0, [0.0], 0.0],
    lambda: [0.0, 10**400, 0.0], lambda: [np.timedelta64(1, "s")] * 3, lambda: [1j, 0, 0],
    lambda: [0.0, 0.0], lambda: np.zeros(4, np.float32), lambda: np.zeros((1, 3), np.float32),
    lambda: {0.0, 1.0, 2.0}, lambda: {"x0": 0.0}, lambda: iter([0.0] * 3), lambda: None,
    lambda: [0.0, np.nan, 0.0], lambda: np.array([0, np.inf, 0], np.float32),
])  # fmt: skip
def test_what_it_does_not_take_leaves_the_stream(make):
    stream = NativeBackend(MODELS[3]).new_stream()
    stream.step([1, 2, 3])
    before = [q.tolist() for q in (*stream.state, stream.held, stream.last)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        for ask in (stream.step, lambda x: stream.run([x]), lambda x: stream.run([[0.0] * 3, x])):
            assert ask(make()) is None
    assert [q.tolist() for q in (*stream.state, stream.held, stream.last)] == before


def test_a_list_that_shrinks_while_it_is_read():
    rows = [[0.0, 1.0, 2.0] for _ in range(50)]

    class Number(np.int64):
        def __float__(self):
            rows.clear()
            return 1.0

    rows[1] = [Number(1), 2.0, 3.0]
    stream = NativeBackend(MODELS[3]).new_stream()
    assert stream.run(rows) is None
    assert not any(q.any() for q in stream.state)
