# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A recovery point once more, as a new point: sealed to other recipients, in another location, or both. The old one stays as it is.

Nothing is ever rewritten, so the key of a point cannot be changed: its artifacts are opened and sealed again under a new id, without a plain byte on any
disk. To another location alone, sealed bytes are copied as they are, which takes no private key.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any, Dict, List, NamedTuple, Optional, Sequence

from ansible_collections.lifeboat.cluster.plugins.module_utils._catalog import catalog
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point import points
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.manifest.manifest import LARGEST_BYTES, Artifact, Manifest, Opening
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.trust import age_keys, sealing
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.trust.trust import Trust
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage import names
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.errors import ManifestError, ObjectMissingError, PointError, SignatureError
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.location import Location
from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import LifeboatError

RESEALED = "sealed again to other recipients"
COPIED = "copied to another location"
_READERS = 8


class Wanted(NamedTuple):
    """What the copy is to be."""

    signing_key: str
    trust: Trust
    # None: the same recipients, and the same sealed bytes.
    recipients: Sequence[str] = ()
    identity_files: Sequence[str] = ()
    # Until the end of the original's time, and never less than so many days from now.
    retain_days: int = 30
    reason: str = ""
    run_id: str = "none"


class Copied(NamedTuple):
    """The copy: the new one, the one that was there already, or (in check mode) none yet."""

    manifest: Optional[Manifest]
    changed: bool


def copy_point(source: Location, target: Location, original: Manifest, wanted: Wanted, check_mode: bool = False) -> Copied:
    """Copy a believed point of ``source`` into ``target``, which may be the same location.

    No change when the target has a usable copy of it for the same recipients. What is refused leaves at most an unsealed point, which nobody uses and the
    catalog calls abandoned after a day; so does a killed copy, and the next one begins anew.
    """
    recipients = list(wanted.recipients) or original.recipients
    there = _there(source, target, original, recipients, wanted)
    if there is not None:
        return Copied(there, False)
    identities: List[Any] = []
    if wanted.recipients:
        age_keys.parse_recipients(recipients)
        identities = age_keys.load_identities(wanted.identity_files)
        _check_opens(source, original, identities)
    target.check_writable(original.size_bytes)
    known_as = _current_uid(source, original, wanted.trust)
    retain = max(original.retain, names.now() + timedelta(days=wanted.retain_days))
    opening = points.open_point(
        target,
        original.cluster_name,
        wanted.run_id,
        names.format_time(retain),
        check_mode=check_mode,
        identity=original.cluster_identity,
        trust=wanted.trust,
        replaces=known_as,
        is_copy=True,
    ).opening
    if check_mode:
        return Copied(None, True)
    try:
        return Copied(_copy(source, target, original, wanted, recipients, identities, opening, known_as), True)
    except LifeboatError as error:
        error.details.setdefault("unsealed_copy", opening.id)
        raise


def origin_of(source: Location, original: Manifest, wanted: Wanted) -> Dict[str, Any]:
    """What the manifest of the copy says of where it comes from."""
    return {
        "id": original.id,
        "location": source.describe(),
        "reason": wanted.reason or (RESEALED if wanted.recipients else COPIED),
        "copied_at": names.format_time(names.now()),
    }


# -- before anything is written -----------------------------------------------------------------------------------------------------


def _there(source: Location, target: Location, original: Manifest, recipients: Sequence[str], wanted: Wanted) -> Optional[Manifest]:
    """What makes a copy needless: the original itself, or a usable copy of it."""
    if source.describe() == target.describe():
        if not wanted.recipients:
            raise PointError(
                "A copy of recovery point %s in the same location for the same recipients would be of no use" % original.id,
                tried="to copy it within %s" % source.describe(),
                remedy="name other recipients to whom it is sealed, or another location",
            )
        if set(recipients) == set(original.recipients):
            return original
    later = [point for point in points.sealed_ids(target, original.cluster_name) if point > original.id]
    with ThreadPoolExecutor(max_workers=_READERS) as pool:
        claims = list(pool.map(lambda point: _claim(target, original.cluster_name, point), later))
    candidates = [claim.id for claim in claims if claim and _is_copy(claim, original, recipients)]
    if not candidates:
        return None
    found = catalog.Catalog(target, original.cluster_name, wanted.trust)
    for point in map(found.get, candidates):
        if point.usable and point.manifest and _is_copy(point.manifest, original, recipients):
            return point.manifest
    return None


