"""`edgernn info`: describe a model without running it."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Final, cast

from edgernn.cli.arguments import (
    add_model_argument,
    add_network_arguments,
    add_program_argument,
    model_path,
    network_options,
)
from edgernn.cli.layer_facts import described_layer, described_memory
from edgernn.cli.program_text import described_chunk, programs_text
from edgernn.cli.stream_text import described_stream, field_text, state_text, stream_text
from edgernn.cli.style import heading, table
from edgernn.cli.surroundings import described_surroundings, surroundings_lines
from edgernn.cli.trained_networks import trained_network
from edgernn.cli.wiring import Description, described_routes, is_chain, wiring_lines
from edgernn.container.file import load_either, load_program
from edgernn.graph.receptive_field import receptive_field
from edgernn.model.integer_model import IntegerModel
from edgernn.model.interface import Interface
from edgernn.model.program_sets.program_set import LinkedProgram, LinkedPrograms, ProgramSet
from edgernn.session.chunk_session import ChunkSession
from edgernn.session.loading import load
from edgernn.session.program_session import ProgramSession
from edgernn.session.session import Session

HELP: Final = """Describe a model: layers, sizes, state, channels and provenance.

Trained networks are described as well: their layers and parameters, and how they stream. For a
network that edgernn cannot run, all reasons are listed.

For networks with branches, the wiring table shows the inputs of each layer and output: a layer,
some of its elements such as gru[0:8], or an input of the model.

For a file with several programs, the tables show shared states and initial states, or the passes of
a bidirectional network. Use --program to describe one program in full.

.edgernn files contain the whole model. .tflite and .onnx files contain only the model's interface;
they are opened with their runtime, which also checks the golden vector in the file.
"""
EXAMPLES: Final = """examples:
  edgernn info model.edgernn
  edgernn info model.tflite
  edgernn info demo --json
  edgernn info network.onnx
  edgernn info pair.edgernn --program decode
"""

_LOGITS: Final = " (logits; softmax on request)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_model_argument(parser, ".edgernn, .tflite or .onnx file, trained network")
    add_network_arguments(parser)
    add_program_argument(parser, "program to describe, from a file with several")


def main(args: argparse.Namespace) -> int:
    """Print the description."""
    path = model_path(args, networks=True)
    if trained_network(path):
        return _network(path, args)
    record = describe_file(path, args.program)
    text = programs_text if "programs" in record else _text
    print(json.dumps(record, allow_nan=False) if args.json else text(record))
    return 0


def _network(path: Path, args: argparse.Namespace) -> int:
    """Describe a trained network, which the workstation's package reads."""
    info = import_module("edgernn_export.cli.network_info")
    info.refuse_program(args.program)
    record = info.describe_network(path, **network_options(args))
    print(json.dumps(record, allow_nan=False) if args.json else info.network_text(record))
    return 0


def describe_file(path: Path, program: str = "") -> Description:
    """All facts about the model or the programs of a file, as JSON values.

    Args:
        path: the file.
        program: one of several programs; "" for all.

    Raises:
        EdgeRnnError: the file cannot be opened.
    """
    base: Description = {"file": path.name, "file_bytes": None}
    if path.suffix == ".edgernn":
        model = load_program(path, program) if program else load_either(path)
        base |= describe_programs(model) if isinstance(model, ProgramSet) else describe_model(model)
    else:
        options: Description = {"program": program} if program else {}
        with cast("Session | ProgramSession | ChunkSession", load(path, **options)) as opened:
            if isinstance(opened, Session):
                base |= _interface(opened.interface)
            else:
                linked = opened.interfaces
                base |= _linked(linked, _interface) | {"sha256": linked.sha256}
    return base | {"file_bytes": path.stat().st_size}


def describe_model(model: IntegerModel) -> Description:
    """All facts about a model, as JSON values."""
    return _interface(model.interface()) | _model(model)


