"""Write a bundle as a Debian package, without tools of Debian."""

from __future__ import annotations

import gzip
import io
import os
import re
import tarfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from edgernn.deploy.layout import BundleManifest, ServicePlace
from edgernn.deploy.wheels import TARGETS
from edgernn.errors import DeployError

_CONTROL: Final = """\
Package: {package}
Version: {version}
Architecture: {architecture}
Maintainer: {maintainer}
Installed-Size: {installed_kib}
Depends: python3 (>= 3.11), python3-numpy (>= 1:1.24)
Section: misc
Priority: optional
Description: edgernn {name}: predictions from sensor readings
 The service {package} runs the recurrent network {model_name} on the
 readings of sensors, with edgernn {edgernn}.
"""
_POSTINST: Final = """\
#!/bin/sh
set -e
if [ "$1" = configure ]; then
    sh {bundle}/install.sh --packaged --no-apt
fi
"""
_PRERM: Final = """\
#!/bin/sh
set -e
if [ "$1" = remove ]; then
    sh {bundle}/uninstall.sh --packaged
fi
"""
_POSTRM: Final = """\
#!/bin/sh
set -e
if [ "$1" = purge ]; then
    rm -rf {states}
    rm -f {environment}
    rmdir /etc/edgernn /var/lib/edgernn 2>/dev/null || true
fi
if [ -d /run/systemd/system ]; then systemctl daemon-reload; fi
"""
_VERSION: Final = re.compile(r"[0-9][A-Za-z0-9.+~-]*")
_AR_MAGIC: Final = b"!<arch>\n"
_MODE: Final = 0o644
_PROGRAM_MODE: Final = 0o755


def write_deb(bundle: Path, out: Path, version: str = "", maintainer: str = "") -> str:
    """Write a package that installs a bundle.

    The environment variable SOURCE_DATE_EPOCH sets all times in it, so that the same bundle gives
    the same bytes.

    Args:
        bundle: folder that `make_bundle` made.
        out: the .deb file, or a folder, in which it gets its usual name.
        version: of the package; "" for that of edgernn with the time, so that later ones are newer.
        maintainer: name and address.

    Returns:
        The path of the package.

    Raises:
        DeployError: the version is none.
    """
    manifest = BundleManifest.read(bundle / "manifest.json")
    place = ServicePlace(name=manifest.name)
    now_s = int(os.environ.get("SOURCE_DATE_EPOCH") or time.time())
    stamp = time.strftime("%Y%m%d%H%M%S", time.gmtime(now_s))
    version = version or f"{manifest.edgernn}+{stamp}"
    if not _VERSION.fullmatch(version):
        raise DeployError(
            "--deb-version: expected digits, letters and . + ~ - that begin with a digit, "
            f"got '{version:.60}'. Pass, for example, --deb-version 1.2."
        )
    architecture = _architecture(manifest.targets)
    share = f"usr/share/edgernn/{manifest.name}"
    files = {
        f"{share}/{path.relative_to(bundle).as_posix()}": path.read_bytes()
        for path in sorted(bundle.rglob("*"))
        if path.is_file()
    }
    conffile = str(place.config).lstrip("/")
    files[conffile] = (bundle / "serve.toml").read_bytes()
    unit = f"{place.service}.service"
    files[f"usr/lib/systemd/system/{unit}"] = (bundle / unit).read_bytes()
    words = {
        "package": place.service,
        "version": version,
        "architecture": architecture,
        "maintainer": maintainer or "edgernn deploy <root@localhost>",
        "installed_kib": str(-(-sum(map(len, files.values())) // 1024)),
        "name": manifest.name,
        "model_name": " ".join(manifest.model_name.split()),
        "edgernn": manifest.edgernn,
        "bundle": f"/{share}",
        "states": str(place.states),
        "environment": str(place.config.with_suffix(".env")),
    }
    control = {
        "control": _CONTROL,
        "conffiles": f"/{conffile}\n",
        "postinst": _POSTINST,
        "prerm": _PRERM,
        "postrm": _POSTRM,
    }
    scripts = {name: text.format_map(words).encode() for name, text in control.items()}
    if out.is_dir():
        out = out / f"{place.service}_{version}_{architecture}.deb"
    fresh = out.with_name(f".{out.name}.new")
    fresh.write_bytes(
        _archive(
            {
                "debian-binary": b"2.0\n",
                "control.tar.gz": _tar(scripts, ("postinst", "prerm", "postrm"), now_s),
                "data.tar.gz": _tar(files, (), now_s),
            },
            now_s,
        )
    )
    fresh.replace(out)
    return str(out)


def _architecture(targets: Sequence[str]) -> str:
    """Debian's name of the machine; "all" for several."""
    machines = [TARGETS[target] for target in targets if target != "pure"]
    return machines[0] if len(machines) == 1 else "all"


def _tar(files: Mapping[str, bytes], programs: Sequence[str], now_s: int) -> bytes:
    """A compressed archive, owned by root, with an entry for each folder."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w", format=tarfile.GNU_FORMAT) as archive:
        folders = {
            parent.as_posix() for name in files for parent in Path(name).parents if parent.name
        }
        for folder in [".", *sorted(f"./{name}" for name in folders)]:
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode, entry.mtime = tarfile.DIRTYPE, _PROGRAM_MODE, now_s
            entry.uname = entry.gname = "root"
            archive.addfile(entry)
        for name in sorted(files):
            entry = tarfile.TarInfo(f"./{name}")
            entry.mode = _PROGRAM_MODE if name in programs or name.endswith(".sh") else _MODE
            entry.size, entry.mtime = len(files[name]), now_s
            entry.uname = entry.gname = "root"
            archive.addfile(entry, io.BytesIO(files[name]))
    return gzip.compress(content.getvalue(), mtime=0)


def _archive(members: Mapping[str, bytes], now_s: int) -> bytes:
    """An archive of the form of `ar`."""
    parts = [_AR_MAGIC]
    for name, content in members.items():
        head = f"{name:<16}{now_s:<12}{0:<6}{0:<6}{0o100644:<8o}{len(content):<10}`\n"
        parts += [head.encode("ascii"), content, b"\n" * (len(content) % 2)]
    return b"".join(parts)
