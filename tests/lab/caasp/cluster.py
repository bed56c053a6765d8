# Copyright: (c) 2026, Lifeboat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Start a finished cluster of the product, and tell when it is complete."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from .. import kubeadm
from ..api import Api, NotAnswering, readyz
from ..cluster import HEALTH_PORTS, KUBELET_LINK, TIMEOUT, start_kubelet, unready_nodes, workload_problem
from ..commands import in_parallel, tail_of, wait_until
from ..node import Node
from ..progress import Progress
from ..topology import Topology
from . import documents, velum

SALT_PATH = {"PATH": "/opt/salt/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}


class CaaspCluster:
    """Salt, the databases and Kubernetes of a lab."""

    def __init__(self, topology: Topology, nodes: Sequence[Node], scratch: Path, progress: Progress) -> None:
        self.topology = topology
        self.machines = list(nodes)
        self.admin = next(node for node in nodes if node.plan.admin)
        self.nodes = [node for node in nodes if not node.plan.admin]
        self.masters = [node for node in nodes if node.plan.control_plane]
        self.members = [node for node in nodes if node.plan.etcd]
        self._scratch = scratch
        self._progress = progress

    def admin_kubeconfig(self) -> str:
        """The administrator's kubeconfig for this machine."""
        names = ("ca.crt", "kubectl-client-cert.crt", "kubectl-client-cert.key")
        authority, certificate, key = (base64.b64encode(self.admin.run(["cat", f"/etc/pki/{name}"]).stdout.encode()).decode() for name in names)
        return documents.administrators_kubeconfig(self.topology, authority, certificate, key)

    def api(self) -> Api:
        """A client with the administrator's rights."""
        return Api(self.topology.api_address, self.admin_kubeconfig(), self._scratch)

    def machine_ids(self) -> dict[str, str]:
        """Minion id and etcd member name of each machine."""
        return {node.name: node.read("etc/machine-id").strip() for node in self.machines}

    def minions(self) -> set[str]:
        """The ids of all minions."""
        ids = self.machine_ids()
        return {"admin", "ca", *(ids[node.name] for node in self.nodes)}

    def salt(self, target: str, function: str, *arguments: str, timeout: int = 30) -> dict[str, object]:
        """A function on minions: what each that answered returned. A minion that cannot send its answer counts as busy, and is waited for: not for ever."""
        command = ["timeout", str(3 * timeout), "salt", "--out=json", "--static", f"--timeout={timeout}", "--compound", target, function, *arguments]
        answer = self.admin.run(command, check=False, timeout=600, environment=SALT_PATH).stdout
        try:
            found = json.loads(answer)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    def sql(self, statements: str) -> str:
        """What MariaDB answers to root."""
        password = self.admin.read("var/lib/misc/infra-secrets/mariadb-root-password")
        return self.admin.run(["mariadb", "-uroot", "--batch", "--skip-column-names"], input=statements, environment={"MYSQL_PWD": password}).stdout

    # Starting

    @staticmethod
    def hold_back(node: Node) -> None:
        """Before the first boot from a finished cluster's disk: hide the kubelet, which would wait long for its next try."""
        if not node.plan.admin:
            node.disk.hide(KUBELET_LINK)

    def start_in_order(self) -> None:
        """Units have started with the machines, in their order; let kubelets in when the API answers."""
        self._progress("starting: etcd, API servers, Salt, databases")
        for node in self.masters:
            check = partial(readyz, node.plan.address, self.topology.server_port)
            self.wait(f"the API server on {node.name} is ready", check, node, "etcd", "kube-apiserver")
        wait_until("the API answers through the load balancer", lambda: readyz(self.topology.api_address), TIMEOUT, say=self._progress)
        in_parallel(start_kubelet, self.nodes)

    def wait(self, what: str, check: partial[str], node: Node, *units: str) -> None:
        """Wait for something on a machine; its journal is the evidence."""
        wait_until(what, check, TIMEOUT, evidence=lambda: _evidence(node, *units), say=self._progress)

    # Waiting

    def wait_complete(self, since: float) -> None:
        """Wait until everything that belongs to the finished cluster runs, and says so itself since the given time."""
        for member in self.members:
            self.wait(f"etcd on {member.name} is healthy", partial(etcd_problem, member), member, "etcd")
        for master in self.masters:
            self.wait(f"the controllers on {master.name} are healthy", partial(_master_problem, master), master, *HEALTH_PORTS, "registry-v2-stub")
        self.wait("the databases answer", partial(self._database_problem), self.admin, "mariadb", "openldap")
        self.wait("all minions answer", partial(self._salt_problem), self.admin, "salt-master", "salt-minion", "salt-minion-ca")
        api = self.api()
        self.wait_ready(api, since)
        wait_until("the workload runs", lambda: self._workload_problem(api, since), TIMEOUT, evidence=self._evidence, say=self._progress)

    def wait_ready(self, api: Api, since: float) -> None:
        """Wait until all nodes are ready."""
        wait_until("all nodes are ready", lambda: self._nodes_problem(api, since), TIMEOUT, evidence=self._evidence, say=self._progress)

    def _database_problem(self) -> str:
        rows = self.admin.run(["systemctl", "is-active", "mariadb", "openldap"], check=False)
        if rows.returncode:
            return f"mariadb and openldap are: {' '.join(rows.stdout.split())}"
        count = self.sql(f"SELECT COUNT(*) FROM {velum.SCHEMA}.minions").strip()
        if count != str(len(self.nodes)):
            return f"{count} rows of minions instead of {len(self.nodes)}"
        search = ["ldapsearch", "-x", "-LLL", "-H", "ldap://127.0.0.1", "-b", documents.DIRECTORY_SUFFIX, documents.DIRECTORY_USER, "cn"]
        found = self.admin.run(search, check=False)
        return "" if "cn: " in found.stdout else f"the directory answers: {found.stdout}{found.stderr}"

    def _salt_problem(self) -> str:
        if self.admin.run(["systemctl", "is-active", "salt-master"], check=False).returncode:
            return "the master does not run"
        answered = {name for name, value in self.salt("*", "test.ping", timeout=10).items() if value is True}
        missing = self.minions() - answered
        return f"no answer from {' '.join(sorted(missing))}" if missing else ""

    def _nodes_problem(self, api: Api, since: float) -> str:
        try:
            return unready_nodes(api.items("/api/v1/nodes"), [node.name for node in self.nodes], since)
        except NotAnswering as error:
            return str(error)

    def _workload_problem(self, api: Api, since: float) -> str:
        try:
            return workload_problem(api.items(f"/api/v1/namespaces/{kubeadm.NAMESPACE}/pods"), since)
        except NotAnswering as error:
            return str(error)

    def _evidence(self) -> str:
        return "\n".join(_evidence(node, "kubelet") for node in self.nodes)


def etcd_problem(member: Node) -> str:
    """Empty when a member of etcd is healthy, which takes a quorum."""
    pair = ["--cacert", documents.CA, "--cert", "/etc/pki/minion.crt", "--key", "/etc/pki/minion.key"]
    result = member.run(["curl", "-sS", "--max-time", "5", *pair, f"https://{member.name}:2379/health"], check=False)
    return "" if '"health":"true"' in result.stdout else result.stdout + result.stderr or "no answer"


def _master_problem(node: Node) -> str:
    for name, port in HEALTH_PORTS.items():
        answer = node.run(["curl", "-sSk", "--max-time", "2", f"https://127.0.0.1:{port}/healthz"], check=False)
        if answer.stdout != "ok":
            return f"{name} is not healthy: {answer.stdout or answer.stderr}"
    answer = node.run(["curl", "-sS", "--fail", "--max-time", "5", "http://127.0.0.1:8081/registry/namespaces/default"], check=False)
    return "" if '"Namespace"' in answer.stdout else f"the stub of the v2 store: {answer.stdout or answer.stderr}"


def _evidence(node: Node, *units: str) -> str:
    """What a machine says about some of its units, for an error message."""
    if not node.running:
        return f"{node.name} is off; last lines of its console:\n{tail_of(node.console)}"
    return "\n".join(f"{unit} on {node.name}:\n{node.journal(unit, 15)}" for unit in units)