def describe_programs(programs: ProgramSet) -> Description:
    """All facts about a set of programs, as JSON values.

    Bytes are those of all programs together; shared layers and states count once.
    """
    layers = [described_layer(layer) for layer in programs.layers]
    return _linked(programs, describe_model) | {
        "shared_layers": [
            {"name": layer, "program": program, "owner": owner}
            for (program, layer), owner in programs.owners.items()
            if owner != program
        ],
        "weights_bytes": sum(layer["weights_bytes"] for layer in layers),
        "constants_bytes": sum(layer["constants_bytes"] for layer in layers),
        "memory": described_memory(programs.layers),
        "parameters": sum(layer["parameters"] for layer in layers),
        "sha256": programs.sha256,
    }


def _linked(
    programs: LinkedPrograms[LinkedProgram], describe: Callable[[LinkedProgram], Description]
) -> Description:
    """Every program, and the states that link them."""
    return {
        "name": programs.name,
        "programs": [describe(program) for program in programs.programs],
        "shared_states": [
            {"name": name, "programs": list(owners)} for name, owners in programs.shared.items()
        ],
        "handovers": [
            asdict(handover) | {"shift": programs.shift(handover)}
            for handover in programs.handovers
        ],
        "state_bytes": programs.state_bytes,
        **({} if programs.chunk is None else {"chunk": described_chunk(programs)}),
    }


def _interface(interface: Interface) -> Description:
    precision, source, sink = interface.precision, interface.input, interface.output
    low, high = precision.input_low, precision.input_high
    sizes = source.vocabulary or (0,) * source.width
    return {
        "name": interface.name,
        "precision": precision.value,
        "inputs": [
            {
                "name": source.names[i],
                "unit": source.units[i],
                "scale": float(source.scale[i]),
                "offset": float(source.offset[i]),
                "low": 0.0 if sizes[i] else float(source.offset[i] + low * source.scale[i]),
                "high": sizes[i] - 1.0
                if sizes[i]
                else float(source.offset[i] + high * source.scale[i]),
                **({"tokens": sizes[i]} if sizes[i] else {}),
            }
            for i in range(source.width)
        ],
        "outputs": [
            {"name": sink.names[i], "unit": sink.units[i], "scale": float(sink.scale[i])}
            for i in range(sink.width)
        ],
        "input_ports": [{"name": port.name, "width": port.width} for port in source.ports],
        "output_ports": [asdict(port) for port in sink.ports],
        "softmax": sink.softmax,
        "states": [
            {"name": s.name, "units": s.units, "format": str(s.format)} for s in interface.states
        ],
        "stream": described_stream(interface.window, interface.rate),
        "state_bytes": interface.state_bytes,
        "carried_bytes": interface.carried_bytes,
        "model_sha256": interface.model_sha256,
        **described_surroundings(interface),
    }


def _model(model: IntegerModel) -> Description:
    *reads, put_out = described_routes(model)
    layers = [
        described_layer(layer) | {"reads": route}
        for layer, route in zip(model.layers, reads, strict=True)
    ]
    origin = model.provenance
    return {
        "precision": model.precision_label,
        "layers": layers,
        "chain": is_chain(model),
        "output_reads": put_out,
        "weights_bytes": sum(layer["weights_bytes"] for layer in layers),
        "constants_bytes": sum(layer["constants_bytes"] for layer in layers),
        "memory": described_memory(model.layers),
        "parameters": sum(layer["parameters"] for layer in layers),
        "macs": model.macs,
        "receptive_field": receptive_field(model) or "all",
        "provenance": {
            "float_model_sha256": origin.float_model_sha256,
            "calibration_sha256": origin.calibration_sha256,
            "seeds": dict(origin.seeds),
            "versions": dict(origin.versions),
            "settings": dict(origin.settings),
        },
    }


