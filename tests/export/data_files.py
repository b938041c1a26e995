"""Small files in the formats of the real data sets."""

import lzma

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
