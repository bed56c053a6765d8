# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that a preflight wants to know of a node, in one look that never fails: each probe stands alone."""

from __future__ import annotations

import ctypes
import glob
import grp
import json
import os
import platform as python_platform
import pwd
import re
import socket
import struct
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import LifeboatError
from ansible_collections.lifeboat.cluster.plugins.module_utils.etcd.tools import serving
from ansible_collections.lifeboat.cluster.plugins.module_utils.host._disk import existing_ancestor, mount_points, room
from ansible_collections.lifeboat.cluster.plugins.module_utils.host.containers import ContainerRuntime, find_program
from ansible_collections.lifeboat.cluster.plugins.module_utils.host.digests import certificate_file_sha256, public_file_sha256, public_half_sha256
from ansible_collections.lifeboat.cluster.plugins.module_utils.host.processes import listening_ports, processes, telling_flags
from ansible_collections.lifeboat.cluster.plugins.module_utils.host.services import read_services
from ansible_collections.lifeboat.cluster.plugins.module_utils.host.units import Systemd

RECORD = "/var/lib/lifeboat/restore.json"
LOCK = "/var/lib/lifeboat/lock.json"
ASIDE = "/var/lib/lifeboat/aside"
STAGING = "/var/tmp/lifeboat-*"
LOOKUP_SECONDS = 2.0
PROGRAM_SECONDS = 10.0
_CLOCK_UNSYNCHRONISED = 0x40
# struct timex of the kernel on 64-bit Linux is 208 bytes; its fifth long is the status.
_TIMEX_BYTES = 208
_VERSION = re.compile(r"v?(\d+\.\d+\.\d+[0-9A-Za-z.+~-]*)")
_IMAGE = re.compile(r"""^\s*(?:-\s+)?image:\s*["']?([^\s"'#]+)""")
_VERSION_ARGUMENTS: Mapping[str, Sequence[str]] = {
    "kubelet": ("--version",),
    "kubeadm": ("version", "-o", "short"),
    "kubectl": ("version", "--client"),
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


def _text(path: str) -> str:
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def _text_or_none(path: str) -> Optional[str]:
    try:
        return _text(path)
    except OSError:
        return None


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


def _owner(path: str) -> str:
    status = os.stat(path)
    try:
        user = pwd.getpwuid(status.st_uid).pw_name
    except KeyError:
        user = str(status.st_uid)
    try:
        group = grp.getgrgid(status.st_gid).gr_name
    except KeyError:
        group = str(status.st_gid)
    return "%s:%s" % (user, group)


def tree_size(path: str) -> Tuple[int, Optional[float]]:
    """Bytes of all files beneath a directory, and when the newest was written."""
    total = 0
    newest: Optional[float] = None
    for directory, _directories, files in os.walk(path):
        for name in files:
            try:
                status = os.lstat(os.path.join(directory, name))
            except OSError:
                continue
            total += status.st_size
            newest = max(newest or 0.0, status.st_mtime)
    return total, newest


def _json_file(path: str) -> Optional[Dict[str, Any]]:
    text = _text_or_none(path)
    if text is None:
        return None
    value = json.loads(text)
    return value if isinstance(value, dict) else None


class Look:
    """One look at this node. Every method is one probe and may fail alone."""

    def __init__(self, question: Question) -> None:
        self.question = question
        self.platform = question.platform
        self.runtime = ContainerRuntime.of_platform(question.platform)
        self.services = read_services(question.platform)
        # Once, and before any probe asks a program for its version: that is a process of the same name for a moment.
        self._found = processes({service.process for service in self.services.values() if service.process})

    def hostname(self) -> str:
        return socket.gethostname()

    def fqdn(self) -> Optional[str]:
        found, name = in_time(socket.getfqdn, LOOKUP_SECONDS)
        return str(name) if found else None

    def addresses(self) -> List[str]:
        return local_addresses(_text("/proc/net/fib_trie"), _text_or_none("/proc/net/if_inet6") or "")

    def machine_id(self) -> str:
        return _text("/etc/machine-id").strip()

    def boot_id(self) -> str:
        return _text("/proc/sys/kernel/random/boot_id").strip()

    def now_epoch(self) -> float:
        return time.time()

    def uptime_seconds(self) -> float:
        return float(_text("/proc/uptime").split()[0])

    def clock_synchronised(self) -> Optional[bool]:
        return clock_synchronised()

    def python_version(self) -> str:
        return python_platform.python_version()

    def kernel(self) -> str:
        return os.uname().release

    def architecture(self) -> str:
        return os.uname().machine

    def os(self) -> Dict[str, str]:
        fields = dict(line.partition("=")[::2] for line in _text("/etc/os-release").splitlines() if "=" in line)
        return {"id": fields.get("ID", "").strip('"'), "version": fields.get("VERSION_ID", "").strip('"'), "name": fields.get("PRETTY_NAME", "").strip('"')}

    def cgroup_version(self) -> int:
        return 2 if os.path.exists("/sys/fs/cgroup/cgroup.controllers") else 1

    def memory_bytes(self) -> int:
        found = re.search(r"^MemTotal:\s+(\d+) kB", _text("/proc/meminfo"), re.M)
        return int(found.group(1)) * 1024 if found else 0

    def cpus(self) -> int:
        return len(os.sched_getaffinity(0))

    def login_user(self) -> str:
        return os.environ.get("SUDO_USER") or os.environ.get("DOAS_USER") or pwd.getpwuid(os.getuid()).pw_name

    def space(self) -> List[Dict[str, Any]]:
        mounts = sorted(mount_points(), key=len, reverse=True)
        answer = []
        for path in self.question.paths:
            there = os.path.realpath(existing_ancestor(os.path.abspath(path)))
            free, inodes = room(there)
            status = os.statvfs(there)
            mount = next((point for point in mounts if there == point or there.startswith(point.rstrip("/") + "/")), "/")
            answer.append(
                {
                    "path": path,
                    "exists": os.path.exists(path),
                    "mount": mount,
                    "free_bytes": free,
                    "total_bytes": status.f_blocks * status.f_frsize,
                    "inodes_free": None if inodes < 0 else inodes,
                    "read_only": bool(status.f_flag & os.ST_RDONLY),
                }
            )
        return answer

    def units(self) -> Dict[str, Dict[str, Any]]:
        runtime = str((self.platform.get("runtime") or {}).get("unit") or "")
        names = {service.unit for service in self.services.values() if service.unit} | set(self.question.units) | ({runtime} if runtime else set())
        return {name: unit.as_dict() for name, unit in Systemd().show(sorted(names)).items()}

    def containers(self) -> List[Dict[str, Any]]:
        return [container.as_dict() for container in self.runtime.containers()]

    def images(self) -> List[str]:
        return self.runtime.images()

    def listening(self) -> List[int]:
        return sorted(listening_ports())

    def processes(self) -> Dict[str, List[int]]:
        return {name: [process.pid for process in found] for name, found in sorted(self._found.items())}

    def flags(self) -> Dict[str, Dict[str, str]]:
        return {name: telling_flags(found[0].pid) for name, found in self._found.items() if found}

    def versions(self) -> Dict[str, Optional[str]]:
        names = list(_VERSION_ARGUMENTS) + [name for name in self.question.programs if name not in _VERSION_ARGUMENTS]
        with ThreadPoolExecutor(max_workers=4) as pool:
            return dict(zip(names, pool.map(program_version, names)))

    def etcd(self) -> Dict[str, Any]:
        data_dir = str((self.platform.get("etcd") or {}).get("data_dir") or "/var/lib/etcd")
        answer: Dict[str, Any] = {
            "data_dir": data_dir,
            "exists": os.path.isdir(data_dir),
            "is_mount": os.path.ismount(data_dir),
            "member": False,
            "size_bytes": 0,
            "newest_mtime": None,
            "wal_files": 0,
            "owner": None,
            "mode": None,
            "restore_markers": [],
            "asides": sorted(glob.glob(glob.escape(data_dir) + ".*") + glob.glob(os.path.join(ASIDE, "*"))),
        }
        if not answer["exists"]:
            return answer
        member = os.path.join(data_dir, "member")
        answer["member"] = os.path.isdir(member)
        answer["size_bytes"], answer["newest_mtime"] = tree_size(member)
        answer["wal_files"] = len(glob.glob(os.path.join(glob.escape(member), "wal", "*.wal")))
        answer["owner"] = _owner(data_dir)
        answer["mode"] = "%04o" % (os.stat(data_dir).st_mode & 0o7777)
        for name in sorted(os.listdir(data_dir)):
            path = os.path.join(data_dir, name)
            if name.startswith(".lifeboat-restore-"):
                answer["restore_markers"].append(path)
            elif name != "member" and name.startswith((".lifeboat-", "member")):
                answer["asides"].append(path)
        return answer

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
        }

    def manifests(self) -> Dict[str, Any]:
        answer: Dict[str, Any] = {}
        images = set()
        for key, directory in (("live", self.platform.get("manifests_dir")), ("parked", self.platform.get("manifests_parking"))):
            paths = sorted(path for path in glob.glob(os.path.join(str(directory or ""), "*")) if os.path.isfile(path)) if directory else []
            # What was superseded by another file of the same name lies in the parking too, and is not meant to run.
            paths = [path for path in paths if path.endswith((".yaml", ".yml", ".json", ".manifest"))]
            answer[key] = paths
            for path in paths:
                images.update(images_in_manifest(_text(path)))
        answer["images"] = sorted(images)
        return answer

    def bare_evidence(self) -> List[str]:
        found = [path for path in self.platform.get("bare_markers") or [] if os.path.lexists(str(path))]
        found += [str(process) for items in self._found.values() for process in items]
        return found

    def record(self) -> Optional[Dict[str, Any]]:
        return _json_file(RECORD)

    def lock(self) -> Optional[Dict[str, Any]]:
        return _json_file(LOCK)

    def stale_staging(self) -> List[Dict[str, Any]]:
        answer = []
        for path in sorted(glob.glob(STAGING)):
            size = tree_size(path)[0] if os.path.isdir(path) else os.lstat(path).st_size
            answer.append({"path": path, "age_seconds": round(time.time() - os.lstat(path).st_mtime, 1), "size_bytes": size, "owner": _owner(path)})
        return answer

    def resolv(self) -> Dict[str, Any]:
        text = _text_or_none("/etc/resolv.conf") or ""
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


