"""Exchange the model of an installed service, and go back if the new one does not work."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from edgernn.backends.streams.stream_bytes import streams_continue
from edgernn.deploy.layout import SHORT, BundleManifest, ServicePlace
from edgernn.deploy.needs import read_tables
from edgernn.deploy.vectors import load_model, make_vectors, write_vectors
from edgernn.errors import DeployError, EdgeRnnError
from edgernn.model.integer_model import IntegerModel
from edgernn.store.state_store import StateStore

_VECTORS_S: Final = 600
#: How long the service may take to answer with the new model.
_HEALTH_S: Final = 60.0
_POLL_S: Final = 0.2
_REQUEST_S: Final = 5.0
_DEFAULT_LISTEN: Final = "127.0.0.1:8765"


def update_model(
    place: ServicePlace,
    path: Path,
    vectors: Path | None = None,
    *,
    new_states: bool = False,
    say: Callable[[str], None],
    health_s: float = _HEALTH_S,
) -> str:
    """Switch an installed service to another model.

    The test vectors run first, in a separate process. Then a symbolic link is exchanged in one
    step and the service opens the model. If it does not, the link and the service go back.

    Args:
        place: the installed service.
        path: the new model.
        vectors: its test vectors; None lets the reference back-end of this device make them.
        new_states: streams may start from zero if the new model cannot take their states.
        say: told what happens.
        health_s: how long the service may take.

    Returns:
        One sentence about the outcome.

    Raises:
        DeployError: nothing was switched, or everything was undone.
        EdgeRnnError: a model is damaged.
    """
    manifest = BundleManifest.read(place.app / "manifest.json")
    new, old = load_model(path), load_model(place.model)
    if new.sha256 == old.sha256:
        return f"{place.service}: the model is the same, {new.sha256[:SHORT]}."
    _check_channels(old, new)
    kept = streams_continue(old.interface(), new.interface())
    if not kept and not new_states:
        raise DeployError(
            f"{place.service}: expected states like those of '{old.name}', got others in "
            f"'{new.name}', so all streams would start from zero. To accept that, pass --yes."
        )
    folder = _place_model(place, path, new, vectors)
    say("running the test vectors")
    try:
        _run_vectors(place, folder)
    except DeployError:
        shutil.rmtree(folder)
        raise
    before = place.link.readlink()
    _switch(place, Path("models", folder.name), old, new, kept, say, health_s)
    (place.app / "manifest.json.new").write_text(
        replace(manifest, model_name=new.name, model_sha256=new.sha256).to_json(), encoding="utf-8"
    )
    (place.app / "manifest.json.new").replace(place.app / "manifest.json")
    for other in place.models.iterdir():
        if other.name not in (folder.name, before.name):
            shutil.rmtree(other)
    states = "The streams keep their states" if kept else "All streams start from zero"
    return f"{place.service}: the model is now '{new.name}' {new.sha256[:SHORT]}. {states}."


def _check_channels(old: IntegerModel, new: IntegerModel) -> None:
    """Refuse a model that the config of the service does not fit."""
    for side, was, now in (
        ("inputs", old.input.names, new.input.names),
        ("outputs", old.output.names, new.output.names),
    ):
        if was != now:
            raise DeployError(
                f"deploy: expected the {side} {', '.join(was)}, got {', '.join(now)}. "
                "Make a bundle with a config for this model, and install that."
            )


def _place_model(
    place: ServicePlace, path: Path, model: IntegerModel, vectors: Path | None
) -> Path:
    """Copy the model and its vectors to the device's storage, whole or not at all."""
    folder = place.models / model.sha256[:SHORT]
    fresh = folder.with_name(f"{folder.name}.new")
    try:
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir()
        shutil.copyfile(path, fresh / "model.edgernn")
        if vectors is not None:
            shutil.copyfile(vectors, fresh / "vectors.npz")
        else:
            write_vectors(fresh / "vectors.npz", make_vectors(model))
        shutil.rmtree(folder, ignore_errors=True)
        fresh.rename(folder)
    except PermissionError:
        raise DeployError(
            f"deploy: expected to write to '{place.models}', got no permission. "
            "Run the command with sudo."
        ) from None
    os.sync()
    return folder


def _run_vectors(place: ServicePlace, folder: Path) -> None:
    """Run the smoke test with the interpreter of the service.

    Raises:
        DeployError: the numbers differ, or the test did not run.
    """
    python = place.python if place.python.exists() else Path(sys.executable)
    command = [str(python), "-P", "-m", "edgernn.deploy.smoke"]
    command += [str(folder / "model.edgernn"), str(folder / "vectors.npz")]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=_VECTORS_S
        )
        lines = (done.stdout + done.stderr).strip().splitlines()
        code = done.returncode
    except subprocess.TimeoutExpired:
        lines, code = [f"no end within {_VECTORS_S} s"], 1
    if code:
        told = [line.strip() for line in lines if "expected" in line] or lines or [f"exit {code}"]
        raise DeployError(
            f"{place.service}: expected the bits of the test vectors, got others: {told[0]} "
            "The model in use stays."
        )


