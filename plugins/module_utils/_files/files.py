# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Put captured files back onto a host: unpack, plan, apply; what they replace is moved aside and never lost."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
from dataclasses import dataclass, field
from typing import Any, Dict, List, NamedTuple, Optional, Set, Tuple

from ansible_collections.lifeboat.cluster.plugins.module_utils._files.archive.archive import TEMPORARY
from ansible_collections.lifeboat.cluster.plugins.module_utils._files.archive.container import Index
from ansible_collections.lifeboat.cluster.plugins.module_utils._files.archive.entries import (
    DIRECTORY,
    HARDLINK,
    SYMLINK,
    Entry,
    Fingerprint,
    Owners,
    describe,
    fingerprint,
    lines,
    same,
    set_attributes,
    wanted_fingerprint,
)
from ansible_collections.lifeboat.cluster.plugins.module_utils._files.archive.unpacking import (
    Staged,
    is_complete,
    open_staging,
    peek,
    staged_path,
    staging_result,
    unpack,
)
from ansible_collections.lifeboat.cluster.plugins.module_utils._files.aside import LATER, Aside, remove, temporary_name, weight
from ansible_collections.lifeboat.cluster.plugins.module_utils._files.globs import GlobSet, normal_path
from ansible_collections.lifeboat.cluster.plugins.module_utils._files.hosts import HostsConflict, hosts_conflicts, merge_hosts
from ansible_collections.lifeboat.cluster.plugins.module_utils._files.ledger import LEDGER, Ledger
from ansible_collections.lifeboat.cluster.plugins.module_utils._system.disk import (
    CHUNK,
    display,
    existing_ancestor,
    make_directories,
    reason,
    resolve,
    room,
    sync_directories,
    write_all,
)
from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import LifeboatError

__all__ = [
    "LOCK_OUT",
    "AppliedFiles",
    "HostsConflict",
    "RestoreError",
    "RestorePlan",
    "RestoreRequest",
    "Staged",
    "apply",
    "check_room",
    "hosts_conflicts",
    "is_complete",
    "merge_hosts",
    "open_staging",
    "peek",
    "plan",
    "plan_index",
    "staged_path",
    "staging_result",
    "unpack",
]

# Whoever restores these without meaning to may never log in again; /etc/hosts is merged, not replaced.
LOCK_OUT = (
    "/etc/ssh",
    "/usr/etc/ssh",
    "/root/.ssh",
    "/home/*/.ssh",
    "/**/authorized_keys",
    "/etc/sudoers",
    "/etc/sudoers.d",
    "/etc/doas.conf",
    "/etc/pam.conf",
    "/etc/pam.d",
    "/etc/security",
    "/etc/nsswitch.conf",
    "/etc/passwd",
    "/etc/group",
    "/etc/shadow",
    "/etc/gshadow",
    "/etc/subuid",
    "/etc/subgid",
    "/etc/hosts",
    "/etc/hosts.allow",
    "/etc/hosts.deny",
    "/etc/resolv.conf",
    "/etc/network",
    "/etc/netplan",
    "/etc/systemd/network",
    "/etc/systemd/resolved.conf",
    "/etc/NetworkManager",
    "/etc/sysconfig/network",
    "/etc/sysconfig/network-scripts",
    "/etc/wicked",
    "/etc/iproute2",
    "/etc/iptables",
    "/etc/sysconfig/iptables",
    "/etc/sysconfig/ip6tables",
    "/etc/nftables*",
    "/etc/sysconfig/nftables.conf",
    "/etc/firewalld",
    "/etc/ufw",
    "/etc/selinux",
)

CREATE = "create"
REPLACE = "replace"
ATTRIBUTES = "attributes"
_BATCH = 64


class RestoreError(LifeboatError):
    """Files that cannot be put back."""


