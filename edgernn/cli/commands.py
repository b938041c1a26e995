"""The commands of `edgernn`, by group, and the parser of each."""

from __future__ import annotations

import argparse
import importlib
from types import ModuleType
from typing import Any, Final

from edgernn.cli.parsing import CommandParser, add_common_options

#: command -> (module, one line for `edgernn --help`).
SUBCOMMANDS: Final[dict[str, tuple[str, str]]] = {
    "demo": ("edgernn_export.cli.demo", "train, quantize, export and stream a small forecaster"),
    "train": ("edgernn_export.cli.train", "train a recipe on its data set"),
    "quantize": (
        "edgernn_export.cli.quantize",
        "convert a trained network to an INT8 .edgernn file",
    ),
    "sensitivity": (
        "edgernn_export.cli.sensitivity",
        "find layers that tolerate 4-bit weights",
    ),
    "prune": ("edgernn_export.cli.prune", "make a Keras model smaller or its weights sparse"),
    "distill": ("edgernn_export.cli.distill", "train a small model on the outputs of a large one"),
    "search": ("edgernn_export.cli.search", "search for a model within the limits of a target"),
    "info": ("edgernn.cli.info", "show layers, sizes and channels of a model or a network"),
    "evaluate": ("edgernn_export.cli.evaluate", "measure accuracy against the float model"),
    "verify": ("edgernn_export.cli.verify", "compare the outputs of all back-ends bit for bit"),
    "compare": ("edgernn_export.cli.compare", "show models side by side"),
    "inspect": ("edgernn_export.cli.inspect", "show gates, memory and gradients of a network"),
    "bench": ("edgernn.cli.bench", "measure time, memory and size on all back-ends"),
    "run": ("edgernn.cli.run", "stream CSV or JSON lines through a model"),
    "generate": ("edgernn.cli.generate", "generate text with a model of tokens"),
    "serve": ("edgernn.cli.serve", "run a service: sensors, model, decisions, results"),
    "watch": ("edgernn.cli.watch", "show a running service in the terminal"),
    "export": ("edgernn_export.cli.export", "write .tflite, .onnx or C99 sources"),
    "simulate": ("edgernn_export.cli.simulate", "run the firmware of a board in an emulator"),
    "targets": ("edgernn_firmware_sim.cli.targets", "list cores and boards"),
    "deploy": ("edgernn.cli.deploy", "install a service on a device, or give it a new model"),
    "completion": ("edgernn.cli.completion", "print a completion script for your shell"),
    "doctor": ("edgernn.cli.doctor", "show what is installed and how to install the rest"),
}

#: Title of a group -> its commands, in the order of a model's life.
GROUPS: Final[dict[str, tuple[str, ...]]] = {
    "Build": ("demo", "train", "quantize", "sensitivity", "prune", "distill", "search"),
    "Check": ("info", "evaluate", "verify", "bench", "compare", "inspect"),
    "Run": ("run", "generate", "serve", "watch", "export"),
    "Devices": ("deploy", "simulate", "targets"),
    "Setup": ("doctor", "completion"),
}


def command_groups() -> dict[str, list[str]]:
    """The commands that exist, by the title of their group."""
    groups = {title: [n for n in names if n in SUBCOMMANDS] for title, names in GROUPS.items()}
    grouped = {name for names in groups.values() for name in names}
    groups["Other"] = [name for name in SUBCOMMANDS if name not in grouped]
    return {title: names for title, names in groups.items() if names}


def command_module(name: str) -> ModuleType:
    """The module of a command, with HELP, EXAMPLES, add_arguments and main."""
    return importlib.import_module(SUBCOMMANDS[name][0])


def command_parser(name: str) -> CommandParser:
    """The parser of a command, with the options that every command has.

    Args:
        name: a key of SUBCOMMANDS.
    """
    module: Any = command_module(name)
    parser = CommandParser(
        prog=f"edgernn {name}",
        description=module.HELP,
        epilog=module.EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    module.add_arguments(parser)
    add_common_options(parser)
    return parser
