"""Write recordings of a simulated motor with an MPU-6050 accelerometer on its housing.

Each line of a recording holds three raw counts of the sensor (16,384 per g) and the condition
of the motor: 0 normal, 1 imbalance, 2 looseness, 3 bearing.
"""

from __future__ import annotations

import argparse

import numpy as np

RATE = 200  # readings per second
COUNTS_PER_G = 16384
CONDITIONS = ("normal", "imbalance", "looseness", "bearing")


def vibration(condition: int, seconds: float, rng: np.random.Generator) -> np.ndarray:
    """Acceleration in g, [readings, 3], of a motor that turns about 24 times a second."""
    n = int(seconds * RATE)
    speed = rng.uniform(22, 26) + 0.3 * np.cumsum(rng.normal(0, 1 / RATE, n))
    angle = rng.uniform(0, 2 * np.pi) + 2 * np.pi * np.cumsum(speed) / RATE
    swing = rng.uniform(0.08, 0.15)
    g = np.stack([swing * np.cos(angle), swing * np.sin(angle), 1 + 0.04 * np.cos(2 * angle)], 1)
    strength = rng.uniform(0.6, 1.4)
    if condition == 1:  # more of the rotation itself, in the plane of the rotor
        g[:, 0] += 0.4 * strength * np.cos(angle + 0.5)
        g[:, 1] += 0.4 * strength * np.sin(angle + 0.5)
    elif condition == 2:  # half and double the speed, mostly vertical
        g[:, 2] += strength * (0.25 * np.cos(angle / 2) + 0.3 * np.cos(2 * angle + 1))
        g[:, 0] += 0.15 * strength * np.cos(angle / 2)
    elif condition == 3:  # a burst of high frequencies in every turn
        burst = np.maximum(0, np.cos(angle)) ** 6
        g += 0.5 * strength * burst[:, None] * rng.normal(0, 1, (n, 3))
    return g + rng.normal(0, 0.03, g.shape)


def record(path: str, seconds: float, rng: np.random.Generator) -> None:
    """Write a recording in which the condition changes every few seconds."""
    parts, labels, condition = [], [], 0
    while sum(map(len, parts)) < seconds * RATE:
        parts.append(vibration(condition, rng.uniform(1.5, 4.0), rng))
        labels.append(np.full(len(parts[-1]), condition))
        condition = (condition + int(rng.integers(1, len(CONDITIONS)))) % len(CONDITIONS)
    counts = np.clip(np.round(np.concatenate(parts) * COUNTS_PER_G), -32768, 32767)
    rows = np.column_stack([counts, np.concatenate(labels)])[: int(seconds * RATE)]
    np.savetxt(path, rows, fmt="%d", delimiter=",", header="ax,ay,az,condition", comments="")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=240, help="length of train.csv")
    options = parser.parse_args()
    generator = np.random.default_rng(11)
    record("train.csv", options.seconds, generator)
    record("test.csv", 60, generator)
