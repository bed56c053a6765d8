# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring a directory back: loaded beside what is there, compared, and put in its place by renames while no server uses it.

Configuration and tree are loaded into a directory inside of the live ones, so that a container which sees only these can do it, and so that
the renames stay on one file system. A server may run until they are swapped.
"""

from __future__ import annotations

import io
import os
import shutil
import tempfile
from dataclasses import dataclass
from typing import Any, BinaryIO, Dict, List, Optional, Tuple

from ansible_collections.lifeboat.cluster.plugins.module_utils._files import replacement
from ansible_collections.lifeboat.cluster.plugins.module_utils._ldap.dump import CONFIG, TREE, Dump, DumpError, fill, opened, require_same
from ansible_collections.lifeboat.cluster.plugins.module_utils._ldap.server import (
    Directory,
    DirectoryError,
    Ldif,
    database_dir,
    measure,
    same_entries,
    served_by,
)
from ansible_collections.lifeboat.cluster.plugins.module_utils._system import scratch
from ansible_collections.lifeboat.cluster.plugins.module_utils._system.disk import make_directories, read_json, room, write_json
from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import LifeboatError

NOTHING, STAGE, SWAP = "nothing", "stage", "swap"
_MARKER = "staged.json"
_NEW = "new"
# What a database takes beside its LDIF: indexes, pages that are not full, the smallest file that it makes.
_ROOM_FACTOR, _ROOM_SPARE = 4, 4 << 20


class RestoreError(DirectoryError):
    """A directory can't be brought back, or was not brought back whole."""


@dataclass(frozen=True)
class Place:
    """One of the two directories: where the host has it, and where the programs see it."""

    host: str
    inside: str

    def staging(self, restore_id: str) -> Place:
        """Where its new contents are made."""
        name = ".lifeboat-restore-%s" % restore_id
        return Place(os.path.join(self.host, name), os.path.join(self.inside, name))

    def aside(self, restore_id: str) -> str:
        """Where its old contents go."""
        return os.path.join(self.host, ".lifeboat-aside-%s" % restore_id)


@dataclass(frozen=True)
class Request:
    """What is to be restored, and where."""

    directory: Directory
    config: Place
    data: Place
    restore_id: str
    owner: str
    scratch_directory: str
    ledger: str = replacement.LEDGER

    @property
    def places(self) -> Tuple[Place, Place]:
        """Both directories."""
        return self.config, self.data

    @property
    def marker(self) -> str:
        """Written last: without it, what is staged is not whole."""
        return os.path.join(self.data.staging(self.restore_id).host, _MARKER)


@dataclass(frozen=True)
class Plan:
    """What has to be done. ``names`` are what is swapped in each directory, empty before it is staged."""

    action: str
    present: Optional[Tuple[Ldif, Ldif]]
    names: List[List[str]]

    @property
    def changed(self) -> bool:
        """Whether there is anything to do."""
        return self.action != NOTHING


def _look(request: Request, dump: Dump) -> Tuple[Optional[Tuple[Ldif, Ldif]], bool]:
    """What the live directories hold, None when they hold nothing that can be read; and whether it is what the dump holds."""
    if not os.path.exists(os.path.join(request.config.host, "cn=config.ldif")):
        return None, False
    try:
        with tempfile.TemporaryFile() as config, tempfile.TemporaryFile() as tree, opened(dump.path) as files:
            request.directory.export_config(config)
            request.directory.export_tree(tree)
            found = measure(config), measure(tree)
            return found, found[0] == dump.record.config and same_entries(tree, files[TREE])
    except LifeboatError:
        return None, False


def _staged_names(request: Request, dump: Dump) -> List[List[str]]:
    """What an earlier run has staged whole out of this very dump, and has not swapped altogether; empty lists else."""
    try:
        marker = read_json(request.marker, "The marker of staged data")
    except FileNotFoundError:
        return []
    names: List[List[str]] = marker.get("names") or []
    there = [os.path.lexists(os.path.join(place.staging(request.restore_id).host, _NEW, name)) for place, many in zip(request.places, names) for name in many]
    return names if marker.get("sha256") == dump.sha256 and any(there) else []


def plan(dump: Dump, request: Request) -> Plan:
    """Look at what is there, and refuse what can't be restored."""
    with opened(dump.path) as files:
        real = database_dir(files[CONFIG], request.directory.suffix)
    if real != request.data.inside:
        raise RestoreError(
            "The dump keeps %s in another directory." % request.directory.suffix,
            tried="compare it with the platform's data; nothing was changed",
            found="%s in the dump, %s on this machine" % (real or "no such database", request.data.inside),
            remedy="Correct suffix and data_dir (as the programs see it) in the platform's data, or use the dump of this machine.",
        )
    names = _staged_names(request, dump)
    found, same = _look(request, dump)
    return Plan(SWAP if names else NOTHING if same else STAGE, found, names)