@dataclass
class RestoreRequest:
    """Which files of an unpacked archive to put back, and how.

    Globs are absolute; one that matches a directory covers all beneath it. An empty ``include`` means everything. ``never`` is refused
    unless ``named`` matches too. ``divert`` maps path prefixes to other places. ``extras`` ``aside`` moves live files that the archive
    does not have out of the captured directories that ``exact`` matches.
    """

    staging: str
    restore_id: str
    include: List[str]
    exclude: List[str]
    never: List[str]
    named: List[str]
    divert: Dict[str, str]
    aside: str
    root: str = "/"
    extras: str = "keep"
    exact: List[str] = field(default_factory=list)


@dataclass
class Step:
    """One path that has to change."""

    entry: Entry
    path: str
    action: str
    wanted: Fingerprint
    live: Optional[Fingerprint]


@dataclass
class Space:
    """Room that the restore needs on one file system."""

    path: str
    needed_bytes: int
    free_bytes: int
    needed_files: int
    free_files: int

    @property
    def enough(self) -> bool:
        """Whether it fits."""
        return self.needed_bytes <= self.free_bytes and (self.free_files < 0 or self.needed_files <= self.free_files)


@dataclass
class RestorePlan:
    """What would change; paths are those on the target."""

    request: RestoreRequest
    steps: List[Step]
    same: List[str]
    refused: List[str]
    would_cut_connection: List[str]
    extra: List[str]
    diverted: Dict[str, str]
    owners_by_number: Dict[str, str]
    space: List[Space]
    parents: Dict[str, Entry]
    directories: Dict[str, Entry]
    firsts: Dict[str, str]

    @property
    def changed(self) -> bool:
        """Whether applying the plan changes anything."""
        return bool(self.steps) or bool(self.extra and self.request.extras == "aside")

    @property
    def create(self) -> List[str]:
        """Paths where nothing stands yet."""
        return self._paths(CREATE)

    @property
    def replace(self) -> List[str]:
        """Paths where something else stands."""
        return self._paths(REPLACE)

    @property
    def attributes(self) -> List[str]:
        """Directories that differ in owner, mode or extended attributes only."""
        return self._paths(ATTRIBUTES)

    def _paths(self, action: str) -> List[str]:
        return [step.path for step in self.steps if step.action == action]

    def as_result(self) -> Dict[str, Any]:
        """The plan in a module's result."""
        return {
            "create": _shown(self.create),
            "replace": _shown(self.replace),
            "attributes": _shown(self.attributes),
            "same": _shown(self.same),
            "refused": _shown(self.refused),
            "would_cut_connection": _shown(self.would_cut_connection),
            "extra": _shown(self.extra),
            "diverted": {display(path): display(target) for path, target in sorted(self.diverted.items())},
            "owners_by_number": self.owners_by_number,
            "space": [{"path": item.path, "needed_bytes": item.needed_bytes, "free_bytes": item.free_bytes, "enough": item.enough} for item in self.space],
        }

    def diff(self) -> Dict[str, str]:
        """Attributes and digests before and after; never contents."""
        before = [step.live.line(step.path) for step in self.steps if step.live is not None]
        after = [step.wanted.line(step.path) for step in self.steps]
        if self.request.extras == "aside":
            before += [describe("----", "-", "-", "extra", "", "", path) for path in self.extra]
        return {"before": lines(before), "after": lines(after)}


@dataclass
class AppliedFiles:
    """What was changed."""

    created: List[str] = field(default_factory=list)
    replaced: List[str] = field(default_factory=list)
    attributes: List[str] = field(default_factory=list)
    moved_aside: List[Dict[str, str]] = field(default_factory=list)
    lost_attributes: Dict[str, List[str]] = field(default_factory=dict)

    @property
    def changed(self) -> bool:
        """Whether anything was changed."""
        return bool(self.created or self.replaced or self.attributes or self.moved_aside)

    def as_result(self) -> Dict[str, Any]:
        """The outcome in a module's result."""
        return {
            "created": _shown(self.created),
            "replaced": _shown(self.replaced),
            "attributes": _shown(self.attributes),
            "moved_aside": [{name: display(path) for name, path in item.items()} for item in self.moved_aside],
            "lost_attributes": {display(path): names for path, names in self.lost_attributes.items()},
        }


