# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files without which this machine would not start: those that its static pods mount, that options of its processes name, and that these files name.

Asked of the machine, because people add what no list knows: an audit policy, admission plugins with their own files, drop-ins of the kubelet, a pod with an
address in front of the API. Only paths are read, of a few well-known files their text; no value of them is returned.

Sources: kubernetes/kubernetes pkg/kubelet/config/file.go (every file of the directory that is not hidden is a manifest, whatever its ending),
staging/src/k8s.io/apiserver pkg/admission/config.go (C(path) of a plugin is relative to the file that names it), cmd/kubelet/app/options (C(--config-dir)
reads files C(*.conf)).
"""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from functools import partial
from typing import Callable, Collection, Dict, Iterable, Iterator, List, Optional, Sequence, Set, Tuple

from ansible_collections.lifeboat.cluster.plugins.module_utils._files.files import LOCK_OUT
from ansible_collections.lifeboat.cluster.plugins.module_utils._files.globs import GlobSet
from ansible_collections.lifeboat.cluster.plugins.module_utils._system import probing, static_pod
from ansible_collections.lifeboat.cluster.plugins.module_utils._system.disk import mount_points
from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import LifeboatError

# What lies there is not saved; a directory that a pod demands there still has to be there.
_LOG_DIRECTORY = "/var/log"
# Made anew at each boot, or brought by packages: not saved even where an option names a file there.
_MADE_ANEW = (
    "/etc/resolv.conf",
    "/dev", "/proc", "/sys", "/run", "/var/run", "/tmp", "/var/tmp", _LOG_DIRECTORY, "/boot", "/usr/bin", "/usr/sbin", "/usr/lib", "/usr/lib64", "/usr/libexec",
    "/usr/share", "/lib", "/lib32", "/lib64", "/libx32", "/bin", "/sbin", "/etc/os-release",
)  # fmt: skip
# What is mounted of these is the system's, the runtime's, or of the kubelet's plugins.
BROUGHT = (
    *_MADE_ANEW, "/usr", "/opt/cni/bin", "/etc/ssl/certs", "/etc/ca-certificates", "/etc/pki/ca-trust", "/etc/pki/tls", "/etc/localtime", "/etc/timezone",
    "/etc/machine-id",
    "/var/lib/ca-certificates", "/var/lib/containerd", "/var/lib/docker", "/var/lib/crio", "/var/lib/cni", "/var/lib/kubelet/pods",
    "/var/lib/kubelet/plugins", "/var/lib/kubelet/plugins_registry", "/var/lib/kubelet/device-plugins",
)  # fmt: skip
# Brought as a whole; what somebody put below is his.
_BROUGHT_THEMSELVES = frozenset(("/etc/ssl", "/etc/pki", "/usr/local", "/usr/local/share/ca-certificates"))
# Of these, but for the directories above, nothing is brought.
_OF_THE_OPERATOR = ("/usr/local",)
# Directories with much else below: not taken as a whole for a pod that mounts them.
_SHARED = frozenset(("/etc", "/var", "/var/lib", "/var/lib/kubelet", "/var/cache", "/usr/local", "/root", "/home", "/srv", "/opt", "/mnt", "/media"))
# Of this one, what lies in it counts by itself; kubeadm keeps copies of former states there.
_EXPANDED, _COPIES = "/etc/kubernetes", frozenset(("/etc/kubernetes/tmp",))
_OPTION = re.compile(r"""--([a-z0-9-]+)(?:=|["']?\s*,\s*["']|["']?\s+(?:-\s+)?)["']?(/[^\s"'\];&|)]+)""")
# Options that name where something is written, or looked for and made.
_PLACES = frozenset(
    ("log-dir", "log-file", "root-dir", "data-dir", "wal-dir", "cert-dir", "flex-volume-plugin-dir", "volume-plugin-dir", "audit-log-path", "profiling-dir")
)
# Of these, where a log is written all the time: no configuration, and it changes while it is read.
_LOGS = frozenset(("log-dir", "log-file", "audit-log-path"))
# Options whose values begin like paths and are none.
_NO_PATHS = frozenset(
    ("authorization-always-allow-paths", "etcd-prefix", "cgroup-root", "runtime-cgroups", "kubelet-cgroups", "system-cgroups", "kube-reserved-cgroup",
     "system-reserved-cgroup")
)  # fmt: skip
# Options that name a directory of manifests, or one of them.
_MANIFEST_OPTIONS = frozenset(("pod-manifest-path",))
# Files that are gone when they have served: the kubelet's first credentials.
_MAY_BE_GONE = frozenset(("bootstrap-kubeconfig",))
_LARGEST_BYTES = 1 << 20
# Options whose files name other files, and the keys that do. A path is a file in the configuration of admission plugins; elsewhere it may be one of a URL.
_ADMISSION = "admission-control-config-file"
_NAMING_OPTIONS = frozenset(
    (_ADMISSION, "authorization-config", "config", "kubeconfig", "egress-selector-config-file",
     "authentication-token-webhook-config-file", "authorization-webhook-config-file", "audit-webhook-config-file", "authentication-kubeconfig",
     "authorization-kubeconfig", "tracing-config-file", "cloud-config", "image-credential-provider-config")
)  # fmt: skip
_NAMING_KEYS = re.compile(
    r"""^\s*(?:-\s+)?["']?(path|kubeConfigFile|kubeconfig|resolvConf|clientCAFile|tlsCertFile|tlsPrivateKeyFile|certificate-authority|client-certificate|"""
    r"""client-key|staticPodPath|caBundle|clientKey|clientCert|podManifestPath|certFile|keyFile)["']?:\s*["']?([^\s"'#,}]+)""",
    re.MULTILINE,
)
# Of these keys the files may name others again.
_LEADING_KEYS = frozenset(("path", "kubeConfigFile", "kubeconfig"))
_MANIFEST_KEYS = frozenset(("staticPodPath", "podManifestPath"))
_DEEPEST = 5
# Files of a write-ahead log of etcd (etcd-io/etcd server/storage/wal/util.go, file_pipeline.go): in use, set aside as broken, about to be used.
_LOG = re.compile(r"[0-9a-f]{16}-[0-9a-f]{16}\.wal(\.broken)?|[0-9]+\.tmp")

OnHost = Callable[[str], str]


@dataclass(frozen=True)
class Found:
    """A path that somebody names. A mounted one may be a directory of the system; a named one is a file that somebody chose."""

    path: str
    by: str
    mounted: bool = False
    may_be_gone: bool = False
    # The pod that mounts it does not start without this directory.
    demanded: bool = False


@dataclass(frozen=True)
class Need:
    """A file or directory of this machine, who needs it, and why it is not taken all the same. ``empty``: the directory is taken without what is in it."""

    path: str
    by: str
    exists: bool = True
    left: str = ""
    empty: bool = False


class Reader:
    """Follows manifests, options and files. ``not_understood`` has the manifests whose volumes could not all be read."""

    def __init__(self) -> None:
        self.not_understood: List[str] = []
        #: Files and directories of logs.
        self.logs: Set[str] = set()
        self._directories: Set[str] = set()

    def manifests(self, directory: str) -> Iterator[Found]:
        """What all static pods of a directory need."""
        if os.path.realpath(directory) in self._directories:
            return
        self._directories.add(os.path.realpath(directory))
        for entry in probing.names_in(directory):
            path = os.path.join(directory, entry)
            if not entry.startswith(".") and _kind(path) == stat.S_IFREG:
                yield Found(path, "the kubelet, static pods in %s" % directory)
                yield from self.manifest((probing.text_or_none(path) or "")[:_LARGEST_BYTES], path)

    def manifest(self, text: str, file: str) -> Iterator[Found]:
        """What a static pod needs of this machine: paths that it mounts, and files that options name."""
        pod = "static pod %s" % (static_pod.pod_name(text)[0] or os.path.basename(file))
        mounts, whole = static_pod.host_paths(text)
        if not whole:
            self.not_understood.append(file)
        read = static_pod.read_pod(text)
        for path in mounts:
            yield Found(path, "%s, hostPath" % pod, mounted=True, demanded=read is not None and path in read.demanded)
        if read is not None:
            for container in read.containers:
                yield from self._options(list(container.options()), pod, partial(read.on_host, container))
        else:
            pairs = _OPTION.findall(_without_comments(text))
            yield from self._options(pairs, pod, lambda path: static_pod.host_path(text, path, ""))

    def _options(self, pairs: Iterable[Tuple[str, str]], by: str, on_host: OnHost) -> Iterator[Found]:
        """What options name. Where a log is written is kept, too."""
        for name, value in pairs:
            if name in _LOGS:
                self.logs.update(os.path.normpath(on_host(path)) for path in _paths(value))
            elif name not in _PLACES | _NO_PATHS:
                for path in _paths(value):
                    yield from self._option(name, path, by, on_host)

    def process(self, words: Sequence[str], name: str) -> Iterator[Found]:
        """What the options of a process of this machine name."""
        yield from self._options(static_pod.Container(words=tuple(words)).options(), name, _as_it_is)

    def _option(self, name: str, path: str, by: str, on_host: OnHost) -> Iterator[Found]:
        here = on_host(path)
        yield Found(here, "%s --%s" % (by, name), may_be_gone=name in _MAY_BE_GONE)
        if name == "config-dir":
            # All that lies there comes with the directory; what it names may not.
            for entry in probing.names_in(here):
                if entry.endswith(".conf"):
                    yield from self._named_in(os.path.join(here, entry), by, on_host, 1)
        elif name in _MANIFEST_OPTIONS:
            yield from self.manifests(here)
        elif name in _NAMING_OPTIONS:
            yield from self._named_in(here, by, on_host, 1, of_admission=name == _ADMISSION)

    def file(self, path: str, by: str) -> Iterator[Found]:
        """What a file names, whoever reads it: options, and files by their keys."""
        yield from self._options(_OPTION.findall(_without_comments((probing.text_or_none(path) or "")[:_LARGEST_BYTES])), by, _as_it_is)
        yield from self._named_in(path, by, _as_it_is, 1)

    def _named_in(self, path: str, by: str, on_host: OnHost, depth: int, of_admission: bool = False) -> Iterator[Found]:
        """Files that a file names; relative ones beside it, absolute ones as the pod has them."""
        if depth > _DEEPEST or _kind(path) != stat.S_IFREG:
            return
        for key, value in _NAMING_KEYS.findall(probing.one_key_a_line((probing.text_or_none(path) or "")[:_LARGEST_BYTES])):
            if value.startswith(("{", "[", "|", ">", "&", "*")) or "://" in value or (key == "path" and not of_admission):
                continue
            named = on_host(value) if value.startswith("/") else os.path.normpath(os.path.join(os.path.dirname(path), value))
            yield Found(named, "%s, %s in %s" % (by, key, path))
            if key in _LEADING_KEYS:
                yield from self._named_in(named, by, on_host, depth + 1)
            elif key in _MANIFEST_KEYS:
                yield from self.manifests(named)


def _as_it_is(path: str) -> str:
    return path


def _paths(value: str) -> List[str]:
    """Absolute paths of an option's value: C(/a.crt,/a.key:name) are two."""
    return [part.partition(":")[0] for part in value.split(",") if part.startswith("/")]


def _without_comments(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))