# fmt: off
PROBES = (
    "hostname", "fqdn", "addresses", "machine_id", "boot_id", "now_epoch", "uptime_seconds", "clock_synchronised", "python_version", "kernel", "os",
    "architecture", "cgroup_version", "memory_bytes", "cpus", "login_user", "space", "units", "containers", "listening", "processes", "flags", "images",
    "versions", "etcd", "identity", "manifests", "bare_evidence", "record", "lock", "stale_staging", "resolv", "name_resolution",
)
# fmt: on


def images_in_manifest(text: str) -> List[str]:
    """Image references of a manifest, line by line: hosts have no YAML reader."""
    return sorted({found.group(1) for found in (_IMAGE.match(line) for line in text.splitlines()) if found})


def program_version(name: str) -> Optional[str]:
    """The version that a program of this host tells; None without the program, or when it does not say."""
    program = find_program(name)
    if not program:
        return None
    command = [program] + list(_VERSION_ARGUMENTS.get(name, ("--version",)))
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=PROGRAM_SECONDS, check=False)
    except (OSError, subprocess.SubprocessError):
        return None
    found = _VERSION.search(done.stdout.decode("utf-8", "replace"))
    return found.group(1) if found else None


def _etcdutl(versions: Mapping[str, Optional[str]], images: Sequence[str]) -> Optional[Dict[str, str]]:
    """The etcdutl that a restore would find on this host; an image serves only where ctr can mount it."""
    tool = serving(versions.get("etcdutl"), images if find_program("ctr") else [])
    return {"source": tool.source, "version": tool.version, "path": tool.path} if tool else None


def look(question: Question) -> Dict[str, Any]:
    """Ask all probes at once. A probe that fails answers None and leaves its reason in ``probe_errors``."""
    subject = Look(question)
    node: Dict[str, Any] = {}
    errors: Dict[str, str] = {}

    def probe(name: str) -> None:
        try:
            node[name] = getattr(subject, name)()
        except (OSError, ValueError, LookupError, AttributeError, struct.error, subprocess.SubprocessError, LifeboatError) as error:
            node[name] = None
            errors[name] = error.found or error.message if isinstance(error, LifeboatError) else "%s: %s" % (type(error).__name__, error)

    with ThreadPoolExecutor(max_workers=8) as pool:
        list(pool.map(probe, PROBES))
    node["etcdutl"] = _etcdutl(node["versions"] or {}, node["images"] or [])
    node["bare"] = None if node["bare_evidence"] is None else not node["bare_evidence"]
    node["probe_errors"] = errors
    return node
