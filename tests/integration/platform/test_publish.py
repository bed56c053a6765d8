# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role platform publishes on the machines of the example inventories, and what it says of a machine with a useless Python."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from ansible_collections.lifeboat.cluster.plugins.filter.for_groups import for_groups
from tests.integration.evidence.playground import BEGIN, Playground
from tests.integration.playbooks import LIMIT_SECONDS

PLAY = """
- hosts: all
  gather_facts: false
  become: false
  tasks:
    - ansible.builtin.include_role: {name: lifeboat.cluster.platform, tasks_from: publish}
    - ansible.builtin.copy:
        content: "{{ {'data': platform_data, 'components': platform_components, 'kind': platform_node_kind, 'keys_elsewhere': keys_elsewhere} | to_json }}"
        dest: "%s/{{ inventory_hostname }}.json"
        mode: "0600"
      delegate_to: localhost
      vars:
        keys_elsewhere: "%s"
"""


# Published for each machine, and in no file.
OF_A_MACHINE = ("required_files", "certificates", "manifests_known", "renewable")


OF_A_CONTROL_PLANE = (
    *("/etc/kubernetes/pki", "/etc/kubernetes/admin.conf", "/etc/kubernetes/controller-manager.conf", "/etc/kubernetes/scheduler.conf"),
    *("/etc/kubernetes/kubelet.conf", "/var/lib/kubelet/config.yaml", "/var/lib/kubelet/pki", "/etc/kubernetes/manifests"),
)
KUBELET_CLIENT = [{"id": "kubelet-client", "type": "kubeconfig", "kubeconfig": "/etc/kubernetes/kubelet.conf"}]
EXTERNAL = {"control_plane": "cp1", "etcd": "e1", "workers": "w1"}


