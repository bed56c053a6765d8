# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that a preflight wants to know of a node, in one look that never fails: each probe stands alone."""

from __future__ import annotations

import ctypes
import os
import platform as python_platform
import pwd
import re
import socket
import stat
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Set, Tuple

from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.restore.tools import serving
from ansible_collections.lifeboat.cluster.plugins.module_utils._node import kubelet_runtime, pod_files
from ansible_collections.lifeboat.cluster.plugins.module_utils._node.local_etcd import LocalEtcd
from ansible_collections.lifeboat.cluster.plugins.module_utils._node.look import etcd_data, required
from ansible_collections.lifeboat.cluster.plugins.module_utils._node.look.obstacles import obstacles
from ansible_collections.lifeboat.cluster.plugins.module_utils._node.pod_files import PodFiles
from ansible_collections.lifeboat.cluster.plugins.module_utils._node.services.services import Service, known_manifests, own_pods, read_services
from ansible_collections.lifeboat.cluster.plugins.module_utils._pki import in_use
from ansible_collections.lifeboat.cluster.plugins.module_utils._pki.digests import certificate_file_sha256, public_file_sha256, public_half_sha256
from ansible_collections.lifeboat.cluster.plugins.module_utils._pki.tls import KEY_PAIR, Check, examine
from ansible_collections.lifeboat.cluster.plugins.module_utils._system import probing, programs, static_pod, told
from ansible_collections.lifeboat.cluster.plugins.module_utils._system.containers import Container, ContainerRuntime, find_program
from ansible_collections.lifeboat.cluster.plugins.module_utils._system.disk import mount_points, room
from ansible_collections.lifeboat.cluster.plugins.module_utils._system.once import Once
from ansible_collections.lifeboat.cluster.plugins.module_utils._system.probing import DECIDING, text, text_or_none
from ansible_collections.lifeboat.cluster.plugins.module_utils._system.processes import (
    Process,
    age_seconds,
    listening_ports,
    only_telling,
    processes,
    running,
    telling_flags,
)
from ansible_collections.lifeboat.cluster.plugins.module_utils._system.units import Systemd, Unit
from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import LifeboatError
from ansible_collections.lifeboat.cluster.plugins.module_utils.releases import restores_since

RECORD = "/var/lib/lifeboat/restore.json"
LOCK = "/var/lib/lifeboat/lock.json"
ASIDE = "/var/lib/lifeboat/aside"
STAGING = "/var/tmp/lifeboat-*"
LOOKUP_SECONDS = 2.0
PROGRAM_SECONDS = 10.0
# A process that has lived this long was not just started to end again: a kubelet without its configuration lives for a tenth of a second.
SETTLED_SECONDS = 5.0
POLL_SECONDS = 0.1
PROC = "/proc"
_CLOCK_UNSYNCHRONISED = 0x40
# struct timex of the kernel on 64-bit Linux is 208 bytes; its fifth long is the status.
_TIMEX_BYTES = 208
_VERSION = re.compile(r"v?(\d+\.\d+\.\d+[0-9A-Za-z.+~-]*)")
_VERSION_ARGUMENTS: Mapping[str, Sequence[str]] = {
    "kubelet": ("--version",),
    "kubeadm": ("version", "-o", "short"),
    "containerd": ("--version",),
    "runc": ("--version",),
    "crictl": ("--version",),
    "etcdutl": ("version",),
    "etcdctl": ("version",),
}


@dataclass(frozen=True)
class Question:
    """What to look at on this node."""

    platform: Mapping[str, Any]
    paths: Sequence[str] = ()
    names: Sequence[str] = ()
    units: Sequence[str] = ()
    programs: Sequence[str] = ()
    # None: nobody says which files a restore would bring, so nobody knows whether the machine is empty.
    required_files: Optional[Sequence[str]] = None
    certificates: Sequence[Mapping[str, Any]] = ()
    # Where the local member had its data, by a recovery point; counts where nothing on this machine says it.
    etcd_data_dir: str = ""
    # Where that path led to when it was a link.
    etcd_data_link: str = ""
    # Of the data that a restore would bring; empty where nobody knows.
    etcd_storage_version: str = ""


def in_time(work: Callable[[], Any], seconds: float) -> Tuple[bool, Any]:
    """Run something that can't be interrupted (a name lookup); (False, None) when it takes too long or fails."""
    answer: List[Any] = []

    def worker() -> None:
        try:
            answer.append(work())
        except OSError:
            return

    thread = threading.Thread(target=worker, daemon=True)
    thread.start()
    thread.join(seconds)
    return (True, answer[0]) if answer else (False, None)