def _below(path: str, places: Iterable[str]) -> bool:
    return any(path == place or path.startswith(place.rstrip("/") + "/") for place in places)


def _brought(item: Found) -> bool:
    """Whether it comes with the system, or is made anew at each boot."""
    if not item.mounted:
        return _below(item.path, _MADE_ANEW)
    return item.path in _BROUGHT_THEMSELVES or _below(item.path, [place for place in BROUGHT if not (place == "/usr" and _below(item.path, _OF_THE_OPERATOR))])


def _covered(path: str, known: Iterable[str], mounts: Sequence[str]) -> bool:
    """Whether it comes with a path that is captured anyway: what is mounted below that does not."""
    above = [point for point in mounts if _below(path, (point,))]
    return any(_below(path, (place,)) and not any(point != place and _below(point, (place,)) for point in above) for place in known)


def _only_logs(path: str, logs: Iterable[str]) -> bool:
    """Whether a directory is one of logs, or holds nothing but a log with its rotations (audit.log, audit-2026-11-30T10-00-00.000.log.gz)."""
    stems = []
    for log in logs:
        if log == path:
            return True
        if os.path.dirname(log) == path:
            stems.append(os.path.splitext(os.path.basename(log))[0])
    return bool(stems) and all(entry.startswith(tuple(stems)) for entry in probing.names_in(path))


