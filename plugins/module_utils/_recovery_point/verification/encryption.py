# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a recovery point holds the keys that its snapshot is encrypted with: judged for each control plane, before the seal and at verification.

Of each control plane the very file counts that its API server names. Keys stay in memory; what is returned names providers and keys.
"""

from __future__ import annotations

import tarfile
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import IO, Any, Collection, Dict, List, Mapping, Optional, Sequence, Set, Tuple

from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.snapshot.inventory import Inventory
from ansible_collections.lifeboat.cluster.plugins.module_utils._pki.encryption import (
    KINDS,
    Configuration,
    EncryptionConfigurationError,
    Judgement,
    Stored,
    judge,
)
from ansible_collections.lifeboat.cluster.plugins.module_utils._pki.inspect import ENCRYPTION_OPTION
from ansible_collections.lifeboat.cluster.plugins.module_utils._pki.stored import DEFAULT_PREFIX, uid_of
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.manifest.manifest import Artifact, Manifest
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.trust import sealing
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.verification.archives import read_archive
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage import names
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.location import Location

PKI = "pki"
API_SERVER = "kube-apiserver"


@dataclass(frozen=True)
class Proof:
    """What the captured configuration of one control plane can read of the snapshot."""

    host: str
    # The file that the API server names, as it lies on the machine; empty where it names none.
    configuration: str = ""
    proven: Sequence[str] = ()
    named: Sequence[str] = ()
    kms: Sequence[Mapping[str, str]] = ()
    problems: Sequence[str] = ()
    kube_system_uid: str = ""

    def as_result(self) -> Dict[str, Any]:
        """Fields for a module's result."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_result(cls, record: Mapping[str, Any]) -> Proof:
        """Read what ``as_result`` gave."""
        return cls(**{name: record[name] for name in cls.__dataclass_fields__})


def named_file(in_use: Mapping[str, Any], static_pods: Sequence[Mapping[str, Any]] = ()) -> str:
    """The file that an API server names. Where none runs, a captured manifest knows better than its text where the file lies on the machine."""
    if in_use.get("source") != "process":
        for pod in static_pods:
            if pod.get("program") == API_SERVER and pod.get("encryption_file"):
                return str(pod["encryption_file"])
    return str(in_use.get("file") or "")


def prove(host: str, in_use: Mapping[str, Any], file: str, content: Optional[bytes], stored: Stored) -> Proof:
    """Judge the captured content of the file that the API server of a control plane names; None where it was not captured."""
    problem = ""
    if not in_use.get("known"):
        problem = "no API server runs, and nothing says which encryption configuration it would use"
    elif not file:
        problem = "its API server names no encryption configuration"
    elif content is None:
        problem = "%s, which its API server names, was not captured" % file
    if problem or content is None:
        return Proof(host, file, problems=(problem,))
    return _of_judgement(host, file, content, stored)


def _of_judgement(host: str, file: str, content: bytes, stored: Stored) -> Proof:
    try:
        found = judge(Configuration.parse(content, file), stored)
    except EncryptionConfigurationError as error:
        return Proof(host, file, problems=(error.message + (": " + error.found if error.found else ""),))
    return _proof(host, file, found)


def _proof(host: str, file: str, found: Judgement) -> Proof:
    uid = uid_of(found.kube_system) if found.kube_system else ""
    problems = tuple("%s: %s" % (file, problem) for problem in found.problems)
    return Proof(host, file, found.proven, found.named, found.kms, problems, uid)


