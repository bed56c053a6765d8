# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Circles: something that a recovery needs lies inside the cluster that is to be recovered. Pure: what was seen goes in, circles come out."""

from __future__ import annotations

import dataclasses
import ipaddress
import re
from typing import Any, Callable, Dict, Iterable, List, Mapping, NamedTuple, Optional, Sequence, Tuple
from urllib.parse import urlsplit

# Inside the cluster; or not known, because a name could not be looked up.
INSIDE, UNKNOWN = "inside", "unknown"
# File systems whose source names the server: how the server is read out of it.
_SERVERS = {
    "nfs": r"\A\[?(?P<host>[^\]]+?)\]?:/",
    "nfs4": r"\A\[?(?P<host>[^\]]+?)\]?:/",
    "cifs": r"\A//(?P<host>[^/]+)/",
    "smb3": r"\A//(?P<host>[^/]+)/",
    "glusterfs": r"\A(?P<host>[^:/]+):",
    "fuse.glusterfs": r"\A(?P<host>[^:/]+):",
    "fuse.sshfs": r"\A(?:[^@/]*@)?(?P<host>[^:/]+):",
    "ceph": r"\A(?P<host>[^/]+?):/",
}
_ESCAPE = re.compile(r"\\([0-7]{3})")
# Where the kubelet mounts what pods use.
_POD_VOLUMES = "/var/lib/kubelet/"
# Docker's own registry is what an image is from that names none.
_DEFAULT_REGISTRY = "docker.io"


@dataclasses.dataclass(frozen=True)
class Cluster:
    """How one would know that an address or name is this cluster's. Networks are texts like 10.96.0.0/12; what is none of them is passed over."""

    # Names and addresses by machine.
    machines: Mapping[str, Sequence[str]]
    # Names of its API server or its load balancer: where its ingress may answer, too.
    endpoints: Sequence[str] = ()
    service_cidrs: Sequence[str] = ()
    pod_cidrs: Sequence[str] = ()
    domain: str = "cluster.local"


@dataclasses.dataclass(frozen=True)
class Controller:
    """What was seen on the controller itself."""

    # The text of /proc/mounts and of /etc/resolv.conf.
    mounts: str = ""
    resolv_conf: str = ""
    # Its own addresses, to tell whether it is one of the machines.
    addresses: Sequence[str] = ()
    # The address of the API server that a pod is told of; empty outside of pods.
    pod_of: str = ""


class Circle(NamedTuple):
    """One thing that a recovery needs and that is, or may be, lost together with the cluster."""

    service: str
    address: str
    state: str
    found: str
    remedy: str

    def to_record(self) -> Dict[str, Any]:
        """As plain data."""
        return self._asdict()


# Addresses of a name; empty when it has none; None when it could not be looked up.
Resolver = Callable[[str], Optional[Sequence[str]]]


def find(services: Mapping[str, str], cluster: Cluster, controller: Controller, resolve: Resolver) -> List[Circle]:
    """All circles. ``services`` are what is in use, by a name for people: a URL, a host with or without port, an image or an absolute path."""
    finder = _Finder(cluster, controller, resolve)
    circles: List[Optional[Circle]] = []
    for service, address in services.items():
        if address.startswith("/"):
            circles.append(finder.path(service, address))
        elif address:
            circles.append(finder.host(service, address, host_of(address)))
    for server in name_servers(controller.resolv_conf):
        circles.append(finder.host("name server of this controller", server, server))
    circles.append(finder.itself())
    return [circle for circle in circles if circle is not None]


def hosts_to_look_up(services: Mapping[str, str], cluster: Cluster, controller: Controller) -> List[str]:
    """Every name that ``find`` may want to know the addresses of, so that they can be asked for at the same time."""
    hosts = [host_of(address) for address in services.values() if address and not address.startswith("/")]
    hosts += [host_of(server) for source, _target, kind in _mounts(controller.mounts) for server in _servers_of(source, kind)]
    hosts += [name for names in cluster.machines.values() for name in names] + list(cluster.endpoints)
    return sorted({host for host in hosts if host and _address(host) is None})


def host_of(address: str) -> str:
    """The host in a URL, in ``host:port`` or in an image; lower case, without brackets and without a final dot."""
    text = address.strip()
    if _address(text) is not None:
        return text.strip("[]").lower()
    if "://" not in text:
        text = "//" + text
    try:
        host = urlsplit(text).hostname or ""
    except ValueError:
        host = ""
    return host.rstrip(".").lower()


def registries_of(images: Iterable[str]) -> List[str]:
    """The registries of images, but for those that name none and the public one that this means."""
    found = set()
    for image in images:
        first, slash, _rest = image.partition("/")
        if slash and (re.search(r"[.:]", first) or first == "localhost") and first != _DEFAULT_REGISTRY:
            found.add(first)
    return sorted(found)


def name_servers(resolv_conf: str) -> List[str]:
    """The servers in a resolv.conf, without a local stub: that one asks others, which are not known here."""
    found = []
    for line in resolv_conf.splitlines():
        words = line.split()
        if len(words) > 1 and words[0] == "nameserver":
            address = _address(words[1].split("%")[0])
            if address is not None and not address.is_loopback:
                found.append(words[1])
    return found


