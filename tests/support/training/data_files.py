"""Small files in the formats of the real data sets."""

import lzma
import wave
from dataclasses import replace

import numpy as np

#: 40 words of two characters, and a spelling of each.
WORDS = [chr(0x0915 + n % 8) + chr(0x0915 + n // 8) for n in range(40)]
ROWS = [(f"{'abcdefgh'[n % 8]}{'ijklm'[n // 8]}", word) for n, word in enumerate(WORDS)]


def write_xz(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    with lzma.open(path, "wt", encoding="utf-8") as file:
        file.write(text)


def write_hapt(folder, labels):
    """Two experiments of 400 samples; channel c of sample n holds n + 1000 c."""
    n = np.arange(800)
    (folder / "hapt_raw").mkdir()
    np.savez(
        folder / "hapt_raw/hapt_raw_int16.npz",
        signals=np.stack([n + 1000 * c for c in range(6)]).astype(np.int16),
        experiments=np.array([[7, 2, 0, 400], [8, 5, 400, 400]], dtype=np.int32),
        labels=np.array(labels, dtype=np.int32),
        acc_scale=0.5,
        gyro_scale=0.25,
    )


def write_wav(path, pcm, rate_hz=8000, channels=1):
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(np.asarray(pcm, dtype="<i2").tobytes())


def tone(hertz, samples, amplitude=8000.0):
    """A sine as int16 samples at 8 kHz."""
    time = np.arange(samples) / 8000.0
    return np.round(amplitude * np.sin(2 * np.pi * hertz * time)).astype(np.int16)


def write_recordings(folder, indices=(0, 5, 10, 11), speakers=("ada", "bob")):
    """A tone per digit, 0.2 s and longer, the way FSDD names its files."""
    for speaker in speakers:
        for digit in range(10):
            for index in indices:
                pcm = tone(300 + 200 * digit + 5 * index, 1600 + 40 * index)
                write_wav(folder / f"fsdd/recordings/{digit}_{speaker}_{index}.wav", pcm)


def write_people(folder, subjects=(1, 3, 7, 2)):
    """HAPT: every subject does every activity for 192 samples; noise around an activity's level."""
    rng = np.random.default_rng(0)
    signals, experiments, labels = [], [], []
    for number, subject in enumerate(subjects, start=1):
        experiments.append((number, subject, len(signals) * 192, 6 * 192))
        for activity in range(6):
            level = 300 * np.eye(6)[activity]
            noise = (1 + 40 * (activity % 3)) * rng.normal(size=(192, 6))
            labels.append((number, subject, activity + 1, 192 * activity + 1, 192 * activity + 192))
            signals.append(np.round(level + noise))
    (folder / "hapt_raw").mkdir()
    np.savez(
        folder / "hapt_raw/hapt_raw_int16.npz",
        signals=np.concatenate(signals).T.astype(np.int16),
        experiments=np.array(experiments, dtype=np.int32),
        labels=np.array(labels, dtype=np.int32),
        acc_scale=1 / 720,
        gyro_scale=3e-4,
    )


def write_hours(folder, hours=14_400):
    """ETTh1: a day's wave of 5 degrees and a little noise."""
    rng = np.random.default_rng(0)
    oil = 20 + 5 * np.sin(2 * np.pi * np.arange(hours) / 24) + 0.2 * rng.normal(size=hours)
    rows = "\n".join(f"hour,{value:.3f}" for value in oil)
    write_xz(folder / "ett/ETTh1.csv.xz", f"date,OT\n{rows}\n")


def price_rows(days, seed=0):
    """Lines of Date, Open, High, Low, Close and Volume: a random walk of 1 % a day."""
    rng = np.random.default_rng(seed)
    close = 1000 * np.exp(np.cumsum(0.01 * rng.normal(size=days)))
    rows = ["Date,Open,High,Low,Close,Volume"]
    for day, price in enumerate(close):
        date = np.datetime64("2001-01-01") + day
        prices = ",".join(f"{price * share:.4f}" for share in (0.998, 1.004, 0.995, 1.0))
        rows.append(f"{date},{prices},{1_000_000 + 1000 * rng.integers(500)}")
    return rows


def write_prices(folder, days=600):
    """The S&P 500 as a random walk."""
    write_xz(folder / "index_prices/sp500.csv.xz", "\n".join(price_rows(days)) + "\n")


def write_sentences(folder, parts):
    """SST-2: lines of a label and words, by part."""
    (folder / "sst2").mkdir(exist_ok=True)
    for part, content in parts.items():
        (folder / f"sst2/stsa.binary.{part}").write_text(content, encoding="utf-8")


def write_praise(folder, count=60):
    """SST-2 with sentences in which one word decides."""
    rng = np.random.default_rng(0)
    lines = [
        f"{label} the {('bad', 'good')[label]} film " + "was long " * int(rng.integers(1, 3))
        for label in rng.integers(2, size=count)
    ]
    write_sentences(folder, dict.fromkeys(("train", "dev", "test"), "\n".join(lines)))


def few_names(count):
    """The generated names, with the first sentences of every part only."""
    from edgernn_export.datasets import name_tags

    data = name_tags()
    parts = {}
    for name in ("train", "validation", "test"):
        part = getattr(data, name)
        cut = {field: getattr(part, field)[:count] for field in ("x", "target", "base", "lengths")}
        parts[name] = replace(part, **cut)
    return replace(data, **parts, calibration_stride=2)


def write_hindi(path, words=750):
    """A text in Devanagari, in which vowel signs and the virama are characters."""
    known = ["नमस्ते", "दुनिया", "पानी", "किताब", "सड़क", "विद्यालय", "श्रीमान", "ज्ञान", "मित्र", "हिन्दी"]
    rng = np.random.default_rng(1)
    path.write_text(" ".join(known[i] for i in rng.integers(len(known), size=words)), "utf-8")


def write_words(folder, train, dev, *, word_first=False):
    """Rows of Dakshina: spellings and words, in either order."""
    for name, rows in (("train", train), ("dev", dev)):
        fields = [row[::-1] if word_first else row for row in rows]
        text = "".join(f"{a}\t{b}\t1\n" for a, b in fields)
        write_xz(folder / f"hi.translit.sampled.{name}.tsv.xz", text)
