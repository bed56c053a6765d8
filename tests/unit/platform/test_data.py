# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of platform facts: whole, and right in themselves."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.lifeboat.cluster.plugins.filter.for_groups import EVERY, GROUPS, for_groups
from ansible_collections.lifeboat.cluster.plugins.module_utils._files.globs import GlobSet
from ansible_collections.lifeboat.cluster.plugins.module_utils._node.services.services import Node, read_groups, read_services
from ansible_collections.lifeboat.cluster.plugins.module_utils._pki.tls import TYPES
from tests import environment

FILES = environment.ROOT / "roles/platform/files"
NAMES = sorted(path.stem for path in FILES.glob("*.yml"))
# Machines as inventories have them: which groups they are in.
MACHINES = {
    "kubeadm": (("control_plane", "etcd"), ("control_plane",), ("etcd",), ("workers",)),
    "caasp3": (("admin",), ("control_plane", "etcd"), ("control_plane",), ("workers", "etcd"), ("workers",)),
}

Data = dict[str, Any]


@pytest.fixture(params=NAMES)
def data(request: pytest.FixtureRequest) -> Data:
    found: Data = yaml.safe_load((FILES / f"{request.param}.yml").read_text())
    return found


def machines(data: Data) -> Iterator[tuple[str, ...]]:
    yield from MACHINES[data["name"]]


def captured(data: Data, groups: tuple[str, ...]) -> list[dict[str, Any]]:
    """Everything that is captured of a machine."""
    files = for_groups(data["pki"]["files"], groups) + for_groups(data["node_config"]["files"], groups)
    return files + (data["salt"]["files"] if "salt" in data and "admin" in groups else [])


def below(path: str, directories: list[str]) -> bool:
    return any(path == directory or path.startswith(directory + "/") for directory in directories)


def test_every_platform_is_named_like_its_file_and_tested_here() -> None:
    assert set(NAMES) == set(MACHINES)
    for name in NAMES:
        assert yaml.safe_load((FILES / f"{name}.yml").read_text())["name"] == name


def test_roles_find_in_every_platform_what_they_read_without_a_default(data: Data) -> None:
    for name in NAMES:
        other: Data = yaml.safe_load((FILES / f"{name}.yml").read_text())
        common = {"salt", "velum_database", "directory"}
        assert set(other) - common == set(data) - common, name
        for key in ("runtime", "api", "pki", "node_config"):
            assert set(other[key]) == set(data[key]), (name, key)
    assert {"data_dir", "endpoint", "ca_cert", "client_cert", "client_key", "client_port", "peer_port", "service", "store"} <= set(data["etcd"])
    assert data["identity"]["ca_certs"]


def test_every_component_has_a_place_in_the_order_and_a_role(data: Data, repository: Path) -> None:
    used = {component for components in data["components"].values() for component in components}
    assert used == set(data["component_order"])
    assert len(data["component_order"]) == len(used)
    assert used <= {path.name for path in (repository / "roles").iterdir()}
    assert set(data["components"]) <= set(GROUPS)
    assert set(data["required_groups"]) <= set(data["components"])


def test_every_service_of_an_order_exists_and_every_one_that_is_stopped_is_started(data: Data) -> None:
    services = read_services(data)
    used = set()
    for verb in ("start", "stop"):
        assert set(data[verb]) <= set(GROUPS)
        for kind, order in data[verb].items():
            names = [service.name for group in read_groups(services, order) for service in group]
            assert len(names) == len(set(names)), (verb, kind)
            used |= set(names)
    for kind in data["start"]:
        assert {name for group in data["start"][kind] for name in group} == {name for group in data["stop"][kind] for name in group}, kind
    assert used == set(services)
    assert data["etcd"]["service"] in services
    assert all(service.unit.endswith(".service") for service in services.values() if service.unit)


def test_services_of_one_manifest_follow_each_other_and_have_its_namespace(data: Data) -> None:
    """Who starts one starts all of its pod: nothing else may be meant to start in between."""
    services = read_services(data)
    for order in data["start"].values():
        manifests = [{services[name].manifest for name in group} - {""} for group in order]
        for manifest in set().union(*manifests):
            at = [number for number, found in enumerate(manifests) if manifest in found]
            assert at == list(range(at[0], at[-1] + 1)), manifest
    for manifest in {service.manifest for service in services.values()} - {""}:
        assert len({service.namespace for service in services.values() if service.manifest == manifest}) == 1, manifest


