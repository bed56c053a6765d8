# Copyright: (c) 2026, Lifeboat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make a cluster of the product out of bare machines, and bring it to rest so that its disks can be kept."""

from __future__ import annotations

import json
import secrets as randomness
import time
from collections.abc import Mapping
from functools import partial

from .. import kubeadm
from ..api import readyz
from ..commands import in_parallel, wait_until
from ..forming import CONTROLLERS, remove_pods
from ..node import Node
from ..progress import Progress
from . import documents, registry, velum
from .cluster import SALT_PATH, CaaspCluster, etcd_problem

SECRETS = "/var/lib/misc/infra-secrets"
PASSWORDS = ("mariadb-root-password", "mariadb-velum-password", "mariadb-salt-password", "openldap-password", "saltapi-password", "velum-internal-api-password")
NODES = "G@roles:kube-master or G@roles:kube-minion"
RETURNER = "/var/lib/misc/salt-master-credentials/55-returner-credentials.conf"


def form(cluster: CaaspCluster, progress: Progress) -> None:
    """Everything, on machines that run; ends with a complete cluster."""
    begin = time.time()
    progress("the admin node: certificates, databases, Salt master")
    passwords = _admin_secrets(cluster.admin)
    public_key = cluster.admin.read("root/.ssh/id_rsa.pub")
    in_parallel(lambda machine: _host_files(machine, public_key), cluster.machines)
    _certificates(cluster.admin)
    _database(cluster, passwords)
    _directory(cluster.admin, passwords["openldap-password"])
    _master(cluster, passwords["mariadb-salt-password"])
    progress("minions")
    _minions(cluster)
    progress("certificates from the minion ca")
    _node_certificates(cluster)
    progress("etcd with objects in its v2 store")
    _etcd(cluster)
    progress("Kubernetes")
    _kubernetes(cluster, begin)
    cluster.wait_complete(begin)


def _write(node: Node, files: Mapping[str, str], mode: int = 0o644) -> None:
    for path, text in files.items():
        node.write(path, text, mode)


def _admin_secrets(admin: Node) -> dict[str, str]:
    """Passwords and keys that the product's containers make at their first start, and files of the host."""
    passwords = {name: randomness.token_hex(24) for name in PASSWORDS}
    _write(admin, {f"{SECRETS}/{name}": password for name, password in passwords.items()}, 0o400)
    _write(admin, {f"{SECRETS}/velum-internal-api-username": "velum-api"}, 0o400)
    _write(admin, {"/var/lib/misc/velum-secrets/key_base.json": json.dumps({"secret_key_base": randomness.token_hex(64)}) + "\n"}, 0o600)
    admin.run(["chmod", "700", SECRETS, "/var/lib/misc/velum-secrets"])
    admin.run(["mkdir", "-p", "-m", "700", "/root/.ssh"])
    admin.run(["ssh-keygen", "-q", "-t", "rsa", "-N", "", "-C", "root@admin", "-f", "/root/.ssh/id_rsa"])
    _write(admin, {"/var/lib/misc/ssh-public-key/id_rsa.pub": admin.read("root/.ssh/id_rsa.pub")})
    _write(admin, documents.admin_files(admin.topology))
    return passwords


def _host_files(machine: Node, public_key: str) -> None:
    _write(machine, documents.host_files(machine.topology, machine.plan))
    if not machine.plan.admin:
        # The product's installation puts the admin node's key there.
        _write(machine, {"/root/.ssh/authorized_keys": public_key}, 0o600)


def _certificates(admin: Node) -> None:
    admin.run(["/usr/share/caasp-container-manifests/gen-certs.sh"])


def _database(cluster: CaaspCluster, passwords: Mapping[str, str]) -> None:
    admin = cluster.admin
    admin.run(["systemctl", "start", "mariadb"], timeout=300)
    cluster.sql(velum.schema())
    cluster.sql(velum.rows(cluster.topology, cluster.machine_ids(), admin.read("etc/pki/ca.crt")))
    cluster.sql(velum.grants(passwords["mariadb-velum-password"], passwords["mariadb-salt-password"]))