def _is_of_logs(path: str, logs: Collection[str]) -> bool:
    """Whether a directory is one of logs, which no recovery point holds; the one of the system comes with it."""
    return path != _LOG_DIRECTORY and (_below(path, (_LOG_DIRECTORY,)) or _is_log(path) or _only_logs(path, logs))


def _kind(path: str) -> Optional[int]:
    """What a path leads to; None when nothing is there, or a link leads to nothing."""
    try:
        found = probing.status(path)
    except LifeboatError:
        return None
    return None if found is None else stat.S_IFMT(found.st_mode)


def _is_log(path: str) -> bool:
    """Whether a directory has a write-ahead log of etcd and nothing else.

    One that is in use is no part of a snapshot, one that was given up is still mounted by the manifest: a restore needs none of them.
    """
    seen = False
    for _below_it, _directories, files in os.walk(path):
        for name in files:
            if not _LOG.fullmatch(name):
                return False
            seen = True
    return seen


def _larger_than(path: str, limit: int) -> bool:
    """Whether the files of a directory, on its own file system, hold more than so many bytes. Looks no further than it has to."""
    device, total = os.stat(path).st_dev, 0
    for below, directories, files in os.walk(path):
        directories[:] = [name for name in directories if _device(os.path.join(below, name)) == device]
        for name in files:
            found = probing.link_status(os.path.join(below, name))
            total += found.st_size if found is not None else 0
            if total > limit:
                return True
    return False


