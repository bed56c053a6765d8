# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the local member of etcd keeps its data and its log, by its process, its manifest or its unit, against where a restore puts them.

etcd that is started on another directory than the restored one begins an empty cluster without a word, and with a log directory of its own it meets the old
log and does not start.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import Any, Callable, Dict, Mapping, Optional, Sequence

from ansible_collections.lifeboat.cluster.plugins.module_utils.host import environment_file, static_pod
from ansible_collections.lifeboat.cluster.plugins.module_utils.host._disk import read_json, write_file
from ansible_collections.lifeboat.cluster.plugins.module_utils.host.processes import telling_flags
from ansible_collections.lifeboat.cluster.plugins.module_utils.host.services import STATIC_POD, Node, Observation, ServiceError

DATA_DIR = "/var/lib/etcd"
# What a finished restore leaves beside the data that it built (etcd/staged.py).
MARKER = "lifeboat-restore.json"
_VARIABLES = {"ETCD_DATA_DIR": "data-dir", "ETCD_WAL_DIR": "wal-dir"}
# Set by the inventory: a log directory of its own is given up, and the restored log is read from inside of the data directory.
GIVE_UP_LOG = "wal_into_data_dir"


@dataclass(frozen=True)
class Place:
    """Directories of the host that etcd uses, empty where it does not say, and who says so."""

    data_dir: str
    wal_dir: str
    told_by: str
    # Of a process: its own root, below which its paths lie.
    root: str = ""

    def __str__(self) -> str:
        return "%s says data directory %s, log directory %s" % (self.told_by, self.data_dir or "not set", self.wal_dir or "not set")


@dataclass(frozen=True)
class Restored:
    """What a restore has put into the data directory of this host."""

    revision: int
    marker: str
    target: str


def data_dir(facts: Mapping[str, Any]) -> str:
    """Where the platform's facts say that the data are."""
    return str(facts.get("data_dir") or DATA_DIR).rstrip("/")


def restored(replace: Sequence[Mapping[str, Any]], facts: Mapping[str, Any]) -> Optional[Restored]:
    """What the directories that are put in place hold of etcd, by the marker beside them; None when nothing of etcd is restored on this host."""
    for item in replace:
        target, marker = os.path.abspath(str(item["target"])), os.path.join(os.path.dirname(os.path.abspath(str(item["staged"]))), MARKER)
        if target != os.path.join(data_dir(facts), "member"):
            continue
        try:
            document = read_json(marker, "What was restored of etcd")
        except FileNotFoundError:
            return None
        revision = document.get("revision_after")
        return Restored(int(revision), marker, target) if isinstance(revision, int) else None
    return None


# --- who says what ----------------------------------------------------------------------------------------------------------------------


def of_manifest(text: str, path: str) -> Place:
    """By a static pod's manifest; its mounts say where the directories lie on the host."""
    found = [static_pod.argument(text, flag) for flag in ("--data-dir", "--wal-dir")]
    data, log = [static_pod.host_path(text, own) if own else "" for own in found]
    return Place(data, log, path)


def of_environment(text: str, path: str) -> Place:
    """By the environment file of a unit."""
    settings = environment_file.settings(text)
    return Place(settings.get("ETCD_DATA_DIR", ""), settings.get("ETCD_WAL_DIR", ""), path)


def of_process(pid: int, proc: str) -> Place:
    """By a process that runs; paths are those of its own root."""
    flags: Dict[str, str] = telling_flags(pid, proc)
    try:
        with open("%s/%d/environ" % (proc, pid), "rb") as file:
            pairs = [part.decode("utf-8", "replace").partition("=") for part in file.read(1 << 20).split(b"\0")]
    except OSError:
        pairs = []
    settings = {_VARIABLES[name]: value for name, _equals, value in pairs if name in _VARIABLES}
    settings.update(flags)
    own = [path if path.startswith("/") else "" for path in (settings.get("data-dir", ""), settings.get("wal-dir", ""))]
    return Place(own[0], own[1], "etcd, pid %d," % pid, "%s/%d/root" % (proc, pid))


def _read(path: str) -> str:
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read(1 << 20)


def configured(node: Node, facts: Mapping[str, Any], staged: Mapping[str, str]) -> Optional[Place]:
    """By what etcd will be started with: ``staged`` has, by their final paths, the files that are about to be put in place."""
    service = node.etcd_service()
    if service is None:
        return None
    if service.kind == STATIC_POD:
        paths = (node.parked_path(service), node.live_path(service))
        read = of_manifest
    else:
        paths = (str(facts.get("environment_file") or ""), "")
        read = of_environment
    candidates = [(path, staged[path]) for path in paths if path in staged] + [(path, path) for path in paths if path]
    for path, source in candidates:
        try:
            return read(_read(source), "%s (%s)" % (path, source) if source != path else path)
        except FileNotFoundError:
            continue
    return None


