# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Making a recovery point: opened first, sealed last. What is between is the artifacts'."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import replace
from typing import Any, List, Mapping, NamedTuple, Optional, Sequence

from ansible_collections.lifeboat.cluster.plugins.module_utils._catalog import catalog
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point import timing
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.manifest import results
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.manifest.manifest import (
    LARGEST_BYTES,
    Artifact,
    ClusterIdentity,
    Manifest,
    Missing,
    Opening,
)
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.trust import sealing, signing
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage import names
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.errors import (
    ArtifactDamagedError,
    ManifestError,
    ObjectExistsError,
    ObjectMissingError,
    OtherClusterError,
    PointError,
    PointIncompleteError,
    SignatureError,
)
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.location import Location
from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import LifeboatError

REQUIRED_COMPONENTS = ("etcd", "pki")
# Each manifest names so many of the points before it. A hole in a listing is noticed by the first one behind it; with all names, ten thousand
# manifests would hold fifty million.
SEEN_BEFORE_LIMIT = 200
# Of so many of the newest points, one that says which cluster it is of is looked for; a point of one machine may not say it.
_LOOKED_AT = 20
_UNKNOWN = ClusterIdentity(None, None)
_NOBODY = catalog.Trust()


class Opened(NamedTuple):
    """A point that was, or would be, opened."""

    opening: Opening
    changed: bool


class Sealing(NamedTuple):
    """How a point is sealed."""

    signing_key: Optional[str] = None
    trust: catalog.Trust = catalog.Trust()
    required_components: Sequence[str] = REQUIRED_COMPONENTS
    # Private directory of the run: with it, a rerun after a kill between signature and manifest goes on.
    run_directory: Optional[str] = None
    # The UID of the cluster in whose place this one was built, if it was.
    replaces: Optional[str] = None


class Sealed(NamedTuple):
    """A point that was, or would be, sealed."""

    manifest: Manifest
    changed: bool
    signed: bool
    unlisted: List[str]


def check_same_cluster(location: Location, cluster: str, identity: ClusterIdentity, trust: catalog.Trust, replaces: Optional[str] = None) -> None:
    """Refuse a name under which another cluster is backed up: its points and ours would be taken for each other's.

    A cluster is known by the UID of its namespace kube-system, which a restore keeps; where it is not known, nothing is compared. ``replaces`` is the UID of
    the cluster that this one was built anew for. Manifests with a wrong signature are passed over: a forged one must not end all backups. Without allowed
    signers those count that are signed at all. A copy of an old point may be of the cluster that was there before, so it counts only where there is
    nothing else.
    """
    if identity.kube_system_uid is None:
        return
    copy: Optional[Manifest] = None
    for point in reversed(sealed_ids(location, cluster)[-_LOOKED_AT:]):
        try:
            there = catalog.read_manifest(location, cluster, point, trust).manifest
        except catalog.OF_NO_POINT:
            raise
        except LifeboatError:
            continue
        if there.cluster_identity.kube_system_uid is None:
            continue
        if there.origin is None:
            _compare_cluster(location, there, identity, replaces)
            return
        copy = copy or there
    if copy is not None:
        _compare_cluster(location, copy, identity, replaces)


def _compare_cluster(location: Location, there: Manifest, identity: ClusterIdentity, replaces: Optional[str]) -> None:
    known = there.cluster_identity.kube_system_uid
    if known not in (identity.kube_system_uid, replaces):
        raise OtherClusterError(
            "Another cluster is backed up under the name %s already" % there.cluster_name,
            tried="to compare the UID of kube-system with that of recovery point %s in %s" % (there.id, location.describe()),
            found="there %s, here %s" % (known, identity.kube_system_uid),
            remedy="give this cluster another lifeboat_cluster_name, or another location; if it was built anew in the place of that one, "
            "say so once: -e lifeboat_replaces=%s" % known,
            point=there.id,
        )


