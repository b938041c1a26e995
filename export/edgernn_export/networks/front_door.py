"""Read a trained network of any format: tell whose it is, and let its reader read it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from edgernn.errors import EdgeRnnError, UnsupportedModelError
from edgernn_export.file_contents.contents import contents_of, foreign
from edgernn_export.float_model.model import FloatModel
from edgernn_export.float_model.program_sets.chunks import FloatChunks
from edgernn_export.float_model.program_sets.programs import FloatPrograms
from edgernn_export.networks.formats import FORMATS, AnyNetwork, NetworkFormat

__all__ = ["AnyNetwork", "format_of", "read_network", "read_one_stream"]


def read_network(
    source: Any,
    *,
    input_names: Sequence[str] | None = None,
    input_units: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    output_units: Sequence[str] | None = None,
    readings: Any = None,
    **options: Any,
) -> AnyNetwork:
    """Read a trained network of any format.

    Args:
        source: a path, or an object of a library, of a format in `FORMATS`; the content of a path
            tells its format, not its name. Or a network that was read already.
        input_names: one per feature. Channels of several streams are named after their inputs, and
            who reads them for a user refuses names and units.
        input_units: physical units, one per feature.
        output_names: one per output.
        output_units: physical units, one per output.
        readings: what the network reads, as calibration has it, for formats that need an example
            to call it with.
        **options: what single formats know: ``weights``, the path of the weights of an architecture
            of Keras in JSON; ``layout``, what the tensors of a file of weights are; ``example``,
            what a module of PyTorch is called with; ``input_values`` and ``input_shapes``, what
            the inputs of an ONNX model are where the file leaves it open. None is as good as
            omitted.

    Returns:
        The network: over one stream, over chunks that it reads backward too, or over several
        streams that pass on states.

    Raises:
        BackendUnavailable: a library that the format needs is not installed.
        EdgeRnnError: an option that the format does not know.
        FileNotFoundError: there is nothing at the path.
        ShapeError: the number of names or units does not fit.
        UnsupportedModelError: the source is of no known format, or holds something edgernn does not
            execute; the error lists everything found.
    """
    pairs = {
        "input_names": input_names,
        "input_units": input_units,
        "output_names": output_names,
        "output_units": output_units,
    }
    labels = {name: value for name, value in pairs.items() if value is not None}
    options = {name: value for name, value in options.items() if value is not None}
    if isinstance(source, FloatModel | FloatChunks | FloatPrograms):
        _refuse_options(options, frozenset(), "a network that was read already")
        return _labelled(source, labels)
    row = format_of(source)
    _refuse_options(options, row.options, f"a network from {row.name}")
    if readings is not None and "readings" in row.options:
        options["readings"] = readings
    return row.read(source, labels=labels, **options)


def read_one_stream(source: Any, **options: Any) -> FloatModel:
    """Read a network over one stream, for what works on no other.

    Args:
        source: as for `read_network`.
        **options: as there.

    Raises:
        UnsupportedModelError: the network answers whole chunks, or reads several streams.
        EdgeRnnError, FileNotFoundError: as `read_network`.
    """
    return of_one_stream(read_network(source, **options))


def read_several_streams(source: Any, **options: Any) -> FloatPrograms:
    """Read a network of several streams that pass on states, such as an encoder and a decoder.

    Args:
        source: as for `read_network`.
        **options: as there.

    Raises:
        UnsupportedModelError: the network reads one stream alone.
        EdgeRnnError, FileNotFoundError: as `read_network`.
    """
    network = read_network(source, **options)
    if isinstance(network, FloatPrograms):
        return network
    raise UnsupportedModelError(
        [
            f"{network.name}: expected recurrent layers whose initial_state other layers compute, "
            "or attention to another stream, got none. Read it as one network: "
            "edgernn_export.quantize."
        ]
    )


def of_one_stream(network: AnyNetwork) -> FloatModel:
    """The network, if it is one over one stream.

    Raises:
        UnsupportedModelError: it answers whole chunks, or reads several streams.
    """
    if isinstance(network, FloatModel):
        return network
    got, cure = (
        ("one that reads its steps backward, too", "Train without layers that read backward.")
        if isinstance(network, FloatChunks)
        else (
            "a network whose recurrent layers start from states that other layers compute",
            "Quantize it as programs, such as an encoder and a decoder, with "
            "edgernn_export.quantize_programs or: edgernn quantize.",
        )
    )
    raise UnsupportedModelError(
        [f"{network.name}: expected a network over one stream of readings, got {got}. {cure}"]
    )


def format_of(source: Any) -> NetworkFormat:
    """The format of a path or an object.

    Raises:
        FileNotFoundError: there is nothing at the path.
        UnsupportedModelError: it is of no known format.
    """
    accepted = f"{'; '.join(row.accepted for row in FORMATS)}"
    if not isinstance(source, (str, PathLike)):
        for row in FORMATS:
            if row.is_alive(source):
                return row
        kind = f"{type(source).__module__}.{type(source).__qualname__}"
        raise UnsupportedModelError(
            [f"source: expected a trained network or its path, got {kind}. These are read: "
             f"{accepted}."]
        )  # fmt: skip
    contents = contents_of(Path(source))
    for row in FORMATS:
        if row.holds(contents):
            return row
    got, cure = foreign(contents) or ("a file of another format", "")
    raise UnsupportedModelError(
        [
            f"{contents.path.name}: expected a trained network, got {got}. {cure}{' ' * bool(cure)}"
            f"These are read: {accepted}."
        ]
    )


def _refuse_options(options: dict[str, Any], known: frozenset[str], owner: str) -> None:
    """Refuse arguments that would have no effect."""
    stray = sorted(set(options) - known)
    if stray:
        raise EdgeRnnError(
            f"{', '.join(stray)}: expected {'it' if len(stray) == 1 else 'them'} with another "
            f"format, got {'it' if len(stray) == 1 else 'them'} for {owner}. Omit it."
        )


def _labelled(network: AnyNetwork, labels: dict[str, Sequence[str]]) -> AnyNetwork:
    """A network that was read, with names and units that are given."""
    if not labels or isinstance(network, FloatPrograms):
        return network
    if isinstance(network, FloatChunks):
        raise EdgeRnnError(
            f"{network.name}: expected no {', '.join(labels)} for passes that were read already, "
            "got some. Pass them when you read the network."
        )
    # A string is one name too few, not a name per letter; `FloatModel` refuses it.
    given: dict[str, Any] = {
        name: value if isinstance(value, str) else tuple(value) for name, value in labels.items()
    }
    return dataclasses.replace(network, **given)