# --- refusals ---------------------------------------------------------------------------------------------------------------------------


def _same(place: Place, path: str, wanted: str) -> bool:
    """Whether two paths lead to one directory, whatever the mounts between them are called. What a process says can only be compared if it can be seen."""
    if not place.root and os.path.realpath(path) == os.path.realpath(wanted):
        return True
    try:
        return os.path.samefile(place.root + path, wanted)
    except OSError:
        return bool(place.root)


def _differences(place: Place, facts: Mapping[str, Any]) -> Dict[str, str]:
    wrong = {}
    if place.data_dir and not _same(place, place.data_dir, data_dir(facts)):
        wrong["data_dir"] = place.data_dir
    if place.wal_dir and not facts.get(GIVE_UP_LOG) and not _same(place, place.wal_dir, os.path.join(data_dir(facts), "member", "wal")):
        wrong["wal_dir"] = place.wal_dir
    return wrong


def _refuse(place: Place, facts: Mapping[str, Any], what: str) -> None:
    wrong = _differences(place, facts)
    if not wrong:
        return
    remedies = []
    if "data_dir" in wrong:
        remedies.append(
            "Give etcd's own directory, as the host has it, in the inventory: lifeboat_platform_overrides: {etcd: {data_dir: ...}}, and add it to space_paths."
        )
    if "wal_dir" in wrong:
        remedies.append(
            "A restored log lies inside of the data directory. lifeboat_platform_overrides: {etcd: {%s: true}} lets etcd read it there; "
            "the log directory of its own is left as it is." % GIVE_UP_LOG
        )
    raise ServiceError(
        "etcd uses another directory than a restore would put its data into, so %s." % what,
        tried="compare it with %s of the platform's facts (etcd.data_dir)" % data_dir(facts),
        found=str(place),
        remedy=" ".join(remedies + ["Then run the same command again."]),
        **wrong,
    )


def refuse_configured_elsewhere(node: Node, facts: Mapping[str, Any], staged: Mapping[str, str]) -> None:
    """Refuse to put data, or etcd's manifest, in place when etcd would look for its data elsewhere."""
    place = configured(node, facts, staged)
    if place is not None:
        _refuse(place, facts, "nothing was put in place")


def refuse_running_elsewhere(node: Node, seen: Mapping[str, Observation]) -> None:
    """Refuse to stop an etcd that has its data elsewhere: it would have to stay stopped."""
    service = node.etcd_service()
    for process in seen[service.name].processes if service is not None and service.name in seen else []:
        _refuse(of_process(process.pid, node.proc), node.etcd, "nothing was stopped")


# --- a log directory that is given up ---------------------------------------------------------------------------------------------------


def give_up_log(node: Node, facts: Mapping[str, Any]) -> bool:
    """Where the inventory says so, let etcd read its log from inside of its data directory; whether anything was changed."""
    service = node.etcd_service()
    if service is None or not facts.get(GIVE_UP_LOG):
        return False
    if service.kind != STATIC_POD:
        return _set(str(facts.get("environment_file") or ""), _environment_without_log)
    # Both are the same manifest, or only one of them is there.
    changed = [_set(path, _manifest_without_log) for path in (node.parked_path(service), node.live_path(service))]
    return any(changed)


def _set(path: str, edit: Callable[[str, str], str]) -> bool:
    try:
        with open(path, encoding="utf-8") as file:
            before, mode = file.read(), stat.S_IMODE(os.fstat(file.fileno()).st_mode)
    except FileNotFoundError:
        return False
    after = edit(before, path)
    if after != before:
        write_file(os.path.realpath(path), after.encode("utf-8"), mode)
    return after != before


def _manifest_without_log(text: str, path: str) -> str:
    own, log = (static_pod.argument(text, flag) for flag in ("--data-dir", "--wal-dir"))
    inside = os.path.join(own or DATA_DIR, "member", "wal")
    if not log or log == inside:
        return text
    if "--wal-dir=" not in text:
        raise static_pod.ManifestNotUnderstood(
            "The log directory in the static pod manifest %s can't be changed." % path,
            tried="look for a line '- --wal-dir=...'",
            found="another form",
            remedy="Write it as --wal-dir=%s by hand, then run the same command again." % log,
        )
    return static_pod.set_arguments(text, {"--wal-dir": inside}, path)


def _environment_without_log(text: str, path: str) -> str:
    settings = environment_file.settings(text)
    inside = os.path.join(settings.get("ETCD_DATA_DIR") or DATA_DIR, "member", "wal")
    return text if settings.get("ETCD_WAL_DIR", inside) in ("", inside) else environment_file.set_settings(text, {"ETCD_WAL_DIR": inside}, path)