def test_the_runtime_is_known_and_the_services_make_a_node(data: Data) -> None:
    node = Node(data)
    assert node.runtime_unit.endswith(".service")
    assert node.runtime_config
    assert node.runtime.endpoint.startswith("unix:///")


def test_everything_by_group_can_be_read(data: Data) -> None:
    for part in (data["pki"]["files"], data["pki"]["certificates"], data["pki"]["shared"], data["node_config"]["files"], data["node_config"]["certificates"]):
        for groups in machines(data):
            for_groups(part, groups)
    assert not isinstance(data["versions"], dict) or set(data["versions"]) <= {EVERY, *GROUPS}


def test_every_file_says_why_and_none_is_listed_twice(data: Data) -> None:
    for groups in machines(data):
        files = captured(data, groups)
        for entry in files:
            assert set(entry) == {"path", "required", "why"}, entry
            assert entry["path"] == os.path.normpath(entry["path"]), entry
            assert os.path.isabs(entry["path"]), entry
            assert isinstance(entry["required"], bool), entry
            assert entry["why"].strip(), entry
            assert "|" not in entry["why"], "it stands in a table"
        paths = [entry["path"] for entry in files]
        assert len(paths) == len(set(paths)), groups


def test_every_machine_is_known_by_files_that_a_restore_would_bring(data: Data) -> None:
    """What is required is in every point: a machine with all of it lacks nothing, and an empty one has none of it."""
    assert isinstance(data["installed_files"], list)
    required = {entry["path"] for groups in machines(data) for entry in captured(data, groups) if entry["required"]}
    assert set(data["installed_files"]) <= required, "what is not required decides nothing"
    for groups in machines(data):
        known_by = [entry["path"] for entry in captured(data, groups) if entry["required"] and entry["path"] not in data["installed_files"]]
        assert known_by, groups
        # Anything below is one of the files that are there after a restore.
        assert not [path for path in known_by if path == data["etcd"]["data_dir"]], groups


def test_every_certificate_that_is_checked_is_captured(data: Data) -> None:
    """What a check reads after a restore has to come back with it."""
    for groups in machines(data):
        held = [entry["path"] for entry in captured(data, groups)]
        checks = for_groups(data["node_config"]["certificates"], groups)
        if "pki" in {component for group in groups for component in data["components"].get(group, [])}:
            checks += for_groups(data["pki"]["certificates"], groups)
        assert len({check["id"] for check in checks}) == len(checks), groups
        for check in checks:
            assert check["type"] in TYPES, check
            for key in ("certificate", "key", "ca", "kubeconfig"):
                assert key not in check or below(check[key], held), (groups, check["id"], check[key])


# What kubeadm.yml had for a control plane with its member of etcd before machines of etcd alone were known to it.
STACKED_REQUIRED = {
    *("/etc/kubernetes/pki", "/etc/kubernetes/admin.conf", "/etc/kubernetes/controller-manager.conf", "/etc/kubernetes/scheduler.conf"),
    *("/etc/kubernetes/kubelet.conf", "/var/lib/kubelet/config.yaml", "/var/lib/kubelet/pki", "/etc/kubernetes/manifests"),
}
STACKED_OPTIONAL = {
    *("/etc/kubernetes/super-admin.conf", "/etc/kubernetes/enc", "/etc/kubernetes/encryption", "/etc/kubernetes/patches"),
    *("/etc/kubernetes/bootstrap-kubelet.conf", "/var/lib/kubelet/config.json", "/var/lib/kubelet/instance-config.yaml", "/var/lib/kubelet/kubeadm-flags.env"),
    "/etc/default/kubelet",
    *("/etc/sysconfig/kubelet", "/etc/systemd/system/kubelet.service", "/etc/systemd/system/kubelet.service.d"),
    *("/etc/systemd/system/containerd.service.d", "/etc/containerd/config.toml", "/etc/containerd/certs.d", "/etc/crictl.yaml", "/etc/cni/net.d"),
    *("/etc/systemd/system/crio.service.d", "/etc/containerd/conf.d", "/etc/crio", "/etc/containers"),
    *("/etc/sysctl.d", "/etc/modules-load.d", "/etc/hosts", "/etc/hostname", "/etc/machine-id", "/etc/ssh/sshd_config", "/etc/ssh/sshd_config.d"),
    *("/etc/sudoers.d", "/etc/network", "/etc/netplan", "/etc/systemd/network", "/etc/resolv.conf"),
}
OF_API_SERVERS = ["apiserver", "apiserver-kubelet-client", "apiserver-etcd-client", "front-proxy-client", "cluster-ca", "front-proxy-ca", "service-account"]
KUBECONFIGS = ["admin-kubeconfig", "controller-manager-kubeconfig", "scheduler-kubeconfig"]
OF_MEMBERS = ["etcd-server", "etcd-peer", "etcd-healthcheck-client"]


