"""Small files in the formats of the real data sets."""

import lzma
import wave

import numpy as np


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
