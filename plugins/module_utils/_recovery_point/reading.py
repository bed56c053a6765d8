# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading what one point says of itself: its manifest after its signature, its opening record, and whether what the manifest names is there."""

from __future__ import annotations

import hashlib
from typing import Any, Dict, List, Mapping, NamedTuple, Optional

from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.manifest.manifest import LARGEST_BYTES, Manifest, Opening
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.trust import signing
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.trust.trust import Trust
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage import names
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.errors import (
    AccessDeniedError,
    ClockSkewError,
    CredentialsExpiredError,
    DependencyMissingError,
    LocationSlowError,
    LocationVanishedError,
    ManifestError,
    NoRecoveryPointError,
    ObjectMissingError,
    OtherClusterError,
    PointIncompleteError,
    ServerRefusedError,
    ServerUnfitError,
    SignatureUncheckedError,
    SigningUnavailableError,
    UnsignedError,
)
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.location import Location

LARGEST_OPENING_BYTES = 8 << 20
# What these say is true of the whole location, or of this reader. It makes no single point broken.
OF_NO_POINT = (
    AccessDeniedError,
    ClockSkewError,
    CredentialsExpiredError,
    DependencyMissingError,
    LocationSlowError,
    LocationVanishedError,
    ServerUnfitError,
    SigningUnavailableError,
)
# A server that does not give one object, for a reason of its own: that object cannot be read now, and nothing more is known of it.
REFUSED = (ServerRefusedError,)


class SignedManifest(NamedTuple):
    """A manifest and what stands behind it: ``valid``, ``accepted`` (by id, without signature) or ``unchecked``."""

    manifest: Manifest
    signature: str
    signer: Optional[signing.Signer]

    @property
    def believable(self) -> bool:
        """Whether it may be acted on."""
        return self.signature in ("valid", "accepted")


def read_manifest(location: Location, cluster: str, point: str, trust: Trust) -> SignedManifest:
    """Read a manifest after its signature, and prove that it is the one of this cluster and point."""
    try:
        data = location.read(names.manifest_key(cluster, point), LARGEST_BYTES)
    except ObjectMissingError as error:
        raise NoRecoveryPointError(
            "There is no recovery point %s of cluster %s" % (point, cluster),
            tried="to read %s from %s" % (names.manifest_key(cluster, point), location.describe()),
            remedy="list them with lifeboat.cluster.list_recovery_points; a recovery point that was never sealed cannot be used",
        ) from error
    return check_manifest(location, cluster, point, trust, data)


def check_manifest(location: Location, cluster: str, point: str, trust: Trust, data: bytes) -> SignedManifest:
    signature, signer = _check_signature(location, cluster, point, trust, data, "The manifest of %s" % point)
    manifest = Manifest.from_bytes(data)
    if (manifest.cluster_name, manifest.id) != (cluster, point):
        raise OtherClusterError(
            "The manifest under the name of point %s of cluster %s is that of another one" % (point, cluster),
            found="it says cluster %s, point %s" % (manifest.cluster_name, manifest.id),
            remedy="somebody copied it there: use a point of this cluster, or look under the name of the other one",
            cluster_name=manifest.cluster_name,
            point=manifest.id,
        )
    return SignedManifest(manifest, signature, signer)


def read_believable(location: Location, cluster: str, point: str, trust: Trust) -> Manifest:
    """Read a manifest that may be acted on: signed by an allowed signer, or accepted by its id."""
    signed = read_manifest(location, cluster, point, trust)
    if not signed.believable:
        raise unchecked("Recovery point %s" % point)
    return signed.manifest


def unchecked(what: str) -> SignatureUncheckedError:
    """The error of somebody who does not say whose signature counts."""
    return SignatureUncheckedError(
        "%s cannot be believed: nobody said who may sign" % what,
        found="no allowed signers file is given",
        remedy='give lifeboat_allowed_signers; or, knowing by other means that it is sound, name its id: -e \'{"recovery_point_accept_unsigned": ["<id>"]}\'',
    )


def _check_signature(location: Location, cluster: str, point: str, trust: Trust, data: bytes, what: str) -> Any:
    accepted = point in trust.accept_unsigned
    try:
        signature = location.read(names.signature_key(cluster, point), signing.LARGEST_SIGNATURE_BYTES)
    except ObjectMissingError as error:
        if accepted:
            return "accepted", None
        raise UnsignedError(
            "%s is not signed" % what,
            tried="to read %s from %s" % (names.signature_key(cluster, point), location.describe()),
            remedy='use a signed point; if you know by other means that this one is sound, name its id: -e \'{"recovery_point_accept_unsigned": ["<id>"]}\'',
        ) from error
    if trust.allowed_signers is not None:
        return "valid", signing.verify(data, signature, signing.MANIFEST_NAMESPACE, trust.allowed_signers, what, trust.signer)
    signing.check_integrity(data, signature, signing.MANIFEST_NAMESPACE, what)
    return ("accepted" if accepted else "unchecked"), None


