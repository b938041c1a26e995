"""Another model for an installed service: switched in one step, or not at all."""

import contextlib
import dataclasses
import http.server
import json
import os
import threading
from pathlib import Path

import pytest

from edgernn.deploy.layout import BundleManifest, ServicePlace
from edgernn.deploy.switch import point, update_model
from edgernn.deploy.vectors import load_model, make_vectors, write_vectors
from edgernn.errors import DeployError
from edgernn.model.integer_model import IntegerModel
from edgernn.store.state_store import StateStore
from tests.support.bundles import CONFIG, DEMO, program
from tests.support.models.integer import random_model

#: A systemctl that writes down what it is asked, and answers as the file `active` says.
SYSTEMCTL = """echo "$*" >> "$HERE/asked"
case $1 in
is-active) [ -e "$HERE/active" ] ;;
stop) rm -f "$HERE/active" ;;
start) touch "$HERE/active" ;;
esac"""


class Health(http.server.BaseHTTPRequestHandler):
    """Answers /healthz as the service does, with the linked model unless it is refused."""

    def do_GET(self):
        sha256 = load_model(self.server.place.model).sha256
        if sha256 in self.server.refused:
            sha256 = self.server.known
        self.server.known = sha256
        body = json.dumps({"status": self.server.status, "model_sha256": sha256}).encode()
        self.send_response(200 if self.server.status == "ok" else 503)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        """Say nothing."""


def similar(model: IntegerModel, **changes) -> IntegerModel:
    """Another model with the same channels and states."""
    origin = dataclasses.replace(model.provenance, seeds=(("again", 1),))
    return dataclasses.replace(model, provenance=origin, **changes)


def save(place, model):
    with contextlib.closing(StateStore(place.states / "states.db", model.sha256)) as store:
        store.commit({"probe": b"state"}, positions={"csv": 17})


def saved(place, model, name="states.db"):
    """States and positions in a store of this model."""
    with contextlib.closing(StateStore(place.states / name, model.sha256)) as store:
        return store.load(), store.positions()


@pytest.fixture
def models(tmp_path):
    """Paths of models: the one in use, one with the same states, and others."""
    old = load_model(DEMO)
    network = random_model("lstm", inputs=1, outputs=old.output.width)
    named = {
        "old": old,
        "same_states": similar(old),
        "other_states": dataclasses.replace(
            network,
            input=dataclasses.replace(network.input, names=old.input.names),
            output=dataclasses.replace(network.output, names=old.output.names),
        ),
        "other_channels": similar(old, input=dataclasses.replace(old.input, names=("volts",))),
    }
    (tmp_path / "models").mkdir()
    return {name: model.save(tmp_path / f"models/{name}.edgernn") for name, model in named.items()}