@dataclass(frozen=True)
class Coverage:
    """The verdict over all control planes."""

    needed: bool
    proofs: Tuple[Proof, ...] = ()
    not_captured: Tuple[str, ...] = ()
    problems: Tuple[str, ...] = ()

    @property
    def covered(self) -> bool:
        """Whether everything that is encrypted can be read with what was captured of each control plane."""
        return not self.problems

    @property
    def kms(self) -> List[Dict[str, str]]:
        """Providers whose keys lie in no point."""
        found = {(str(one["name"]), str(one["version"])): dict(one) for proof in self.proofs for one in proof.kms}
        return [found[place] for place in sorted(found)]

    @property
    def found(self) -> str:
        """In words."""
        if not self.needed:
            return "nothing is encrypted"
        texts = list(self.problems)
        if not texts:
            opened = sorted({label for proof in self.proofs for label in proof.proven})
            named = sorted({label for proof in self.proofs for label in proof.named})
            texts = ["opened: " + ", ".join(opened)] if opened else []
            texts += ["named: " + ", ".join(named)] if named else []
            texts += ["KMS: " + ", ".join(one["name"] for one in self.kms)] if self.kms else []
            texts.append("on " + ", ".join(proof.host for proof in self.proofs))
        if self.not_captured:
            texts.append("not captured: " + ", ".join(self.not_captured))
        return "; ".join(texts)

    def as_record(self) -> Dict[str, Any]:
        """For the manifest: which file of each control plane was judged, and what came of it. No key."""
        return {
            "needed": self.needed,
            "covered": self.covered,
            "hosts": {proof.host: {"configuration": proof.configuration, "proven": list(proof.proven), "named": list(proof.named)} for proof in self.proofs},
            "not_captured": list(self.not_captured),
            "kms": self.kms,
        }


def cover(stored: Stored, proofs: Sequence[Proof], expected: Sequence[str], unreachable: Sequence[str], told_uid: str = "") -> Coverage:
    """Judge what was proven: every control plane that the backup could reach has to have passed, and one of them has to be there."""
    if not stored.encrypted:
        return Coverage(False)
    proofs = sorted(proofs, key=lambda proof: proof.host)
    seen = {proof.host for proof in proofs}
    missing = [host for host in expected if host not in seen]
    problems = ["%s: %s" % (proof.host, problem) for proof in proofs for problem in proof.problems]
    problems += ["%s: nobody looked at its encryption configuration" % host for host in missing if host not in unreachable]
    if not proofs:
        problems.append("no control plane was captured, and the snapshot holds encrypted values")
    problems += [
        "%s: the snapshot's kube-system is %s, the API server says %s" % (proof.host, proof.kube_system_uid, told_uid)
        for proof in proofs
        if told_uid and proof.kube_system_uid and proof.kube_system_uid != told_uid
    ]
    return Coverage(True, tuple(proofs), tuple(host for host in missing if host in unreachable), tuple(problems))


# -- reading a sealed point -----------------------------------------------------------------------------------------------------------


