"""Networks of described layers, as the readers of other formats hand them on."""

from __future__ import annotations

from edgernn_export.keras_reader.graph import Call, CallResult, Given, LayerGraph
from edgernn_export.keras_reader.stored.layer import StoredLayer, described_layer
from edgernn_export.keras_reader.stored.network import StoredModel
from edgernn_export.keras_reader.wording import KERAS


def in_a_row(*stages: tuple[StoredLayer, ...] | StoredLayer, inputs: int) -> StoredModel:
    """A network of layers behind one another; those of a tuple side by side, concatenated."""
    tensor = start = CallResult(call=Call(layer=None), index=0)
    calls: list[Call] = []
    for number, stage in enumerate(stages):
        side = stage if isinstance(stage, tuple) else (stage,)
        made = [Call(layer=layer, inputs=(tensor,)) for layer in side]
        calls += made
        if len(made) > 1:
            joint = described_layer("Concatenate", f"joint_{number}", f"'joint_{number}' (cat)")
            results = tuple(CallResult(call=call, index=0) for call in made)
            calls.append(Call(layer=joint, inputs=results))
        tensor = CallResult(call=calls[-1], index=0)
    given = Given(tensor=start, shape=(None, inputs), dtype="float32", name="x")
    graph = LayerGraph(given=(given,), outputs=(tensor,), calls=tuple(calls), output_names=("y",))
    return StoredModel.of("described", "'described' (network)", graph, KERAS)