def published(repository: Path, directory: Path, platform: str, overrides: Any = None, inventory: Path | None = None) -> dict[str, dict[str, Any]]:
    """What is published on each machine of an example inventory, or of another one."""
    # As the preflight of keys and certificates reads it.
    tasks = yaml.safe_load((repository / "roles/pki/tasks/preflight.yml").read_text())
    (expression,) = [task["vars"]["pki_keys_elsewhere"] for task in tasks if "pki_keys_elsewhere" in task.get("vars", {})]
    (directory / "play.yml").write_text(PLAY % (directory, expression))
    variables = {"lifeboat_platform_overrides": overrides or {}, "ansible_become": False, "ansible_python_interpreter": sys.executable}
    command = [str(Path(sys.executable).with_name("ansible-playbook")), "-i", str(inventory or repository / "inventories" / platform)]
    command += [str(directory / "play.yml")]
    command += ["-e", json.dumps(variables)]
    done = subprocess.run(command, cwd=directory, env=dict(os.environ), capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return {path.stem: json.loads(path.read_text()) for path in directory.glob("*.json")}


def names(order: list[list[str]]) -> list[str]:
    return [name for group in order for name in group]


def test_kubeadm_is_published_as_its_file_has_it(repository: Path, tmp_path: Path) -> None:
    file = yaml.safe_load((repository / "roles/platform/files/kubeadm.yml").read_text())
    found = published(repository, tmp_path, "kubeadm")
    assert {name: host["kind"] for name, host in found.items()} == {
        **dict.fromkeys((f"cp{number}.example.org" for number in (1, 2, 3)), "control_plane"),
        "worker1.example.org": "workers",
    }
    control_plane = found["cp1.example.org"]["data"]
    file["etcd"]["data_dir_given"] = file["runtime"]["endpoint_given"] = False
    assert {name: value for name, value in control_plane.items() if name not in OF_A_MACHINE} == file
    # What a restore brings to each kind of machine in any case: it decides whether one is empty.
    assert sorted(control_plane["required_files"]) == sorted(OF_A_CONTROL_PLANE)
    assert control_plane["certificates"] == for_groups(file["pki"]["certificates"], ["control_plane", "etcd"]) + KUBELET_CLIENT
    assert found["cp1.example.org"]["components"] == ["pki", "node_config", "etcd"]
    assert found["cp1.example.org"]["keys_elsewhere"] == [], "each has the key of etcd's authority"
    worker = found["worker1.example.org"]["data"]
    # A worker may be a member of etcd; this one is none.
    alone = {part: {**file[part], "workers": [["kubelet"]]} for part in ("start", "stop")}
    expected = {**file, **alone, "services": {"kubelet": file["services"]["kubelet"]}}
    assert {name: value for name, value in worker.items() if name not in OF_A_MACHINE} == expected
    assert worker["required_files"] == ["/etc/kubernetes/pki/ca.crt", "/etc/kubernetes/kubelet.conf", "/var/lib/kubelet/config.yaml", "/var/lib/kubelet/pki"]
    assert worker["certificates"] == KUBELET_CLIENT
    assert found["worker1.example.org"]["components"] == ["node_config"]


def test_members_of_etcd_on_machines_of_their_own_have_what_is_theirs(repository: Path, tmp_path: Path) -> None:
    hosts = {name: {"hosts": {machine: {"ansible_connection": "local"} for machine in machines.split()}} for name, machines in EXTERNAL.items()}
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump({"all": {"vars": {"lifeboat_platform": "kubeadm", "lifeboat_cluster_name": "one"}, "children": hosts}}))
    found = published(repository, tmp_path, "kubeadm", inventory=tmp_path / "hosts.yml")
    assert {name: host["kind"] for name, host in found.items()} == {"cp1": "control_plane", "e1": "etcd", "w1": "workers"}
    assert {name: host["components"] for name, host in found.items()} == {
        "cp1": ["pki", "node_config"],
        "e1": ["pki", "node_config", "etcd"],
        "w1": ["node_config"],
    }
    member, api_server = found["e1"]["data"], found["cp1"]["data"]
    assert sorted(member["required_files"]) == ["/etc/kubernetes/manifests", "/etc/kubernetes/pki"]
    assert [check["id"] for check in member["certificates"]] == ["etcd-ca", "etcd-server", "etcd-peer", "etcd-healthcheck-client"]
    assert (member["start"]["etcd"], member["stop"]["etcd"], set(member["services"])) == ([["kubelet", "etcd"]], [["etcd"], ["kubelet"]], {"kubelet", "etcd"})
    assert sorted(api_server["required_files"]) == sorted(OF_A_CONTROL_PLANE)
    assert [found[name]["keys_elsewhere"] for name in ("cp1", "e1")] == [["etcd-ca"]] * 2, "it is on one of them, or on none"
    assert "etcd" not in api_server["services"]
    assert api_server["start"]["control_plane"][0] == ["kubelet"]
    assert not {"etcd-server", "etcd-peer", "etcd-healthcheck-client"} & {check["id"] for check in api_server["certificates"]}


def test_caasp3_is_published_as_it_is_for_each_kind_of_machine(repository: Path, tmp_path: Path) -> None:
    found = published(repository, tmp_path, "caasp3")
    admin, master, member, worker = (found[f"{name}.example.org"] for name in ("admin", "master1", "worker1", "worker2"))
    assert [host["kind"] for host in (admin, master, member, worker)] == ["admin", "control_plane", "workers", "workers"]
    assert admin["components"] == ["pki", "node_config", "velum_database", "directory", "salt_master"]
    assert [host["components"] for host in (master, member, worker)] == [["pki", "node_config", "etcd"]] * 2 + [["pki", "node_config"]]
    # Certificates hold no address: each machine asks itself by its own name.
    assert [host["data"]["etcd"]["endpoint"] for host in (master, member)] == ["https://master1:2379", "https://worker1:2379"]
    (server,) = [check for check in member["data"]["pki"]["certificates"]["etcd"] if check["id"] == "etcd-server"]
    assert server["server_name"] == "worker1"
    # A member of etcd has it in its order, be it a worker; another worker has not.
    assert member["data"]["start"]["workers"][0] == ["etcd"]
    assert "etcd" not in names(worker["data"]["start"]["workers"]) + names(worker["data"]["stop"]["workers"])
    assert ["etcd" in host["data"]["services"] for host in (admin, master, member, worker)] == [False, True, True, False]
    for host in (admin, master, member, worker):
        assert set(names(host["data"]["start"][host["kind"]])) == set(host["data"]["services"])
    required = [set(host["data"]["required_files"]) for host in (admin, master, member, worker)]
    assert {"/etc/pki/private/ca.key", "/etc/salt/pki/master/master.pem", "/var/lib/misc/infra-secrets"} <= required[0]
    assert required[1:] == [{"/etc/pki/sa.key", "/etc/pki/kube-apiserver.key", "/etc/pki/kubelet.key"}, {"/etc/pki/kubelet.key"}, {"/etc/pki/kubelet.key"}]
    for files in required:
        assert not files & {"/etc/machine-id", "/etc/pki", "/etc/kubernetes", "/etc/salt", "/etc/salt/pki/minion"}, "an empty machine has them too"
    assert [{check["id"] for check in host["data"]["certificates"]} for host in (member, worker)] == [
        {"cluster-ca", "etcd-server", "etcd-client", "kubelet", "kube-proxy"},
        {"cluster-ca", "kubelet", "kube-proxy"},
    ]


