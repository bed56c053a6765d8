# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which encryption configuration the API server of this host uses: the file that its running process names, as the host knows it. Never its content."""

from __future__ import annotations

import os
import re
from dataclasses import asdict, dataclass
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple

from ansible_collections.lifeboat.cluster.plugins.module_utils._system.processes import arguments, processes
from ansible_collections.lifeboat.cluster.plugins.module_utils._system.static_pod import read_pod

OPTION = "encryption-provider-config"
_LARGEST_BYTES = 1 << 20
# In a manifest, a unit or a file with arguments; the value ends where quotes, blanks or a list's comma do.
_IN_TEXT = re.compile(r"""--%s(?:=|["']?\s*,\s*["']|\s+)["']?([^\s"',\]]+)""" % OPTION)
_OCTAL = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True)
class InUse:
    """What is known of it. ``source`` is process, manifest or none; ``known`` whether it is known at all what the API server names."""

    known: bool = False
    source: str = "none"
    # The option's value; empty where the API server has no such option.
    option: str = ""
    # The file on the host, and what it is behind links.
    file: str = ""
    real_file: str = ""
    exists: bool = False
    # The manifest or file with arguments that was read, where no process runs.
    manifest: str = ""

    def as_result(self) -> Dict[str, Any]:
        """Fields for a module's result."""
        return asdict(self)


def look(process: str, manifests: Sequence[str], proc: str = "/proc") -> InUse:
    """Ask the running process; where none runs, read what would start it."""
    found = processes([process], proc)[process]
    if found:
        pid = found[0].pid
        option = _option(arguments(pid, proc)[1:])
        if not option:
            return InUse(known=True, source="process")
        return _described("process", option, _host_path(pid, option, proc))
    program = process.split()[-1]
    for path, text in _texts(manifests, program):
        pod = read_pod(text)
        container = pod.container(program) if pod else None
        if pod is not None and container is not None:
            option = container.value(OPTION) or ""
            return _described("manifest", option, pod.on_host(container, option), path) if option else InUse(known=True, source="manifest", manifest=path)
        options = _IN_TEXT.findall(text)
        if options:
            return _described("manifest", options[-1], options[-1], path)
        return InUse(known=True, source="manifest", manifest=path)
    return InUse()


def _described(source: str, option: str, file: str, manifest: str = "") -> InUse:
    return InUse(True, source, option, file, os.path.realpath(file), os.path.isfile(file), manifest)


def _option(words: Sequence[str]) -> str:
    value = ""
    for index, word in enumerate(words):
        name, equals, text = word.lstrip("-").partition("=")
        if word.startswith("-") and name == OPTION:
            value = text if equals else (words[index + 1] if index + 1 < len(words) else "")
    return value


def _texts(manifests: Sequence[str], program: str) -> Iterator[Tuple[str, str]]:
    """Files that would start the API server: those named, and in directories those whose pod starts its program, or that name it and are no pod we can read."""
    for place in manifests:
        directory = os.path.isdir(place)
        names = [os.path.join(place, name) for name in sorted(os.listdir(place)) if not name.startswith(".")] if directory else [place]
        for path in names:
            try:
                with open(path, encoding="utf-8", errors="replace") as file:
                    lines = [line for line in file.read(_LARGEST_BYTES).splitlines() if not line.lstrip().startswith("#")]
            except OSError:
                continue
            pod = read_pod("\n".join(lines)) if directory else None
            if not directory or (any(one.runs(program) for one in pod.containers) if pod else any(program in line for line in lines)):
                yield path, "\n".join(lines)


# -- from a container's path to the host's ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Mount:
    device: str
    root: str
    point: str


def _host_path(pid: int, option: str, proc: str) -> str:
    """Where the file of a process lies for us. The same path, unless the process sees other mounts."""
    path = os.path.normpath(os.path.join(_working_directory(pid, proc), option))
    inside = "%s/%d/root%s" % (proc, pid, path)
    if _same_file(inside, path):
        return path
    theirs = _mounts("%s/%d/mountinfo" % (proc, pid))
    ours = _mounts("%s/self/mountinfo" % proc)
    for mount in sorted(theirs, key=lambda mount: len(mount.point), reverse=True):
        rest = _below(path, mount.point)
        if rest is None:
            continue
        on_device = os.path.normpath(mount.root + "/" + rest)
        for own in sorted(ours, key=lambda own: len(own.root), reverse=True):
            rest = _below(on_device, own.root)
            if own.device == mount.device and rest is not None:
                candidate = os.path.normpath(own.point + "/" + rest)
                # A file that was replaced since the container was made is another one for it, and the one that it would start with again.
                if _same_file(inside, candidate) or os.path.isfile(candidate):
                    return candidate
        break
    return path


def _working_directory(pid: int, proc: str) -> str:
    try:
        return os.readlink("%s/%d/cwd" % (proc, pid))
    except OSError:
        return "/"


def _below(path: str, place: str) -> Optional[str]:
    """The rest of a path below a place, or None."""
    if place == "/":
        return path.lstrip("/")
    if path == place:
        return ""
    return path[len(place) + 1 :] if path.startswith(place + "/") else None


def _same_file(one: str, other: str) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:
        return False


def _mounts(path: str) -> List[_Mount]:
    """Mounts of a process: major and minor number, root within the file system, mount point (man 5 proc, mountinfo)."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            lines = [line.split(" ") for line in file]
    except OSError:
        return []
    return [_Mount(words[2], _plain(words[3]), _plain(words[4])) for words in lines if len(words) > 4]


def _plain(text: str) -> str:
    return _OCTAL.sub(lambda match: chr(int(match.group(1), 8)), text)