class Reader:
    """Keeps the configurations in the artifacts of a point, in memory, and judges them by the snapshot."""

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest
        self._files: Dict[Tuple[str, str], bytes] = {}
        self._stored: Optional[Stored] = Stored.from_record(manifest.etcd or {}) if (manifest.etcd or {}).get("store") in ("v2", "both") else None
        self._uid = ""
        self._pods: Dict[str, List[Mapping[str, Any]]] = {}
        for artifact in manifest.artifacts:
            self._pods.setdefault(artifact.host, []).extend(artifact.contents.get("static_pods") or [])

    @property
    def prefixes(self) -> List[str]:
        """Below which prefixes the API servers kept their objects when the point was taken."""
        return list((self._manifest.etcd or {}).get("registry_keys") or [DEFAULT_PREFIX])

    def add_file(self, host: str, path: str, content: bytes) -> None:
        """Look at one file of an artifact."""
        if any(kind.encode() in content for kind in KINDS):
            self._files[host, "/" + path.lstrip("/")] = content

    def add_snapshot(self, inventory: Inventory) -> None:
        """What the snapshot holds."""
        self._stored = Stored.from_record(inventory.as_result(), inventory.samples)
        self._uid = inventory.kube_system.uid

    @property
    def hosts(self) -> List[str]:
        """The control planes of the point: as its writer judged them; of a point of before, those with an API server, or with such a file."""
        recorded = sorted(self._recorded)
        if recorded:
            return recorded
        running = sorted(host for host, pods in self._pods.items() if any(pod.get("program") == API_SERVER for pod in pods))
        return running or sorted({host for host, _path in self._files})

    @property
    def _recorded(self) -> Dict[str, Mapping[str, Any]]:
        return dict(((self._manifest.etcd or {}).get("encryption_coverage") or {}).get("hosts") or {})

    def configuration(self, host: str) -> Tuple[str, Optional[bytes]]:
        """The file that the API server of a host names, and its content in the point."""
        recorded = str((self._recorded.get(host) or {}).get("configuration") or "")
        if recorded:
            return recorded, self._files.get((host, recorded))
        for pod in self._pods.get(host, ()):
            option = (pod.get("options") or {}).get(ENCRYPTION_OPTION)
            if pod.get("program") == API_SERVER and option:
                named = str(pod.get("encryption_file") or option)
                return named, self._files.get((host, named))
        # A point of before, of an API server that is no static pod.
        files = sorted(path for owner, path in self._files if owner == host)
        return (files[0], self._files[host, files[0]]) if files else ("", None)

    def checks(self, without: Collection[str] = ()) -> List[Dict[str, Any]]:
        """That every encrypted value can be read, and that the snapshot is of this cluster. Hosts ``without`` readable artifacts are not judged."""
        stored = self._stored or Stored(())
        proofs = [self._proof(host, stored) for host in self.hosts if host not in without] if stored.encrypted else []
        coverage = cover(stored, proofs, [], [])
        known = self._manifest.cluster_identity.kube_system_uid
        uids = {uid for uid in (self._uid, *(proof.kube_system_uid for proof in proofs)) if uid}
        return [
            {
                "id": "recovery_point_encryption",
                "title": "Encrypted values open with the captured keys",
                "passed": coverage.covered,
                "found": coverage.found,
                "expected": "the keys of every control plane in the point open what the snapshot holds",
            },
            {
                "id": "recovery_point_identity",
                "title": "The snapshot is of the cluster that the point is of",
                "passed": not known or uids <= {known},
                "found": "kube-system is %s" % (", ".join(sorted(uids)) or "not known"),
                "expected": "kube-system with UID %s" % known if known else "the point does not say of which cluster it is",
            },
        ]

    def configurations(self, first: str) -> List[Configuration]:
        """Those of all control planes, that of one host first; one that cannot be read is left out."""
        found: List[Configuration] = []
        for host in sorted(set(self.hosts) | {first}, key=lambda host: (host != first, host)):
            file, content = self.configuration(host)
            with suppress(EncryptionConfigurationError):
                found += [Configuration.parse(content, file)] if content is not None else []
        return found

    def _proof(self, host: str, stored: Stored) -> Proof:
        file, content = self.configuration(host)
        return prove(host, {"known": True}, file, content, stored)


def open_configurations(location: Location, manifest: Manifest, identities: Sequence[Any], first: str) -> List[Configuration]:
    """The encryption configurations of a point, opened into memory; that of one host first."""
    reader = Reader(manifest)
    for artifact in manifest.artifacts:
        wanted = {str(entry.get("path")) for entry in artifact.contents.get("encryption") or []}
        if not wanted:
            continue

        def visit(member: tarfile.TarInfo, content: IO[bytes], artifact: Artifact = artifact, wanted: Set[str] = wanted) -> None:
            if member.name in wanted:
                reader.add_file(artifact.host, member.name, content.read())

        key = names.artifact_key(manifest.cluster_name, manifest.id, artifact.name)
        with sealing.opened(location, key, identities, what=artifact.name, expected=artifact.digests, recipients=manifest.recipients) as plain:
            read_archive(plain, artifact.name, visit)
    return reader.configurations(first)
