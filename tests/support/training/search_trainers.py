"""A task for searches that takes milliseconds: random networks, scored by their size."""

from __future__ import annotations

import itertools
import os
import time
from dataclasses import dataclass, fields
from pathlib import Path

from edgernn.model.formats import Precision
from edgernn_export.float_model.model import FloatModel
from edgernn_export.search import Cost, Limits, Settings, Space, find_hardware
from edgernn_firmware_sim.targets.advice import weights_bytes
from tests.support.models.float import float_model, stream

CELLS = {"SimpleRNN": "simple_rnn", "GRU": "gru_after", "LSTM": "lstm"}
SPACE = Space(
    cells=("SimpleRNN", "GRU"),
    units=(4, 12, 4),
    layers=(1,),
    precisions=("w8a8", "w8a16"),
    densities=(1.0,),
)


class Net(FloatModel):
    """A float model that can be saved as Keras models can."""

    def save(self, path):
        Path(path).write_text(self.sha256, encoding="ascii")


@dataclass(frozen=True, kw_only=True)
class TinyTrainer:
    """More multiply-accumulates and 16-bit operands score better; nothing is trained."""

    seed: int = 0
    metric: str = "accuracy"
    rising: bool = True
    labels = {"input_names": ["a", "b"], "output_units": ["V"]}  # noqa: RUF012

    @property
    def identity(self):
        return {"recipe": "tiny", "seed": self.seed}

    def calibration(self):
        return stream(80, 2)[None]

    def network(self, configuration):
        model = float_model(
            CELLS[configuration.cell],
            inputs=2,
            outputs=1,
            units=configuration.units,
            stack=configuration.layers,
            seed=self.seed,
        )
        return Net(**{f.name: getattr(model, f.name) for f in fields(model) if f.init})

    def train(self, configuration, pattern):
        return self.network(configuration)

    def evaluate(self, model, part):
        wide = model.precision is Precision.W8A16
        return 1 - 10 / model.macs + 0.01 * wide - 0.1 * (part == "test")


@dataclass(frozen=True, kw_only=True)
class StuckTrainer(TinyTrainer):
    """Gets stuck once a number of configurations is trained; a file of its process says so."""

    folder: Path
    after: int

    def train(self, configuration, pattern):
        if self._begun() > self.after:
            being_written = self.folder / f"label-{os.getpid()}"
            being_written.write_text(configuration.label, encoding="ascii")
            being_written.rename(self.folder / f"stuck-{os.getpid()}")
            time.sleep(120)
        return super().train(configuration, pattern)

    def _begun(self):
        """How many trainings have begun in all processes, this one among them."""
        for number in itertools.count(1):
            try:
                (self.folder / f"begun-{number}").touch(exist_ok=False)
            except FileExistsError:
                continue
            return number
        return None


def priced(model, place, steps=0):
    """A cost without compilers, by what the model file says."""
    return Cost(
        flash_bytes=2000 + weights_bytes(model),
        ram_bytes=100 + model.state_bytes,
        instructions=5 * model.macs,
        low_ms=0.001 * model.macs,
        high_ms=0.002 * model.macs,
    )


def tiny_settings(folder, **changes):
    """A search of the tiny task in a folder."""
    given = {
        "trainer": TinyTrainer(),
        "space": SPACE,
        "limits": Limits(),
        "place": find_hardware("cortex-m0"),
        "study": folder / "s.db",
        "trials": 6,
    }
    return Settings(**(given | changes))