def _shown(paths: List[str]) -> List[str]:
    return [display(path) for path in paths]


def _place(root: str, path: str) -> str:
    """Where a path really lies; the last component is not followed."""
    return os.path.join(resolve(root, os.path.dirname(path)), os.path.basename(path))


def _within(path: str, directory: str) -> bool:
    return path == directory or path.startswith(directory.rstrip("/") + "/")


def _linked(root: str, firsts: Dict[str, str], entry: Entry, target: str) -> bool:
    """Whether a hard link is one, where it can be. ``firsts`` says where the first names of files are put."""
    first = firsts.get(entry.link_target) if entry.type == HARDLINK else None
    if first is None:
        return True
    try:
        one, other = os.lstat(_place(root, first)), os.lstat(_place(root, target))
    except (FileNotFoundError, NotADirectoryError):
        return False
    return one.st_dev != other.st_dev or os.path.samestat(one, other)


def _check_request(request: RestoreRequest) -> None:
    problem = ""
    if not re.match(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}\Z", request.restore_id):
        problem = "restore_id must consist of letters, digits, dots, dashes and underscores"
    elif request.extras not in ("keep", "aside"):
        problem = "extras must be 'keep' or 'aside'"
    elif normal_path(request.aside) == "/" or normal_path(request.root) != request.root:
        problem = "aside and root must be absolute paths"
    if problem:
        raise RestoreError("The restore of files is not described correctly.", found=problem, remedy="Correct the option.")


