# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What lies inside the cluster that it is to save: services, directories, name servers, the controller itself."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery import circles, surroundings
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery.circles import INSIDE, UNKNOWN, Cluster, Controller

CLUSTER = Cluster(
    machines={"cp1": ["cp1", "10.0.0.1"], "w1": ["w1.shop.example", ""], "six": ["fd00:0:0::6"]},
    endpoints=["api.shop.example"],
    service_cidrs=["10.96.0.0/12", "fd00:10::/112", "nonsense"],
    pod_cidrs=["10.244.0.0/16"],
)
ADDRESSES = {
    "w1.shop.example": ["10.0.0.7"],
    "api.shop.example": ["10.0.0.100"],
    "s3.example": ["192.0.2.1"],
    "s3.by-node.example": ["192.0.2.9", "10.0.0.1"],
    "s3.by-balancer.example": ["10.0.0.100"],
    "s3.by-service.example": ["10.100.7.7"],
    "s3.by-pod.example": ["10.244.3.9"],
    "s3.by-six.example": ["fd00::6"],
    "nas.example": ["192.0.2.50"],
    "localhost": ["127.0.0.1", "::1"],
}
OUTSIDE = Controller(mounts="/dev/sda1 / ext4 rw 0 0\nproc /proc proc rw 0 0\n", addresses=["192.0.2.200"])
ON_A_NODE = Controller(mounts=OUTSIDE.mounts, addresses=["10.0.0.7", "192.0.2.201"])


def find(address: str, controller: Controller = OUTSIDE, cluster: Cluster = CLUSTER) -> circles.Circle | None:
    """The circle of one service."""
    found = circles.find({"location": address}, cluster, controller, ADDRESSES.get)
    assert len(found) < 2
    return found[0] if found else None


@pytest.mark.parametrize(
    "address",
    [
        "https://s3.example",
        "https://s3.example:9000/bucket",
        "192.0.2.1:9000",
        "https://[2001:db8::1]:9000",
        "2001:db8::1",
        "",
        "/srv/backup",
        # One that only looks like the other.
        "http://10.0.0.10",
        "http://10.112.0.1",
    ],
)
def test_what_is_outside_is_no_circle(address: str) -> None:
    """No warning that cries wolf."""
    assert find(address) is None


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("https://10.0.0.1:9000", "machine cp1"),
        ("https://cp1:9000", "machine cp1"),
        ("https://CP1.:9000", "machine cp1"),
        ("https://w1.shop.example", "machine w1"),
        ("10.0.0.7", "machine w1"),
        ("https://s3.by-node.example", "10.0.0.1, machine cp1"),
        ("https://s3.by-balancer.example", "endpoint api.shop.example"),
        ("https://api.shop.example/s3", "endpoint api.shop.example"),
        ("https://s3.by-service.example", "in the service network 10.96.0.0/12"),
        ("https://s3.by-pod.example", "in the pod network 10.244.0.0/16"),
        ("http://10.96.0.10:9000", "in the service network"),
        ("http://[fd00:10::5]:9000", "in the service network fd00:10::/112"),
        ("https://s3.by-six.example", "machine six"),
        ("http://[fd00::0:6]", "machine six"),
        ("https://minio.storage.svc:9000", "only the cluster's own name servers know"),
        ("https://minio.storage.svc.cluster.local", "only the cluster's own name servers know"),
        ("minio.storage.svc.elsewhere.org", "only the cluster's own name servers know"),
    ],
)
def test_what_is_inside_is_a_circle(address: str, why: str) -> None:
    """By name, by address, by any address of a name, by network."""
    circle = find(address)
    assert circle is not None
    assert (circle.state, why in circle.found) == (INSIDE, True), circle
    assert "Move the location out of the cluster" in circle.remedy


def test_a_name_that_cannot_be_looked_up_is_said() -> None:
    """And is neither inside nor outside."""
    circle = find("https://s3.gone.example")
    assert circle is not None
    assert (circle.state, circle.found) == (UNKNOWN, "s3.gone.example could not be looked up")


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("10.0.0.1:/export /srv nfs4 rw 0 0", "machine cp1"),
        ("w1.shop.example:/export /srv/backup nfs rw 0 0", "machine w1"),
        ("[fd00::6]:/export /srv nfs4 rw 0 0", "machine six"),
        ("//cp1/share /srv cifs rw 0 0", "machine cp1"),
        ("192.0.2.8:6789,10.0.0.1:6789:/ /srv ceph rw 0 0", "machine cp1"),
        ("gluster.storage.svc:/vol /srv fuse.glusterfs rw 0 0", "own name servers"),
        ("ops@cp1:/srv /srv/backup fuse.sshfs rw 0 0", "machine cp1"),
    ],
)
def test_a_directory_that_is_mounted_from_a_machine(line: str, why: str) -> None:
    """The server of the mount counts, not where the mount is."""
    circle = find("/srv/backup/lifeboat", Controller(mounts=OUTSIDE.mounts + line + "\n"))
    assert circle is not None
    assert (circle.state, why in circle.found) == (INSIDE, True), circle