def open_point(
    location: Location,
    cluster: str,
    run_id: str,
    retain_until: str,
    point_id: Optional[str] = None,
    check_mode: bool = False,
    identity: ClusterIdentity = _UNKNOWN,
    trust: catalog.Trust = _NOBODY,
    replaces: Optional[str] = None,
    future_point: Optional[str] = None,
    is_copy: bool = False,
) -> Opened:
    """Begin a point: write ``open.json``. With the id of a point that this run opened already, it is that point.

    ``identity`` is that of the cluster, as far as it is known by now; see ``check_same_cluster``. ``future_point`` is one of which somebody said that its
    time is wrong; see ``timing``. A copy stands for the time of its original, whatever is there.
    """
    check_same_cluster(location, cluster, identity, trust, replaces)
    if point_id is not None:
        try:
            there = catalog.read_opening(location, cluster, point_id)
        except PointError:
            pass
        else:
            if there.run_id == run_id:
                return Opened(there, False)
            raise ObjectExistsError(
                "Recovery point %s was opened by another run" % point_id,
                found="run %s of %s on %s at %s" % (there.run_id, there.user, there.controller, there.opened_at),
                remedy="open a point without naming an id",
            )
    there_before = sealed_ids(location, cluster)
    location.check_writable(1 << 20)
    timing.check_beginning(location, cluster, there_before, trust, future_point, is_copy, look_only=check_mode)
    opening = Opening(
        id=names.check_point_id(point_id) if point_id else names.new_point_id(),
        cluster_name=names.check_cluster_name(cluster),
        opened_at=names.format_time(names.now()),
        retain_until=names.format_time(names.parse_time(retain_until, "retain_until")),
        run_id=run_id,
        seen_before=timing.seen_before(there_before, SEEN_BEFORE_LIMIT),
        user=results.user_name(),
        controller=results.controller_name(),
    )
    if not check_mode:
        location.put_new(names.open_key(cluster, opening.id), opening.to_bytes(), opening.retain)
    return Opened(opening, True)


def sealed_ids(location: Location, cluster: str) -> List[str]:
    """Ids of all points that have a manifest, oldest first."""
    prefix = names.manifests_prefix(cluster)
    found = [stored.key[len(prefix) :] for stored in location.list(prefix)]
    return [name[: -len(".json")] for name in found if name.endswith(".json") and names.is_point_id(name[: -len(".json")])]


def draft(location: Location, cluster: str, point_id: str, evidence: Mapping[str, Any]) -> Manifest:
    """The manifest that sealing would write, out of what the backup brought together. Whatever a reader would refuse is refused now."""
    opening = catalog.read_opening(location, cluster, point_id)
    if not evidence.get("artifacts"):
        raise PointIncompleteError(
            "Recovery point %s is not sealed: it holds nothing at all" % point_id,
            found="no artifacts",
            remedy="see in the run's report why every artifact failed, correct it and start the backup again",
        )
    try:
        return _draft(location, opening, evidence)
    except ManifestError as error:
        raise ManifestError(
            error.message,
            tried="to make the manifest of recovery point %s" % point_id,
            remedy="what the backup handed over for sealing is wrong: correct the task that made it; the point is left unsealed",
            **error.details,
        ) from error


