"""Networks of several parts from Keras, and what all kinds of them need: calls, names, states."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from os import PathLike
from typing import Any

from edgernn_export.float_model.float_run import state_widths
from edgernn_export.float_model.model import FloatLayer, FloatModel
from edgernn_export.float_model.sharing import WeightUse
from edgernn_export.keras_reader.findings import Context, Findings
from edgernn_export.keras_reader.flat_network import FlatNetwork, walked
from edgernn_export.keras_reader.flows import Flow
from edgernn_export.keras_reader.joined_layers import JoinedLayers
from edgernn_export.keras_reader.reader import distinct
from edgernn_export.keras_reader.source import configuration_of, open_model


def calls_in(source: Any | str | PathLike[str], weights: str | PathLike[str] | None) -> FlatNetwork:
    """The calls of a network, including those that are not supported.

    Args:
        source: as for `read_keras`.
        weights: as there.
    """
    findings = Findings()
    model, _ = open_model(source, Context(findings=findings, keras2=False), weights)
    with configuration_of(getattr(model, "file", None)):
        return walked(model, findings)[0]


def set_name(name: str) -> str:
    """The name of a set of programs, from that of a Keras model."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", name)[:56].lstrip("-") or "programs"


def with_own_states(model: FloatModel, others: Sequence[FloatModel]) -> FloatModel:
    """A program whose layers with a state have unique names: equal names share states.

    In Keras a layer that several streams use has a state for each.

    Args:
        model: the program.
        others: the programs before it.
    """
    taken = {layer.name for other in others for layer in other.layers if _has_state(layer)}
    layers = list(model.layers)
    for place, layer in enumerate(layers):
        if layer.name in taken and _has_state(layer):
            names = {other.name for other in layers}
            layers[place] = replace(layer, name=distinct(layer.name, taken | names))
    return replace(model, layers=tuple(layers))


def uses_of(made: JoinedLayers, outputs: Sequence[Flow]) -> dict[Any, list[WeightUse]]:
    """The uses of all weights of the layers that lead to outputs, by whose they are.

    Args:
        made: the layers of a program.
        outputs: what it gives.
    """
    _, _, places = made.network(tuple(part for flow in outputs for part in flow.route))
    return made.uses.by_owner(places)


def _has_state(layer: FloatLayer) -> bool:
    return bool(state_widths(layer))