def _check_room(dump: Dump, request: Request) -> None:
    needed = _ROOM_FACTOR * (dump.record.tree.size_bytes + dump.record.config.size_bytes) + _ROOM_SPARE
    free, _files = room(request.data.host)
    if free < needed:
        raise RestoreError(
            "There is too little room in %s." % request.data.host,
            tried="find %d bytes" % needed,
            found="%d bytes free" % free,
            remedy="Make room, then run again. Nothing was changed.",
        )


def stage(dump: Dump, request: Request) -> List[List[str]]:
    """Load the dump beside what is there and read it back; returns the names of what is to be swapped in each directory."""
    _check_room(dump, request)
    staging = [place.staging(request.restore_id) for place in request.places]
    owned = [os.path.join(beside.inside, _NEW) for beside in staging]
    for place, beside in zip(request.places, staging):
        # An earlier run was killed while it staged; the live directories are not touched.
        shutil.rmtree(beside.host, ignore_errors=True)
        if make_directories(place.host, 0o750):
            owned.append(place.inside)
        make_directories(os.path.join(beside.host, _NEW))
    new_config, new_data = (os.path.join(beside.inside, _NEW) for beside in staging)
    inside = request.directory.inside
    try:
        with opened(dump.path) as files, scratch.directory(inside, request.scratch_directory, "directory") as work:
            _fill(request, work, new_data, files[CONFIG], files[TREE])
            require_same(Directory(inside, work + "/config", request.directory.suffix, request.directory.timeout_seconds), dump.record.tree)
            _fill_config(request, new_config, dump, files[CONFIG])
        if request.owner:
            inside.run(["chown", "-R", request.owner, *owned])
    except BaseException:
        for beside in staging:
            shutil.rmtree(beside.host, ignore_errors=True)
        raise
    names = [sorted(os.listdir(os.path.join(beside.host, _NEW))) for beside in staging]
    write_json(request.marker, {"sha256": dump.sha256, "names": names})
    return names


def _fill(request: Request, work: str, new_data: str, config: BinaryIO, tree: BinaryIO) -> None:
    proof = Directory(request.directory.inside, work + "/config", request.directory.suffix, request.directory.timeout_seconds)
    try:
        fill(proof, config, tree, new_data)
    except LifeboatError as error:
        raise RestoreError(
            "The tree can't be loaded with the configuration of the dump.",
            tried="load it beside what is there, which is untouched",
            found=error.found,
            remedy="A schema that its entries need may be missing from the configuration, or the disk may be full: use another recovery point, or make room.",
        ) from error


def _fill_config(request: Request, new_config: str, dump: Dump, config: BinaryIO) -> None:
    staged = Directory(request.directory.inside, new_config, request.directory.suffix, request.directory.timeout_seconds)
    config.seek(0)
    staged.import_config(config.read())
    exported = io.BytesIO()
    with tempfile.TemporaryFile() as target:
        staged.export_config(target)
        target.seek(0)
        exported.write(target.read())
    if measure(exported) != dump.record.config:
        raise DumpError("The loaded configuration is not the one of the dump.", tried="export it again and compare", remedy="Use another recovery point.")


def replacements(request: Request, names: List[List[str]]) -> List[Dict[str, str]]:
    """What is renamed, as M(lifeboat.cluster.node_services) and the module itself take it."""
    found = []
    for place, many in zip(request.places, names):
        new = os.path.join(place.staging(request.restore_id).host, _NEW)
        for name in many:
            item = {"staged": os.path.join(new, name), "target": os.path.join(place.host, name)}
            found.append({**item, "aside": os.path.join(place.aside(request.restore_id), name)})
    return found


def require_stopped(request: Request) -> None:
    """Refuse while a server uses the data."""
    using = served_by([place.host for place in request.places])
    if using:
        raise RestoreError(
            "A server uses the directory's data.",
            tried="look which files it has open",
            found="; ".join(map(str, using)),
            remedy="Stop the service (roles/fence), then run again. Nothing was swapped.",
        )


def swap(request: Request, names: List[List[str]]) -> None:
    """Put the staged data in place; what stood there goes aside. A kill at any point leaves what a rerun finishes."""
    require_stopped(request)
    replacement.apply(replacement.plan(replacements(request, names), request.ledger), request.ledger)
    for place in request.places:
        shutil.rmtree(place.staging(request.restore_id).host)


def as_result(planned: Plan, dump: Dump, request: Request, names: List[List[str]]) -> Dict[str, Any]:
    """Fields for a module's result."""
    return {
        "action": planned.action,
        "before": {"config_entries": planned.present[0].entries, "entries": planned.present[1].entries} if planned.present else None,
        "dump": dump.as_result(),
        "replace": replacements(request, names),
    }