def _claim(location: Location, cluster: str, point: str) -> Optional[Manifest]:
    """What a manifest says, before anybody looked at its signature."""
    try:
        return Manifest.from_bytes(location.read(names.manifest_key(cluster, point), LARGEST_BYTES))
    except (ManifestError, ObjectMissingError):
        return None


def _is_copy(manifest: Manifest, original: Manifest, recipients: Sequence[str]) -> bool:
    return (
        (manifest.origin or {}).get("id") == original.id
        and set(manifest.recipients) == set(recipients)
        and {artifact.name: artifact.plain_sha256 for artifact in manifest.artifacts}
        == {artifact.name: artifact.plain_sha256 for artifact in original.artifacts}
    )


def _check_opens(source: Location, original: Manifest, identities: Sequence[Any]) -> None:
    """Open the smallest artifact: a wrong key is said before a point is begun."""
    smallest = min(original.artifacts, key=lambda artifact: artifact.sealed_size_bytes)
    key = names.artifact_key(original.cluster_name, original.id, smallest.name)
    sealing.unseal_from(source, key, sealing.Discard(), identities, what=smallest.name, expected=smallest.digests, recipients=original.recipients)


def _current_uid(source: Location, original: Manifest, trust: Trust) -> Optional[str]:
    """Which cluster has the name now: an old point may be of the one in whose place it was built, and is copied nevertheless."""
    try:
        manifest = catalog.Catalog(source, original.cluster_name, trust).latest().manifest
    except (PointError, SignatureError):
        return None
    return manifest.cluster_identity.kube_system_uid if manifest else None


# -- copying ------------------------------------------------------------------------------------------------------------------------


def _copy(
    source: Location,
    target: Location,
    original: Manifest,
    wanted: Wanted,
    recipients: Sequence[str],
    identities: Sequence[Any],
    opening: Opening,
    known_as: Optional[str],
) -> Manifest:
    copies = [
        _seal_again(source, target, original, artifact, recipients, identities, opening)
        if wanted.recipients
        else _copy_sealed(source, target, original, artifact, opening)
        for artifact in original.artifacts
    ]
    evidence = dict(
        original.to_record(),
        artifacts=[artifact.to_record() for artifact in copies],
        recipients=list(recipients),
        origin=origin_of(source, original, wanted),
    )
    manifest = points.draft(target, original.cluster_name, opening.id, evidence)
    # What made the original a point, its own backup judged.
    how = points.Sealing(wanted.signing_key, replace(wanted.trust, accept_unsigned=()), required_components=(), replaces=known_as)
    return points.seal_point(target, manifest, how).manifest


def _seal_again(
    source: Location, target: Location, original: Manifest, artifact: Artifact, recipients: Sequence[str], identities: Sequence[Any], opening: Opening
) -> Artifact:
    """Open and seal in one stream. ``sealing.opened`` proves the old bytes; a copy of wrong ones is an object that no manifest names."""
    key = names.artifact_key(original.cluster_name, original.id, artifact.name)
    new_key = names.artifact_key(original.cluster_name, opening.id, artifact.name)
    with sealing.opened(source, key, identities, what=artifact.name, expected=artifact.digests, recipients=original.recipients) as plain:
        digests = sealing.seal_to(target, new_key, plain, recipients, _expect(artifact), opening.retain)
    return replace(artifact, sealed_sha256=digests.sealed_sha256, sealed_size_bytes=digests.sealed_size_bytes)


def _expect(artifact: Artifact) -> Any:
    def check(digests: sealing.Digests) -> None:
        expected = artifact.digests._replace(sealed_sha256=digests.sealed_sha256, sealed_size_bytes=digests.sealed_size_bytes)
        sealing.compare(digests, expected, artifact.name)

    return check


def _copy_sealed(source: Location, target: Location, original: Manifest, artifact: Artifact, opening: Opening) -> Artifact:
    key = names.artifact_key(original.cluster_name, original.id, artifact.name)
    new_key = names.artifact_key(original.cluster_name, opening.id, artifact.name)
    sealing.copy_sealed(source, key, target, new_key, artifact.digests, what=artifact.name, retain_until=opening.retain)
    return artifact
