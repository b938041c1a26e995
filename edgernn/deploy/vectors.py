"""Test vectors of a model: streams with the outputs that every device must reproduce."""

from __future__ import annotations

import io
import warnings
import zipfile
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import numpy.typing as npt

from edgernn.backends import BackendName
from edgernn.container.defects import FormatDefect
from edgernn.errors import ClippedReadingsWarning, DeployError, FormatError
from edgernn.model.formats import FloatArray, OperandArray
from edgernn.model.integer_model import IntegerModel
from edgernn.session.loading import load
from edgernn.session.session import Session

VectorArrays = dict[str, npt.NDArray[Any]]
#: Readings of each stream; a window or a step of several readings lengthens them.
READINGS: Final = 200
#: Share of the values that are missing, and of those that leave the calibrated range.
_BAD_SHARE: Final = 0.1
_STRAY_SHARE: Final = 0.05
_SEED: Final = 20_240_229
#: Policies under which the physical readings run.
_POLICIES: Final = ("hold", "skip")


def load_model(path: Path) -> IntegerModel:
    """The model that a service is to run.

    Raises:
        DeployError: another kind of file, or one with several programs.
        FormatError: the file breaks its format.
    """
    if path.suffix != ".edgernn":
        raise DeployError(
            f"deploy: expected an .edgernn file, got '{path.name}'. Other files need a runtime "
            "that a bundle does not contain. Deploy the .edgernn file they were exported from."
        )
    try:
        return IntegerModel.load(path)
    except FormatError as error:
        if error.defect != FormatDefect.WRONG_KIND:
            raise
        raise DeployError(
            f"deploy: expected one model, got '{path.name}' with several programs. A service runs "
            "one model."
        ) from None


def make_vectors(model: IntegerModel, backend: BackendName = "reference") -> VectorArrays:
    """Streams and what a back-end answers.

    Args:
        model: what to run.
        backend: computes the outputs.

    Returns:
        Arrays by name: ``q_xs`` codes [T, I], ``xs`` float64 [T, I] in physical units with missing
        values and values out of range, ``model_sha256``, and the answers as `answers` names them.
    """
    rng = np.random.default_rng(_SEED)
    window = 0 if model.window is None else model.window.steps + 2 * model.window.hop
    count = max(READINGS, 3 * model.step_readings) + window
    streams: VectorArrays = {
        "q_xs": _codes(model, count, rng),
        "xs": _readings(model, count, rng),
        "model_sha256": np.array(model.sha256),
    }
    return streams | answers(model, streams, backend)


def answers(
    model: IntegerModel | Path, streams: VectorArrays, backend: BackendName
) -> VectorArrays:
    """What a back-end answers to the streams of test vectors.

    Args:
        model: the model or its file.
        streams: with the arrays ``q_xs`` and ``xs``.
        backend: computes the outputs.

    Returns:
        Outputs, states and counts of each stream, by name.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ClippedReadingsWarning)
        with load(model, backend) as session:
            q_ys = session.run_codes(streams["q_xs"])
            unanswered = np.zeros(q_ys.shape, bool)
            if isinstance(q_ys, np.ma.MaskedArray):
                unanswered |= q_ys.mask
            found: VectorArrays = {
                "codes.outputs": np.where(unanswered, 0, np.asarray(q_ys)),
                "codes.unanswered": unanswered,
            } | {f"codes.{name}": q for name, q in session.state.items()}
        for policy in _POLICIES:
            with load(model, backend, on_bad_reading=policy) as session:
                found |= _readings_answered(session, streams["xs"], policy)
    return found


def differences(expected: VectorArrays, got: VectorArrays) -> list[str]:
    """One sentence for each answer that is not the same, bit for bit."""
    sentences = []
    for name, values in got.items():
        wanted = expected.get(name)
        if wanted is None or wanted.shape != values.shape:
            sentences.append(f"{name}: expected the test vectors to hold it, got none.")
            continue
        equal_nan = values.dtype.kind == "f"
        if not np.array_equal(wanted, values, equal_nan=equal_nan):
            unequal = wanted != values
            if equal_nan:
                unequal &= ~(np.isnan(wanted) & np.isnan(values))
            first = tuple(int(axis[0]) for axis in np.nonzero(unequal))
            sentences.append(
                f"{name}{list(first)}: expected {wanted[first]}, got {values[first]}; "
                f"{int(unequal.sum())} of {unequal.size} values differ."
            )
    return sentences


def _readings_answered(session: Session, xs: FloatArray, policy: str) -> VectorArrays:
    """Half of the readings one by one; the others at once, in a stream restored from bytes."""
    half = len(xs) // 2
    steps = [session.step(x) for x in xs[:half]]
    saved = session.to_bytes()
    resumed = session.new_stream()
    resumed.from_bytes(saved)
    outputs = np.concatenate([np.array(steps), resumed.run(xs[half:])])
    counts = np.array([resumed.bad_readings, *resumed.clipped_readings], np.int64)
    return {
        f"{policy}.outputs": outputs,
        f"{policy}.counts": counts,
        f"{policy}.saved": np.frombuffer(saved, np.uint8),
        f"{policy}.bytes": np.frombuffer(resumed.to_bytes(), np.uint8),
    }


def _codes(model: IntegerModel, count: int, rng: np.random.Generator) -> OperandArray:
    """Codes of the whole range, the ends among them."""
    precision = model.precision
    step = precision.input_step
    low, high = precision.input_low // step, precision.input_high // step
    codes = rng.integers(low, high + 1, (count, model.input.width)) * step
    codes[0], codes[1] = low * step, high * step
    for channel, size in enumerate(model.input.vocabulary):
        if size:
            codes[:, channel] = rng.integers(0, size, count)
    return cast("OperandArray", codes.astype(model.code_dtype))


def _readings(model: IntegerModel, count: int, rng: np.random.Generator) -> FloatArray:
    """Physical readings with gaps; the first is whole, and some leave the calibrated range."""
    precision, source = model.precision, model.input
    shape = (count, source.width)
    low = source.offset + precision.input_low * source.scale
    high = source.offset + precision.input_high * source.scale
    xs = rng.uniform(low, high, shape)
    xs += np.where(rng.random(shape) < _STRAY_SHARE, 2 * (high - low), 0)
    for channel, size in enumerate(source.vocabulary):
        if size:
            xs[:, channel] = rng.integers(0, size, count)
    bad = rng.random(shape) < _BAD_SHARE
    bad[0] = False
    return np.where(bad, rng.choice([np.nan, np.inf, -np.inf], shape), xs)


def write_vectors(path: Path, vectors: VectorArrays) -> None:
    """Write an .npz file whose bytes depend on the arrays alone."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(vectors):
            array = io.BytesIO()
            np.save(array, vectors[name], allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), array.getvalue())
    path.write_bytes(content.getvalue())


def read_vectors(path: Path) -> VectorArrays:
    """Read what `write_vectors` wrote.

    Raises:
        DeployError: there is no such file, or it is damaged.
    """
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        raise DeployError(
            f"vectors: expected test vectors in '{path}', got {reason or 'a damaged file'}. "
            "Make the bundle again with: edgernn deploy"
        ) from None