def _draft(location: Location, opening: Opening, evidence: Mapping[str, Any]) -> Manifest:
    cluster, point_id = opening.cluster_name, opening.id
    data = location.read(names.open_key(cluster, point_id), LARGEST_BYTES)
    what = "The list of artifacts"
    artifacts = [Artifact.from_record(record, "artifacts[%d]" % number, what) for number, record in enumerate(evidence.get("artifacts") or [])]
    missing = [
        Missing.from_record(record, "missing[%d]" % number, "The list of what is missing") for number, record in enumerate(evidence.get("missing") or [])
    ]
    identity = dict(evidence.get("cluster_identity") or {})
    etcd = evidence.get("etcd") or None
    revision = int(etcd.get("revision") or 0) if etcd else 0
    manifest = Manifest(
        id=point_id,
        cluster_name=cluster,
        cluster_identity=ClusterIdentity(identity.get("kube_system_uid"), identity.get("ca_sha256")),
        taken_at=evidence.get("taken_at") or (etcd or {}).get("taken_at") or opening.opened_at,
        opened_at=opening.opened_at,
        sealed_at=names.format_time(names.now()),
        status="partially_failed" if missing else "completed",
        retain_until=opening.retain_until,
        platform=evidence.get("platform") or "unknown",
        versions=dict(evidence.get("versions") or {}),
        artifacts=sorted(artifacts, key=lambda artifact: artifact.name),
        etcd=etcd,
        highest_revision=max(revision, int(evidence.get("highest_revision") or 0)),
        missing=missing,
        scope=sorted(evidence.get("scope") or []),
        seen_before=opening.seen_before,
        recipients=list(evidence.get("recipients") or []),
        checks=list(evidence.get("checks") or []),
        durations=dict(evidence.get("durations") or {}),
        origin=evidence.get("origin") or None,
        fingerprints=dict(evidence.get("fingerprints") or {}),
        names=dict(evidence.get("names") or {}),
        nodes=dict(evidence.get("nodes") or {}),
        open_sha256=hashlib.sha256(data).hexdigest(),
    )
    return Manifest.from_record(json.loads(manifest.to_bytes()))


def check_components(manifest: Manifest, required: Sequence[str]) -> None:
    """Refuse a point without the least that makes one."""
    absent = [component for component in required if component not in manifest.components]
    if absent:
        raise PointIncompleteError(
            "Recovery point %s is not sealed: it holds nothing of %s" % (manifest.id, " and ".join(absent)),
            found="components: %s" % ", ".join(manifest.components),
            remedy="see in the run's report why these failed, correct it and start the backup again; the point is left unsealed, and nobody will use it",
            missing_components=absent,
        )


def read_back(location: Location, manifest: Manifest) -> None:
    """Read every byte of every artifact from the location and compare with what was written."""
    for artifact in manifest.artifacts:
        try:
            found = sealing.hash_object(location, names.artifact_key(manifest.cluster_name, manifest.id, artifact.name))
        except ObjectMissingError as error:
            raise PointIncompleteError(
                "Recovery point %s is not sealed: %s is missing" % (manifest.id, artifact.name),
                tried="to read it back from %s" % location.describe(),
                remedy="start the backup again",
                artifact=artifact.name,
            ) from error
        if (found.sealed_sha256, found.sealed_size_bytes) != (artifact.sealed_sha256, artifact.sealed_size_bytes):
            raise ArtifactDamagedError(
                "Recovery point %s is not sealed: %s was read back with other bytes than were written" % (manifest.id, artifact.name),
                found="%d bytes, SHA-256 %s; expected %d bytes, %s"
                % (found.sealed_size_bytes, found.sealed_sha256, artifact.sealed_size_bytes, artifact.sealed_sha256),
                remedy="look at the storage of %s, then start the backup again" % location.describe(),
                artifact=artifact.name,
            )


def seal_point(location: Location, manifest: Manifest, how: Sealing, check_mode: bool = False) -> Sealed:
    """Read everything back, then write the signature, then the manifest, then read that back. A rerun after a kill goes on."""
    check_components(manifest, how.required_components)
    there = _already_sealed(location, manifest)
    if there is not None:
        return Sealed(there, False, location.size(names.signature_key(there.cluster_name, there.id)) is not None, _unlisted(location, there))
    if manifest.origin is None:
        check_same_cluster(location, manifest.cluster_name, manifest.cluster_identity, how.trust, how.replaces)
    timing.check_sealing(location, manifest, how.trust, look_only=check_mode)
    read_back(location, manifest)
    if check_mode:
        return Sealed(manifest, True, bool(how.signing_key), _unlisted(location, manifest))
    if how.run_directory:
        manifest = _keep_draft(manifest, os.path.join(how.run_directory, "manifest-%s.json" % manifest.id))
    key = names.manifest_key(manifest.cluster_name, manifest.id)
    data = manifest.to_bytes()
    if how.signing_key:
        _write_signature(location, manifest, data, how.signing_key, how.trust)
    location.put_new(key, data, manifest.retain)
    if location.read(key, LARGEST_BYTES) != data:
        raise ManifestError(
            "The manifest of %s was read back with other bytes than were written" % manifest.id,
            tried=location.describe(),
            remedy="look at the storage, then start the backup again",
        )
    if how.signing_key and how.trust.allowed_signers:
        catalog.read_manifest(location, manifest.cluster_name, manifest.id, how.trust)
    return Sealed(manifest, True, bool(how.signing_key), _unlisted(location, manifest))


