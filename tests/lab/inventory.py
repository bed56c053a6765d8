# Copyright: (c) 2026, Lifeboat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the lab hands out: an ordinary Ansible inventory, an ssh configuration, a description for tests. Values in, text out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from .machinefiles import USER
from .topology import API_PORT, Topology


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


def render(topology: Topology, name: str, variables: Mapping[str, object]) -> str:
    """The inventory in YAML. What is true of the cluster, the controller's own plays have to know too: hence `all`."""
    lines = [f"# Written by the lab {name}; `down` removes it.", "all:", "  vars:"]
    lines += [f"    {key}: {_quoted(value)}" for key, value in variables.items() if key.startswith("lifeboat_")]
    lines += ["  children:", "    admin:", "      hosts: {}", "    cluster:", "      vars:"]
    lines += [f"        {key}: {_quoted(value)}" for key, value in variables.items() if not key.startswith("lifeboat_")]
    lines += ["      children:", "        control_plane:", "          hosts:"]
    for node in topology.control_plane:
        lines += [f"            {node.name}:", f"              ansible_host: {_quoted(node.address)}"]
    lines += ["        etcd:", "          children:", "            control_plane: {}"]
    lines.append("        workers:")
    lines.append("          hosts:" if topology.workers else "          hosts: {}")
    for node in topology.workers:
        lines += [f"            {node.name}:", f"              ansible_host: {_quoted(node.address)}"]
    return "\n".join(lines) + "\n"


def variables(topology: Topology, name: str, directory: Path, control_directory: Path) -> dict[str, object]:
    """Variables of the cluster, and how its hosts are reached; a parent group has the latter, so that localhost has not."""
    options = ssh_options(directory, control_directory)
    return {
        "ansible_user": USER,
        "ansible_ssh_private_key_file": str(directory / "id_ed25519"),
        "ansible_ssh_common_args": " ".join(f"-o {option}" for option in options),
        "ansible_python_interpreter": "/usr/bin/python3",
        "ansible_become": True,
        "lifeboat_platform": "kubeadm",
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