class _Planner:
    """Compares an index with the live system."""

    def __init__(self, request: RestoreRequest, index: Index) -> None:
        _check_request(request)
        self._request = request
        self._index = index
        self._include = GlobSet(request.include)
        self._exclude = GlobSet(request.exclude)
        self._never = GlobSet(request.never)
        self._named = GlobSet(request.named)
        self._divert = sorted(((normal_path(prefix), normal_path(target)) for prefix, target in request.divert.items()), key=lambda item: -len(item[0]))
        self._ledger = Ledger(request.aside)
        self._owners = Owners()
        self._replaced: Set[str] = set()
        self._needs: Dict[int, Tuple[str, int, int]] = {}
        above = {entry.path: entry for entry in index.parents + index.entries if entry.type == DIRECTORY}
        self.plan = RestorePlan(request, [], [], [], [], [], {}, {}, [], above, {}, {})

    def _selected(self, path: str) -> bool:
        return (not self._include or self._include.matches(path)) and not self._exclude.matches(path)

    def _names(self, path: str, target: str) -> Tuple[str, str, str]:
        """All names of a path: where it was captured, where it goes, and where that really lies."""
        base = self._request.root.rstrip("/")
        return path, target, _place(self._request.root, target)[len(base) :]

    def _locks_out(self, path: str, target: str) -> bool:
        return any(self._never.matches(name) for name in self._names(path, target))

    def target(self, path: str) -> str:
        """Where a captured path is to go."""
        for prefix, target in self._divert:
            if _within(path, prefix):
                return target.rstrip("/") + path[len(prefix) :] or "/"
        return path

    def run(self) -> RestorePlan:
        """The plan."""
        targets: Dict[str, str] = {}
        for entry in self._index.entries:
            target = self.target(entry.path)
            if not self._selected(entry.path):
                continue
            if target in targets or target in ("/", "/" + LEDGER) or _within(target, "/" + LATER):
                raise RestoreError(
                    "%s cannot be put at %s." % (display(entry.path), display(target)),
                    found="that place is taken by %s" % display(targets.get(target, "the restore itself")),
                    remedy="Correct 'divert', or leave one of them out.",
                )
            targets[target] = entry.path
            self._entry(entry, target)
        self._extras()
        self.plan.owners_by_number = dict(sorted(self._owners.by_number.items()))
        for path, size, files in self._needs.values():
            free_bytes, free_files = room(path)
            self.plan.space.append(Space(path, size, free_bytes, files, free_files))
        return self.plan

    def _entry(self, entry: Entry, target: str) -> None:
        wanted = wanted_fingerprint(entry, *self._owners.resolve(entry))
        live = self._live(target)
        agrees = (
            live is not None
            and (same(wanted, live) or self._ledger.as_good_as(target, live, wanted))
            and _linked(self._request.root, self.plan.firsts, entry, target)
        )
        if self._locks_out(entry.path, target):
            if not agrees:
                self.plan.would_cut_connection.append(target)
            if not any(self._named.matches(name) for name in self._names(entry.path, target)):
                self.plan.refused.append(target)
                return
        if target != entry.path:
            self.plan.diverted[entry.path] = target
        self.plan.firsts[entry.path] = target
        if entry.type == DIRECTORY:
            self.plan.directories[target] = entry
        if agrees:
            self.plan.same.append(target)
            return
        action = CREATE if live is None else REPLACE
        if entry.type == DIRECTORY and live is not None:
            if live.type == DIRECTORY:
                action = ATTRIBUTES
            else:
                self._replaced.add(target)
        self.plan.steps.append(Step(entry, target, action, wanted, live))
        self._count(entry, target, live)

    def _live(self, target: str) -> Optional[Fingerprint]:
        """What stands at the target; nothing, when a directory above it has yet to take its place."""
        above = os.path.dirname(target)
        while above != "/":
            if above in self._replaced:
                return None
            above = os.path.dirname(above)
        place = _place(self._request.root, target)
        parent = os.path.dirname(place)
        while not os.path.lexists(parent):
            parent = os.path.dirname(parent)
        if not os.path.isdir(parent):
            raise RestoreError(
                "%s cannot be restored." % display(target),
                tried="find its directory",
                found="%s is no directory, and is not in the archive" % display(parent),
                remedy="Move that file away, then run again.",
            )
        return fingerprint(place)

    def _count(self, entry: Entry, target: str, live: Optional[Fingerprint]) -> None:
        """Add up the room that a step needs, for the new file and, on another file system, for the old one."""
        place = _place(self._request.root, target)
        device = self._need(place, 4096 if entry.type == HARDLINK and entry.link_target in self.plan.firsts else entry.size + 4096)
        if live is not None and not live.type == entry.type == DIRECTORY:
            self._count_aside(place, device)

    def _count_aside(self, place: str, device: int) -> None:
        if os.stat(existing_ancestor(self._request.aside)).st_dev != device:
            self._need(self._request.aside, weight(place))

    def _need(self, path: str, size: int) -> int:
        where = existing_ancestor(path)
        device = os.stat(where).st_dev
        _path, bytes_so_far, files_so_far = self._needs.get(device, (where, 0, 0))
        self._needs[device] = (_path, bytes_so_far + size, files_so_far + 1)
        return device

    def _extras(self) -> None:
        """Live files that the archive does not have, in captured directories that are to be exactly as captured."""
        exact = GlobSet(self._request.exact)
        known = {self.target(entry.path) for entry in self._index.entries} | {self.target(item["path"]) for item in self._index.skipped}
        left_out = GlobSet(self._index.exclude)
        own = [self._request.aside, self._request.staging]
        for target, entry in sorted(self.plan.directories.items()):
            place = _place(self._request.root, target)
            if target in self._replaced or not exact.matches(target) or not os.path.isdir(place) or os.path.islink(place):
                continue
            for name in sorted(os.listdir(place)):
                source, extra = os.path.join(entry.path, name), os.path.join(target, name)
                if extra in known or any(_within(path, extra) for path in known) or TEMPORARY.match(name) or left_out.matches(source):
                    continue
                if not self._selected(source) or self._locks_out(source, extra) or any(_within(path, os.path.join(place, name)) for path in own):
                    continue
                self.plan.extra.append(extra)
                if self._request.extras == "aside":
                    self._count_aside(os.path.join(place, name), os.stat(place).st_dev)