def _directory(admin: Node, password: str) -> None:
    configuration, data = "/var/lib/misc/ldap-config", "/var/lib/misc/ldap"
    hashed = admin.run(["slappasswd", "-n", "-T", f"{SECRETS}/openldap-password"]).stdout
    admin.run(["mkdir", "-p", "-m", "700", configuration, data])
    admin.run(["slapadd", "-n", "0", "-F", configuration], input=documents.directory_configuration(hashed))
    user = admin.run(["slappasswd", "-n", "-T", "/dev/stdin"], input=f"{password}-user").stdout
    admin.run(["slapadd", "-n", "1", "-F", configuration], input=documents.directory_tree(user))
    admin.run(["chown", "-R", "openldap:openldap", configuration, data])
    admin.run(["systemctl", "start", "openldap"])


def _master(cluster: CaaspCluster, password: str) -> None:
    admin = cluster.admin
    _write(admin, {RETURNER: documents.returner(password)}, 0o600)
    links = ((RETURNER, "/etc/salt/master.d/55-returner-credentials.conf"), ("/etc/caasp/salt-master-custom.conf", "/etc/salt/master.d/60-custom.conf"))
    admin.run(["mkdir", "-p", "/etc/salt/master.d", "/etc/salt/pki/master"])
    for target, link in links:
        admin.run(["ln", "-s", target, link])
    admin.run(["salt-key", "--gen-keys=master", "--gen-keys-dir=/etc/salt/pki/master"], environment=SALT_PATH)
    admin.run(["systemctl", "start", "salt-master"])


def _minions(cluster: CaaspCluster) -> None:
    """Their keys are accepted by list, as the dashboard does it."""
    ids = {**cluster.machine_ids(), cluster.admin.name: "admin"}

    def start(node: Node) -> None:
        _write(node, documents.minion_files(cluster.topology, node.plan, ids[node.name]))
        node.run(["systemctl", "start", "salt-minion"], timeout=300)

    in_parallel(start, cluster.machines)
    cluster.admin.run(["systemctl", "start", "salt-minion-ca"], timeout=300)
    expected = cluster.minions()

    def problem() -> str:
        listing = json.loads(cluster.admin.run(["salt-key", "--list=all", "--out=json"], environment=SALT_PATH).stdout)
        known = set(listing["minions"])
        for minion in (expected - known) & set(listing["minions_pre"]):
            cluster.admin.run(["salt-key", "--yes", f"--accept={minion}"], environment=SALT_PATH)
            known.add(minion)
        return f"no key of {' '.join(sorted(expected - known))}" if expected - known else ""

    cluster.wait("the keys of all minions are accepted", partial(problem), cluster.admin, "salt-master")
    for function in ("test.ping", "mine.update"):

        def unanswered(function: str = function) -> str:
            answers = cluster.salt("*", function, timeout=10)
            silent = expected - {name for name, value in answers.items() if value is True}
            return f"{function}: no answer from {' '.join(sorted(silent))}" if silent else ""

        cluster.wait(f"all minions have done {function}", partial(unanswered), cluster.admin, "salt-master", "salt-minion")


def _node_certificates(cluster: CaaspCluster) -> None:
    """By the state `cert`, again until every machine says that nothing fails: peers that publish at once lose an answer now and then."""
    expected = cluster.minions() - {"ca"}

    def problem() -> str:
        answers = cluster.salt(f"{NODES} or G@roles:admin", "state.apply", "cert", timeout=120)
        failed = [f"{name}: {comment}" for name in sorted(expected) for comment in _failures(answers.get(name))]
        return "\n".join(failed)

    cluster.wait("all machines have their certificates", partial(problem), cluster.admin, "salt-master", "salt-minion-ca")


def _failures(answer: object) -> list[str]:
    """The comments of states that failed in the answer of one minion."""
    if not isinstance(answer, dict):
        return [str(answer) if answer else "no answer"]
    return [str(state.get("comment")) for state in answer.values() if isinstance(state, dict) and not state.get("result")]


