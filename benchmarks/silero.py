"""The public Silero VAD network as integers: agreement with its float form on speech, and cost.

    python -m benchmarks.silero --speech FOLDER [--minutes 10] [--out FILE]

The network is a file of the package `silero-vad`. FOLDER holds the prompts that the Debian packages
asterisk-core-sounds-LANGUAGE-wav install below /usr/share/asterisk/sounds, LANGUAGE being en, fr,
es, it and ru: speech recorded with 8 kHz. Then run: python -m benchmarks.pages silero
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import warnings
import wave
from collections.abc import Sequence
from importlib.metadata import distribution
from pathlib import Path
from typing import Any, Final

import numpy as np
from scipy.signal import resample_poly

from benchmarks.pages.markdown import RESULTS, Record, store
from edgernn import Session, load
from edgernn.bench import benchmark
from edgernn.bench.machine import processor
from edgernn.errors import EdgeRnnWarning
from edgernn.model.formats import FloatArray
from edgernn.model.integer_model import IntegerModel
from edgernn_export import quantize
from edgernn_export.datasets.audio import scenes
from edgernn_export.float_model.float_run import answers
from edgernn_export.onnx_reader.reader import read_onnx
from edgernn_export.simulation import board_costs
from edgernn_firmware_sim.targets.advice import weights_bytes

RATE_HZ: Final = 16000
FRAME: Final = 512
CONTEXT: Final = 64
CALIBRATED: Final = ("en", "fr")
TESTED: Final = ("it", "es", "ru")
CORES: Final = ("cortex-m7", "cortex-m55")
#: Settings by name: precision, and how ranges are chosen.
SETTINGS: Final = {
    "w8a16, percentile": ("w8a16", "percentile"),
    "w8a16, minmax": ("w8a16", "minmax"),
    "w8a8, percentile": ("w8a8", "percentile"),
}
_SEED: Final = 5
_PROMPT_S: Final = 6
_EMULATED: Final = 300


def network_path() -> Path:
    """The network for 16 kHz that takes the frames of a stream one after another."""
    path = "silero_vad/data/silero_vad_16k_sequence.onnx"
    return Path(str(distribution("silero-vad").locate_file(path)))


def frames(samples: FloatArray) -> FloatArray:
    """What the network reads: 64 samples of the frame before, then 512, as [T, 576]."""
    rows = samples[: samples.size // FRAME * FRAME].reshape(-1, FRAME)
    before = np.vstack([np.zeros(CONTEXT), rows[:-1, -CONTEXT:]])
    return np.hstack([before, rows])


def prompts(folder: Path, language: str) -> list[Path]:
    """Recordings of a language.

    Raises:
        FileNotFoundError: there are none.
    """
    found = sorted(folder.glob(f"{language}_*/**/*.wav"))
    if not found:
        raise FileNotFoundError(
            f"{folder}: expected recordings {language}_*/**/*.wav, got none. Type: apt-get install "
            f"asterisk-core-sounds-{language}-wav"
        )
    return found


def speech(paths: Sequence[Path], seconds: int, seed: int) -> FloatArray:
    """Prompts at random levels with pauses, in white or pink noise at random distances below them.

    Levels are -36 to -14 dB of full scale, pauses 0.2 to 2.5 s, noise 0 to 40 dB less.
    """
    rng = np.random.default_rng(seed)
    pieces: list[FloatArray] = []
    while sum(piece.size for piece in pieces) < seconds * RATE_HZ:
        with wave.open(str(paths[rng.integers(len(paths))])) as file:
            codes = np.frombuffer(file.readframes(file.getnframes()), "<i2")
            clean = resample_poly(codes / 32768.0, RATE_HZ, file.getframerate())
        level = 10.0 ** (rng.uniform(-36.0, -14.0) / 20.0)
        clean = clean[: _PROMPT_S * RATE_HZ]
        said = clean / max(scenes.speech_level(clean), 1e-6) * level
        piece = np.concatenate([np.zeros(int(rng.uniform(0.2, 2.5) * RATE_HZ)), said])
        kind = ("white", "pink")[int(rng.integers(2))]
        noise = scenes.noise(kind, piece.size, rng, rate_hz=RATE_HZ)
        pieces.append(piece + noise * level * 10.0 ** (-rng.uniform(0.0, 40.0) / 20.0))
    return scenes.recorded(np.concatenate(pieces)[: seconds * RATE_HZ]) / 32768.0


def runtime_answers(path: Path, read: FloatArray) -> FloatArray:
    """What onnxruntime makes of frames [T, 576]: [T]."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    zero = np.zeros((1, 1, 128), np.float32)
    (y,) = session.run(["speech_probs"], {"input": read.astype(np.float32), "h": zero, "c": zero})
    return np.asarray(y, np.float64)


