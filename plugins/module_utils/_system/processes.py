# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs and what listens on this host, read from /proc alone."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Dict, Iterable, Iterator, List, Mapping, Optional, Sequence, Set

# The kernel cuts a process's short name to this many bytes.
SHORT_NAME_BYTES = 15
LISTENING = "0A"
_CONTAINER_ID = re.compile(r"(?:^|[/:-])([0-9a-f]{64})(?:\.scope)?$")
# Flags that say where a control-plane process keeps its data and whom it talks to. Nothing else of a command line is ever returned.
# fmt: off
_TELLING_FLAGS = frozenset((
    "name", "data-dir", "wal-dir", "listen-client-urls", "listen-peer-urls", "advertise-client-urls", "initial-advertise-peer-urls", "initial-cluster",
    "initial-cluster-state", "initial-cluster-token", "enable-v2", "experimental-initial-corrupt-check", "cert-file", "key-file", "trusted-ca-file",
    "peer-cert-file", "peer-key-file", "peer-trusted-ca-file", "quota-backend-bytes", "advertise-address", "secure-port", "bind-address", "etcd-servers",
    "etcd-prefix", "etcd-cafile", "etcd-certfile", "etcd-keyfile", "client-ca-file", "tls-cert-file", "tls-private-key-file", "service-account-issuer",
    "service-account-key-file", "service-account-signing-key-file", "service-cluster-ip-range", "encryption-provider-config", "storage-backend",
    "cluster-cidr", "cluster-signing-cert-file", "cluster-signing-key-file", "root-ca-file", "service-account-private-key-file", "kubeconfig", "config",
    "bootstrap-kubeconfig", "node-ip", "hostname-override", "container-runtime-endpoint", "config-file", "config-dir",
))
# fmt: on


@dataclass(frozen=True)
class Process:
    """One process of this host."""

    pid: int
    name: str
    executable: str
    container_id: str
    # The text of /proc/PID/cgroup.
    control_group: str = ""

    def belongs_to_unit(self, main_pid: int, control_group: str) -> bool:
        """Whether systemd started it for a unit with this main process and this control group."""
        if main_pid and self.pid == main_pid:
            return True
        # Inside of a container the kernel may show more of the path than the container's systemd does.
        return bool(control_group.strip("/")) and any(path.endswith(control_group.rstrip("/")) for path in control_group_paths(self.control_group))

    def runs_in_a_pod(self, containers: Optional[Set[str]]) -> bool:
        """Whether it is in one of the runtime's containers; where these are not known (None), whether it is in any container."""
        if "kubepods" in self.control_group:
            return True
        return bool(self.container_id) and (containers is None or self.container_id in containers)

    def as_dict(self) -> Dict[str, object]:
        """For results and errors."""
        return {"pid": self.pid, "name": self.name, "executable": self.executable, "container_id": self.container_id}

    def __str__(self) -> str:
        where = " in container %s" % self.container_id[:13] if self.container_id else ""
        return "process %s pid %d%s" % (self.name, self.pid, where)


def _read(path: str, limit: int = 65536) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(limit)
    except OSError:
        return b""


