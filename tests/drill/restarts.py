# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What on a machine was started over and over: kubelet, units, containers."""

from __future__ import annotations

import json
from datetime import datetime

from tests.lab import Lab


def kubelet_started_at(lab: Lab, node: str) -> float:
    """Epoch seconds of the last start of a machine's kubelet; raises LookupError when systemd had to start it again by itself."""
    said = lab.node(node).run(["systemctl", "show", "kubelet", "--timestamp=unix", "--property=NRestarts,ActiveEnterTimestamp"]).stdout
    shown = dict(line.split("=", 1) for line in said.splitlines())
    if shown["NRestarts"] != "0":
        raise LookupError(f"the kubelet of {node} was restarted by systemd {shown['NRestarts']} times")
    return float(shown["ActiveEnterTimestamp"].removeprefix("@"))


def restarted_units(lab: Lab, node: str) -> dict[str, int]:
    """How often systemd had to start each of a machine's services again by itself; those that run at the first try are left out."""
    said = lab.node(node).run(["systemctl", "show", "*.service", "--property=Id,NRestarts"]).stdout
    shown = [dict(line.split("=", 1) for line in block.splitlines()) for block in said.split("\n\n") if block.strip()]
    return {one["Id"]: int(one["NRestarts"]) for one in shown if int(one.get("NRestarts", "0"))}


def failed_containers(lab: Lab, node: str, since: float, besides: str) -> dict[str, list[str]]:
    """Containers on a machine that ended with a failure after a time, by name with the times: what is started over and over, leaves these behind.

    Those of pods whose name begins with `besides` do not count: a pod that is deleted ends with the signal's status.
    """
    listing = json.loads(lab.node(node).run(["crictl", "ps", "--all", "--output", "json"]).stdout)
    failed: dict[str, list[str]] = {}
    for container in listing["containers"]:
        if container["state"] != "CONTAINER_EXITED" or container["labels"]["io.kubernetes.pod.name"].startswith(besides):
            continue
        status = json.loads(lab.node(node).run(["crictl", "inspect", container["id"]]).stdout)["status"]
        if status["exitCode"] and moment(status["finishedAt"]) >= since:
            failed.setdefault(container["metadata"]["name"], []).append(status["finishedAt"])
    return failed


def moment(text: str) -> float:
    """Epoch seconds of the time stamps of Kubernetes (microseconds) and of containers (nanoseconds)."""
    whole, _dot, fraction = text.rstrip("Z").partition(".")
    return datetime.fromisoformat(f"{whole}+00:00").timestamp() + float(f"0.{fraction[:9] or 0}")
