# Copyright: (c) 2026, Lifeboat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What traits change in a cluster that was just formed: the way of kubelets to the API, the key of encryption, the CA."""

from __future__ import annotations

import base64
import re
import secrets as randomness
import time
from collections.abc import Callable, Mapping
from functools import partial

from . import front, kms, kubeadm
from .api import NotAnswering, readyz
from .cluster import ADMIN, HEALTH_PORTS, MANIFESTS, Cluster, unready_nodes
from .commands import in_parallel, wait_until
from .errors import LabError
from .node import Node
from .progress import Progress
from .topology import bracketed

AUTHORITY = "/etc/kubernetes/pki/ca.crt"
AUTHORITY_KEY = "/etc/kubernetes/pki/ca.key"
# The controller manager signs with a file that holds one certificate, and refuses one that holds two.
SIGNING_AUTHORITY = "/etc/kubernetes/pki/ca-signing.crt"
CONTROLLER_MANAGER = "kube-controller-manager"
# Written under the second key, and by the KMS.
SECOND_SECRET = "rotated"
WRAPPED_SECRET = "wrapped"
LIMIT = 180.0

# As kubeadm makes its own, with the same name: only the key tells them apart.
_NEXT_AUTHORITY = """\
set -eu
key=$(mktemp)
trap 'rm -f "$key"' EXIT
openssl req -x509 -newkey rsa:2048 -nodes -keyout "$key" -subj /CN=kubernetes -days 3650 -addext keyUsage=critical,digitalSignature,keyEncipherment,keyCertSign
"""


def put_fronts(cluster: Cluster, progress: Progress) -> None:
    """The trait static-pods: every kubelet reaches the API through a static pod of its own machine."""
    progress(f"a static pod {front.NAME} before every kubelet")
    since = time.time()

    def put(node: Node) -> None:
        node.write(front.TARGETS, front.targets(cluster.topology))
        node.write(front.MANIFEST, front.manifest())
        ask = ["curl", "-sSk", "--max-time", "5", f"https://{front.ADDRESS}:{front.PORT}/readyz"]
        wait_until(f"the API answers through {front.NAME} on {node.name}", lambda: said(node, ask, "ok"), LIMIT, evidence=lambda: node.journal("kubelet"))
        node.write("/etc/kubernetes/kubelet.conf", front.through_front(node.read("etc/kubernetes/kubelet.conf")), 0o600)
        node.run(["systemctl", "restart", "kubelet"])

    in_parallel(put, cluster.nodes)
    wait_until("all kubelets report through it", partial(_silent_kubelets, cluster, since), LIMIT)


def _silent_kubelets(cluster: Cluster, since: float) -> str:
    try:
        return unready_nodes(cluster.api().items("/api/v1/nodes"), [node.plan.node_name for node in cluster.nodes], since)
    except NotAnswering as error:
        return str(error)


def said(node: Node, command: list[str], wanted: str) -> str:
    """Empty when a command prints just this, else what it printed."""
    result = node.run(command, check=False)
    return "" if result.stdout == wanted else result.stdout + result.stderr or "no answer"


def reshape(cluster: Cluster, secrets: kubeadm.Secrets, progress: Progress) -> None:
    """Everything that the traits of a finished cluster ask for."""
    traits = cluster.topology.traits
    keys = {"key1": secrets.encryption_key}
    if "two-keys" in traits:
        progress("changing the key of encryption at rest")
        # The new key goes before the old one; what is written from now on is under the new one, the rest stays as it is.
        keys = {"key2": base64.b64encode(randomness.token_bytes(32)).decode(), **keys}
        _change_encryption(cluster, kubeadm.encryption_configuration(keys), kubeadm.secret(SECOND_SECRET, "incorrect donkey"), set(keys))
    if "kms" in traits:
        progress("encryption at rest by a KMS")
        wanted = {kms.PROVIDER, *(["key2"] if "key2" in keys else []), "key1"}
        _change_encryption(cluster, kubeadm.encryption_configuration(keys, by_kms=True), kubeadm.secret(WRAPPED_SECRET, "certain zebra"), wanted)
    if "ca-rotation" in traits:
        progress("adding the next CA to the one in use")
        _add_next_authority(cluster)
    if "no-ca-key" in traits:
        progress("taking the key of the CA away")
        _take_authority_key(cluster)


def running_containers(node: Node, name: str) -> set[str]:
    """Their ids."""
    return set(node.run(["crictl", "ps", "--quiet", "--name", f"^{name}$", "--state", "Running"]).stdout.split())


def restart_static_pod(node: Node, name: str, change: Callable[[], object], health: Callable[[], str]) -> None:
    """Do what makes the kubelet start a container again, and wait for the new one."""
    before = running_containers(node, name)
    change()

    def problem() -> str:
        return health() if running_containers(node, name) - before else "it has not started again"

    wait_until(f"{name} on {node.name} runs again", problem, LIMIT, evidence=lambda: node.journal("kubelet"))


def _stop(node: Node, name: str) -> None:
    node.run(["crictl", "stop", "--timeout", "10", *running_containers(node, name)])