def _link(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""


def _process_ids(proc: str) -> Iterator[int]:
    for entry in os.listdir(proc):
        if entry.isdigit():
            yield int(entry)


def _stat(proc: str, pid: int) -> Optional[Sequence[str]]:
    """State and the fields after it, or None when the process is gone. The short name may hold blanks and parentheses."""
    text = _read("%s/%d/stat" % (proc, pid)).decode("utf-8", "replace")
    end = text.rfind(")")
    return text[end + 1 :].split() if end > 0 else None


def running(proc: str, pid: int) -> bool:
    """Whether this process exists and is more than a zombie."""
    stat = _stat(proc, pid)
    return stat is not None and bool(stat) and stat[0] not in ("Z", "X", "x")


def control_group_paths(cgroup: str) -> List[str]:
    """The paths in a /proc/PID/cgroup: ``hierarchy:controllers:path`` a line."""
    return [line.split(":", 2)[2].rstrip("/") for line in cgroup.splitlines() if line.count(":") >= 2]


def age_seconds(pid: int, proc: str = "/proc") -> Optional[float]:
    """How long ago a process was started; None when it is gone, or the kernel does not say."""
    stat = _stat(proc, pid)
    uptime = _read("%s/uptime" % proc).split()
    if stat is None or len(stat) < 20 or not uptime:
        return None
    return float(uptime[0]) - int(stat[19]) / os.sysconf("SC_CLK_TCK")


def environment(pid: int, names: Sequence[str], proc: str = "/proc") -> Dict[str, str]:
    """These variables of a process's environment, and never any other."""
    found: Dict[str, str] = {}
    for entry in _read("%s/%d/environ" % (proc, pid), 1 << 20).split(b"\0"):
        name, equals, value = entry.decode("utf-8", "replace").partition("=")
        if equals and name in names:
            found[name] = value
    return found


def container_id(cgroup: str) -> str:
    """The container that a /proc/PID/cgroup belongs to, or an empty text."""
    for line in cgroup.splitlines():
        found = _CONTAINER_ID.search(line.rstrip())
        if found:
            return found.group(1)
    return ""


def arguments(pid: int, proc: str = "/proc") -> List[str]:
    """The command line of a process."""
    return [part.decode("utf-8", "replace") for part in _read("%s/%d/cmdline" % (proc, pid), 1 << 20).split(b"\0") if part]


def telling_flags(pid: int, proc: str = "/proc") -> Dict[str, str]:
    """Those flags of a control-plane process that say where its data and its partners are; never any other part of a command line."""
    flags: Dict[str, str] = {}
    words = arguments(pid, proc)[1:]
    for index, word in enumerate(words):
        name, equals, value = word.lstrip("-").partition("=")
        if not word.startswith("-") or name not in _TELLING_FLAGS:
            continue
        if not equals:
            following = words[index + 1] if index + 1 < len(words) else ""
            value = "true" if not following or following.startswith("-") else following
        flags[name] = value
    return flags


def only_telling(flags: Mapping[str, str]) -> Dict[str, str]:
    """Of flags that stand somewhere else than on a command line, those that may be returned."""
    return {name: value for name, value in flags.items() if name in _TELLING_FLAGS}


def processes(names: Iterable[str], proc: str = "/proc", own_network: bool = True) -> Dict[str, List[Process]]:
    """Living processes by name, for each of ``names``.

    A process has a name if its executable, its first argument or its short name says so. A name of several words also wants the following
    arguments (``hyperkube apiserver``). With ``own_network`` only those count that share this process's network: a process of the same name
    in a container with a network of its own (another cluster's etcd, a drill) is not this node's.
    """
    wanted = {name: [word.encode() for word in name.split()] for name in names}
    found: Dict[str, List[Process]] = {name: [] for name in wanted}
    programs = {words[0] for words in wanted.values()}
    short = {program[:SHORT_NAME_BYTES] for program in programs}
    network = _link("%s/self/ns/net" % proc)
    for pid in sorted(_process_ids(proc)):
        # The short name decides for nearly every process; it costs one small read.
        comm = _read("%s/%d/comm" % (proc, pid), 64).rstrip(b"\n")
        if comm not in short:
            continue
        executable = _link("%s/%d/exe" % (proc, pid)).replace(" (deleted)", "")
        words = _read("%s/%d/cmdline" % (proc, pid), 4096).split(b"\0")
        known_as = {os.path.basename(executable).encode(), os.path.basename(words[0]), comm if len(comm) < SHORT_NAME_BYTES else b""}
        for name, (program, *rest) in wanted.items():
            if program not in known_as or words[1 : 1 + len(rest)] != rest or not running(proc, pid):
                continue
            their_network = _link("%s/%d/ns/net" % (proc, pid))
            if own_network and network and their_network and their_network != network:
                continue
            group = _read("%s/%d/cgroup" % (proc, pid)).decode("utf-8", "replace")
            found[name].append(Process(pid, name, executable, container_id(group), group))
    return found


def _sockets(proc: str) -> Iterator[Sequence[str]]:
    for table in ("tcp", "tcp6"):
        lines = _read("%s/net/%s" % (proc, table), 1 << 26).decode("ascii", "replace").splitlines()
        for line in lines[1:]:
            fields = line.split()
            if len(fields) > 9 and fields[3] == LISTENING:
                yield fields


def listening_ports(proc: str = "/proc") -> Set[int]:
    """TCP ports on which something of this host's network listens."""
    return {int(fields[1].rpartition(":")[2], 16) for fields in _sockets(proc)}


def port_owners(ports: Iterable[int], proc: str = "/proc") -> Dict[int, List[int]]:
    """Which processes hold these listening ports. Looks at every open file of the host: for error texts, not for polling."""
    inodes: Dict[str, int] = {}
    wanted = set(ports)
    for fields in _sockets(proc):
        port = int(fields[1].rpartition(":")[2], 16)
        if port in wanted:
            inodes["socket:[%s]" % fields[9]] = port
    owners: Dict[int, List[int]] = {port: [] for port in wanted}
    if not inodes:
        return owners
    for pid in sorted(_process_ids(proc)):
        try:
            handles = os.listdir("%s/%d/fd" % (proc, pid))
        except OSError:
            continue
        for port in {inodes[link] for link in (_link("%s/%d/fd/%s" % (proc, pid, handle)) for handle in handles) if link in inodes}:
            owners[port].append(pid)
    return owners
