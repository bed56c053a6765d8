# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files without which this machine would not start: those that its static pods mount, that options of its processes name, and that these files name.

Asked of the machine, because people add what no list knows: an audit policy, admission plugins with their own files, drop-ins of the kubelet, a pod with an
address in front of the API. Only paths are read, of a few well-known files their text; no value of them is returned.

Sources: kubernetes/kubernetes pkg/kubelet/config (static pods; files with other endings and hidden ones are no manifests), staging/src/k8s.io/apiserver
pkg/admission/config.go (C(path) of a plugin is relative to the file that names it), cmd/kubelet/app/options (C(--config-dir)).
"""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from typing import Dict, Iterable, Iterator, List, Mapping, Optional, Sequence, Set, Tuple

from ansible_collections.lifeboat.cluster.plugins.module_utils.host import probing, static_pod

# What the system, its packages or the runtime bring, what is data of something that is saved in another way, and what is made anew at each boot.
BROUGHT = (
    "/usr", "/lib", "/lib32", "/lib64", "/libx32", "/bin", "/sbin", "/boot", "/dev", "/proc", "/sys", "/run", "/var/run", "/tmp", "/var/tmp", "/var/log",
    "/opt/cni/bin", "/etc/ssl", "/etc/ca-certificates", "/etc/pki/ca-trust", "/etc/pki/tls", "/etc/localtime", "/etc/timezone", "/etc/os-release",
    "/etc/resolv.conf", "/var/lib/containerd", "/var/lib/docker", "/var/lib/crio", "/var/lib/cni", "/var/lib/kubelet/pods", "/var/lib/kubelet/plugins",
    "/var/lib/kubelet/plugins_registry",
)  # fmt: skip
_OPTION = re.compile(r"""--([a-z0-9-]+)(?:=|["']?\s*,\s*["']|\s+)["']?(/[^\s"',\]]+)""")
# Options that name where something is written, or looked for and made.
_PLACES = frozenset(
    ("log-dir", "log-file", "root-dir", "data-dir", "wal-dir", "cert-dir", "flex-volume-plugin-dir", "volume-plugin-dir", "audit-log-path", "profiling-dir")
)
_LARGEST_BYTES = 1 << 20
# In which files other files are named, by the option that names them; and the keys that do.
_NAMING_OPTIONS = frozenset(
    ("admission-control-config-file", "authorization-config", "authentication-config", "config", "kubeconfig", "egress-selector-config-file")
)
_NAMING_KEYS = re.compile(
    r"""^\s*(?:-\s+)?["']?(path|kubeConfigFile|kubeconfig|clientCAFile|tlsCertFile|tlsPrivateKeyFile|certificate-authority|client-certificate|client-key|"""
    r"""staticPodPath|resolvConf|caBundle|clientKey|clientCert|podManifestPath|certFile|keyFile)["']?:\s*["']?([^\s"'#,}]+)""",
    re.MULTILINE,
)
_MANIFESTS = (".yaml", ".yml", ".json")


@dataclass(frozen=True)
class Need:
    """A file or directory of this machine, and who needs it."""

    path: str
    by: str
    exists: bool = True

    def as_dict(self) -> Dict[str, object]:
        """For results."""
        return {"path": self.path, "by": self.by, "exists": self.exists}


def is_brought(path: str) -> bool:
    """Whether a path comes back by itself, or is saved in another way."""
    return path == "/" or any(path == place or path.startswith(place + "/") for place in BROUGHT)


def _kind(path: str) -> Optional[int]:
    found = probing.status(path)
    return None if found is None else stat.S_IFMT(found.st_mode)


def options(text: str) -> List[Tuple[str, str]]:
    """Options of a command line or a manifest whose value is an absolute path."""
    plain = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    return [(name, value) for name, value in _OPTION.findall(plain) if name not in _PLACES]


def _named_in(path: str, by: str) -> Iterator[Tuple[str, str]]:
    """Files that a file names; relative ones beside it."""
    text = probing.text_or_none(path) or ""
    for key, value in _NAMING_KEYS.findall(text[:_LARGEST_BYTES]):
        if value and not value.startswith(("{", "[", "|", ">", "&", "*")):
            yield os.path.normpath(os.path.join(os.path.dirname(path), value)), "%s, %s in %s" % (by, key, path)


def _of_option(name: str, path: str, by: str) -> Iterator[Tuple[str, str]]:
    yield path, "%s --%s" % (by, name)
    if name not in _NAMING_OPTIONS:
        return
    kind = _kind(path)
    if kind == stat.S_IFREG:
        yield from _named_in(path, by)


def of_manifest(text: str, file: str) -> Iterator[Tuple[str, str]]:
    """What a static pod needs of this machine: paths that it mounts, and files that options name within those mounts."""
    pod = "static pod %s" % (static_pod.pod_name(text)[0] or os.path.basename(file))
    for path in static_pod.host_paths(text):
        yield path, "%s, hostPath" % pod
    for name, value in options(text):
        yield from _of_option(name, static_pod.host_path(text, value), pod)


def of_process(words: Sequence[str], name: str) -> Iterator[Tuple[str, str]]:
    """What the options of a process of this machine name."""
    for index, word in enumerate(words):
        option, equals, value = word.lstrip("-").partition("=")
        if not word.startswith("--") or option in _PLACES:
            continue
        if not equals:
            value = words[index + 1] if index + 1 < len(words) else ""
        if value.startswith("/"):
            yield from _of_option(option, value, name)


def of_manifests(directory: str) -> Iterator[Tuple[str, str]]:
    """What all static pods of a directory need."""
    for entry in probing.names_in(directory):
        path = os.path.join(directory, entry)
        if entry.startswith(".") or not entry.endswith(_MANIFESTS) or _kind(path) != stat.S_IFREG:
            continue
        yield from of_manifest((probing.text_or_none(path) or "")[:_LARGEST_BYTES], path)


def needs(found: Iterable[Tuple[str, str]]) -> List[Need]:
    """By path, each with the first who needs it; without what comes back by itself, and without sockets and devices. What lies below another one is in it."""
    by: Dict[str, str] = {}
    for path, who in found:
        plain = os.path.normpath(path)
        if plain.startswith("/") and not is_brought(plain):
            by.setdefault(plain, who)
    result: List[Need] = []
    directories: Set[str] = set()
    for path in sorted(by):
        kind = _kind(path)
        if kind is not None and not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
            continue
        if any(path.startswith(place + "/") for place in directories):
            continue
        if kind is not None and stat.S_ISDIR(kind):
            directories.add(path)
        result.append(Need(path, by[path], kind is not None))
    return result


def not_captured(wanted: Sequence[Mapping[str, object]], captured: Sequence[str]) -> List[Mapping[str, object]]:
    """Those that are there and lie neither among captured paths nor below one of them."""
    places = [os.path.normpath(path) for path in captured]
    return [item for item in wanted if item["exists"] and not any(item["path"] == place or str(item["path"]).startswith(place + "/") for place in places)]