def look_up(name: str) -> Optional[str]:
    """The first address of a name, within the time a kubelet should need for it."""
    found, answers = in_time(lambda: socket.getaddrinfo(name, None, type=socket.SOCK_STREAM), LOOKUP_SECONDS)
    return str(answers[0][4][0]) if found and answers else None


def look_up_all(names: Sequence[str]) -> Dict[str, Optional[str]]:
    """Addresses of names, all asked at once."""
    answers: Dict[str, Optional[str]] = {}

    def ask(name: str) -> None:
        answers[name] = look_up(name)

    threads = [threading.Thread(target=ask, args=(name,), daemon=True) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LOOKUP_SECONDS + 1)
    return {name: answers.get(name) for name in names}


def local_addresses(fib_trie: str, if_inet6: str) -> List[str]:
    """Addresses of this host out of /proc/net/fib_trie and /proc/net/if_inet6, without loopback and link-local ones."""
    found = []
    previous = ""
    for line in fib_trie.splitlines():
        if "/32 host LOCAL" in line:
            address = previous.split()[-1]
            if not address.startswith("127.") and address not in found:
                found.append(address)
        previous = line
    for line in if_inet6.splitlines():
        raw = line.split()[0]
        address = socket.inet_ntop(socket.AF_INET6, bytes.fromhex(raw))
        if address != "::1" and not address.startswith("fe80:") and address not in found:
            found.append(address)
    return found


def clock_synchronised() -> Optional[bool]:
    """What the kernel says about its clock being held by a time service; None where it can't be asked."""
    if ctypes.sizeof(ctypes.c_long) != 8:
        return None
    buffer = ctypes.create_string_buffer(_TIMEX_BYTES)
    if ctypes.CDLL(None, use_errno=True).adjtimex(buffer) < 0:
        return None
    # modes (4 bytes and 4 of padding), offset, freq, maxerror, esterror, status
    return not struct.unpack_from("i", buffer.raw, 40)[0] & _CLOCK_UNSYNCHRONISED


