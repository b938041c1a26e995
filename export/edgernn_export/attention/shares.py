"""What attention of an integer model looks at: the shares of the rows of its memory."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgernn.cells.memories import SHARES, MemoryReader
from edgernn.errors import EdgeRnnError, ShapeError
from edgernn.model.formats import UNIT, FloatArray
from edgernn.model.integer_model import IntegerModel
from edgernn_firmware_sim.reference.arithmetic import Int32
from edgernn_firmware_sim.reference.events import Quiet
from edgernn_firmware_sim.reference.reference import Reference


class _Shares(Quiet):
    """Keeps the shares of every step, by layer."""

    def __init__(self, layers: list[str]) -> None:
        self.seen: dict[str, list[Int32]] = {layer: [] for layer in layers}

    def see(self, name: str, tensor: Int32) -> Int32:
        """Keep shares; pass everything on."""
        layer, _, what = name.rpartition(".")
        if what == SHARES:
            self.seen[layer].append(tensor)
        return tensor


def attention_shares(
    model: IntegerModel,
    readings: npt.ArrayLike,
    state: Mapping[str, npt.ArrayLike] | None = None,
) -> dict[str, FloatArray]:
    """The shares that every step of a stream gives to the rows of each memory (clause 7.28).

    They are those of every back-end, to the bit.

    Args:
        model: with attention; of a set of programs, the program that attends.
        readings: [T, I], in physical units; of a window model, a window.
        state: what the stream begins with, as `ProgramSession.state` has it; its beginning by
            default.

    Returns:
        By layer float64 [T, n] in [0, 1], the newest row first; 0 of slots without a row.

    Raises:
        EdgeRnnError: no layer attends, or a state is missing.
        ShapeError: the readings are not [T, I].
    """
    layers = [layer.name for layer in model.layers if isinstance(layer, MemoryReader)]
    if not layers:
        raise EdgeRnnError(
            f"{model.name}: expected a model with attention, got {len(model.layers)} layers without"
            " any. Of a set of programs, pass the one that attends: programs['decode']."
        )
    xs = np.asarray(readings, dtype=np.float64)
    if xs.ndim != 2 or xs.shape[1] != model.input.width:
        raise ShapeError(f"readings: expected shape [T, {model.input.width}], got {xs.shape}")
    watch = _Shares(layers)
    reference, codes = Reference(model, watch), model.interface().quantize(xs)
    if state is None:
        codes, start = Reference(model).begun(codes[None])
    else:
        codes, start = codes[None], tuple(_state(model, state, s.name) for s in model.states)
    reference.run(codes, start)
    return {
        layer: np.concatenate(rows).reshape(-1, rows[0].shape[-1]) * UNIT.scale
        for layer, rows in watch.seen.items()
    }


def _state(model: IntegerModel, state: Mapping[str, npt.ArrayLike], name: str) -> Any:
    for key in (name, f"{model.name}.{name}"):
        if key in state:
            return np.asarray(state[key], dtype=np.int16)[None]
    raise EdgeRnnError(
        f"state: expected '{name}', got {', '.join(state) or 'none'}. Pass `session.state`."
    )


def draw_shares(shares: npt.ArrayLike, path: str | PathLike[str], title: str = "") -> Path:
    """Draw shares as a heat map: steps from left to right, the newest row at the bottom.

    Args:
        shares: [T, n], of one layer, as `attention_shares` returns them.
        path: of the .png file.
        title: above the picture.

    Raises:
        ShapeError: the shares are not [T, n].
    """
    from matplotlib.figure import Figure

    values = np.asarray(shares, dtype=np.float64)
    if values.ndim != 2:
        raise ShapeError(f"shares: expected shape [T, n], got {values.shape}")
    figure = Figure(figsize=(9, 4), layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(values.T, origin="lower", aspect="auto", cmap="viridis", vmin=0.0)
    axes.set_xlabel("step")
    axes.set_ylabel("rows back")
    axes.set_title(title)
    figure.colorbar(image, ax=axes, label="share")
    figure.savefig(path, dpi=110)
    return Path(path)