def test_an_inventory_takes_services_out_and_makes_units_of_pods(repository: Path, tmp_path: Path) -> None:
    """Exactly what the documentation advises."""
    text = (repository / "docs/caasp3.md").read_text().partition("## Admin services as plain units")[2].partition("```yaml\n")[2].partition("```")[0]
    found = published(repository, tmp_path, "caasp3", yaml.safe_load(text)["lifeboat_platform_overrides"])
    admin, master = found["admin.example.org"]["data"], found["master1.example.org"]["data"]
    assert admin["start"]["admin"] == [["velum-mariadb"], ["openldap"], ["salt-master", "salt-minion-ca"], ["salt-minion"]]
    assert admin["stop"]["admin"] == [["salt-minion"], ["salt-minion-ca", "salt-master"], ["openldap"], ["velum-mariadb"]]
    assert {name: service["unit"] for name, service in admin["services"].items()} == {
        "velum-mariadb": "mariadb.service",
        "openldap": "openldap.service",
        "salt-master": "salt-master.service",
        "salt-minion-ca": "salt-minion-ca.service",
        "salt-minion": "salt-minion.service",
    }
    assert admin["salt"]["container"] == admin["velum_database"]["container"] == admin["directory"]["container"] == ""
    assert admin["salt"]["ports"] == [4505, 4506], "the rest is the file's"
    assert master["start"]["control_plane"][2] == ["kubelet", "kube-proxy"]


def test_a_machine_whose_python_is_useless_is_told_what_to_do(tmp_path: Path) -> None:
    ground = Playground(tmp_path)
    text = ground.inventory.read_text().replace("\nw1\n", "\nw1 ansible_python_interpreter=/nonexistent/python3\n")
    ground.inventory.write_text(text + "[etcd:children]\ncontrol_plane\n")
    look = [
        {"ansible.builtin.include_role": {"name": "lifeboat.cluster.platform", "tasks_from": "publish"}},
        {
            "ansible.builtin.include_role": {"name": "lifeboat.cluster.platform", "tasks_from": "discover"},
            "vars": {"platform_unreachable_severity": "{{ severity }}"},
        },
    ]
    sorted_out = {"ansible.builtin.assert": {"that": "groups.lifeboat_unreachable == ['w1'] and groups.lifeboat_reachable | sort == ['cp1', 'cp2']"}}
    plays = [{"hosts": "control_plane:workers", "gather_facts": False, "any_errors_fatal": True, "tasks": look}]
    plays += [{"hosts": "localhost", "gather_facts": False, "tasks": [sorted_out]}]

    done = ground.play(BEGIN + yaml.safe_dump(plays), "-e", "severity=error")
    assert done.returncode != 0, done.stdout
    checks = ground.checks()
    assert checks["platform.python", "w1"]["passed"] is False
    assert "/nonexistent/python3" in checks["platform.python", "w1"]["found"]
    assert "ansible_python_interpreter" in checks["platform.python", "w1"]["remedy"]
    assert checks["platform.reachable", "w1"]["passed"] is True, "it can be reached; its Python is what is wrong"
    assert checks["platform.python", "cp1"]["passed"] is True

    # A backup is made without it, as without one that is away.
    done = ground.play(BEGIN + yaml.safe_dump(plays), "-e", "severity=warning")
    assert done.returncode == 0, done.stdout
    assert ground.checks()["platform.python", "w1"]["passed"] is False
