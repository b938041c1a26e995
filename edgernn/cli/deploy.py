"""`edgernn deploy`: bundles and packages for devices, and new models for those that run."""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from edgernn.cli.arguments import add_model_argument, model_path
from edgernn.cli.parsing import did_you_mean
from edgernn.cli.style import say
from edgernn.deploy.bundle import BundleOrder, make_bundle
from edgernn.deploy.debian import write_deb
from edgernn.deploy.layout import ServicePlace, check_name, installed
from edgernn.deploy.remote import Remote
from edgernn.deploy.switch import update_model
from edgernn.deploy.vectors import load_model, make_vectors, write_vectors
from edgernn.deploy.wheels import TARGETS
from edgernn.errors import DeployError

HELP: Final = """Install `edgernn serve` on a device, or give an installed service a new model.

With --config, it makes a bundle: a folder with the model, the config, wheels, an installer, a
hardened systemd unit and a smoke test. --deb makes a Debian package of it, and --to installs it
over ssh.

Without --config, it exchanges the model of a service that is installed, here or on the device of
--to. The test vectors of the new model run first. If they or the service fail, the old model stays.
"""
EXAMPLES: Final = """examples:
  edgernn deploy model.edgernn --config serve.toml --bundle out/
  edgernn deploy model.edgernn --config serve.toml --to pi@raspberrypi
  edgernn deploy model.edgernn --config serve.toml --deb . --target aarch64
  edgernn deploy --model new.edgernn --to pi@raspberrypi
  sudo edgernn deploy --model new.edgernn
"""
_DEFAULT: Final = ("aarch64", "armv7l", "pure")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_model_argument(parser, ".edgernn file")
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="the config, as for edgernn serve"
    )
    parser.add_argument("--bundle", type=Path, metavar="FOLDER", help="make a bundle here")
    parser.add_argument(
        "--deb", type=Path, metavar="PATH", help="write a Debian package: a file or a folder"
    )
    parser.add_argument("--to", metavar="USER@HOST", help="install or update over ssh")
    parser.add_argument(
        "--name", default="", help="name of the service (default: the name of the model)"
    )
    bundle = parser.add_argument_group("bundle options")
    bundle.add_argument(
        "--target", type=_targets, metavar="A,B,...",
        help=f"machines: {', '.join(TARGETS)}; pure runs anywhere, without compiled kernels "
        f"(default: {','.join(_DEFAULT)}; with --to: what the device is)",
    )  # fmt: skip
    bundle.add_argument(
        "--wheels", type=Path, action="append", default=[], metavar="FOLDER",
        help="take wheels from here, also of NumPy; repeatable",
    )  # fmt: skip
    bundle.add_argument(
        "--no-download", action="store_true", help="do not ask pip for wheels of libraries"
    )
    bundle.add_argument("--deb-version", default="", metavar="V", help="version of the package")
    update = parser.add_argument_group("update options")
    update.add_argument(
        "--yes",
        action="store_true",
        help="let all streams start from zero if their states do not fit",
    )
    update.add_argument(
        "--vectors", type=Path, metavar="FILE",
        help="test vectors of the model (default: the reference makes them)",
    )  # fmt: skip
    update.add_argument(
        "--prefix", type=Path, default=Path("/"), metavar="FOLDER",
        help="where install.sh --prefix installed",
    )  # fmt: skip


def main(args: argparse.Namespace) -> int:
    """Make a bundle, or update a model."""
    path = model_path(args)
    record = _update(args, path) if args.config is None else _make(args, path)
    if args.json:
        print(json.dumps(record))
    else:
        print(record["message"])
    return 0


def _targets(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(part.strip() for part in text.split(",")))
    for name in names:
        if name not in TARGETS:
            raise argparse.ArgumentTypeError(
                f"expected {', '.join(TARGETS)}, got '{name}'{did_you_mean(name, TARGETS)}"
            )
    return names


def _make(args: argparse.Namespace, path: Path) -> dict[str, Any]:
    """A bundle, and its package and installation."""
    if args.bundle is None and args.deb is None and args.to is None:
        raise DeployError(
            "deploy: expected --bundle, --deb or --to with --config, got none of them. "
            "Pass, for example, --bundle out/"
        )
    remote = None if args.to is None else Remote(args.to)
    targets = args.target or _DEFAULT
    if remote is not None:
        machine = remote.probe()
        say(f"{args.to}: {machine.target}, Python {machine.python}")
        targets = args.target or tuple(dict.fromkeys((machine.target, "pure")))
    order = BundleOrder(
        model=path, config=args.config, name=args.name, targets=targets,
        wheels=tuple(args.wheels), download=not args.no_download,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        bundle = args.bundle or Path(folder, "bundle")
        manifest = make_bundle(order, bundle)
        record: dict[str, Any] = {"manifest": asdict(manifest)}
        lines = []
        if args.bundle is not None:
            record["bundle"] = str(args.bundle)
            lines.append(f"{bundle}: copy it to the device and run: sudo sh install.sh")
        if args.deb is not None:
            record["deb"] = write_deb(bundle, args.deb, args.deb_version)
            lines.append(f"{record['deb']}: install it with: sudo apt install ./FILE")
        if remote is not None:
            record["said"] = remote.install(bundle)
            lines.append(record["said"].rstrip())
    if not manifest.offline:
        say("Some wheels are missing: the device needs the network to install. See README.txt.")
    return record | {"message": "\n".join(lines)}


def _update(args: argparse.Namespace, path: Path) -> dict[str, Any]:
    """Another model for an installed service."""
    if args.bundle is not None or args.deb is not None:
        raise DeployError(
            "deploy: expected --config with --bundle or --deb, got none. "
            "Write one with: edgernn serve --init serve.toml"
        )
    if args.to is None:
        place = ServicePlace(name=_name(args.name, args.prefix), prefix=args.prefix)
        message = update_model(place, path, args.vectors, new_states=args.yes, say=say)
        return {"message": message}
    if not args.name:
        raise DeployError(
            "deploy: expected --name with the name of the service on the device, got none. "
            f"To list them, run: ssh {args.to} ls /opt/edgernn"
        )
    with tempfile.TemporaryDirectory() as folder:
        vectors = args.vectors
        if vectors is None:
            vectors = Path(folder, "vectors.npz")
            write_vectors(vectors, make_vectors(load_model(path)))
        remote = Remote(args.to)
        said = remote.update(check_name(args.name), path, vectors, new_states=args.yes)
    return {"message": said.rstrip()}


def _name(given: str, prefix: Path) -> str:
    """The service that is meant."""
    if given:
        return check_name(given)
    names = installed(prefix)
    if len(names) == 1:
        return names[0]
    raise DeployError(
        f"deploy: expected one installed service, got {', '.join(names) or 'none'}. "
        + ("Pass --name." if names else "Make a bundle with --config, and install that first.")
    )