# Keys come by standard input: one request each, without the start of a program for each.
_LOAD_KEYS = """\
import json, os, ssl, sys, urllib.parse, urllib.request
context = ssl.create_default_context(cafile=os.environ["ETCDCTL_CA_FILE"])
context.load_cert_chain(os.environ["ETCDCTL_CERT_FILE"], os.environ["ETCDCTL_KEY_FILE"])
for path, fields in json.load(sys.stdin):
    url = os.environ["ETCDCTL_ENDPOINT"] + "/v2/keys" + urllib.parse.quote(path)
    data = urllib.parse.urlencode(fields).encode()
    urllib.request.urlopen(urllib.request.Request(url, data=data, method="PUT"), context=context, timeout=30).close()
"""


def _etcd(cluster: CaaspCluster) -> None:
    ids = cluster.machine_ids()
    for member in cluster.members:
        _write(member, {"/etc/sysconfig/etcdctl": documents.etcdctl(member.plan)})
        _write(member, {"/etc/sysconfig/etcd": documents.etcd(cluster.topology, member.plan, ids, "new")})
    in_parallel(lambda member: member.run(["systemctl", "start", "etcd"], timeout=300), cluster.members)
    for member in cluster.members:
        cluster.wait(f"etcd on {member.name} is healthy", partial(etcd_problem, member), member, "etcd")
        _write(member, {"/etc/sysconfig/etcd": documents.etcd(cluster.topology, member.plan, ids, "existing")})
    keys = [(key.path, {"value": key.value, **({"ttl": key.ttl} if key.ttl else {})}) for key in registry.keys(cluster.topology)]
    command = ["sh", "-c", 'set -a; . /etc/sysconfig/etcdctl; exec python3 -c "$1"', "load", _LOAD_KEYS]
    cluster.members[0].run(command, input=json.dumps(keys))


def _kubernetes(cluster: CaaspCluster, since: float) -> None:
    for machine in cluster.machines:
        _write(machine, documents.kubeconfigs(cluster.topology, machine.plan), 0o600)
        if machine.plan.admin or machine.plan.control_plane:
            machine.run(["sh", "-c", f"mkdir -p -m 700 /root/.kube; ln -s {documents.KUBECONFIG} /root/.kube/config"])
    for node in cluster.nodes:
        _write(node, documents.node_files(cluster.topology, node.plan))
        node.write("/etc/cni/net.d/10-lab.conflist", kubeadm.network_configuration(node.plan))
        # containerd 1.6 overlooks a network configuration that is moved into its directory.
        node.run(["systemctl", "restart", "containerd"])
    units = ["kube-apiserver", *CONTROLLERS, "registry-v2-stub"]
    in_parallel(lambda master: master.run(["systemctl", "start", *units], timeout=300), cluster.masters)
    wait_until("the API answers through the load balancer", lambda: readyz(cluster.topology.api_address), 300)
    in_parallel(lambda node: node.run(["systemctl", "start", "kubelet"]), cluster.nodes)
    # Before, all pods could land on the first worker that is.
    cluster.wait_ready(cluster.api(), since)
    cluster.masters[0].run(["kubectl", "apply", "-f", "-"], input=kubeadm.workload())


def rest(cluster: CaaspCluster, progress: Progress) -> None:
    """Stop everything in order and leave disks from which a cluster starts quickly: no containers, no leader leases."""
    api = cluster.api()
    progress("stopping the cluster in order")
    for master in cluster.masters:
        master.run(["systemctl", "stop", *CONTROLLERS])
    # A new leader waits until the lease of the old one has run out, unless there is none.
    for name in CONTROLLERS:
        api.request("DELETE", f"/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/{name}")
    in_parallel(lambda node: node.run(["systemctl", "stop", "kubelet"]), cluster.nodes)
    in_parallel(partial(remove_pods, ""), cluster.nodes)
    in_parallel(lambda master: master.run(["systemctl", "stop", "registry-v2-stub", "kube-apiserver"]), cluster.masters)
    in_parallel(lambda member: member.run(["systemctl", "stop", "etcd"]), cluster.members)
    in_parallel(lambda machine: machine.shut_down(), cluster.machines)
