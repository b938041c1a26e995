"""Facts about layers of integer models that `edgernn info` shows, as JSON values."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, fields
from enum import Enum

from edgernn.cells.dense_rows import DenseRows
from edgernn.cli.wiring import Description
from edgernn.container.memory import curve_bytes, table_bytes, weight_memory
from edgernn.container.stored.stored_layers import has_unit_scales
from edgernn.container.stored.tensors import file_bytes
from edgernn.model.affine import Affine, Affine8, Source, Term8, Term16
from edgernn.model.layers import (
    LSTM,
    Delay,
    Dense,
    Embedding,
    GRUAfter,
    GRUBefore,
    Layer,
    SimpleRNN,
)
from edgernn.model.merges import Merge


def described_layer(layer: Layer) -> Description:
    """All facts about a layer, as JSON values.

    Args:
        layer: of an integer model.
    """
    affines = layer.affines.values()
    terms: list[Term8 | Term16] = [term for affine in affines for term in affine.terms]
    scales = layer.scales.values()
    return {
        "name": layer.name,
        "kind": layer.kind,
        "inputs": layer.inputs,
        "units": layer.units,
        "activation": _activation(layer),
        "output_scale": float(layer.output_scale),
        **({"unit_scales": layer.output_scales.tolist()} if has_unit_scales(layer) else {}),
        "states": [{"name": s.name, "format": str(s.format)} for s in layer.states],
        "weight_bits": _matrix_bits(layer),
        "wide": layer.is_wide,
        "storages": sorted({term.storage.value for term in terms}),
        "weights_bytes": sum(file_bytes(layer, term) for term in terms) + table_bytes(layer),
        "constants_bytes": sum(_constants_bytes(a) for a in affines)
        + sum(scale.multiplier.nbytes + scale.bias.nbytes for scale in scales)
        + sum(norm.epsilon.nbytes for norm in layer.normalizations.values())
        + curve_bytes(layer),
        "memory": described_memory([layer]),
        "parameters": sum(t.weights.size for t in terms)
        + sum(_biases(a) for a in affines)
        + table_bytes(layer)
        + sum(layer.scales[name].multiplier.size for name in layer.scale_shape)
        + sum(layer.scales[name].bias.size for name in layer.offsets),
        "macs": layer.macs,
    }


def _matrix_bits(layer: Layer) -> dict[str, int]:
    """Bits of weights by matrix, with the names of `quantize`."""
    words = {source: source.value for source in (Source.X, Source.H, Source.RH)}
    if isinstance(layer, (LSTM, GRUBefore, GRUAfter, SimpleRNN, Dense, DenseRows)):
        words = {Source.X: "input", Source.H: "recurrent", Source.RH: "recurrent"}
    found: dict[str, int] = {}
    for affine in layer.affines.values():
        for term in affine.terms:
            joint = (Source.X, Source.H) if term.source is Source.XH else (term.source,)
            found |= {words[source]: term.storage.weight_bits for source in joint}
    return found


def described_memory(layers: Iterable[Layer]) -> Description:
    """Bytes of weights in the memory of the device.

    Args:
        layers: of an integer model.
    """
    memory = weight_memory(layers)
    return asdict(memory) | {"total_bytes": memory.total_bytes, "density": memory.density}


def _activation(layer: Layer) -> str:
    if isinstance(layer, (Dense, SimpleRNN)):
        return str(layer.activation.value)
    if isinstance(layer, Embedding):
        return f"{layer.table.shape[0]} tokens"
    if isinstance(layer, Merge):
        return str(layer.operation.value)
    if isinstance(layer, Delay):
        return f"{layer.rows} rows"
    if isinstance(layer, (LSTM, GRUBefore, GRUAfter)):
        return f"tanh, gates {layer.gate_activation.value}"
    chosen = ((field.name, getattr(layer, field.name)) for field in fields(layer))
    named = [(name, value.value) for name, value in chosen if isinstance(value, Enum)]
    named += [(name, getattr(layer, name)) for name in layer.inner]
    named += [(name, getattr(layer, name)) for name in dict.fromkeys(layer.curve_shape.values())]
    named += [(name, f"{table.entries.size} entries") for name, table in layer.curves.items()]
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in named) or "none"


def _biases(affine: Affine) -> int:
    if isinstance(affine, Affine8):
        return int(affine.bias.size)
    return sum(int(term.bias.size) for term in affine.terms)


def _constants_bytes(affine: Affine) -> int:
    """Bytes of biases, multipliers and per-row shifts."""
    if isinstance(affine, Affine8):
        return affine.bias.nbytes + sum(t.multiplier.nbytes for t in affine.terms)
    return sum(t.bias.nbytes + t.shift.nbytes + t.multiplier.nbytes for t in affine.terms)
