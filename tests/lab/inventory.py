# Copyright: (c) 2026, Lifeboat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the lab hands out: an ordinary Ansible inventory, an ssh configuration, a description for tests. Values in, text out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from .machinefiles import USER
from .platforms import platform_of
from .topology import API_PORT, NodePlan, Topology


def ssh_options(directory: Path, control_directory: Path) -> list[str]:
    """Options for every ssh connection to a node of the lab."""
    return [
        f"UserKnownHostsFile={directory / 'known_hosts'}",
        "StrictHostKeyChecking=yes",
        "IdentitiesOnly=yes",
        "ControlMaster=auto",
        "ControlPersist=300",
        # A socket path has at most 107 characters; %C is a hash of host, port and user.
        f"ControlPath={control_directory}/%C",
    ]


def _quoted(value: object) -> str:
    # JSON strings are YAML strings; names of groups and hosts need no quotes.
    return json.dumps(value)


def _hosts(nodes: Iterable[NodePlan]) -> dict[str, object]:
    return {"hosts": {node.name: {"ansible_host": node.address} for node in nodes}}


def _lines(content: Mapping[str, object], indentation: str) -> list[str]:
    """Nested dictionaries as YAML; an empty one, and whatever else there is, in one line."""
    found = []
    for key, value in content.items():
        if isinstance(value, dict) and value:
            found += [f"{indentation}{key}:", *_lines(value, indentation + "  ")]
        else:
            found.append(f"{indentation}{key}: {_quoted(value)}")
    return found


def render(topology: Topology, name: str, variables: Mapping[str, object]) -> str:
    """The inventory in YAML. What is true of the cluster, the controller's own plays have to know too: hence `all`."""
    everywhere = {key: value for key, value in variables.items() if key.startswith("lifeboat_")}
    # Members are named again when they are not just the control plane; their addresses are with their first group.
    stacked = topology.etcd == topology.control_plane
    groups: dict[str, object] = {
        "control_plane": _hosts(topology.control_plane),
        "etcd": {"children": {"control_plane": {}}} if stacked else {"hosts": {node.name: {} for node in topology.etcd}},
        "workers": _hosts(topology.workers),
    }
    # Only below the group with the variables are hosts reached.
    outside: dict[str, object] = {}
    (groups if topology.admin else outside)["admin"] = _hosts(topology.admin)
    reached = {key: value for key, value in variables.items() if key not in everywhere}
    content = {"all": {"vars": everywhere, "children": {**outside, "cluster": {"vars": reached, "children": groups}}}}
    return "\n".join([f"# Written by the lab {name}; `down` removes it.", *_lines(content, "")]) + "\n"


def variables(topology: Topology, name: str, directory: Path, control_directory: Path) -> dict[str, object]:
    """Variables of the cluster, and how its hosts are reached; a parent group has the latter, so that localhost has not."""
    options = ssh_options(directory, control_directory)
    return {
        "ansible_user": USER,
        "ansible_ssh_private_key_file": str(directory / "id_ed25519"),
        "ansible_ssh_common_args": " ".join(f"-o {option}" for option in options),
        "ansible_python_interpreter": "/usr/bin/python3",
        "ansible_become": True,
        **platform_of(topology.kind).variables,
        "lifeboat_cluster_name": name,
        "lifeboat_api_server": f"https://{topology.api_address}:{API_PORT}",
        "lifeboat_lab": True,
    }


def ssh_configuration(topology: Topology, directory: Path, control_directory: Path) -> str:
    """For ssh -F and pytest-testinfra."""
    lines: list[str] = []
    for node in topology.nodes:
        lines += [f"Host {node.name}", f"    HostName {node.address}", f"    HostKeyAlias {node.address}"]
    lines += ["Host *", f"    User {USER}", f"    IdentityFile {directory / 'id_ed25519'}"]
    lines += ["    " + option.replace("=", " ", 1) for option in ssh_options(directory, control_directory)]
    return "\n".join(lines) + "\n"


def known_hosts(topology: Topology, keys: Mapping[str, str]) -> str:
    """The host keys of the nodes, under address and name."""
    return "".join(f"{node.address},{node.name} {' '.join(keys[node.name].split()[:2])}\n" for node in topology.nodes)
