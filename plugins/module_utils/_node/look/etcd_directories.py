# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which directories etcd itself names on this host: its process, or what would start it (a static pod manifest, a unit with its environment file).

etcd's own order (etcd-io/etcd server/etcdmain/config.go): a configuration file decides alone; else a flag, else the environment (C(ETCD_DATA_DIR)), else
C(NAME.etcd) in its working directory. Without a directory of its own the log lies in C(member/wal).
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Callable, Mapping, Optional, Sequence, Tuple

from ansible_collections.lifeboat.cluster.plugins.module_utils._files.environment_file import settings
from ansible_collections.lifeboat.cluster.plugins.module_utils._system import probing, static_pod
from ansible_collections.lifeboat.cluster.plugins.module_utils._system.processes import arguments, environment, telling_flags
from ansible_collections.lifeboat.cluster.plugins.module_utils._system.units import Unit

PROGRAM = "etcd"
_VARIABLES = ("ETCD_DATA_DIR", "ETCD_WAL_DIR", "ETCD_CONFIG_FILE", "ETCD_NAME")


@dataclass(frozen=True)
class Directories:
    """The directories that etcd names; None where who was asked does not say."""

    data: Optional[str] = None
    wal: Optional[str] = None
    # Who says so: a process, a manifest, a unit, an environment file. Empty when nobody was there.
    said_by: str = ""
    # Of a process: its own root, below which its paths lie.
    root: str = ""

    def __str__(self) -> str:
        return "%s says data directory %s, log directory %s" % (self.said_by, self.data or "not set", self.wal or "not set")

    def leads_to(self, named: Optional[str], path: str) -> Optional[bool]:
        """Whether a directory that is named here is this one of the host, however it is mounted or linked; None when that cannot be seen."""
        if not named:
            return None
        if not self.root and os.path.realpath(named) == os.path.realpath(path):
            return True
        try:
            return os.path.samefile(self.root + named, path)
        except OSError:
            return None


def _directories(said: Callable[[str], Optional[str]], said_by: str, root: str = "") -> Directories:
    found = [os.path.normpath(path) if path else None for path in (said("data-dir"), said("wal-dir"))]
    return Directories(found[0], found[1], said_by, root)


def _variable(flag: str) -> str:
    return "ETCD_" + flag.upper().replace("-", "_")


def flag_value(flag: str, text: str) -> Optional[str]:
    """The value of a flag in a manifest or a command line, in whatever form it is written."""
    plain = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    found = re.search(r"""(?<![\w-])--?%s(?:=|["',]*\s+(?:-\s+)?)["']?((?!-)[^\s"',\]\\;]+)""" % re.escape(flag), plain)
    return found.group(1) if found else None


def first_there(paths: Sequence[str], staged: Mapping[str, str]) -> Tuple[Optional[str], str]:
    """The text of the first of these files that is there, and which that is. ``staged`` has, by their final paths, files that are about to be put in place."""
    for path, source in [(path, staged[path]) for path in paths if path in staged] + [(path, path) for path in paths if path]:
        text = probing.text_or_none(source)
        if text is not None:
            return text, path if source == path else "%s (%s)" % (path, source)
    return None, ""


def of_process(pid: int, proc: str = "/proc") -> Directories:
    """What a running etcd was started with. Paths are as the process sees them. Raises ProcessLookupError or FileNotFoundError when it has ended."""
    if not arguments(pid, proc):
        raise ProcessLookupError("process %d has ended" % pid)
    flags, variables = telling_flags(pid, proc), environment(pid, _VARIABLES, proc)
    working, root = os.readlink("%s/%d/cwd" % (proc, pid)), "%s/%d/root" % (proc, pid)
    configuration = flags.get("config-file") or variables.get("ETCD_CONFIG_FILE")
    text = (probing.text_or_none(root + os.path.join(working, configuration)) or "") if configuration else ""

    def said(name: str) -> Optional[str]:
        return _setting(name, text) if configuration else flags.get(name) or variables.get(_variable(name))

    def path(flag: str) -> Optional[str]:
        named = said(flag) or ("%s.etcd" % (said("name") or "default") if flag == "data-dir" else None)
        return os.path.join(working, named) if named else None

    return _directories(path, "the process with pid %d" % pid, root)


def _setting(name: str, text: str) -> Optional[str]:
    """A setting of the first level of etcd's configuration file (YAML; hosts have no reader for it)."""
    found = re.search(r"""^%s:[ \t]*["']?([^"'#\s]+)""" % re.escape(name), text, re.M)
    return found.group(1) if found else None


def of_manifest(paths: Sequence[str], staged: Mapping[str, str]) -> Directories:
    """What the first of these static pod manifests says that is there; paths are those of the host, by the pod's mounts."""
    text, read = first_there(paths, staged)
    if text is None:
        return Directories()
    manifest = text
    pod = static_pod.read_pod(manifest)
    container = pod.container(PROGRAM) if pod else None
    if pod is not None and container is not None:
        return _directories(_in_container(pod, container), "the manifest %s" % read)

    def said(flag: str) -> Optional[str]:
        own = flag_value(flag, manifest)
        return static_pod.host_path(manifest, own, PROGRAM) if own else None

    return _directories(said, "the manifest %s" % read)


def _in_container(pod: static_pod.Pod, container: static_pod.Container) -> Callable[[str], Optional[str]]:
    """What etcd in this container is told, in its own order; paths are those of the host."""
    file = container.value("config-file") or container.environment.get("ETCD_CONFIG_FILE")
    text = (probing.text_or_none(pod.on_host(container, file)) or "") if file else ""

    def said(flag: str) -> Optional[str]:
        own = _setting(flag, text) if file else container.value(flag) or container.environment.get(_variable(flag))
        return pod.on_host(container, own) if own else None

    return said


def of_unit(unit: Unit, environment_file: str, staged: Mapping[str, str]) -> Directories:
    """What the command of a unit and its environment file say. Either may be there alone: a file that outlived the package still says where data may be."""
    text, read = first_there([environment_file], staged)
    variables = settings(text or "")
    there, command = _command(unit, staged)

    def said(flag: str) -> Optional[str]:
        value = flag_value(flag, command)
        if value and "$" in value:
            value = variables.get(value.strip("${}"))
        return value or variables.get(_variable(flag)) or None

    return _directories(said, " with ".join((["the unit %s" % unit.name] if there else []) + ([read] if read else [])))


def _command(unit: Unit, staged: Mapping[str, str]) -> Tuple[bool, str]:
    """Whether there is a unit, and its command: of a unit file that is about to be put in place, else as systemd has it."""
    # The first of them counts: /etc before /lib and /usr/lib.
    files = [path for path in sorted(staged) if path.endswith("/systemd/system/" + unit.name)]
    text, _read = first_there(files[:1], staged)
    if text is None:
        return unit.exists, unit.command if unit.exists else ""
    lines = text.replace("\\\n", " ").splitlines()
    return True, "\n".join(line for line in lines if re.match(r"\s*ExecStart\s*=", line))
