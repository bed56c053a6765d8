# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Proof that each private key that is kept opens what the backups are sealed to: one key at a time, against a real point."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Dict, Iterable, List, Mapping, NamedTuple, Optional, Sequence

from ansible_collections.lifeboat.cluster.plugins.module_utils._catalog import catalog
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.manifest import results
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.manifest.manifest import Artifact, Manifest
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.manifest.results import ResultName
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.trust import age_keys, sealing
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.trust.trust import Trust
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage import names
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.errors import DependencyMissingError, IdentityRefusedError
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.location import Location
from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import LifeboatError, how_to_install

KIND = "escrow"


class Key(NamedTuple):
    """A private key: its public half, where it lies, and itself as pyrage knows it. Only the first two are ever shown."""

    recipient: str
    path: str
    identity: Any


@dataclass(frozen=True)
class Attempt:
    """What one recipient's private key opened."""

    recipient: str
    # Identity files that hold its private key; none means that nobody gave it.
    paths: List[str] = field(default_factory=list)
    artifacts: List[str] = field(default_factory=list)
    problem: str = ""

    @property
    def proven(self) -> bool:
        """Whether it opened all that it was tried on."""
        return bool(self.artifacts) and not self.problem

    def to_record(self) -> Dict[str, Any]:
        """As plain data."""
        return {"recipient": self.recipient, "identity_files": self.paths, "proven": self.proven, "artifacts": self.artifacts, "problem": self.problem}


class Proof(NamedTuple):
    """All recipients of a point, and the given keys that are none of them."""

    attempts: List[Attempt]
    strangers: List[Key]

    @property
    def proven(self) -> List[str]:
        """Recipients whose key opened the point."""
        return [attempt.recipient for attempt in self.attempts if attempt.proven]

    @property
    def failed(self) -> List[str]:
        """Recipients whose key was given and did not open it."""
        return [attempt.recipient for attempt in self.attempts if attempt.problem]


class Proven(NamedTuple):
    """When a recipient's key was last tried, according to a signed result."""

    at: datetime
    passed: bool
    point: str


def normal(recipient: str) -> str:
    """A recipient without what does not count: blanks around it, and the comment of an SSH key."""
    words = recipient.split()
    return " ".join(words[:2]) if words and words[0].startswith("ssh-") else recipient.strip()


def keys_in(paths: Iterable[str]) -> List[Key]:
    """Every private key in the identity files with its public half, in the order given, each once."""
    found: Dict[str, Key] = {}
    for path in paths:
        for identity in age_keys.load_identities([path]):
            recipient = str(identity.to_public()) if hasattr(identity, "to_public") else _ssh_public(path)
            found.setdefault(recipient, Key(recipient, path, identity))
    return list(found.values())


def _ssh_public(path: str) -> str:
    """The public half of an SSH private key: age's library knows how to use one, not how to name it."""
    try:
        from cryptography.hazmat.primitives import serialization
    except ImportError as error:
        raise DependencyMissingError(
            "The Python package cryptography is not there",
            tried="to import it on the controller",
            found=str(error),
            remedy=how_to_install("cryptography"),
        ) from error
    with open(path, "rb") as stream:
        content = stream.read(1 << 20)
    public: Optional[bytes] = None
    for load in (serialization.load_ssh_private_key, serialization.load_pem_private_key):
        try:
            public = load(content, None).public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
            break
        except (ValueError, TypeError):
            continue
    if public is None:  # outside of the handlers: an error of the library may quote the key
        raise IdentityRefusedError("The public half of an SSH private key cannot be read", tried=path, remedy="use an ed25519 or RSA key without passphrase")
    return normal(public.decode("ascii"))


def prove(location: Location, manifest: Manifest, keys: Sequence[Key], prove_all: bool = False) -> Proof:
    """Let each key alone open the smallest artifact of a believed point to its end, or all of them; hashes have to be the sealed ones."""
    recipients = [normal(recipient) for recipient in manifest.recipients]
    chosen = sorted(manifest.artifacts, key=lambda artifact: (artifact.sealed_size_bytes, artifact.name))
    by_recipient = {key.recipient: key for key in keys}
    attempts = [
        _attempt(location, manifest, by_recipient[recipient], chosen if prove_all else chosen[:1]) if recipient in by_recipient else Attempt(recipient)
        for recipient in recipients
    ]
    return Proof(attempts, [key for key in keys if key.recipient not in recipients])


def _attempt(location: Location, manifest: Manifest, key: Key, artifacts: Sequence[Artifact]) -> Attempt:
    opened: List[str] = []
    try:
        for artifact in artifacts:
            where = names.artifact_key(manifest.cluster_name, manifest.id, artifact.name)
            sealing.unseal_from(
                location, where, sealing.Discard(), [key.identity], what=artifact.name, expected=artifact.digests, recipients=manifest.recipients
            )
            opened.append(artifact.name)
    except (*catalog.OF_NO_POINT, *catalog.REFUSED):  # says nothing about the key
        raise
    except LifeboatError as error:
        return Attempt(key.recipient, [key.path], opened, "%s%s" % (error.message, ": " + error.found if error.found else ""))
    return Attempt(key.recipient, [key.path], opened)


def details(proof: Proof) -> Dict[str, Any]:
    """What a result of this kind records."""
    return {"recipients": proof.proven, "failed": proof.failed}


def last_proofs(location: Location, cluster: str, found: Mapping[str, Sequence[ResultName]], recipients: Iterable[str], trust: Trust) -> Dict[str, Proven]:
    """When each recipient's key was last tried, newest first and only until all are known.

    ``found`` has the names of results by point. Results that no allowed signer signed prove nothing and are passed over.
    """
    wanted = set(recipients)
    proofs: Dict[str, Proven] = {}
    ordered = sorted(((name.at, not name.passed, point, name) for point, each in found.items() for name in each if name.kind == KIND), reverse=True)
    for _at, _failed, point, name in ordered:
        if wanted <= set(proofs):
            break
        try:
            said = results.read_believed(location, name, cluster, point, trust).details
        except catalog.OF_NO_POINT:
            raise
        except LifeboatError:
            continue
        for field_name, passed in (("failed", False), ("recipients", True)):
            for recipient in wanted.intersection(map(str, said.get(field_name) or [])):
                proofs.setdefault(recipient, Proven(name.at, passed, point))
    return proofs