def plan(request: RestoreRequest) -> RestorePlan:
    """Compare the unpacked archive with the live system. Changes nothing."""
    return plan_index(request, open_staging(request.staging).index)


def plan_index(request: RestoreRequest, index: Index) -> RestorePlan:
    """Compare an index with the live system. Changes nothing."""
    try:
        return _Planner(request, index).run()
    except OSError as error:
        raise RestoreError(
            "The live files cannot be compared with the archive.",
            tried="read %s" % display(str(error.filename or "them")),
            found=reason(error),
            remedy="Repair the disk or the file system, then run again.",
        ) from error


def check_room(found: RestorePlan) -> None:
    """Refuse a plan that does not fit on the disks."""
    for item in found.space:
        if not item.enough:
            raise RestoreError(
                "There is no room to restore the files.",
                tried="find %d bytes and %d files on the file system of %s" % (item.needed_bytes, item.needed_files, display(item.path)),
                found="%d bytes and %s files are free" % (item.free_bytes, "enough" if item.free_files < 0 else item.free_files),
                remedy="Free space there. Nothing was changed.",
            )


class _Change(NamedTuple):
    """A step with what stands at its place now."""

    step: Step
    place: str
    temporary: str
    live: Optional[Fingerprint]
    ours: bool


class _Applier:
    """Carries out a plan. Killed at any point and run again, it finishes, and nothing that stood there before is lost."""

    def __init__(self, found: RestorePlan) -> None:
        self._plan = found
        self._request = found.request
        self._staged = open_staging(found.request.staging)
        self._values = self._staged.xattrs()
        self._ledger = Ledger(found.request.aside)
        self._aside = Aside(found.request.aside, found.request.restore_id, self._ledger)
        self._current = ""
        self.applied = AppliedFiles()

    def run(self) -> AppliedFiles:
        """Apply everything, then read it back."""
        make_directories(self._request.aside)
        with self._ledger.writing():
            try:
                self._sweep()
                self._directories()
                files = [step for step in self._plan.steps if step.entry.type != DIRECTORY]
                for start in range(0, len(files), _BATCH):
                    self._batch(files[start : start + _BATCH])
                self._extras()
                self._attributes()
                self._read_back()
                if self._ledger.touched:
                    self._ledger.append([{"operation": "finished"}])
            except OSError as error:
                raise RestoreError(
                    "%s could not be restored." % display(self._current),
                    tried="put it in place, with what stood there moved to %s" % display(self._request.aside),
                    found=reason(error) + (" (a mount point, or a file made immutable)" if error.errno in (errno.EBUSY, errno.EPERM) else ""),
                    remedy="Remove the cause and run again with the same restore_id: it goes on where it stopped.",
                ) from error
        self.applied.moved_aside = self._aside.moved
        self.applied.lost_attributes.update(self._aside.lost)
        return self.applied

    def _sweep(self) -> None:
        """Remove unfinished files of a run that was killed."""
        prefix = temporary_name(self._request.restore_id, "")[:-16]
        for directory in self._ledger.directories:
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                for name in os.listdir(directory):
                    if name.startswith(prefix):
                        remove(os.path.join(directory, name))

    def _agrees(self, step: Step, live: Optional[Fingerprint]) -> bool:
        return live is not None and (same(step.wanted, live) or self._ledger.as_good_as(step.path, live, step.wanted))

    def _make_parents(self, path: str) -> None:
        """Create the missing directories above a target with the attributes that they had where it was captured."""
        above = os.path.dirname(path)
        if above == "/":
            return
        self._make_parents(above)
        place = resolve(self._request.root, above)
        if os.path.isdir(place):
            return
        parent = os.path.dirname(place)
        make_directories(parent, 0o755)
        temporary = os.path.join(parent, temporary_name(self._request.restore_id, above))
        self._aside.announce([parent])
        self._ledger.append([{"operation": "make", "path": above}])
        remove(temporary)
        os.mkdir(temporary, 0o755)
        known = self._plan.parents.get(above)
        if known is not None:
            owner = Owners().resolve(known)
            set_attributes(temporary, wanted_fingerprint(known, *owner), self._values.get(above, {}), None)
        os.rename(temporary, place)
        sync_directories([parent])

    def _directories(self) -> None:
        """Directories that are missing, or that something else stands in place of."""
        for step in self._plan.steps:
            if step.entry.type != DIRECTORY:
                continue
            self._current = step.path
            place = _place(self._request.root, step.path)
            live = fingerprint(place)
            if live is not None and live.type == DIRECTORY:
                continue
            self._make_parents(step.path)
            place = _place(self._request.root, step.path)
            if live is not None and self._ledger.ours(step.path, live):
                remove(place)
            elif live is not None:
                self._aside.move(place, step.path)
            self._ledger.append([{"operation": "make", "path": step.path}])
            os.mkdir(place, 0o700)
            sync_directories([os.path.dirname(place)])
            self._note(step, live)

    def _note(self, step: Step, live: Optional[Fingerprint]) -> None:
        (self.applied.created if live is None else self.applied.replaced).append(step.path)

    def _batch(self, steps: List[Step]) -> None:
        """Build the new files beside the old ones, note them, save the old ones, switch. Each of the four is durable before the next."""
        changes = [change for change in map(self._change, steps) if change is not None]
        self._aside.announce([os.path.dirname(change.place) for change in changes])
        self._build_all(changes)
        for change in changes:
            self._current = change.step.path
            if change.live is not None and change.live.type == DIRECTORY:
                self._aside.move(change.place, change.step.path)
            elif change.live is not None and not change.ours:
                self._aside.keep(change.place, change.step.path)
        self._aside.sync()
        for change in changes:
            self._current = change.step.path
            os.rename(change.temporary, change.place)
            self._note(change.step, change.live)
        sync_directories(os.path.dirname(change.place) for change in changes)

    def _change(self, step: Step) -> Optional[_Change]:
        """What has to be done for a step now; None when it is done already."""
        self._current = step.path
        self._make_parents(step.path)
        place = _place(self._request.root, step.path)
        live = fingerprint(place)
        if self._agrees(step, live) and _linked(self._request.root, self._plan.firsts, step.entry, step.path):
            return None
        temporary = os.path.join(os.path.dirname(place), temporary_name(self._request.restore_id, step.path))
        return _Change(step, place, temporary, live, live is not None and self._ledger.ours(step.path, live))

    def _build_all(self, changes: List[_Change]) -> None:
        """Build all new files of a batch and note them in the ledger."""
        built: Dict[str, str] = {}
        records: List[Dict[str, Any]] = []
        try:
            for change in changes:
                step = change.step
                self._current = step.path
                built[step.entry.path] = change.temporary
                lost = self._build(step, change.temporary, built)
                if lost:
                    self.applied.lost_attributes[step.path] = lost
                written = fingerprint(change.temporary)
                records.append(
                    {
                        "operation": "write",
                        "path": step.path,
                        "sha256": step.entry.sha256,
                        "wanted": step.wanted.digest(),
                        "written": written.digest() if written else "",
                    }
                )
            self._ledger.append(records)
        except BaseException:
            for temporary in built.values():
                with contextlib.suppress(OSError):
                    os.unlink(temporary)
            raise

    def _build(self, step: Step, temporary: str, built: Dict[str, str]) -> List[str]:
        """Make the new file under its temporary name, whole and with all attributes."""
        remove(temporary)
        entry = step.entry
        if entry.type == SYMLINK:
            os.symlink(entry.link_target, temporary)
        elif entry.type == HARDLINK and self._link(entry, temporary, built):
            return []
        else:
            self._copy(entry, temporary)
        return set_attributes(temporary, step.wanted, self._values.get(entry.path, {}), entry.mtime_ns)

    def _link(self, entry: Entry, temporary: str, built: Dict[str, str]) -> bool:
        """Link to the first name of the same file, where that one is restored too."""
        first = self._plan.firsts.get(entry.link_target)
        if first is None:
            return False
        source = built.get(entry.link_target) or _place(self._request.root, first)
        try:
            os.link(source, temporary, follow_symlinks=False)
        except OSError as error:
            if error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP):
                raise
            return False
        return True

    def _copy(self, entry: Entry, temporary: str) -> None:
        digest = hashlib.sha256()
        source = os.open(self._staged.file(entry), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            target = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            try:
                for data in iter(lambda: os.read(source, CHUNK), b""):
                    digest.update(data)
                    write_all(target, data)
                os.fsync(target)
            finally:
                os.close(target)
        finally:
            os.close(source)
        if digest.hexdigest() != entry.sha256:
            raise RestoreError(
                "The staged file for %s was changed." % display(entry.path),
                tried="compare its contents with the index of the archive",
                found="another SHA-256",
                remedy="Remove the staging directory %s and unpack the archive again." % display(self._request.staging),
            )

    def _extras(self) -> None:
        if self._request.extras != "aside":
            return
        for path in self._plan.extra:
            self._current = path
            place = _place(self._request.root, path)
            if os.path.lexists(place):
                self._ledger.append([{"operation": "extra", "path": path}])
                self._aside.move(place, path)

    def _attributes(self) -> None:
        """Attributes and times of directories, innermost first, after everything in them is in its place."""
        steps = {step.path: step for step in self._plan.steps if step.entry.type == DIRECTORY}
        owners = Owners()
        wanted: Dict[str, Fingerprint] = {}
        entries: Dict[str, Entry] = {}
        for path, entry in self._plan.directories.items():
            if path in steps or path in self._ledger.touched:
                entries[path] = entry
                wanted[path] = steps[path].wanted if path in steps else wanted_fingerprint(entry, *owners.resolve(entry))
        for path in sorted(entries, key=lambda item: (-item.count("/"), item)):
            self._current = path
            place = _place(self._request.root, path)
            live = fingerprint(place)
            if live is not None and path in steps and steps[path].action == ATTRIBUTES:
                before = {"mode": live.mode, "uid": live.uid, "gid": live.gid}
                self._ledger.append([{"operation": "attributes", "path": path, "before": before}])
                self.applied.attributes.append(path)
            lost = set_attributes(place, wanted[path], self._values.get(path, {}), entries[path].mtime_ns)
            written = fingerprint(place)
            if lost and written is not None:
                self.applied.lost_attributes[path] = lost
                self._ledger.append([{"operation": "write", "path": path, "sha256": "", "wanted": wanted[path].digest(), "written": written.digest()}])
            sync_directories([place])

    def _read_back(self) -> None:
        """Every path of the plan must now be as wanted."""
        for step in self._plan.steps:
            if not self._agrees(step, fingerprint(_place(self._request.root, step.path))):
                raise RestoreError(
                    "%s is not as it was restored." % display(step.path),
                    tried="read it back after the restore",
                    found="something else changed it meanwhile",
                    remedy="Stop what writes it, then run again with the same restore_id.",
                )


def apply(found: RestorePlan) -> AppliedFiles:
    """Carry out a plan and read it back."""
    if not found.changed and not os.path.lexists(os.path.join(found.request.aside, LEDGER)):
        return AppliedFiles()
    check_room(found)
    return _Applier(found).run()
