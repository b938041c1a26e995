"""The systemd unit of a service: started at boot, watched, and confined to what it needs."""

from __future__ import annotations

from typing import Final

from edgernn.deploy.layout import USER, ServicePlace
from edgernn.deploy.needs import DeviceNeeds

_UNIT: Final = """\
[Unit]
Description=edgernn {name}: predictions from sensor readings
Wants=network-online.target
After=network-online.target time-sync.target
# A device that runs for years is never given up.
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
ExecStart={python} -P -m edgernn serve {config}
ExecReload=/bin/kill -HUP $MAINPID
Restart=always
RestartSec=5
WatchdogSec=60
TimeoutStartSec=120
TimeoutStopSec=60
# -P in ExecStart: no module comes from the working directory, which the service can write to.
# Secrets that the config takes from the environment, one NAME=value a line.
EnvironmentFile=-{environment}
Environment=OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1

User={user}
Group={user}
{groups}StateDirectory=edgernn/{name}
StateDirectoryMode=0750
WorkingDirectory={states}
UMask=0027

# Confinement. Measured with: systemd-analyze security {service}
CapabilityBoundingSet=
AmbientCapabilities=
LockPersonality=yes
MemoryDenyWriteExecute=yes
NoNewPrivileges=yes
{devices}PrivateTmp=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHome=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
{processes}ProtectSystem=strict
RemoveIPC=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
{network}RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallErrorNumber=EPERM

[Install]
WantedBy=multi-user.target
"""
_NO_DEVICES: Final = "PrivateDevices=yes\nPrivateUsers=yes\n"


def unit_text(name: str, needs: DeviceNeeds) -> str:
    """The unit of a service.

    Args:
        name: of the service.
        needs: of its config; what it does not need is forbidden.
    """
    place = ServicePlace(name=name)
    devices = [f"DeviceAllow={device} rw" for device in needs.devices]
    return _UNIT.format(
        name=name,
        service=place.service,
        python=place.python,
        config=place.config,
        environment=place.config.with_suffix(".env"),
        states=place.states,
        user=USER,
        groups=_lines([f"SupplementaryGroups={' '.join(needs.groups)}"] if needs.groups else []),
        devices=_lines(["DevicePolicy=closed", *devices]) if devices else _NO_DEVICES,
        processes=_lines([] if needs.processes else ["ProcSubset=pid", "ProtectProc=invisible"]),
        network=_lines([] if needs.network else ["IPAddressDeny=any", "IPAddressAllow=localhost"]),
    )


def _lines(lines: list[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