def _write_signature(location: Location, manifest: Manifest, data: bytes, signing_key: str, trust: catalog.Trust) -> None:
    key = names.signature_key(manifest.cluster_name, manifest.id)
    what = "The new manifest of %s" % manifest.id
    signature = signing.sign(data, signing_key, signing.MANIFEST_NAMESPACE)
    if trust.allowed_signers:  # a key that no reader would believe is noticed before anything is written
        signing.verify(data, signature, signing.MANIFEST_NAMESPACE, trust.allowed_signers, what, trust.signer)
    try:
        there = location.read(key, signing.LARGEST_SIGNATURE_BYTES)
    except ObjectMissingError:
        location.put_new(key, signature, manifest.retain)
        return
    # An earlier attempt was killed between signature and manifest; its signature serves if it is for these bytes.
    try:
        signing.check_integrity(data, there, signing.MANIFEST_NAMESPACE, what)
    except SignatureError as error:
        raise ObjectExistsError(
            "Recovery point %s was being sealed with another content before" % manifest.id,
            tried="to write %s" % key,
            found="a signature for another manifest; nothing is ever rewritten",
            remedy="start the backup again; it opens a new point, and this one stays unsealed",
        ) from error


def _already_sealed(location: Location, manifest: Manifest) -> Optional[Manifest]:
    try:
        there = Manifest.from_bytes(location.read(names.manifest_key(manifest.cluster_name, manifest.id), LARGEST_BYTES))
    except ObjectMissingError:
        return None
    if _same_content(there, manifest):
        return there
    raise ObjectExistsError(
        "Recovery point %s is sealed already, with another content" % manifest.id,
        tried="to write %s" % names.manifest_key(manifest.cluster_name, manifest.id),
        found="differences in: %s" % ", ".join(_differences(there, manifest)),
        remedy="open a new recovery point; nothing is ever rewritten",
    )


def _same_content(earlier: Manifest, manifest: Manifest) -> bool:
    """Whether an earlier attempt sealed the same things. When it did so, and what the journal said by then, make no other point."""
    return replace(earlier, sealed_at=manifest.sealed_at, checks=manifest.checks, durations=manifest.durations) == manifest


def _differences(one: Manifest, other: Manifest) -> List[str]:
    left, right = one.to_record(), other.to_record()
    return sorted(name for name in left if left[name] != right[name])


def _keep_draft(manifest: Manifest, path: str) -> Manifest:
    """Keep the manifest's exact bytes on the controller, so that a rerun after a kill signs the same ones."""
    try:
        with open(path, "rb") as stream:
            kept = Manifest.from_bytes(stream.read(LARGEST_BYTES))
        if _same_content(kept, manifest):
            return kept
    except (OSError, ManifestError):
        pass  # none yet, or a torn one
    temporary = path + ".new"
    with open(temporary, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as stream:
        stream.write(manifest.to_bytes())
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(temporary, path)
    return manifest


def _unlisted(location: Location, manifest: Manifest) -> List[str]:
    prefix = "%s%s/" % (names.points_prefix(manifest.cluster_name), manifest.id)
    return catalog.unlisted_objects(manifest, {stored.key: stored.size_bytes for stored in location.list(prefix)})
