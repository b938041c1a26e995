"""What surrounds a quantized network: its preparation and its decisions, fitted to its channels."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgernn.decide.class_smoothing import ClassSmoothing
from edgernn.decide.decisions import Decisions
from edgernn.display import listed
from edgernn.errors import DeclarationError
from edgernn.prepare.preparation import Preparation
from edgernn_export.calibration.streams import as_streams
from edgernn_export.float_model.model import FloatModel


def bound_surroundings(
    model: FloatModel, preparation: Preparation | None, decisions: Decisions | None
) -> tuple[Preparation | None, Decisions | None]:
    """The preparation and the decisions of a network.

    Args:
        model: the float network, with the names that its channels will have.
        preparation: how raw readings become its readings.
        decisions: what is decided from its outputs.

    Raises:
        DeclarationError: they do not fit the channels; names all reasons.
    """
    reasons: list[str] = []
    if preparation is not None and preparation.channels != tuple(model.input_names):
        reasons.append(
            f"preparation.outputs: expected the inputs {listed(model.input_names)} of the network, "
            f"got {listed(preparation.channels)}. Name them in this order."
        )
    bound = None
    if decisions is not None:
        try:
            bound = decisions.bound(model.input_names, model.output_names)
        except DeclarationError as error:
            reasons += error.reasons
    if decisions is not None and decisions.softmax and model.final_activation != "softmax":
        reasons.append(
            "decisions.softmax: expected a network that ends in a softmax, got "
            f"'{model.name}', which does not. Omit softmax."
        )
    if reasons:
        raise DeclarationError(reasons)
    return preparation, bound


def compared_outputs(decisions: Decisions | None) -> frozenset[int]:
    """Numbers of the outputs of which a decision names the largest: a device compares codes."""
    if decisions is None:
        return frozenset()
    names = {
        name
        for decision in decisions.decisions
        if isinstance(decision, ClassSmoothing)
        for name in decision.classes or decisions.outputs
    }
    return frozenset(map(decisions.outputs.index, names))


def measured(
    decisions: Decisions, calibration: Any, model: FloatModel, on_missing: str
) -> Decisions:
    """Decisions with what they must know of the calibration data.

    Args:
        decisions: bound to the network.
        calibration: as for `quantize`.
        model: the float network.
        on_missing: as for `quantize`.
    """
    blocks = as_streams(
        calibration,
        model.inputs,
        names=model.input_names,
        ports=model.input_ports,
        on_missing=on_missing,
    )
    values = np.concatenate([block.reshape(-1, model.inputs) for block in blocks])
    return decisions.measured(dict(zip(model.input_names, values.T, strict=True)))