def _switch(
    place: ServicePlace,
    target: Path,
    old: IntegerModel,
    new: IntegerModel,
    kept: bool,
    say: Callable[[str], None],
    health_s: float,
) -> None:
    """Exchange the link and the service's model; on failure go back and raise."""
    before = place.link.readlink()
    store = _store(place)
    running = _systemctl("is-active", "--quiet", place.service)
    if not running:
        say(f"{place.service} does not run: it takes the model when it starts")
    point(place.link, target)
    try:
        if store is not None and not kept:
            _begin_anew(place, store, old, new, running)
        elif store is not None and not running:
            with _as_owner(store.parent):
                StateStore(store, new.sha256, model_name=new.name, migrate=True).close()
        elif running and not _systemctl("reload", place.service):
            raise DeployError("systemctl reload failed")
        if running:
            _wait_until_healthy(place, new.sha256, health_s)
    except EdgeRnnError as error:
        point(place.link, before)
        if store is not None and not kept:
            _come_back(place, store, old, running)
        elif running:
            _systemctl("reload", place.service)
        raise DeployError(
            f"{place.service}: expected the service to work with '{new.name}', got: {error}. "
            f"It is back on '{old.name}'. See: journalctl -u {place.service} -n 50"
        ) from None


def point(link: Path, target: Path) -> None:
    """Let a symbolic link lead to another target, in one step."""
    fresh = link.with_name(f"{link.name}.new")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(target)
    fresh.replace(link)
    handle = os.open(link.parent, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _store(place: ServicePlace) -> Path | None:
    """The file with the states; None where the service keeps none."""
    path = str(read_tables(place.config).get("store", {}).get("path", ""))
    found = place.states / path
    return found if path and found.is_file() else None


def _aside(store: Path, old: IntegerModel) -> Path:
    """Where the states of a former model are kept."""
    return store.with_name(f"{store.name}.{old.sha256[:SHORT]}")


def _begin_anew(
    place: ServicePlace, store: Path, old: IntegerModel, new: IntegerModel, running: bool
) -> None:
    """Put the states aside; the sources continue where they were."""
    if running and not _systemctl("stop", place.service):
        raise DeployError("systemctl stop failed")
    with _as_owner(store.parent):
        with contextlib.closing(StateStore(store, old.sha256, migrate=True)) as former:
            positions = former.positions()
        store.replace(_aside(store, old))
        with contextlib.closing(StateStore(store, new.sha256, model_name=new.name)) as fresh:
            fresh.commit({}, positions=positions)
        shutil.copymode(_aside(store, old), store)
    if running and not _systemctl("start", place.service):
        raise DeployError("systemctl start failed")


def _come_back(place: ServicePlace, store: Path, old: IntegerModel, running: bool) -> None:
    """Take the states that were put aside, and start the service if it ran."""
    if running:
        _systemctl("stop", place.service)
    with _as_owner(store.parent):
        if _aside(store, old).exists():
            for path in store.parent.glob(f"{store.name}-*"):  # the log of the newer store
                path.unlink()
            _aside(store, old).replace(store)
    if running:
        _systemctl("start", place.service)


@contextlib.contextmanager
def _as_owner(folder: Path) -> Iterator[None]:
    """Work with the rights of who owns a folder: what lies in it may lead anywhere."""
    owner = folder.stat()
    user, group = os.geteuid(), os.getegid()
    if user != 0:
        yield
        return
    os.setegid(owner.st_gid)
    os.seteuid(owner.st_uid)
    try:
        yield
    finally:
        os.seteuid(user)
        os.setegid(group)


def _systemctl(*words: str) -> bool:
    """Whether systemctl succeeded; False without systemd."""
    try:
        return subprocess.run(["systemctl", *words], check=False).returncode == 0
    except FileNotFoundError:
        return False


def _wait_until_healthy(place: ServicePlace, sha256: str, health_s: float) -> None:
    """Wait until the service answers with a model.

    Without HTTP, it must run on for some seconds.

    Raises:
        DeployError: it does not in time.
    """
    listen = str(read_tables(place.config).get("http", {}).get("listen", _DEFAULT_LISTEN))
    end_s = time.monotonic() + (health_s if listen else min(5.0, health_s))
    reason = "no answer"
    while time.monotonic() < end_s:
        time.sleep(_POLL_S)
        if not _systemctl("is-active", "--quiet", place.service):
            reason = "the service stopped"
            if not listen:
                raise DeployError(reason)
        elif listen:
            reason = _unhealthy(listen, sha256)
            if not reason:
                return
    if listen:
        raise DeployError(reason)


def _unhealthy(listen: str, sha256: str) -> str:
    """Why the service is not healthy yet; "" if it is."""
    host, _, port = listen.rpartition(":")
    host = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(host, host)
    try:
        with urllib.request.urlopen(f"http://{host}:{port}/healthz", timeout=_REQUEST_S) as answer:
            health: dict[str, Any] = json.load(answer)
    except (OSError, ValueError, urllib.error.URLError) as error:
        return f"/healthz answers {error}"
    if health.get("status") != "ok":
        return f"/healthz says {health.get('status')}"
    if health.get("model_sha256") != sha256:
        return f"it still runs model {str(health.get('model_sha256'))[:SHORT]}"
    return ""