def put_plugins(cluster: Cluster, progress: Progress) -> None:
    """The trait kms: a plugin beside each API server, which does not use it yet."""
    progress(f"a static pod {kms.NAME} beside every API server")

    def put(node: Node) -> None:
        node.write(kms.MANIFEST, kms.manifest(), 0o600)
        there = ["sh", "-c", '[ -S "$1" ] || echo "no socket"', "there", kms.SOCKET]
        wait_until(f"{kms.NAME} on {node.name} listens", lambda: said(node, there, ""), LIMIT, evidence=lambda: node.journal("kubelet"))

    in_parallel(put, cluster.control_plane)


def _change_encryption(cluster: Cluster, configuration: str, secret: str, wanted: set[str]) -> None:
    """Another configuration of encryption at rest, and a Secret that is written under it. Afterwards values in etcd are under all of the names wanted."""
    name = "kube-apiserver"
    for node in cluster.control_plane:
        node.write(kubeadm.encryption_file(cluster.topology), configuration, 0o600)
    # One after the other: the API answers all the time where there are several.
    for node in cluster.control_plane:
        restart_static_pod(node, name, partial(_stop, node, name), partial(readyz, node.plan.address))
    first = cluster.control_plane[0]
    first.run(["kubectl", f"--kubeconfig={ADMIN}", "apply", "-f", "-"], input=secret)
    found = encryption_keys(cluster.members[0])
    if found != wanted:
        raise LabError(f"have Secrets in etcd under {' '.join(sorted(wanted))}", f"they are under {' '.join(sorted(found)) or 'none'}")


def etcdctl(node: Node, *arguments: str) -> str:
    """What the member's own etcdctl prints."""
    (container,) = running_containers(node, "etcd")
    pki = "/etc/kubernetes/pki/etcd"
    endpoint = f"--endpoints=https://{bracketed(node.plan.etcd_client_address)}:2379"
    connection = [endpoint, f"--cacert={pki}/ca.crt", f"--cert={pki}/server.crt", f"--key={pki}/server.key"]
    return node.run(["crictl", "exec", container, "etcdctl", *connection, *arguments]).stdout


def encryption_keys(node: Node) -> set[str]:
    """The names of the keys, or of the KMS, under which the Secrets of the workload's namespace lie in etcd, as a member's machine has them."""
    text = etcdctl(node, "get", "--prefix", f"/registry/secrets/{kubeadm.NAMESPACE}/")
    return set(re.findall(r"k8s:enc:(?:secretbox:v1|kms:v2):([\w-]+):", text))


def _change_controller_manager(node: Node, values: Mapping[str, str]) -> None:
    """Give the controller manager other values of flags that it has; the kubelet starts it again."""
    file = f"{MANIFESTS}/{CONTROLLER_MANAGER}.yaml"
    before = text = node.read(file)
    for flag, value in values.items():
        text = re.sub(rf"^(\s*- --{flag}=).*$", rf"\g<1>{value}", text, flags=re.MULTILINE)
    assert text != before, f"no such flags in {file}: {' '.join(values)}"
    restart_static_pod(node, CONTROLLER_MANAGER, partial(node.write, f"/{file}", text, 0o600), partial(_controller_manager_problem, node))


def _controller_manager_problem(node: Node) -> str:
    return said(node, ["curl", "-sSk", "--max-time", "2", f"https://127.0.0.1:{HEALTH_PORTS[CONTROLLER_MANAGER]}/healthz"], "ok")


def _add_next_authority(cluster: Cluster) -> None:
    """All nodes trust both; certificates are still issued by the first."""
    first = cluster.control_plane[0]
    present = first.read(AUTHORITY.lstrip("/"))
    following = first.run(["sh", "-c", _NEXT_AUTHORITY]).stdout
    for node in cluster.nodes:
        node.write(AUTHORITY, present + following)

    def sign_with_the_first(node: Node) -> None:
        node.write(SIGNING_AUTHORITY, present)
        _change_controller_manager(node, {"cluster-signing-cert-file": SIGNING_AUTHORITY})

    in_parallel(sign_with_the_first, cluster.control_plane)
    wait_until("the cluster tells its pods both CAs", partial(_published_problem, first, present + following), LIMIT)


def _published_problem(node: Node, wanted: str) -> str:
    query = ["--namespace", kubeadm.NAMESPACE, "get", "configmap", "kube-root-ca.crt", "--output", r"jsonpath={.data.ca\.crt}"]
    published = node.run(["kubectl", f"--kubeconfig={ADMIN}", *query], check=False).stdout
    return "" if published.strip() == wanted.strip() else f"it tells {published.count('BEGIN CERTIFICATE')}"


def _take_authority_key(cluster: Cluster) -> None:
    """As kubeadm does it when it finds a CA without a key: the flags stay, empty, and nothing signs requests."""

    def take(node: Node) -> None:
        node.run(["rm", AUTHORITY_KEY])
        _change_controller_manager(node, {"cluster-signing-cert-file": "", "cluster-signing-key-file": ""})

    in_parallel(take, cluster.control_plane)