class Look:
    """One look at this node. Every method is one probe and may fail alone."""

    def __init__(self, question: Question) -> None:
        self.question = question
        self.services = read_services(question.platform)
        # Once, and before any probe asks a program for its version: that is a process of the same name for a moment.
        self._found = processes({service.process for service in self.services.values() if service.process}, PROC)
        self._runtime_told = kubelet_runtime.told(self._kubelet_flags(), question.platform)
        self.platform: Mapping[str, Any] = dict(question.platform, runtime=dict(question.platform.get("runtime") or {}, **self._runtime_told))
        self.runtime = ContainerRuntime.of_platform(self.platform)
        self._all_containers: Once[List[Container]] = Once(self.runtime.containers)
        self._all_units: Once[Dict[str, Unit]] = Once(self._show_units)
        self._member = LocalEtcd(
            self.platform, self.services, self.own_processes, lambda name: self._all_units()[name], question.etcd_data_dir, question.etcd_data_link
        )
        self._etcd: Once[Dict[str, Any]] = Once(lambda: self._member.describe(ASIDE))

    def _kubelet_flags(self) -> Optional[Dict[str, str]]:
        """Of the first process with its name, before anybody can be asked whether it is the service's own."""
        service = self.services.get("kubelet")
        running_ones = self._found.get(service.process) if service is not None else None
        return telling_flags(running_ones[0].pid, PROC) if running_ones else None

    def hostname(self) -> str:
        return socket.gethostname()

    def fqdn(self) -> Optional[str]:
        found, name = in_time(socket.getfqdn, LOOKUP_SECONDS)
        return str(name) if found else None

    def addresses(self) -> List[str]:
        return local_addresses(text("/proc/net/fib_trie"), text_or_none("/proc/net/if_inet6") or "")

    def default_address(self) -> Optional[str]:
        """The address from which this machine reaches others: asked of its routes, nothing is sent."""
        for family, elsewhere in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):
            with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.connect((elsewhere, 9))
                return str(probe.getsockname()[0])
        return None

    def node_name(self) -> Optional[str]:
        """Under which name the cluster knows this machine: the kubelet's option, or whose its certificate is; None where neither is there.

        The kubelet makes a host name small (kubernetes/kubernetes pkg/util/node C(GetHostname)).
        """
        service = self.services.get("kubelet")
        for process in self.own_processes(service) if service is not None else []:
            override = telling_flags(process.pid, PROC).get("hostname-override")
            if override:
                return override.strip().lower()
        own = self.platform.get("node_certificate") or {}
        certificate, key = (str(own.get(part) or "") for part in ("certificate", "key"))
        if not certificate or text_or_none(certificate) is None:
            return None
        subject = examine(Check("node", KEY_PAIR, certificate=certificate, key=key or certificate)).subject
        names = [part.rpartition(":")[2] for part in subject.split(", ") if part.startswith("CN=" + _NODE_USER)]
        return names[0] if names else None

    def machine_id(self) -> str:
        return text("/etc/machine-id").strip()

    def boot_id(self) -> str:
        return text("/proc/sys/kernel/random/boot_id").strip()

    def now_epoch(self) -> float:
        return time.time()

    def uptime_seconds(self) -> float:
        return float(text("/proc/uptime").split()[0])

    def clock_synchronised(self) -> Optional[bool]:
        return clock_synchronised()

    def python_version(self) -> str:
        return python_platform.python_version()

    def kernel(self) -> str:
        return os.uname().release

    def architecture(self) -> str:
        return os.uname().machine

    def os(self) -> Dict[str, str]:
        fields = dict(line.partition("=")[::2] for line in text("/etc/os-release").splitlines() if "=" in line)
        return {"id": fields.get("ID", "").strip('"'), "version": fields.get("VERSION_ID", "").strip('"'), "name": fields.get("PRETTY_NAME", "").strip('"')}

    def cgroup_version(self) -> int:
        return 2 if os.path.exists("/sys/fs/cgroup/cgroup.controllers") else 1

    def memory_bytes(self) -> int:
        found = re.search(r"^MemTotal:\s+(\d+) kB", text("/proc/meminfo"), re.M)
        return int(found.group(1)) * 1024 if found else 0

    def cpus(self) -> int:
        return len(os.sched_getaffinity(0))

    def login_user(self) -> str:
        return os.environ.get("SUDO_USER") or os.environ.get("DOAS_USER") or pwd.getpwuid(os.getuid()).pw_name

    def space(self) -> List[Dict[str, Any]]:
        mounts = sorted(mount_points(), key=len, reverse=True)
        answer = []
        for path in [*self.question.paths, *self._etcd_path_besides()]:
            there = os.path.realpath(probing.existing_ancestor(os.path.abspath(path)))
            free, inodes = room(there)
            status = os.statvfs(there)
            mount = next((point for point in mounts if there == point or there.startswith(point.rstrip("/") + "/")), "/")
            answer.append(
                {
                    "path": path,
                    "exists": probing.status(path) is not None,
                    "mount": mount,
                    "free_bytes": free,
                    "total_bytes": status.f_blocks * status.f_frsize,
                    "inodes_free": None if inodes < 0 else inodes,
                    "read_only": bool(status.f_flag & os.ST_RDONLY),
                }
            )
        return answer

    def _show_units(self) -> Dict[str, Unit]:
        runtime = str((self.platform.get("runtime") or {}).get("unit") or "")
        names = {service.unit for service in self.services.values() if service.unit} | set(self.question.units) | ({runtime} if runtime else set())
        return Systemd().show(sorted(names))

    def units(self) -> Dict[str, Dict[str, Any]]:
        return {name: unit.as_dict() for name, unit in self._all_units().items()}

    def containers(self) -> List[Dict[str, Any]]:
        return [container.as_dict() for container in self._all_containers()]

    def images(self) -> List[str]:
        return self.runtime.images()

    def listening(self) -> List[int]:
        return sorted(listening_ports())

    def processes(self) -> Dict[str, List[int]]:
        return {name: [process.pid for process in found] for name, found in sorted(self._found.items())}

    def flags(self) -> Dict[str, Dict[str, str]]:
        """Of each service's own process; where none can be told to be that, of the first with its name."""
        found = {}
        for service in self.services.values():
            own: List[Process] = []
            with suppress(LifeboatError):
                own = self.own_processes(service)
            for process in (own or self._found.get(service.process) or [])[:1]:
                found[service.process] = telling_flags(process.pid, PROC)
        return found

    def versions(self) -> Dict[str, Optional[str]]:
        names = list(_VERSION_ARGUMENTS) + [name for name in self.question.programs if name not in _VERSION_ARGUMENTS]
        with ThreadPoolExecutor(max_workers=4) as pool:
            return dict(zip(names, pool.map(program_version, names)))

    def etcd(self) -> Dict[str, Any]:
        return self._etcd()

    def _etcd_path_besides(self) -> List[str]:
        """The data directory of the local member, and where a link to be made leads to, where they are not in the question."""
        with suppress(LifeboatError, OSError, ValueError):
            seen = self._etcd() if self._member.service else {}
            places = [str(seen[key]) for key in ("data_dir", "to_link") if seen.get(key)]
            return [place for place in places if place not in self.question.paths]
        return []

    def told(self) -> Dict[str, Any]:
        """What this machine says of the platform's facts."""
        flags: Dict[str, Mapping[str, str]] = {}
        running_with = self.flags()
        others = [(name, self.services.get(name)) for name in ("kube-apiserver", *told.WATCHERS)]
        for name, service in [("etcd", self._member.service), *others]:
            if service is not None:
                flags[name] = running_with.get(service.process) or only_telling(static_pod.flags(self._member.manifest(service), name))
        place = str(self._etcd()["data_dir"]) if self._member.service else ""
        found = told.told(flags, place, self._member.on_host, self.platform)
        return dict(found, runtime=self._runtime_told) if self._runtime_told else found

    def identity(self) -> Dict[str, Optional[str]]:
        facts, etcd = self.platform.get("identity") or {}, self.platform.get("etcd") or {}
        public_key = str(facts.get("service_account_public_key") or "")
        found = [digest for digest in (certificate_file_sha256(str(path)) for path in facts.get("ca_certs") or ()) if digest]
        return {
            # Machines of different kinds have the one authority at different places.
            "ca_sha256": found[0] if found else None,
            "etcd_ca_sha256": certificate_file_sha256(str(etcd.get("ca_cert") or "")),
            "front_proxy_ca_sha256": certificate_file_sha256(str(facts.get("front_proxy_ca_cert") or "")),
            "sa_pub_sha256": public_file_sha256(public_key) if public_key else public_half_sha256(str(facts.get("service_account_key") or "")),
            "encryption_sha256": self._encryption_sha256(),
        }

    def _encryption_sha256(self) -> Optional[str]:
        """Of the encryption configuration that the API server of this machine reads, or would read; None without one."""
        service = self.services.get("kube-apiserver")
        if service is None or not service.process:
            return None
        arguments = str((self.platform.get("etcd") or {}).get("apiserver_arguments_file") or "")
        places = [str(self.platform.get("manifests_dir") or ""), str(self.platform.get("manifests_parking") or ""), arguments]
        found = in_use.look(service.process, [place for place in places if place], PROC)
        return public_file_sha256(found.real_file) if found.exists else None

    def manifests(self) -> Dict[str, Any]:
        directories = {key: str(self.platform.get(name) or "") for key, name in (("live", "manifests_dir"), ("parked", "manifests_parking"))}
        known = known_manifests(self.platform, self.services)
        files = PodFiles.read([path for path in directories.values() if path], known, own_pods(self.services))
        answer: Dict[str, List[str]] = {"copies": []}
        images = set()
        for key, directory in directories.items():
            # A directory that cannot be read raises: that is no empty one.
            there = sorted(pod_files.names_in(directory)) if directory and probing.names_in(directory) else []
            answer[key] = [os.path.join(directory, name) for name in there if name in known or name in files.pods]
            if key == "live":
                answer["copies"] = [os.path.join(directory, name) for name in there if name in files.copies]
            for path in answer[key]:
                images.update(static_pod.images(text_or_none(path) or ""))
        return dict(answer, images=sorted(images))

    def required_files(self) -> Optional[Dict[str, List[str]]]:
        if self.question.required_files is None:
            return None
        return required.look(self.question.required_files, self.question.certificates)

    def own_processes(self, service: Service) -> List[Process]:
        """Processes of a service that systemd or the container runtime started for it. Any user can make one that merely has its name."""
        found = [process for process in self._found.get(service.process) or [] if running(PROC, process.pid)]
        if not found:
            return []
        if service.unit:
            unit = self._all_units()[service.unit]
            return [process for process in found if process.belongs_to_unit(unit.main_pid, unit.control_group)]
        containers = self._containers_known()
        return [process for process in found if process.runs_in_a_pod(containers)]

    def _containers_known(self) -> Optional[Set[str]]:
        """Ids of the runtime's containers; None where it cannot be asked, as containers outlive it."""
        if self.runtime.absent():
            return None
        try:
            return {container.id for container in self._all_containers()}
        except (LifeboatError, ValueError):
            return None

    def bare_evidence(self) -> Optional[List[str]]:
        if self.question.required_files is None:
            return None
        found = required.present(self.question.required_files)
        found += etcd_data.evidence(self._etcd())
        return found + [str(process) for process in self._living(patient=not found)]

    def _living(self, patient: bool) -> List[Process]:
        """Processes of the platform that stay. A packaged kubelet without its configuration is started, and ends at once, for ever."""
        own = [process for service in self.services.values() if service.process for process in self.own_processes(service)]
        while patient and own:
            own = [process for process in own if running(PROC, process.pid)]
            ages = [age_seconds(process.pid) for process in own]
            if all(age is None or age >= SETTLED_SECONDS for age in ages):
                break
            time.sleep(POLL_SECONDS)
        return own

    def record(self) -> Optional[Dict[str, Any]]:
        return probing.json_object(RECORD, "The restore record of this host")

    def lock(self) -> Optional[Dict[str, Any]]:
        return probing.json_object(LOCK, "The lock of this host")

    def stale_staging(self) -> List[Dict[str, Any]]:
        answer = []
        directory, prefix = os.path.split(STAGING)
        for path in [os.path.join(directory, name) for name in probing.names_in(directory) if name.startswith(prefix.rstrip("*"))]:
            found = probing.link_status(path)
            if found is not None:
                size = probing.tree_size(path)[0] if stat.S_ISDIR(found.st_mode) else found.st_size
                answer.append({"path": path, "age_seconds": round(time.time() - found.st_mtime, 1), "size_bytes": size, "owner": etcd_data.owner(path)})
        return answer

    def resolv(self) -> Dict[str, Any]:
        text = text_or_none("/etc/resolv.conf") or ""
        start = time.monotonic()
        address = look_up(socket.gethostname())
        return {
            "nameservers": re.findall(r"^\s*nameserver\s+(\S+)", text, re.M),
            "own_name": socket.gethostname(),
            "own_address": address,
            "answers": address is not None,
            "seconds": round(time.monotonic() - start, 3),
        }

    def name_resolution(self) -> Dict[str, Optional[str]]:
        return look_up_all(self.question.names)


