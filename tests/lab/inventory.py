# Copyright: (c) 2026, Lifeboat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the lab hands out: an ordinary Ansible inventory, an ssh configuration, a description for tests. Values in, text out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from .machinefiles import USER
from .platforms import platform_of
from .topology import API_PORT, SILENT_WORKER, NodePlan, Topology, bracketed


def ssh_configuration_file(directory: Path) -> Path:
    """For ssh -F; with the trait names-only also for Ansible."""
    return directory / "ssh_config"


def _control_path(directory: Path) -> str:
    # A socket path has at most 107 characters; %C is a hash of host, port and user.
    return f"{directory}/%C"


def ssh_options(directory: Path, control_directory: Path) -> list[str]:
    """Options for every ssh connection to a node of the lab."""
    return [
        f"UserKnownHostsFile={directory / 'known_hosts'}",
        "StrictHostKeyChecking=yes",
        "IdentitiesOnly=yes",
        "ControlMaster=auto",
        "ControlPersist=300",
        f"ControlPath={_control_path(control_directory)}",
    ]


def _quoted(value: object) -> str:
    # JSON strings are YAML strings; names of groups and hosts need no quotes.
    return json.dumps(value)


def _reached(topology: Topology, node: NodePlan) -> dict[str, object]:
    """The variables of a host that say where it is."""
    if "names-only" in topology.traits:
        return {}
    if "nat" in topology.traits:
        return {"ansible_host": topology.host_address, "ansible_port": topology.forwarded_port(node)}
    return {"ansible_host": node.address}


def _hosts(topology: Topology, nodes: Iterable[NodePlan]) -> dict[str, object]:
    return {node.name: _reached(topology, node) for node in nodes}


def _workers(topology: Topology) -> dict[str, object]:
    found = _hosts(topology, topology.workers)
    if "silent" in topology.traits:
        found[SILENT_WORKER] = {} if "names-only" in topology.traits else {"ansible_host": topology.silent_address}
    return found


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
    members = {node.name: _reached(topology, node) if node.outside else {} for node in topology.etcd}
    groups: dict[str, object] = {
        "control_plane": {"hosts": _hosts(topology, topology.control_plane)},
        "etcd": {"children": {"control_plane": {}}} if stacked else {"hosts": members},
        "workers": {"hosts": _workers(topology)},
    }
    # Only below the group with the variables are hosts reached.
    outside: dict[str, object] = {}
    (groups if topology.admin else outside)["admin"] = {"hosts": _hosts(topology, topology.admin)}
    reached = {key: value for key, value in variables.items() if key not in everywhere}
    content = {"all": {"vars": everywhere, "children": {**outside, "cluster": {"vars": reached, "children": groups}}}}
    return "\n".join([f"# Written by the lab {name}; `down` removes it.", *_lines(content, "")]) + "\n"


def _common_arguments(topology: Topology, directory: Path, control_directory: Path) -> str:
    if "names-only" in topology.traits:
        # Ansible brings a control path of its own unless it sees one here; then ssh -F and Ansible would not share connections.
        return f"-F {ssh_configuration_file(directory)} -o ControlPath={_control_path(control_directory)}"
    return " ".join(f"-o {option}" for option in ssh_options(directory, control_directory))


def variables(topology: Topology, name: str, directory: Path, control_directory: Path, password: str = "") -> dict[str, object]:
    """Variables of the cluster, and how its hosts are reached; a parent group has the latter, so that localhost has not."""
    return {
        "ansible_user": USER,
        "ansible_ssh_private_key_file": str(directory / "id_ed25519"),
        "ansible_ssh_common_args": _common_arguments(topology, directory, control_directory),
        "ansible_python_interpreter": topology.nodes[0].python,
        "ansible_become": True,
        **({"ansible_become_password": password} if password else {}),
        **platform_of(topology.kind).variables,
        "lifeboat_cluster_name": name,
        "lifeboat_api_server": f"https://{bracketed(topology.api_address)}:{API_PORT}",
        "lifeboat_lab": True,
    }


def ssh_configuration(topology: Topology, directory: Path, control_directory: Path) -> str:
    """For ssh -F and pytest-testinfra."""
    lines: list[str] = []
    for node in topology.nodes:
        lines += [f"Host {node.name}"]
        if "nat" in topology.traits:
            lines += [f"    HostName {topology.host_address}", f"    Port {topology.forwarded_port(node)}"]
        else:
            lines += [f"    HostName {node.address}"]
        lines += [f"    HostKeyAlias {node.address}"]
    if "silent" in topology.traits:
        lines += [f"Host {SILENT_WORKER}", f"    HostName {topology.silent_address}"]
    lines += ["Host *", f"    User {USER}", f"    IdentityFile {directory / 'id_ed25519'}"]
    lines += ["    " + option.replace("=", " ", 1) for option in ssh_options(directory, control_directory)]
    return "\n".join(lines) + "\n"


def _known_names(topology: Topology, node: NodePlan) -> str:
    forwarded = [f"[{topology.host_address}]:{topology.forwarded_port(node)}"] if "nat" in topology.traits else []
    return ",".join([node.address, node.name, *forwarded])


def known_hosts(topology: Topology, keys: Mapping[str, str]) -> str:
    """The host keys of the nodes, under each way in which they are reached."""
    return "".join(f"{_known_names(topology, node)} {' '.join(keys[node.name].split()[:2])}\n" for node in topology.nodes)