def test_a_control_plane_with_its_member_has_what_it_always_had_and_a_machine_of_etcd_alone_its_part() -> None:
    data: Data = yaml.safe_load((FILES / "kubeadm.yml").read_text())
    stacked, api_server, member = ("control_plane", "etcd"), ("control_plane",), ("etcd",)

    def paths(groups: tuple[str, ...], required: bool) -> list[str]:
        return sorted(entry["path"] for entry in captured(data, groups) if entry["required"] is required)

    def ids(groups: tuple[str, ...], part: str = "certificates") -> list[str]:
        return [check["id"] if isinstance(check, dict) else check for check in for_groups(data["pki"][part], groups)]

    assert paths(stacked, True) == paths(api_server, True) == sorted(STACKED_REQUIRED)
    assert paths(stacked, False) == paths(api_server, False) == sorted(STACKED_OPTIONAL)
    assert paths(member, True) == ["/etc/kubernetes/manifests", "/etc/kubernetes/pki"]
    assert not [path for path in paths(member, False) if path.endswith(".conf") and path.startswith("/etc/kubernetes/")], "its kubelet has no kubeconfig"
    assert ids(stacked) == ["etcd-ca", *OF_API_SERVERS, *KUBECONFIGS, *OF_MEMBERS]
    assert ids(api_server) == ["etcd-ca", *OF_API_SERVERS, *KUBECONFIGS]
    assert ids(member) == ["etcd-ca", *OF_MEMBERS]
    assert sorted(ids(stacked, "shared")) == ["cluster-ca", "etcd-ca", "front-proxy-ca", "service-account"]
    assert ids(member, "shared") == ["etcd-ca"]
    # The key of etcd's authority: wherever it was, and still is, on every one; on one machine, or none, where members have their own.
    assert data["pki"]["keys_only_on"] == {"etcd-ca": list(stacked)}
    assert [check["id"] for check in for_groups(data["node_config"]["certificates"], member)] == []
    for groups in (stacked, api_server, ("workers",)):
        assert [check["id"] for check in for_groups(data["node_config"]["certificates"], groups)] == ["kubelet-client"]


def test_authorities_with_their_key_on_some_machines_only_are_checked_there(data: Data) -> None:
    for name, groups in data["pki"]["keys_only_on"].items():
        checks = {check["id"]: check for check in for_groups(data["pki"]["certificates"], groups)}
        assert checks[name]["type"] == "authority", name
        assert set(groups) <= set(GROUPS)


def test_what_is_shared_is_checked_where_it_is(data: Data) -> None:
    for groups in machines(data):
        ids = {check["id"]: check for check in for_groups(data["pki"]["certificates"], groups)}
        if "pki" in {component for group in groups for component in data["components"].get(group, [])}:
            for name in for_groups(data["pki"]["shared"], groups):
                assert ids[name]["type"] in ("authority", "same_key"), (groups, name)


def test_globs_can_be_used(data: Data) -> None:
    never = GlobSet(data["node_config"]["never"])
    for path in ("/etc/ssh/sshd_config", "/etc/sudoers.d/ops", "/home/ops/.ssh/authorized_keys", "/root/.ssh/authorized_keys", "/etc/hosts", "/etc/shadow"):
        assert never.matches(path), path
    for pattern in data["keep_target"]:
        assert any(below(pattern, [entry["path"] for entry in captured(data, groups)]) for groups in machines(data)), pattern


def test_the_admin_nodes_components_fit_each_other() -> None:
    data: Data = yaml.safe_load((FILES / "caasp3.yml").read_text())
    services = read_services(data)
    read_groups(services, data["salt"]["services"])
    database, directory = data["velum_database"], data["directory"]
    assert {database["service"], directory["service"]} <= set(services)
    held = [entry["path"] for entry in captured(data, ("admin",))]
    kept = GlobSet(data["keep_target"])
    secrets = [database["root_password_file"], database["returner_file"], *(user["password_file"] for user in database["users"])]
    for path in secrets:
        assert below(path, held), path
        assert kept.matches(path), "all of them or none"
    assert below(directory["password_file"], held)
    assert not kept.matches(directory["password_file"])
    assert not set(database["state_tables"]) & set(database["volatile_tables"])
    for key in ("master_pki", "master_cache", "minion_pki", "grains", "config", "minion_config"):
        assert below(data["salt"][key], held), key