@pytest.fixture
def server(tmp_path):
    """The health of a service."""
    made = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Health)
    made.status, made.refused, made.known = "ok", set(), ""
    made.place = ServicePlace(name="demo", prefix=tmp_path / "device")
    thread = threading.Thread(target=made.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield made
    made.shutdown()
    made.server_close()
    thread.join()


@pytest.fixture
def place(tmp_path, models, server, monkeypatch):
    """An installed service that runs."""
    found = server.place
    old = load_model(models["old"])
    folder = found.models / old.sha256[:12]
    folder.mkdir(parents=True)
    (folder / "model.edgernn").write_bytes(models["old"].read_bytes())
    found.link.symlink_to(f"models/{folder.name}")
    manifest = BundleManifest(
        name="demo", edgernn="0.1.0", model_name=old.name, model_sha256=old.sha256,
        targets=("pure",), offline=True, requirements=(),
    )  # fmt: skip
    (found.app / "manifest.json").write_text(manifest.to_json())
    found.config.parent.mkdir(parents=True)
    found.config.write_text(CONFIG.format(listen=f"127.0.0.1:{server.server_port}"))
    found.states.mkdir(parents=True)
    save(found, old)
    programs = program(tmp_path / "bin", "systemctl", SYSTEMCTL).parent
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("HERE", str(tmp_path))
    (tmp_path / "active").touch()
    return found


def asked(tmp_path):
    lines = (tmp_path / "asked").read_text().splitlines()
    return [line.split()[0] for line in lines if not line.startswith("is-active")]


def update(place, path, **options):
    said = []
    return update_model(place, path, say=said.append, health_s=2.0, **options), said


def snapshot(place):
    return {
        str(p.relative_to(place.prefix)): p.read_bytes()
        for p in place.prefix.rglob("*")
        if p.is_file()
    } | {"link": str(place.link.readlink())}


def test_a_model_with_the_same_states_takes_over(place, models, tmp_path):
    text, said = update(place, models["same_states"])
    new = load_model(models["same_states"])
    assert load_model(place.model).sha256 == new.sha256
    assert text.endswith(f"{new.sha256[:12]}. The streams keep their states.")
    assert said == ["running the test vectors"]
    assert asked(tmp_path) == ["reload"]
    assert BundleManifest.read(place.app / "manifest.json").model_sha256 == new.sha256
    assert saved(place, load_model(models["old"])) == ({"probe": b"state"}, {"csv": 17})
    assert sorted(p.name for p in place.models.iterdir()) == sorted(
        load_model(models[name]).sha256[:12] for name in ("old", "same_states")
    )


def test_the_same_model_changes_nothing(place, models):
    before = snapshot(place)
    text, _ = update(place, models["old"])
    assert text == "edgernn-demo: the model is the same, a4f506cc1592."
    assert snapshot(place) == before


def test_wrong_vectors_leave_everything_as_it_was(place, models, tmp_path):
    vectors = make_vectors(load_model(models["same_states"]))
    vectors["codes.outputs"][7] += 1
    write_vectors(tmp_path / "v.npz", vectors)
    before = snapshot(place)
    with pytest.raises(DeployError, match=r"codes.outputs\[7, 0\]: expected .* The model in use"):
        update(place, models["same_states"], vectors=tmp_path / "v.npz")
    assert snapshot(place) == before
    assert not (tmp_path / "asked").exists()


def test_a_service_that_does_not_take_the_model_goes_back(place, models, server, tmp_path):
    server.refused.add(load_model(models["same_states"]).sha256)
    server.known = load_model(models["old"]).sha256
    with pytest.raises(DeployError, match=r"it still runs model a4f506cc1592. It is back on"):
        update(place, models["same_states"])
    assert load_model(place.model).sha256 == load_model(models["old"]).sha256
    assert asked(tmp_path) == ["reload", "reload"]


def test_a_service_that_stalls_goes_back(place, models, server):
    server.status = "stalled"
    with pytest.raises(DeployError, match=r"/healthz answers HTTP Error 503"):
        update(place, models["same_states"])
    assert load_model(place.model).sha256 == load_model(models["old"]).sha256


def test_states_that_do_not_fit_need_a_yes(place, models):
    before = snapshot(place)
    with pytest.raises(
        DeployError, match=r"all streams would start from zero. To accept that, pass"
    ):
        update(place, models["other_states"])
    assert snapshot(place) == before


def test_states_that_do_not_fit_are_put_aside(place, models, tmp_path):
    text, _ = update(place, models["other_states"], new_states=True)
    assert text.endswith("All streams start from zero.")
    assert asked(tmp_path) == ["stop", "start"]
    old, new = (load_model(models[name]) for name in ("old", "other_states"))
    assert saved(place, new) == ({}, {"csv": 17})
    aside = saved(place, old, "states.db.a4f506cc1592")
    assert aside == ({"probe": b"state"}, {"csv": 17})


def test_root_opens_states_with_the_rights_of_their_owner(place, models, monkeypatch):
    owner, ids, used = place.states.stat(), [("user", 0)], []
    for name, start in (("user", "seteuid"), ("group", "setegid")):
        monkeypatch.setattr(os, start, lambda i, name=name: ids.append((name, i)))
    monkeypatch.setattr(os, "geteuid", lambda: 0)

    class Store(StateStore):
        def __init__(self, *arguments, **named):
            used.append(ids[-1])
            super().__init__(*arguments, **named)

    monkeypatch.setattr("edgernn.deploy.switch.StateStore", Store)
    update(place, models["other_states"], new_states=True)
    assert used == [("user", owner.st_uid)] * 2
    assert ids[-2:] == [("user", 0), ("group", os.getegid())]


def test_states_come_back_with_the_old_model(place, models, server, tmp_path):
    server.refused.add(load_model(models["other_states"]).sha256)
    server.known = load_model(models["old"]).sha256
    with pytest.raises(DeployError, match=r"It is back on"):
        update(place, models["other_states"], new_states=True)
    assert asked(tmp_path) == ["stop", "start", "stop", "start"]
    assert saved(place, load_model(models["old"])) == ({"probe": b"state"}, {"csv": 17})
    assert load_model(place.model).sha256 == load_model(models["old"]).sha256
    assert [path.name for path in place.states.iterdir()] == ["states.db"]


def test_other_channels_need_another_config(place, models):
    before = snapshot(place)
    with pytest.raises(DeployError, match=r"expected the inputs .*, got volts. Make a bundle"):
        update(place, models["other_channels"])
    assert snapshot(place) == before


def test_a_service_that_does_not_run_takes_the_model_when_it_starts(place, models, tmp_path):
    (tmp_path / "active").unlink()
    _, said = update(place, models["same_states"])
    assert said[-1] == "edgernn-demo does not run: it takes the model when it starts"
    assert asked(tmp_path) == []
    assert saved(place, load_model(models["same_states"]))[0] == {"probe": b"state"}
    assert load_model(place.model).sha256 == load_model(models["same_states"]).sha256


def test_a_folder_that_cannot_be_written_asks_for_sudo(place, models, monkeypatch):
    def refuse(self, *args, **options):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(DeployError, match=r"got no permission. Run the command with sudo."):
        update(place, models["same_states"])


def test_a_service_without_http_must_run_on(place, models, tmp_path, monkeypatch):
    place.config.write_text(CONFIG.format(listen=""))
    program(
        tmp_path / "bin",
        "systemctl",
        SYSTEMCTL.replace("start) ", 'reload) rm "$HERE/active" ;;\nstart) '),
    )
    with pytest.raises(DeployError, match=r"got: the service stopped. It is back on"):
        update(place, models["same_states"])


def test_the_link_leads_somewhere_at_every_instant(tmp_path, monkeypatch):
    """The link is replaced, never removed."""
    link = tmp_path / "link"
    point(link, Path("a"))
    seen = []
    replace = Path.replace

    def watched(self, target):
        seen.append(str(link.readlink()))
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", watched)
    monkeypatch.setattr(Path, "unlink", lambda self, missing_ok: seen.append(self.name))
    point(link, Path("b"))
    assert seen == ["link.new", "a"]
    assert str(link.readlink()) == "b"


def test_a_missing_manifest_is_named(tmp_path):
    with pytest.raises(DeployError, match=r"expected a manifest in '.*', got No such file"):
        update(ServicePlace(name="demo", prefix=tmp_path), DEMO)
