"""docs/results/silero.md."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.pages.markdown import Record, generated, joined, paragraph, table

#: Names of the languages.
_LANGUAGES = {"it": "Italian", "es": "Spanish", "ru": "Russian"}
_CORES = {"cortex-m7": "Cortex-M7", "cortex-m55": "Cortex-M55"}
#: A frame of 512 samples at 16 kHz.
_FRAME_MS = 32


def page(record: Record) -> str:
    """The whole page."""
    costs = record["costs"]
    best = record["scores"][record["model"]]
    frames = sum(found["frames"] for found in best.values())
    agreeing = sum(found["agreeing"] for found in best.values())
    return joined(
        [
            "# The Silero VAD network",
            paragraph(
                "This page measures a public network as an integer model: Silero VAD, which tells"
                "  for every frame of 32 ms whether someone speaks. The file "
                f"`silero_vad_16k_sequence.onnx` of the package {record['package']} (MIT license) "
                "is quantized directly, without training. [ONNX models]"
                "(../guides/from-onnx.md#sound-in-frames) shows how."
            ),
            generated(
                "silero",
                again="To measure again, install the Debian packages that the module names and "
                "run: `python -m benchmarks.silero`",
            ),
            "## Agreement with the float network",
            paragraph(
                f"In `{_setting(record['model'])}`, {agreeing:,} of {frames:,} frames "
                f"({agreeing / frames:.2%}) are on the same side of the threshold 0.5 as ONNX "
                "Runtime's answers from the same file. The float network as edgernn reads it "
                f"differs from them by {record['float_difference']:.1e} at most."
            ),
            table(
                ["setting", *(f"{name}" for name in _LANGUAGES.values()), "all", "clear cases",
                 "mean difference"],
                [_row(name, scores) for name, scores in record["scores"].items()],
            ),
            paragraph(
                "*Clear cases* are frames whose float probability is at least 0.1 away from the "
                "threshold. The mean difference is that of the probabilities. The speech consists "
                "of prompts of the Asterisk telephone system, which Debian distributes: recorded "
                "at 8 kHz, at levels of -36 to -14 dB of full scale, with pauses, in white or pink "
                f"noise that is 0 to 40 dB weaker. {record['speech_share']:.0%} of the frames are "
                f"speech. Calibration is {record['calibration_s']} seconds of other speakers, in "
                "English and French."
            ),
            paragraph(
                "`w8a8` is not enough for this network. It has a magnitude spectrum inside, whose "
                "quiet parts matter as much as the loud ones, and 8 bits do not hold both."
            ),
            "## Cost",
            paragraph(
                f"The model has {record['parameters']:,} weights: {costs['weight_bytes']:,} bytes, "
                "some of them twice, for the ends of a frame. That makes "
                f"a file of {costs['edgernn_bytes']:,} bytes, and {costs['state_bytes']} bytes of "
                "state. One frame, on emulated cores. Flash and RAM include code, weights, state "
                "and stack."
            ),
            table(
                ["core", "instructions per frame", "flash, bytes", "RAM, bytes", "of it stack"],
                [
                    [_CORES[name], f"{core['instructions']:,}", f"{core['flash_bytes']:,}",
                     f"{core['ram_bytes']:,}", f"{core['stack_bytes']:,}"]
                    for name, core in costs["cores"].items()
                ],
            ),
            paragraph(
                f"On both cores, all outputs and states of {costs['emulated_frames']} frames of "
                "speech equal those of the reference. The native back-end needs "
                f"{costs['native_us']:.0f} µs per frame on {record['processor']}, "
                f"{costs['native_us'] / 10 / _FRAME_MS:.2f}% of the time in which it is spoken."
            ),
            "## What differs",
            paragraph(
                "The magnitudes √(re² + im²) are computed as hypotenuses (NUMERICS.md 7.10), which "
                "are exact to half a code. Squares of 16 bits would lose everything that is more "
                "than 43 dB quieter than the loudest sound."
            ),
            paragraph(_silent(record["silent"])),
            paragraph(
                "The package has further files. `silero_vad.onnx`, `silero_vad_16k_op15.onnx` and "
                "`silero_vad_openvino_16k.onnx` take one frame and the state per call. They are "
                "read with `input_values={'sr': 16000}` and "
                "`input_shapes={'input': (1, 576)}` where they leave that open, and hold the same "
                "weights: the integer model is the same. With 8000 and 288, `silero_vad.onnx` is "
                "the network for 8 kHz. `silero_vad_half.onnx` is read too, and holds other "
                "weights. As edgernn reads them, all of these differ from ONNX Runtime by 2e-07 "
                "at most, in noise. "
                "`silero_vad_op18_ifless.onnx` writes its LSTM out as matrices and gates of a "
                "state that is an input; edgernn refuses it. `silero_vad_16k.safetensors` holds "
                "other weights, too."
            ),
        ]
    )  # fmt: skip


def _setting(name: str) -> str:
    return name.split(",")[0]


def _row(name: str, scores: Record) -> list[str]:
    frames = sum(found["frames"] for found in scores.values())
    means = [scores[one] for one in _LANGUAGES]
    every = sum(found["agreeing"] for found in means) / frames
    return [
        name,
        *(f"{found['agreeing'] / found['frames']:.2%}" for found in means),
        f"{every:.2%}",
        f"{_mean([found['decided'] for found in means]):.2%}",
        f"{_mean([found['mean_difference'] for found in means]):.4f}",
    ]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _silent(units: Record) -> str:
    """What is said of units that were left out."""
    told = ", ".join(f"{count} of {whole} of `{layer}`" for layer, count, whole in units)
    return (
        f"Units of two layers never fire in speech or noise, and have very large weights: {told}. "
        "They are always 0 in the integer model. `quantize` warns about them."
    )
