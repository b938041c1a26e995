"""Copies of a Keras network that keep their state, or answer every reading of endless streams."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from edgernn.errors import TrainingError

Config = dict[str, Any]
#: The slice ":" in a configuration.
_ALL: Final = {"class_name": "__slice__", "config": {"start": None, "stop": None, "step": None}}


def stateful_copy(network: Any, lanes: int, steps: int) -> Any:
    """The network for ``lanes`` streams side by side, with its states kept between calls.

    Args:
        network: a Sequential or functional `keras.Model` with an output for every reading.
        lanes: batch size B.
        steps: readings in a call K.

    Returns:
        A `keras.Model` [B, K, I] -> [B, K, O] with separate weights, equal to the network's.

    Raises:
        TrainingError: a network of another kind.
    """

    def stateful(record: Config) -> None:
        if "stateful" in record["config"]:
            record["config"]["stateful"] = True

    return _copy(network, (lanes, steps), stateful)


def endless_copy(network: Any) -> Any:
    """A window network with the same weights for streams of any length, an output per reading.

    Args:
        network: a Sequential or functional `keras.Model` that answers once per window.

    Returns:
        A `keras.Model` [B, T, I] -> [B, T, O] with separate weights.

    Raises:
        TrainingError: a network of another kind.
    """

    def endless(record: Config) -> None:
        config = record["config"]
        if "return_sequences" in config:
            config["return_sequences"] = True
        if config.get("unroll"):
            config["unroll"] = False
        if record["class_name"] == "GetItem":
            _select_at_every_step(record)

    return _copy(network, (None, None), endless)


def reset_lanes(network: Any, begins: Any) -> None:
    """Set the states of lanes to zero.

    Args:
        network: from `stateful_copy`.
        begins: bool [B], the lanes.
    """
    if not begins.any():
        return
    keep = (~begins).astype("float32")[:, None]
    for layer in network.layers:
        for state in getattr(layer, "states", None) or ():
            state.assign(state * keep)


def _copy(
    network: Any, leading: tuple[int | None, int | None], change: Callable[[Config], None]
) -> Any:
    """The network with changed layers and the leading axes [B, T] of its input."""
    import keras

    _check(network, keras)
    channels = network.input_shape[-1]
    if isinstance(network, keras.Sequential):
        layers = [keras.Input(batch_shape=(*leading, channels))]
        for layer in network.layers:
            record = {"class_name": type(layer).__name__, "config": layer.get_config()}
            change(record)
            layers.append(type(layer).from_config(record["config"]))
        copy = keras.Sequential(layers, name=network.name)
    else:
        config = network.get_config()
        for record in config["layers"]:
            change(record)
            record.pop("build_config", None)  # has the shape that changes
            if record["class_name"] == "InputLayer":
                record["config"]["batch_shape"] = [*leading, channels]
        copy = type(network).from_config(config)
    copy.set_weights(network.get_weights())
    return copy


def _select_at_every_step(record: Config) -> None:
    """Change x[:, -1, ...] of a window, and x[:, ...] of its last step, to x[:, :, ...].

    Args:
        record: of a ``GetItem`` in the configuration of a functional network; the reader refuses
            all steps but the last one.
    """
    (node,) = record["inbound_nodes"]
    (value, key), named = node["args"], node["kwargs"]
    rank = len(value["config"]["shape"])
    parts: list[Any] = list(key) if isinstance(key, (list, tuple)) else [key]
    at = [i for i, part in enumerate(parts) if _kind(part) == "__ellipsis__"] or [len(parts)]
    left, right = parts[: at[0]], parts[at[0] + 1 :]
    whole = left + [_ALL] * (rank - len(left) - len(right)) + right
    # A last step has no time axis yet: all its parts but the first are of its features.
    selected = [whole[0], _ALL, *whole[rank - 1 :]]
    record["inbound_nodes"] = [{"args": [value, selected], "kwargs": named}]


def _kind(part: Any) -> str:
    return str(part.get("class_name")) if isinstance(part, dict) else ""


def _check(network: Any, keras: Any) -> None:
    """Refuse networks whose layers cannot be copied one by one."""
    built = isinstance(network, keras.Model) and getattr(network, "inputs", None)
    nested = [] if not built else [n.name for n in network.layers if isinstance(n, keras.Model)]
    one_input = built and len(network.inputs) == 1 and len(network.outputs) == 1
    if not built or nested or not one_input or isinstance(network.input_shape, Mapping):
        found = f"nested models {', '.join(nested)}" if nested else type(network).__name__
        if built and not one_input:
            found = f"{len(network.inputs)} inputs and {len(network.outputs)} outputs"
        raise TrainingError(
            "network: expected a built Sequential or functional keras.Model with one input and "
            f"one output and no models inside, got {found}. Build the network from its layers."
        )