def test_the_mount_that_counts_is_the_innermost_and_the_last() -> None:
    """A mount with another path, or below another mount, has nothing to do with it."""
    lines = ["10.0.0.1:/a /srv nfs4 rw 0 0", "nas.example:/b /srv/backup nfs4 rw 0 0"]
    assert find("/srv/backup/x", Controller(mounts="\n".join([OUTSIDE.mounts, *lines]))) is None
    assert find("/srv/backups", Controller(mounts="\n".join([OUTSIDE.mounts, *lines]))) is not None
    assert find("/srv/back up/x", Controller(mounts="10.0.0.1:/a /srv/back\\040up nfs4 rw 0 0")) is not None
    hidden = ["10.0.0.1:/a /srv nfs4 rw 0 0", "nas.example:/b /srv nfs4 rw 0 0"]
    assert find("/srv/x", Controller(mounts="\n".join(hidden))) is None
    assert find("/srv/x", Controller(mounts="\n".join(reversed(hidden)))) is not None
    unknown = find("/srv/x", Controller(mounts="nas.gone.example:/b /srv nfs4 rw 0 0"))
    assert unknown is not None
    assert unknown.state == UNKNOWN


def test_a_controller_that_is_a_machine_of_the_cluster() -> None:
    """Its own disk, and whatever listens on its loopback, is lost with it."""
    for address in ("/srv/backup", "http://127.0.0.1:9000", "https://localhost:9000"):
        circle = find(address, ON_A_NODE)
        assert circle is not None
        assert "this controller, which is machine w1" in circle.found
        assert find(address) is None
    assert find("/mnt/nas/x", Controller("nas.example:/b /mnt/nas nfs4 rw 0 0", addresses=["10.0.0.7"])) is None


def test_a_controller_in_a_pod() -> None:
    """AWX in the cluster is gone with it, and so are its volumes."""
    circle = circles.find({}, CLUSTER, Controller(pod_of="10.96.0.1"), ADDRESSES.get)[0]
    assert "runs in a pod" in circle.found
    assert circles.find({}, CLUSTER, Controller(pod_of="172.20.0.1"), ADDRESSES.get) == []
    volume = "nas.example:/b /data nfs4 rw 0 0\n/dev/rbd0 /var/lib/kubelet/pods/1/volumes/2 ext4 rw 0 0"
    assert find("/var/lib/kubelet/pods/1/volumes/2/x", Controller(volume)) is not None


def test_name_servers() -> None:
    """One in the service network or on a machine; a local stub says nothing."""
    text = "search example\nnameserver 10.96.0.10\n#nameserver 10.0.0.1\nnameserver 127.0.0.53\nnameserver 192.0.2.53\nnameserver fe80::1%eth0\nnameserver x\n"
    assert circles.name_servers(text) == ["10.96.0.10", "192.0.2.53", "fe80::1%eth0"]
    found = circles.find({}, CLUSTER, Controller(resolv_conf=text), ADDRESSES.get)
    assert [(circle.service, circle.address) for circle in found] == [("name server of this controller", "10.96.0.10")]


def test_registries_of_images() -> None:
    """Those that are named."""
    images = ["registry.k8s.io/etcd:3.6", "etcd", "library/etcd:1", "docker.io/library/etcd", "localhost:5000/a", "reg.shop.svc:5000/a@sha256:0", "localhost/b"]
    assert circles.registries_of(images) == ["localhost", "localhost:5000", "reg.shop.svc:5000", "registry.k8s.io"]


def test_all_names_are_looked_up_beforehand() -> None:
    """Whatever ``find`` asks for was in the list."""
    controller = Controller(mounts="nas.example:/b /srv nfs4 rw 0 0\nmon1:6789,mon2:6789:/ /ceph ceph rw 0 0")
    services = {"location": "/srv/x", "other": "/ceph/x", "Vault": "https://s3.example", "awx": "10.0.0.9"}
    asked: list[str] = []

    def resolve(host: str) -> Any:
        asked.append(host)
        return ADDRESSES.get(host)

    circles.find(services, CLUSTER, controller, resolve)
    known = circles.hosts_to_look_up(services, CLUSTER, controller)
    assert set(asked) <= set(known)
    assert known == ["api.shop.example", "cp1", "mon1", "mon2", "nas.example", "s3.example", "w1.shop.example"]


def test_this_controller() -> None:
    """What is read here is real: the root file system is mounted, and localhost has an address."""
    here = surroundings.controller()
    assert any(target == "/" for _source, target, _kind in circles._mounts(here.mounts))
    assert not [address for address in here.addresses if address.startswith(("127.", "fe80"))]
    found = surroundings.look_up(["localhost", "no-such-host.invalid", "a" * 300], 30)
    assert found["localhost"]
    assert (found["no-such-host.invalid"], found["a" * 300]) == (None, None)