def _device(path: str) -> int:
    found = probing.link_status(path)
    return found.st_dev if found is not None else -1


def _expanded(found: Iterable[Found]) -> Iterator[Found]:
    """The directory of Kubernetes itself as what lies in it; links with what they lead to."""
    for item in found:
        plain = os.path.normpath(item.path)
        if item.mounted and plain == _EXPANDED:
            for entry in probing.names_in(_EXPANDED):
                path = os.path.join(_EXPANDED, entry)
                if path not in _COPIES:
                    yield Found(path, item.by)
            continue
        yield Found(plain, item.by, item.mounted, item.may_be_gone, item.demanded)
        real = os.path.realpath(plain)
        if real != plain and os.path.islink(plain):
            yield Found(real, "%s, where %s leads" % (item.by, plain), item.mounted, demanded=item.demanded)


def _why_left(path: str, mounted: bool, largest_bytes: int, logs: Iterable[str]) -> str:
    """Why a directory is not taken as a whole, where it is not."""
    if any(_below(log, (path,)) for log in logs):
        return "a log in it is written all the time"
    if path in _SHARED or path.count("/") < 2:
        return "much else lies in it"
    try:
        if _larger_than(path, largest_bytes):
            return "it holds more than %d MiB" % (largest_bytes >> 20)
    except OSError as error:
        return "it could not be looked at: %s" % error.strerror
    return "" if mounted or not os.path.ismount(path) else "it is a file system of its own"


def needs(found: Iterable[Found], listed: Sequence[str], data: Sequence[str], largest_bytes: int, logs: Collection[str] = ()) -> List[Need]:
    """By path, each with the first who needs it, without what comes back by itself, what is listed, and sockets and devices.

    ``listed`` are paths that are captured anyway; ``data`` are directories that are saved in another way: these, what lies in them, and what they lie in, are
    left out. What lies below another one is in it. ``logs`` are files and directories that are written all the time (those of the Reader, when ``found`` is
    through). Of directories of logs that a pod demands, the directory alone is needed.
    """
    known, saved = [os.path.normpath(path) for path in listed], [os.path.realpath(path) for path in data]
    lock_out, mounts = GlobSet(LOCK_OUT), mount_points()
    by: Dict[str, Found] = {}
    demanded: Dict[str, Found] = {}
    for item in _expanded(found):
        if item.demanded and _kind(item.path) == stat.S_IFDIR:
            demanded.setdefault(item.path, item)
        if not _brought(item) and not _covered(item.path, known, mounts) and not lock_out.matches(item.path):
            by.setdefault(item.path, item)
    result: List[Need] = []
    taken: List[str] = []
    for path in sorted(by):
        item, kind, real = by[path], _kind(path), os.path.realpath(path)
        if _below(path, taken) or _below(real, saved) or _covered(real, known, mounts) or any(place.startswith(real.rstrip("/") + "/") for place in saved):
            continue
        if kind is None and not item.may_be_gone:
            result.append(Need(path, item.by, exists=False))
        elif kind == stat.S_IFDIR and not (item.mounted and (_is_log(path) or _only_logs(path, logs))):
            left = _why_left(path, item.mounted, largest_bytes, logs)
            result.append(Need(path, item.by, left=left))
            taken += [] if left else [path]
        elif kind == stat.S_IFREG and path not in logs:
            large = os.path.getsize(path) > largest_bytes
            result.append(Need(path, item.by, left="it holds more than %d MiB" % (largest_bytes >> 20) if large else ""))
    result += [Need(path, item.by, empty=True) for path, item in sorted(demanded.items()) if _is_of_logs(path, logs) and not _covered(path, known, mounts)]
    return sorted(result, key=lambda need: need.path)
