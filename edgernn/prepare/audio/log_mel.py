"""What a log-mel front end is made of: its declaration, its presets, its form in floating point."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt

from edgernn.declared import Declaration, like, one_of, read_table, setting
from edgernn.errors import DeclarationError

Reals = npt.NDArray[np.float64]

#: Transform lengths of clause 11.1.
TRANSFORMS: Final = (64, 128, 256, 512, 1024)
#: What sums of clause 11.11 can hold.
MAX_MFCC_BANDS: Final = 63
#: One octave of power in each unit.
LOGARITHMS: Final = {"db": 10.0 * math.log10(2.0), "log10": math.log10(2.0), "ln": math.log(2.0)}
_UNITS: Final = {"db": "dB", "log10": "", "ln": ""}
#: The settings that differ between libraries, by the library's name.
PRESETS: Final[Mapping[str, Mapping[str, Any]]] = {
    "torchaudio": {
        "mel": "htk", "triangles": "hz", "norm": "none", "log": "db", "reference": "power",
    },
    "tf.signal": {
        "mel": "htk", "triangles": "mel", "norm": "none", "log": "ln", "reference": "power",
        "low_hz": 125.0, "high_hz": 3800.0,
    },
    "librosa": {
        "mel": "slaney", "triangles": "hz", "norm": "slaney", "log": "db", "reference": "power",
    },
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class LogMel(Declaration):
    """How sound becomes features: one row of log-mel energies, or of MFCC, per hop.

    Row t is made of the samples hop * t to hop * t + frame - 1, so it is known when the last of
    them arrives.

    Attributes:
        rate_hz: samples per second.
        frame: samples of a frame, under a periodic window.
        hop: samples between the starts of two frames.
        fft: transform length, a power of two from 64 to 1024; 0 for the least that holds a frame.
        bands: triangular mel bands.
        low_hz: where the first band begins.
        high_hz: where the last band ends; at most half the rate.
        floor_db: power added to every band, in dB of full scale; it hides what is too quiet.
        mel: the mel scale: "htk" (2595 log10(1 + f / 700 Hz)) or "slaney".
        triangles: the axis along which the sides of a band are straight: "hz" or "mel".
        norm: "slaney" divides every band by half its width in Hz; "none".
        log: unit of the features: "db", "ln" or "log10" of the power.
        reference: power of which a feature is 0: "full_scale", a constant sample of 1.0, or
            "power", a squared magnitude of 1 of the transform of samples in [-1, 1).
        window: "hann", "hamming" or "rectangular".
        pre_emphasis: a in x[i] - a x[i-1], 0 to 1; 0 for none.
        coefficients: of an MFCC, the orthonormal DCT-II of the bands; 0 for the bands themselves.

    Raises:
        DeclarationError: settings that contradict each other; it gives all of them.
    """

    kind: ClassVar[str] = "log_mel"

    rate_hz: int = setting("samples per second", default=8000, low=1, high=1_000_000)
    frame: int = setting("samples of a frame", default=256, low=2, high=TRANSFORMS[-1])
    hop: int = setting("samples between frames", default=128, low=1, high=32_767)
    fft: int = setting("transform length", default=0, low=0, high=TRANSFORMS[-1])
    bands: int = setting("mel bands", default=20, low=1, high=256)
    low_hz: float = setting("where the first band begins", default=100.0, low=0.0, high=5e5)
    high_hz: float = setting("where the last band ends", default=4000.0, low=0.0, high=5e5)
    floor_db: float = setting("power added to bands", default=-60.0, low=-140.0, high=0.0)
    mel: str = setting("mel scale", default="htk", choices=("htk", "slaney"))
    triangles: str = setting("axis of straight sides", default="hz", choices=("hz", "mel"))
    norm: str = setting("norm of bands", default="none", choices=("none", "slaney"))
    log: str = setting("unit of features", default="db", choices=tuple(LOGARITHMS))
    reference: str = setting(
        "power of feature 0", default="full_scale", choices=("full_scale", "power")
    )
    window: str = setting("window", default="hann", choices=("hann", "hamming", "rectangular"))
    pre_emphasis: float = setting("a in x[i] - a x[i-1]", default=0.0, low=0.0, high=1.0)
    coefficients: int = setting("MFCC coefficients, 0 for none", default=0, low=0, high=256)

    def problems(self) -> Iterator[str]:
        """Settings that contradict each other, then bands without a bin or with too many."""
        reasons = [*_contradictions(self)]
        yield from reasons or _wrong_bands(self)

    @property
    def transform(self) -> int:
        """The transform length F of clause 11.1."""
        return self.fft or max(TRANSFORMS[0], 1 << (self.frame - 1).bit_length())

    @property
    def step_ms(self) -> float:
        """Time between two rows."""
        return 1000.0 * self.hop / self.rate_hz

    @property
    def width(self) -> int:
        """Features of a row."""
        return self.coefficients or self.bands

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the features."""
        kind = "mfcc" if self.coefficients else "mel"
        return tuple(f"{kind}_{index}" for index in range(self.width))

    @property
    def unit(self) -> str:
        """Unit of the features, "" for logarithms without one."""
        return _UNITS[self.log]

    def rows(self, samples: int) -> int:
        """How many rows a recording of that many samples has."""
        return max(0, 1 + (samples - self.frame) // self.hop)

    @classmethod
    def from_table(cls, table: object, where: str = "log_mel") -> LogMel:
        """Settings of a table of TOML or JSON, with `preset` for those of a library.

        Args:
            table: settings by name; `to_table` makes one.
            where: the file or table, for messages.

        Raises:
            DeclarationError: unknown names, or settings that contradict each other.
        """
        reasons: list[str] = []
        found: LogMel | None = None
        given = dict(table) if isinstance(table, Mapping) else table
        if isinstance(given, dict) and "preset" in given:
            library = given.pop("preset")
            if library not in PRESETS:
                known = one_of(PRESETS)
                reasons.append(
                    f"{where}: expected preset = {known}, got {library!r:.40}."
                    f"{like(library, PRESETS)}"
                )
            else:
                given = {**PRESETS[library], **given}
        if not reasons:
            found = read_table(cls, given, where, reasons)
        if found is None:
            raise DeclarationError(reasons)
        return found

    @classmethod
    def preset(cls, library: str, **settings: Any) -> LogMel:
        """The conventions of a library: "torchaudio", "tf.signal" or "librosa".

        Args:
            library: whose mel scale, bands, logarithm and reference are taken.
            settings: the other attributes.

        Raises:
            DeclarationError: there is no such preset, or settings contradict each other.
        """
        return cls.from_table({"preset": library, **settings})

    def float_features(self, sound: Reals) -> Reals:
        """The features in floating point, which the integer form approaches.

        Args:
            sound: float64 [N] in [-1, 1].

        Returns:
            float64 [T, width], T = `rows` (N).
        """
        if self.pre_emphasis:
            sound = sound - self.pre_emphasis * np.concatenate([[0.0], sound[:-1]])
        if len(sound) < self.frame:
            return np.empty((0, self.width))
        frames = np.lib.stride_tricks.sliding_window_view(sound, self.frame)[:: self.hop]
        window = float_window(self)
        power = np.abs(np.fft.rfft(frames * window, self.transform)) ** 2 / np.sum(window) ** 2
        bands = power @ mel_bands(self).T + 10.0 ** (self.floor_db / 10.0)
        logarithms = {"db": 10.0 * np.log10(bands), "log10": np.log10(bands), "ln": np.log(bands)}
        features: Reals = logarithms[self.log] + LOGARITHMS[self.log] * reference_octaves(self)
        return features @ dct_rows(self).T if self.coefficients else features


def _contradictions(of: LogMel) -> Iterator[str]:
    """What is wrong with settings together."""
    if of.fft and (of.fft not in TRANSFORMS or of.fft < of.frame):
        lengths = ", ".join(str(n) for n in TRANSFORMS if n >= of.frame)
        yield f"fft: expected 0 or one of {lengths}, got {of.fft}."
    if not of.low_hz < of.high_hz <= of.rate_hz / 2:
        yield (
            f"high_hz: expected more than low_hz ({of.low_hz:g}) and at most {of.rate_hz / 2:g} "
            f"Hz, half the rate, got {of.high_hz:g}."
        )
    if of.coefficients > min(of.bands, MAX_MFCC_BANDS) or (
        of.coefficients and of.bands > MAX_MFCC_BANDS
    ):
        yield (
            f"coefficients: expected at most as many as bands, and at most {MAX_MFCC_BANDS} "
            f"bands, got {of.coefficients} of {of.bands}."
        )


def _wrong_bands(of: LogMel) -> Iterator[str]:
    """Bands that contain no bin of the transform, or too many."""
    bins, edges = bin_positions(of)
    # Of the bands -1 and B too, whose sums the C code forms.
    step = (edges[1] - edges[0], edges[-1] - edges[-2])
    weights = _triangles(bins[1:-1], np.array([edges[0] - step[0], *edges, edges[-1] + step[1]]))
    weights[:, (bins[1:-1] < edges[0]) | (bins[1:-1] > edges[-1])] = 0.0
    empty = np.flatnonzero(np.rint(256 * weights[1:-1]).sum(axis=1) == 0)
    width_hz = of.rate_hz / of.transform
    if empty.size:
        yield (
            f"bands: expected a bin of {width_hz:g} Hz in every band, got none in band "
            f"{', '.join(map(str, empty[:8]))}. Use fewer bands, a higher low_hz or a longer fft."
        )
    most = float(weights.sum(axis=1).max())
    if most > 95:
        yield (
            f"bands: expected weights of at most 95 bins of {width_hz:g} Hz in every band, got "
            f"{most:.0f}. Use more bands or a shorter fft."
        )


def float_window(of: LogMel) -> Reals:
    """The periodic window, float64 [frame]."""
    cosine = np.cos(2.0 * np.pi * np.arange(of.frame) / of.frame)
    low, high = {"hann": (0.5, 0.5), "hamming": (0.54, 0.46), "rectangular": (1.0, 0.0)}[of.window]
    window: Reals = low - high * cosine
    return window


def mel_edges_hz(of: LogMel) -> Reals:
    """Where bands begin, are 1 and end, in Hz: band b at b, b + 1, b + 2; float64 [bands + 2]."""
    ends = [_mel(of, hertz) for hertz in (of.low_hz, of.high_hz)]
    mel = np.linspace(ends[0], ends[1], of.bands + 2)
    if of.mel == "htk":
        edges: Reals = 700.0 * (10.0 ** (mel / 2595.0) - 1.0)
        return edges
    slow = 200.0 * mel / 3.0
    return np.where(mel < 15.0, slow, 1000.0 * 6.4 ** ((np.maximum(mel, 15.0) - 15.0) / 27.0))


def _mel(of: LogMel, hertz: float) -> float:
    if of.mel == "htk":
        return 2595.0 * math.log10(1.0 + hertz / 700.0)
    return 3.0 * hertz / 200.0 if hertz < 1000.0 else 15.0 + 27.0 * math.log(hertz / 1e3, 6.4)


def _axis(of: LogMel, hertz: Reals) -> Reals:
    """The axis along which triangles are straight."""
    if of.triangles == "hz":
        return hertz
    return np.array([_mel(of, value) for value in hertz.tolist()])


def bin_positions(of: LogMel) -> tuple[Reals, Reals]:
    """Bins 0 to fft / 2 and the edges of bands, along the axis of the triangles."""
    return _axis(of, np.fft.rfftfreq(of.transform, 1.0 / of.rate_hz)), _axis(of, mel_edges_hz(of))


@functools.cache
def mel_bands(of: LogMel) -> Reals:
    """Triangles of height 1 over the bins of the spectrum, float64 [bands, fft // 2 + 1]."""
    return _triangles(*bin_positions(of))


def _triangles(bins: Reals, edges: Reals) -> Reals:
    low, middle, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising, falling = (bins - low) / (middle - low), (high - bins) / (high - middle)
    triangles: Reals = np.maximum(0.0, np.minimum(rising, falling))
    return triangles


def reference_octaves(of: LogMel) -> Reals:
    """Octaves of power to add to every band's level re full scale, float64 [bands]."""
    octaves = np.zeros(of.bands)
    if of.reference == "power":
        octaves += 2.0 * math.log2(float(float_window(of).sum()))
    if of.norm == "slaney":
        edges = mel_edges_hz(of)
        octaves += 1.0 - np.log2(edges[2:] - edges[:-2])
    return octaves


def dct_rows(of: LogMel) -> Reals:
    """Orthonormal DCT-II, float64 [coefficients, bands]."""
    r, b = np.arange(of.coefficients)[:, None], np.arange(of.bands)
    rows = np.sqrt(2.0 / of.bands) * np.cos(np.pi * r * (2 * b + 1) / (2 * of.bands))
    rows[0] /= math.sqrt(2.0)
    cosines: Reals = rows
    return cosines