def scored(model: IntegerModel, read: FloatArray, wanted: FloatArray) -> Record:
    """How far the answers of the integer model are from those of the float network."""
    with tempfile.TemporaryDirectory() as folder, _opened(model, folder) as session:
        got = session.run(read)[:, 0]
    agree = (got > 0.5) == (wanted > 0.5)
    return {
        "frames": len(got),
        "agreeing": int(agree.sum()),
        "decided": float(np.mean(agree[np.abs(wanted - 0.5) > 0.1])),
        "mean_difference": float(np.mean(np.abs(got - wanted))),
    }


def _opened(model: IntegerModel, folder: str) -> Session:
    return load(model.save(Path(folder) / "silero.edgernn"), backend="native")


def costs(model: IntegerModel, read: FloatArray) -> Record:
    """Bytes and instructions on emulated cores, over real frames, and the time of a step here."""
    codes = model.interface().quantize(read[:_EMULATED])
    found = board_costs(model, CORES, q_xs=codes)
    timed = benchmark(model, backends=("native",), streams=1, rounds=20)
    with tempfile.TemporaryDirectory() as folder:
        size = model.save(Path(folder) / "silero.edgernn").stat().st_size
    return {
        "edgernn_bytes": size,
        "weight_bytes": weights_bytes(model),
        "state_bytes": model.state_bytes,
        "native_us": min(timing.median_us for timing in timed.timings if timing.way == "step"),
        "emulated_frames": len(codes),
        "cores": {
            cost.target: {
                "instructions": cost.instructions_per_step,
                "flash_bytes": cost.flash_bytes,
                "ram_bytes": cost.ram_bytes,
                "stack_bytes": cost.stack_bytes,
                "exact": cost.exact,
            }
            for cost in found
        },
    }


def measured(folder: Path, minutes: int) -> Record:
    """All figures.

    Args:
        folder: of the recordings.
        minutes: of speech that are tested, in all languages together.
    """
    path = network_path()
    seconds = minutes * 60 // len(TESTED)
    calibration = [frames(speech(prompts(folder, one), 60, _SEED)) for one in CALIBRATED]
    tested = {one: frames(speech(prompts(folder, one), seconds, _SEED + 1)) for one in TESTED}
    network = read_onnx(path)
    wanted = {one: runtime_answers(path, read) for one, read in tested.items()}
    first = tested[TESTED[0]]
    off = np.max(np.abs(answers(network, first[None])[0, :, 0] - wanted[TESTED[0]]))
    scores: Record = {}
    models: dict[str, IntegerModel] = {}
    silent: set[tuple[str, int, int]] = set()
    for name, (precision, ranges) in SETTINGS.items():
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", EdgeRnnWarning)
            models[name] = integer_model(network, calibration, precision, ranges)
        silent |= {found for one in caught if (found := _silent(str(one.message)))}
        scores[name] = {one: scored(models[name], tested[one], wanted[one]) for one in TESTED}
    best = next(iter(SETTINGS))
    return {
        "package": f"silero-vad {distribution('silero-vad').version}",
        "parameters": network_parameters(network),
        "float_difference": float(off),
        "speech_share": float(np.mean(np.concatenate(list(wanted.values())) > 0.5)),
        "calibration_s": 60 * len(CALIBRATED),
        "scores": scores,
        "silent": sorted(map(list, silent)),
        "processor": processor(),
        "model": best,
        "costs": costs(models[best], tested[TESTED[0]]),
    }


def _silent(warning: str) -> tuple[str, int, int] | None:
    """The layer of a warning of units that never fire, how many they are, and of how many."""
    found = re.match(r"(\S+): .* got (\d+) of (\d+) that never do", warning)
    return (found[1], int(found[2]), int(found[3])) if found else None


def network_parameters(network: Any) -> int:
    """Weights of the network as it is quantized."""
    return int(sum(layer.parameters for layer in network.layers))


def integer_model(
    network: Any, calibration: list[FloatArray], precision: Any, ranges: Any
) -> IntegerModel:
    """Sound is within ±1, whatever calibration holds."""
    return quantize(
        network, calibration, precision, range_method=ranges, progress=False,
        input_range=[(-1.0, 1.0)] * (CONTEXT + FRAME), name="silero_vad",
    )  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; 0."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.silero", description=__doc__)
    parser.add_argument("--speech", type=Path, default=Path("/usr/share/asterisk/sounds"))
    parser.add_argument("--minutes", type=int, default=10)
    parser.add_argument("--out", type=Path, default=RESULTS / "silero.json")
    args = parser.parse_args(argv)
    store(args.out, measured(args.speech, args.minutes))
    return 0


if __name__ == "__main__":
    sys.exit(main())