def read_opening(location: Location, cluster: str, point: str) -> Opening:
    """Read ``open.json`` of a point and prove that it is of this cluster and point."""
    try:
        data = location.read(names.open_key(cluster, point), LARGEST_OPENING_BYTES)
    except ObjectMissingError as error:
        raise NoRecoveryPointError(
            "Recovery point %s of cluster %s was not opened here" % (point, cluster),
            tried="to read %s from %s" % (names.open_key(cluster, point), location.describe()),
            remedy="open it first (lifeboat.cluster.recovery_point, state: opened); is the location the same, and mounted?",
        ) from error
    return opening_of(data, cluster, point)


def opening_of(data: bytes, cluster: str, point: str) -> Opening:
    opening = Opening.from_bytes(data)
    if (opening.cluster_name, opening.id) != (cluster, point):
        raise OtherClusterError(
            "open.json of point %s of cluster %s is that of another one" % (point, cluster),
            found="it says cluster %s, point %s" % (opening.cluster_name, opening.id),
            remedy="somebody copied it there: use a point of this cluster",
            cluster_name=opening.cluster_name,
            point=opening.id,
        )
    return opening


def check_opening(location: Location, manifest: Manifest) -> None:
    """Prove that ``open.json`` is still the one that the manifest was made for."""
    key = names.open_key(manifest.cluster_name, manifest.id)
    try:
        data = location.read(key, LARGEST_OPENING_BYTES)
    except ObjectMissingError as error:
        raise PointIncompleteError(
            "open.json of recovery point %s is missing" % manifest.id, tried=key, remedy="use another recovery point, or another copy of it"
        ) from error
    if hashlib.sha256(data).hexdigest() != manifest.open_sha256:
        raise ManifestError(
            "open.json of recovery point %s is not the one that its manifest names" % manifest.id,
            tried=key,
            remedy="it was edited or damaged: use another recovery point, or another copy of it",
        )


def check_listed(manifest: Manifest, sizes: Mapping[str, int]) -> List[str]:
    """Compare the listed sizes (by key) with the manifest; returns one sentence for each artifact that is not right."""
    problems: List[str] = []
    for artifact in manifest.artifacts:
        size = sizes.get(names.artifact_key(manifest.cluster_name, manifest.id, artifact.name))
        if size is None:
            problems.append("%s is missing" % artifact.name)
        elif size != artifact.sealed_size_bytes:
            problems.append("%s has %d bytes, not %d" % (artifact.name, size, artifact.sealed_size_bytes))
    return problems


def find_hidden(location: Location, manifest: Manifest, sizes: Dict[str, int]) -> List[str]:
    """Look by its key for what the manifest names and the listed sizes lack, and add it to them; returns the objects that hide it from listings."""
    keys = [names.artifact_key(manifest.cluster_name, manifest.id, artifact.name) for artifact in manifest.artifacts]
    there = {key: location.size(key) for key in [names.open_key(manifest.cluster_name, manifest.id), *keys] if key not in sizes}
    found = {key: size for key, size in there.items() if size is not None}
    sizes.update(found)
    directories = {key.rsplit("/", 1)[0] + "/" for key in found}
    return sorted({above for directory in directories for above in location.objects_above(directory)})


def hidden_areas(location: Location, listed: Mapping[str, Any]) -> List[str]:
    """Objects because of which nothing may be listed below these prefixes, of those whose listing is empty.

    Most servers list both an object and what lies below its name: where something is listed below it, it hides nothing.
    """
    shown = [prefix for prefix, found in listed.items() if found]
    return sorted({above for prefix, found in listed.items() if not found for above in location.objects_above(prefix, shown)})


def unlisted_objects(manifest: Manifest, sizes: Mapping[str, int]) -> List[str]:
    """Keys among the point's artifacts that the manifest does not name (a host that failed after its artifact was stored, or a stranger)."""
    named = {names.artifact_key(manifest.cluster_name, manifest.id, artifact.name) for artifact in manifest.artifacts}
    named.add(names.open_key(manifest.cluster_name, manifest.id))
    beginning = "%s%s/" % (names.points_prefix(manifest.cluster_name), manifest.id)
    return sorted(key for key in sizes if key.startswith(beginning) and key not in named)