def _text(record: Description) -> str:
    lines = [
        f"{record['name']}  {record['precision']}  {record['file']}, {record['file_bytes']} bytes",
        f"sha256 of the integer model  {record['model_sha256']}",
    ]
    if "layers" in record:
        lines += ["", *_layer_lines(record)]
        if any(layer["storages"] not in ([], ["dense8"]) for layer in record["layers"]):
            lines += ["", *_storage_lines(record)]
        if not record["chain"]:
            lines += ["", *wiring_lines(record)]
    lines += ["", heading("inputs")]
    lines += _by_port(
        [
            f"  {c['name']}{_unit(c)}  {c['low']:.6g} to {c['high']:.6g}, "
            + (f"{c['tokens']} tokens" if "tokens" in c else f"{c['scale']:.6g} per code")
            for c in record["inputs"]
        ],
        record["input_ports"],
    )
    several = bool(record["output_ports"])
    lines += ["", heading("outputs") + _LOGITS * (record["softmax"] and not several)]
    lines += _by_port(
        [f"  {c['name']}{_unit(c)}  {c['scale']:.6g} per code" for c in record["outputs"]],
        record["output_ports"],
    )
    lines += ["", f"stream  {stream_text(record['stream'])}"]
    if "receptive_field" in record:
        lines += [f"receptive field  {field_text(record['receptive_field'])}"]
    lines += [state_text(record)]
    lines += [f"  {s['name']}  int16 [{s['units']}]  {s['format']}" for s in record["states"]]
    wide = [layer["name"] for layer in record.get("layers", []) if layer["wide"]]
    lines += [f"31-bit states  {', '.join(wide)}"] * bool(wide)
    lines += surroundings_lines(record)
    if "provenance" in record:
        lines += _provenance_lines(record["provenance"])
    return "\n".join(lines)


def _by_port(channels: list[str], ports: list[Description]) -> list[str]:
    """Lines of channels, each under its input or output."""
    if not ports:
        return channels
    lines, first = [], 0
    for port in ports:
        lines.append(f"  {port['name']}{_LOGITS * port.get('softmax', False)}")
        lines += [f"  {line}" for line in channels[first : first + port["width"]]]
        first += port["width"]
    return lines


def _unit(channel: Description) -> str:
    return f" [{channel['unit']}]" if channel["unit"] else ""


def _layer_lines(record: Description) -> list[str]:
    rows: list[tuple[object, ...] | None] = []
    for layer in record["layers"]:
        shape = f"{layer['inputs']} -> {layer['units']}"
        rows.append((layer["name"], layer["kind"], shape, *_sizes(layer), layer["activation"]))
    weights = f"({record['weights_bytes']} bytes of {_weight_bits(record)} weights)"
    rows += [None, ("total", "", "", *_sizes(record), weights)]
    headings = ("layer", "kind", "shape", "parameters", "bytes", "MACs", "activation")
    return table(headings, rows, "<<>>>><")


def _sizes(record: Description) -> tuple[str, str, str]:
    """Parameters, bytes and MACs of a layer, or of all."""
    size = record["weights_bytes"] + record["constants_bytes"]
    return str(record["parameters"]), str(size), str(record["macs"])


def _weight_bits(record: Description) -> str:
    bits = record["precision"].split("a")[0]  # as in w8/w4a8
    return " and ".join(f"int{part.removeprefix('w')}" for part in bits.split("/"))


def _storage_lines(record: Description) -> list[str]:
    rows: list[tuple[str, ...] | None] = []
    stored = [(layer["name"], layer, layer["memory"]) for layer in record["layers"]]
    total: Description = {"storages": [], "weight_bits": {}}
    for name, layer, memory in [*stored, ("total", total, record["memory"])]:
        sizes = (str(memory[f"{kind}_bytes"]) for kind in ("dense", "stored", "index"))
        share = f"{memory['density']:.1%}" if memory["tiles"] else "-"
        bits = ", ".join(f"{word} {count}" for word, count in layer["weight_bits"].items())
        rows.append((name, ", ".join(layer["storages"]), *sizes, share, bits))
    rows.insert(-1, None)
    headings = ("weights in memory", "storage", "dense bytes", "stored", "index", "tiles", "bits")
    return table(headings, rows, "<<>>>><")


def _provenance_lines(provenance: Description) -> list[str]:
    lines = [
        "",
        heading("provenance"),
        f"  float model  {provenance['float_model_sha256']}",
        f"  calibration  {provenance['calibration_sha256']}",
    ]
    for title in ("seeds", "versions", "settings"):
        if provenance[title]:
            pairs = ", ".join(f"{key} {value}" for key, value in provenance[title].items())
            lines.append(f"  {title}  {pairs}")
    return lines
