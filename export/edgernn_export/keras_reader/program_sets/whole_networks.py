"""Any network that the reader of Keras reads: over one stream, over chunks, or over several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from types import MappingProxyType
from typing import Any

from edgernn_export.float_model.model import FloatModel
from edgernn_export.float_model.program_sets.chunks import FloatChunks
from edgernn_export.float_model.program_sets.programs import FloatPrograms
from edgernn_export.keras_reader.program_sets import calls_in
from edgernn_export.keras_reader.program_sets.directions import has_directions
from edgernn_export.keras_reader.program_sets.passes import read_passes
from edgernn_export.keras_reader.program_sets.programs import begins_elsewhere, read_programs
from edgernn_export.keras_reader.reader import read_keras


def read_whole(
    source: Any | str | PathLike[str],
    *,
    weights: str | PathLike[str] | None = None,
    labels: Mapping[str, Sequence[str] | None] = MappingProxyType({}),
) -> FloatModel | FloatChunks | FloatPrograms:
    """Read a Keras model, or what another format made of one, whatever its streams.

    Args:
        source: as for `read_keras`, or the StoredModel of another format.
        weights: as there.
        labels: ``input_names`` and so on, as there; of programs they are not used.

    Returns:
        Programs where recurrent layers begin with what others compute, chunks where it reads its
        steps backward too, else a model.

    Raises:
        BackendUnavailable, FileNotFoundError, ShapeError, UnsupportedModelError: as `read_keras`.
    """
    flat = calls_in(source, weights)
    if begins_elsewhere(flat):
        return read_programs(source, weights=weights)
    if has_directions(flat.calls):
        return read_passes(source, weights=weights, labels=labels)
    return read_keras(source, weights=weights, **labels)