class _Finder:
    def __init__(self, cluster: Cluster, controller: Controller, resolve: Resolver) -> None:
        self._cluster = cluster
        self._controller = controller
        self._resolve = resolve
        self._owners: Dict[str, str] = {}
        for machine, names in cluster.machines.items():
            for name in filter(None, names):
                for text in [name.rstrip(".").lower(), *self._addresses(name)]:
                    self._owners.setdefault(_plain(text), "machine %s" % machine)
        for endpoint in cluster.endpoints:
            for text in [endpoint.rstrip(".").lower(), *self._addresses(endpoint)]:
                self._owners.setdefault(_plain(text), "the cluster's own endpoint %s" % endpoint)
        self._networks = [(network, what) for cidrs, what in ((cluster.service_cidrs, "service"), (cluster.pod_cidrs, "pod")) for network in _networks(cidrs)]

    def _addresses(self, host: str) -> Sequence[str]:
        return [host] if _address(host) is not None else self._resolve(host) or ()

    def host(self, service: str, address: str, host: str) -> Optional[Circle]:
        """Whether a host is one of the cluster."""
        reason = self._name(host)
        if reason is None and _address(host) is None:
            addresses = self._resolve(host)
            if not addresses:
                return self._unknown(service, address, host, addresses)
            reason = next((found for found in ("%s is %s, %s" % (host, each, why) for each in addresses for why in [self._owner(each)] if why)), None)
        elif reason is None:
            why = self._owner(host)
            reason = "%s is %s" % (host, why) if why else None
        if reason is None:
            return None
        return Circle(service, address, INSIDE, reason, "Move the %s out of the cluster, or keep a second one outside that a recovery can use" % service)

    @staticmethod
    def _unknown(service: str, address: str, host: str, addresses: Optional[Sequence[str]]) -> Circle:
        found = "%s could not be looked up%s" % (host or repr(address), "" if addresses is None else ": it has no address")
        return Circle(service, address, UNKNOWN, found, "Correct the name, or look it up where it is known: whether the %s is inside cannot be told" % service)

    def _name(self, host: str) -> Optional[str]:
        if host.endswith((".svc", "." + self._cluster.domain)) or host == self._cluster.domain or ".svc." in host:
            return "%s is a name that only the cluster's own name servers know" % host
        owner = self._owners.get(_plain(host))
        return "%s is %s" % (host, owner) if owner else None

    def _owner(self, text: str) -> Optional[str]:
        owner = self._owners.get(_plain(text))
        if owner:
            return owner
        address = _address(text)
        if address is None:
            return None
        if address.is_loopback:
            machine = self._own_machine()
            return "this controller, which is %s" % machine if machine else None
        return next(
            ("in the %s network %s" % (what, network) for network, what in self._networks if network.version == address.version and address in network), None
        )

    def _own_machine(self) -> Optional[str]:
        return next((self._owners[_plain(each)] for each in self._controller.addresses if _plain(each) in self._owners), None)

    def path(self, service: str, path: str) -> Optional[Circle]:
        """Whether a directory lies on a machine of the cluster: mounted from there, or on the controller's disk when that is one."""
        if path.startswith(_POD_VOLUMES):
            return Circle(service, path, INSIDE, "%s is a volume of a pod" % path, "Move the %s out of the cluster" % service)
        mount = _mount_of(path, self._controller.mounts)
        if mount is not None:
            source, target, kind = mount
            servers = _servers_of(source, kind)
            for server in servers:
                circle = self.host(service, "%s (%s from %s)" % (path, kind, source), host_of(server))
                if circle is not None:
                    return circle
            if servers:
                return None
            if target.startswith(_POD_VOLUMES):
                return Circle(service, path, INSIDE, "%s is a volume of a pod" % target, "Move the %s out of the cluster" % service)
        machine = self._own_machine()
        if machine is None:
            return None
        return Circle(service, path, INSIDE, "%s is on a disk of this controller, which is %s" % (path, machine), "Use a %s on another machine" % service)

    def itself(self) -> Optional[Circle]:
        """Whether the controller, be it AWX or a shell, runs as a pod of the cluster."""
        reason = self._owner(self._controller.pod_of) if self._controller.pod_of else None
        if reason is None:
            return None
        return Circle(
            "controller",
            self._controller.pod_of,
            INSIDE,
            "this job runs in a pod whose API server is %s, %s (which other clusters may have, too)" % (self._controller.pod_of, reason),
            "Keep a controller outside of the cluster that can run the recovery: AWX in the cluster is gone with it",
        )


def _plain(text: str) -> str:
    """One form of an address, so that forms of IPv6 compare; names as they are."""
    address = _address(text)
    return str(address) if address is not None else text


def _address(text: str) -> Any:
    try:
        return ipaddress.ip_address(text.strip("[]").split("%")[0])
    except ValueError:
        return None


def _networks(cidrs: Sequence[str]) -> List[Any]:
    found = []
    for cidr in cidrs:
        try:
            found.append(ipaddress.ip_network(cidr, strict=False))
        except ValueError:
            continue
    return found


def _mounts(text: str) -> List[Tuple[str, str, str]]:
    """Source, target and kind of each line of /proc/mounts."""
    found = []
    for line in text.splitlines():
        words = [_ESCAPE.sub(lambda match: chr(int(match.group(1), 8)), word) for word in line.split(" ")]
        if len(words) >= 3:
            found.append((words[0], words[1], words[2]))
    return found


def _mount_of(path: str, mounts: str) -> Optional[Tuple[str, str, str]]:
    """The mount on which a path lies: of those above it the longest, of equals the last, which hides the others."""
    best: Optional[Tuple[str, str, str]] = None
    for mount in _mounts(mounts):
        target = mount[1].rstrip("/")
        if (path == target or path.startswith(target + "/")) and (best is None or len(target) >= len(best[1].rstrip("/"))):
            best = mount
    return best


def _servers_of(source: str, kind: str) -> List[str]:
    pattern = _SERVERS.get(kind)
    match = re.match(pattern, source) if pattern else None
    return match.group("host").split(",") if match else []