# Before the name of a node, in the user that its kubelet is.
_NODE_USER = "system:node:"

# fmt: off
PROBES = (
    "hostname", "fqdn", "addresses", "default_address", "node_name", "machine_id", "boot_id", "now_epoch", "uptime_seconds", "clock_synchronised",
    "python_version", "kernel", "os", "architecture", "cgroup_version", "memory_bytes", "cpus", "login_user", "space", "units", "containers", "listening",
    "processes", "flags", "told", "images", "versions", "etcd", "identity", "manifests", "required_files", "bare_evidence", "record", "lock", "stale_staging",
    "resolv", "name_resolution",
)
# fmt: on


def program_version(name: str) -> Optional[str]:
    """The version that a program of this host tells; None without the program, or when it does not say."""
    program = find_program(name)
    if not program:
        return None
    command = [program] + list(_VERSION_ARGUMENTS.get(name, ("--version",)))
    try:
        done = programs.run(command, timeout_seconds=PROGRAM_SECONDS, together=True)
    except (OSError, programs.TooLong):
        return None
    found = _VERSION.search(done.stdout.decode("utf-8", "replace"))
    return found.group(1) if found else None


def _etcdutl(versions: Mapping[str, Optional[str]], images: Sequence[str], endpoint: str, storage_version: str) -> Optional[Dict[str, str]]:
    """The etcdutl that a restore of data of this version would find on this host; an image serves only where ctr can mount it: one of containerd's."""
    mountable = find_program("ctr") and "crio" not in endpoint
    tool = serving(versions.get("etcdutl"), images if mountable else [], since=restores_since(storage_version))
    return {"source": tool.source, "version": tool.version, "path": tool.path} if tool else None


def look(question: Question) -> Dict[str, Any]:
    """Ask all probes at once. A probe that fails answers None and leaves its reason in ``probe_errors``."""
    subject = Look(question)
    node: Dict[str, Any] = {}
    errors: Dict[str, str] = {}

    def probe(name: str) -> None:
        try:
            node[name] = getattr(subject, name)()
        except (OSError, ValueError, LookupError, AttributeError, struct.error, programs.TooLong, LifeboatError) as error:
            node[name] = None
            errors[name] = error.found or error.message if isinstance(error, LifeboatError) else "%s: %s" % (type(error).__name__, error)

    with ThreadPoolExecutor(max_workers=8) as pool:
        list(pool.map(probe, PROBES))
    node["etcdutl"] = _etcdutl(node["versions"] or {}, node["images"] or [], subject.runtime.endpoint, question.etcd_storage_version)
    unknown = node["bare_evidence"] is None or any(name in errors for name in DECIDING)
    node["bare"] = None if unknown else not node["bare_evidence"]
    node["told_differently"] = told.differences(node["told"] or {}, question.platform)
    node["probe_errors"] = errors
    node["obstacles"] = obstacles(node, question.platform)
    return node
