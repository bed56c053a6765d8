# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plain copies on the controller while an artifact is on its way: private, checked for space, and gone afterwards.

Their names end in ``.plain``, so that the next run finds and removes what a killed one left.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from contextlib import contextmanager, suppress
from typing import Any, Callable, Dict, Iterator, Optional

from ansible_collections.lifeboat.cluster.plugins.module_utils._catalog import catalog
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.manifest.manifest import Artifact, Manifest
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.manifest.records import canonical
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.trust import sealing
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.verification import archives
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage import names
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.errors import (
    LocationFullError,
    ManifestError,
    ObjectExistsError,
    SealingError,
    SourceDamagedError,
)
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.location import Location

# Of plain files from this size on, only one at a time is fetched.
LARGE_BYTES = 64 << 20
_SPARE_BYTES = 64 << 20


@contextmanager
def _lock_file(path: str) -> Iterator[int]:
    """A file to lock; closing it lets go."""
    descriptor = os.open(path + ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


class Workspace:
    """The part of a run directory where plain copies may lie."""

    def __init__(self, run_directory: str) -> None:
        self.directory = os.path.join(run_directory, "artifacts")
        os.makedirs(self.directory, mode=0o700, exist_ok=True)

    def check_space(self, needed_bytes: int, what: str) -> None:
        """Refuse before the first byte when the plain copy would not fit."""
        free = shutil.disk_usage(self.directory).free
        if free < needed_bytes + _SPARE_BYTES:
            raise LocationFullError(
                "There is too little space on the controller for the plain copy of %s" % what,
                tried="%d bytes (and %d to spare) in %s" % (needed_bytes, _SPARE_BYTES, self.directory),
                found="%d bytes free" % free,
                remedy="free some space, or set lifeboat_runs_directory to a directory with more of it",
            )

    @contextmanager
    def plain(self, size_bytes: int, what: str) -> Iterator[str]:
        """The path of an empty private file for a plain copy; it is removed at the end, whatever happens."""
        with self._one_at_a_time(size_bytes):
            self.check_space(size_bytes, what)
            path = os.path.join(self.directory, "%s.plain" % os.urandom(8).hex())
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            try:
                yield path
            finally:
                with suppress(FileNotFoundError):
                    os.unlink(path)

    @contextmanager
    def shared(self, identity: str, make: Callable[[str], None]) -> Iterator[str]:
        """A plain copy that several hosts use at once: the first makes it, the last removes it."""
        path = os.path.join(self.directory, "%s.plain" % hashlib.sha256(identity.encode()).hexdigest()[:32])
        with _lock_file(path + ".use") as using:
            fcntl.flock(using, fcntl.LOCK_SH)
            with _lock_file(path + ".make") as making:
                fcntl.flock(making, fcntl.LOCK_EX)
                if not os.path.exists(path):
                    self._make_whole(path, make)
            try:
                yield path
            finally:
                with suppress(BlockingIOError):  # somebody else still uses it
                    fcntl.flock(using, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    os.unlink(path)

    @staticmethod
    def _make_whole(path: str, make: Callable[[str], None]) -> None:
        growing = path[: -len(".plain")] + ".growing.plain"
        with suppress(FileNotFoundError):
            os.unlink(growing)
        os.close(os.open(growing, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        try:
            make(growing)
            os.rename(growing, path)
        finally:
            with suppress(FileNotFoundError):
                os.unlink(growing)

    @contextmanager
    def _one_at_a_time(self, size_bytes: int) -> Iterator[None]:
        if size_bytes < LARGE_BYTES:
            yield
            return
        with _lock_file(os.path.join(self.directory, "large")) as descriptor:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield

    def record_path(self, point: str, artifact: str) -> str:
        """Where the record of a stored artifact is kept, for a rerun of the same run."""
        return os.path.join(self.directory, "%s-%s.json" % (names.check_point_id(point), names.check_artifact_name(artifact).replace("/", "-")))


class Delivery:
    """One artifact on its way from a host into an open point."""

    def __init__(self, location: Location, cluster: str, point: str, artifact: str, host: str, workspace: Workspace) -> None:
        self._location = location
        self._cluster = cluster
        self._point = point
        self.artifact = names.check_artifact_name(artifact)
        self._host = host
        self.workspace = workspace
        self._key = names.artifact_key(cluster, point, artifact)

    def check_open(self) -> None:
        """Refuse when the point was never opened, or is sealed already."""
        catalog.read_opening(self._location, self._cluster, self._point)
        if self._location.size(names.manifest_key(self._cluster, self._point)) is not None:
            raise ObjectExistsError(
                "Recovery point %s is sealed: nothing can be added" % self._point, tried="to store %s" % self.artifact, remedy="open a new recovery point"
            )

    def already_there(self, sha256: str) -> Optional[Artifact]:
        """The record of this very artifact, if this run stored it before; another one under its name is an error."""
        size = self._location.size(self._key)
        if size is None:
            return None
        try:
            with open(self.workspace.record_path(self._point, self.artifact), encoding="ascii") as stream:
                artifact = Artifact.from_record(json.load(stream), "artifact", "The kept record")
        except (OSError, ValueError, ManifestError):
            artifact = None
        if artifact is not None and artifact.plain_sha256 == sha256 and artifact.sealed_size_bytes == size:
            return artifact
        raise ObjectExistsError(
            "%s exists already in recovery point %s" % (self.artifact, self._point),
            tried="to store it in %s" % self._location.describe(),
            found="an object of %d bytes that this run cannot prove to be the same; nothing is ever rewritten" % size,
            remedy="open a new recovery point; or give artifacts of one component and host different names",
        )

    def store(
        self,
        path: str,
        recipients: Any,
        inspect: bool,
        sha256: Optional[str],
        facts: Optional[Dict[str, Any]] = None,
        on_progress: sealing.OnProgress = None,
    ) -> Artifact:
        """Inspect the plain file, seal it into the point, and keep the record, with what the component says of the file."""
        contents: Dict[str, Any] = {}
        if names.is_tar(self.artifact):
            try:
                with open(path, "rb") as stream:
                    contents = archives.contents(stream, "The archive of %s" % self._host, inspect)
            except SealingError as error:
                raise SourceDamagedError(
                    "What came from %s for %s is not a whole tar archive" % (self._host, self.artifact),
                    found=error.found,
                    remedy="look at the space on the host, and back up again",
                ) from error

        if facts:
            contents["facts"] = facts

        def check(digests: sealing.Digests) -> None:
            if sha256 and digests.plain_sha256 != sha256:
                raise SourceDamagedError(
                    "What came from %s for %s is not what lies there" % (self._host, self.artifact),
                    found="SHA-256 %s, not %s" % (digests.plain_sha256, sha256),
                    remedy="it changed or was damaged on the way: back up again",
                )

        opening = catalog.read_opening(self._location, self._cluster, self._point)
        with open(path, "rb") as plain:
            digests = sealing.seal_to(self._location, self._key, plain, recipients, check, opening.retain, on_progress)
        artifact = Artifact(
            name=self.artifact,
            component=self.artifact.split("/")[0],
            host=self._host,
            sealed_sha256=digests.sealed_sha256,
            sealed_size_bytes=digests.sealed_size_bytes,
            plain_sha256=digests.plain_sha256,
            plain_size_bytes=digests.plain_size_bytes,
            contents=contents,
        )
        self._keep(artifact)
        return artifact

    def _keep(self, artifact: Artifact) -> None:
        path = self.workspace.record_path(self._point, self.artifact)
        with open(path + ".new", "wb") as stream:
            stream.write(canonical(artifact.to_record()))
        os.replace(path + ".new", path)


def open_into(location: Location, manifest: Manifest, artifact: Artifact, identities: Any, path: str) -> None:
    """Decrypt an artifact of a believed manifest into an existing file, proving all hashes."""
    key = names.artifact_key(manifest.cluster_name, manifest.id, artifact.name)
    with open(path, "wb") as target:
        sealing.unseal_from(location, key, target, identities, what=artifact.name, expected=artifact.digests, recipients=manifest.recipients)


class Connection:
    """File transfer with the connection's own means, never the one that holds whole files in memory."""

    _METHODS = ("sftp", "scp")
    _OPTION = "ssh_transfer_method"

    def __init__(self, connection: Any, failures: Any) -> None:
        self._connection = connection
        self._failures = failures

    def fetch(self, source: str, target: str) -> None:
        """Host to controller, as the login user."""
        self._transfer(self._connection.fetch_file, source, target)

    def put(self, source: str, target: str) -> None:
        """Controller to host, as the login user."""
        self._transfer(self._connection.put_file, source, target)

    def _transfer(self, transfer: Callable[[str, str], Any], source: str, target: str) -> None:
        try:
            chosen = self._connection.get_option(self._OPTION)
        except (KeyError, AttributeError, *self._failures):
            chosen = None
        if chosen != "smart":
            transfer(source, target)
            return
        # "smart" ends with "piped", which reads the file into memory.
        try:
            self._connection.set_option(self._OPTION, self._METHODS[0])
            try:
                transfer(source, target)
            except self._failures:
                self._connection.set_option(self._OPTION, self._METHODS[1])
                transfer(source, target)
        finally:
            self._connection.set_option(self._OPTION, chosen)
