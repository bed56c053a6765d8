# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verification of a sealed point: every statement is a check with what was found and what was expected."""

from __future__ import annotations

import os
import shutil
import tarfile
import tempfile
from typing import IO, Any, Dict, List, Mapping, NamedTuple, Optional, Sequence

from ansible_collections.lifeboat.cluster.plugins.module_utils._catalog import catalog
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.errors import BackupInvalid
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.restore.elf import MAGIC
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.snapshot.snapshot import prove, record_of, store_inventory
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.v2 import v2_artifact
from ansible_collections.lifeboat.cluster.plugins.module_utils._pki.inspect import LARGEST_FILE_BYTES, Inspector
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.manifest.manifest import Artifact, Manifest
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.reading import find_hidden
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.trust import age_keys, sealing
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.verification.archives import ArchiveSummary, read_archive
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.verification.encryption import PKI, Reader
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage import names
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.errors import (
    ArtifactDamagedError,
    IdentityRefusedError,
    LocationFullError,
    WrongIdentityError,
)
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.location import Location
from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import LifeboatError

_BLOCK = 1 << 20
# What these say is true of the controller or of the whole location, and of no artifact.
_OF_NO_ARTIFACT = (*catalog.OF_NO_POINT, IdentityRefusedError, LocationFullError)


class Verification(NamedTuple):
    """The checks, one record for each artifact, and problems that belong to none of them."""

    checks: List[Dict[str, Any]]
    artifacts: List[Dict[str, Any]]
    others: List[str] = []

    @property
    def damaged(self) -> List[str]:
        """Artifacts that are missing, are not what was sealed, or were not given by the server. One that is only sealed to other keys is not damaged."""
        return [record["name"] for record in self.artifacts if record["problem"] and not record["other_key"]]

    def bearable(self, accepted: Sequence[str]) -> bool:
        """Whether nothing is wrong but damage of artifacts that were accepted, each by its name."""
        return not self.others and all(record["name"] in accepted and not record["other_key"] for record in self.artifacts if record["problem"])

    @property
    def passed(self) -> bool:
        """Whether every check was met."""
        return all(entry["passed"] for entry in self.checks)

    @property
    def judged(self) -> bool:
        """Whether it says something of the point: not when artifacts are sealed to other keys than those given, or the server refused them, and no more."""
        problems = [record for record in self.artifacts if record["problem"]]
        return not problems or not all(record["other_key"] or record["refused"] for record in problems)


def check(identifier: str, title: str, passed: bool, found: Any, expected: Any) -> Dict[str, Any]:
    """One check in the form of the check action."""
    return {"id": identifier, "title": title, "passed": bool(passed), "found": found, "expected": expected}


def usable(point: str, error: Optional[LifeboatError], signed: Optional[catalog.SignedManifest] = None) -> Dict[str, Any]:
    """The check that a point may be used at all: sealed, signed by an allowed signer, of this cluster, with everything there."""
    if error is not None:
        found = "%s%s" % (error.message, ": " + error.found if error.found else "")
    else:
        found = "signed by %s" % signed.signer.principal if signed and signed.signer else "accepted by its id, without a signature"
    return check(
        "recovery_point_usable",
        "Recovery point %s is sealed, believed and whole" % point,
        error is None,
        found,
        "a sealed point of this cluster, signed by an allowed signer",
    )


def verify_point(
    location: Location, manifest: Manifest, level: str, identity_files: Sequence[str] = (), working_directory: Optional[str] = None
) -> Verification:
    """Verify a point whose manifest is believed already, up to a level of reading. Damage of one artifact hinders nobody from reading the others."""
    return _Verifier(location, manifest, identity_files, working_directory).run(level)


class _Verifier:
    def __init__(self, location: Location, manifest: Manifest, identity_files: Sequence[str], working_directory: Optional[str]) -> None:
        self._location = location
        self._manifest = manifest
        self._identity_files = identity_files
        self._working_directory = working_directory
        self._snapshots: List[Dict[str, Any]] = []
        # What is wrong with the contents of an artifact that opens, by its name.
        self._snapshot_problems: Dict[str, List[str]] = {}
        self._certificate_problems: Dict[str, List[str]] = {}
        self._certificates = 0
        self._encryption = Reader(manifest)
        self._records: Dict[str, Dict[str, Any]] = {
            artifact.name: {
                "name": artifact.name,
                "host": artifact.host,
                "size_bytes": artifact.sealed_size_bytes,
                "listed": None,
                "hashed": None,
                "opened": None,
                # Whether nothing is wrong with it but that it is sealed to other keys than those given.
                "other_key": False,
                # Whether the server did not give it, for a reason of its own.
                "refused": False,
                "problem": None,
            }
            for artifact in manifest.artifacts
        }

    def run(self, level: str) -> Verification:
        """Every level includes those below it."""
        checks = [self._listed()]
        reading = [artifact for artifact in self._manifest.artifacts if self._records[artifact.name]["listed"]]
        if level == "hashed":
            for artifact in reading:
                self._hash(artifact)
            checks.append(self._hashed())
        elif level == "opened":
            identities = age_keys.load_identities(self._identity_files)
            for artifact in reading:
                self._open(artifact, identities)
            others = self._judge_contents()
            checks += [self._hashed(), self._opened(), self._certificates_check()]
            if self._manifest.has_snapshot:
                encryption = self._encryption.checks(without=self._hosts_without_keys())
                checks += [*encryption, self._snapshot_check(others)]
                others += [entry["found"] for entry in encryption if not entry["passed"]]
            return Verification(checks, list(self._records.values()), others)
        return Verification(checks, list(self._records.values()))

    def _hosts_without_keys(self) -> List[str]:
        """Hosts whose keys could not be read here: that is said of their artifact, and says nothing of what it holds."""
        return [artifact.host for artifact in self._manifest.artifacts if artifact.component == PKI and self._records[artifact.name]["problem"]]

    def _judge_contents(self) -> List[str]:
        """Lay each problem of the contents at the door of its artifact; returns those that belong to none."""
        others: List[str] = []
        if self._manifest.has_snapshot:
            self._compare_snapshots()
            if not self._snapshots and not self._snapshot_problems:
                holders = [artifact.name for artifact in self._manifest.artifacts if artifact.component == "etcd"]
                problem = "no snapshot (a file named *.db) lies in the artifacts of component etcd"
                self._snapshot_problems = {name: [problem] for name in holders}
                others = [] if holders else [problem]
        else:
            self._snapshot_problems = {}
        for problems in (self._snapshot_problems, self._certificate_problems):
            for name, found in problems.items():
                # What did not open says so already; that its contents are wrong too only follows from it.
                self._records[name]["problem"] = self._records[name]["problem"] or "; ".join(found)
        return others

    def _compare_snapshots(self) -> None:
        recorded = self._manifest.etcd or {}
        for snapshot in self._snapshots:
            self._snapshot_problems.setdefault(snapshot["artifact"], []).extend(
                "%s of the snapshot is %s, not %s" % (field, snapshot.get(field), recorded[field])
                for field in ("sha256", "size_bytes", "revision")
                if recorded.get(field) is not None and snapshot.get(field) != recorded[field]
            )
        self._snapshot_problems = {name: found for name, found in self._snapshot_problems.items() if found}

    # -- checks -------------------------------------------------------------------------------------------------------------------

    def _listed(self) -> Dict[str, Any]:
        beginning = "%s%s/" % (names.points_prefix(self._manifest.cluster_name), self._manifest.id)
        sizes = {stored.key: stored.size_bytes for stored in self._location.list(beginning)}
        find_hidden(self._location, self._manifest, sizes)
        problems = catalog.check_listed(self._manifest, sizes)
        for record in self._records.values():
            record["listed"] = True
        for problem in problems:
            record = self._records[problem.split(" ", 1)[0]]
            record.update({"listed": False, "problem": problem})
        return self._summary("recovery_point_listed", "Every artifact is there with its size", "listed")

    def _hashed(self) -> Dict[str, Any]:
        return self._summary("recovery_point_hashed", "Every byte of every artifact is the one that was sealed", "hashed")

    def _opened(self) -> Dict[str, Any]:
        return self._summary("recovery_point_opened", "Every artifact decrypts, unpacks to its end, and is what was put in", "opened")

    def _summary(self, identifier: str, title: str, field: str) -> Dict[str, Any]:
        wrong = [record for record in self._records.values() if not record[field]]
        count = len(self._records)
        found = "%d of %d artifacts" % (count - len(wrong), count)
        if wrong:
            found += "; not: " + "; ".join(record["problem"] or "%s was not reached" % record["name"] for record in wrong)
        return check(identifier, title, not wrong, found, "%d of %d artifacts" % (count, count))

    def _certificates_check(self) -> Dict[str, Any]:
        found = "%d certificates, as recorded" % self._certificates
        return check(
            "recovery_point_certificates",
            "Certificates and keys in the artifacts are the recorded ones",
            not self._certificate_problems,
            "; ".join(_all_of(self._certificate_problems)) or found,
            "the certificates and keys that the manifest records",
        )

    def _snapshot_check(self, others: Sequence[str]) -> Dict[str, Any]:
        recorded = self._manifest.etcd or {}
        problems = list(dict.fromkeys([*others, *_all_of(self._snapshot_problems)]))
        good = "; ".join("revision %s, %s keys" % (snapshot.get("revision"), snapshot.get("keys_total")) for snapshot in self._snapshots)
        return check(
            "recovery_point_snapshot",
            "The etcd snapshot is whole and at the recorded revision",
            not problems,
            "; ".join(problems) or good,
            "revision %s, SHA-256 %s" % (recorded.get("revision"), recorded.get("sha256")),
        )

    # -- reading ------------------------------------------------------------------------------------------------------------------

    def _hash(self, artifact: Artifact) -> None:
        record = self._records[artifact.name]
        try:
            found = sealing.hash_object(self._location, self._key(artifact))
        except _OF_NO_ARTIFACT:
            raise
        except (LifeboatError, OSError) as error:
            told = "%s cannot be read: %s" % (artifact.name, error)
            record.update({"hashed": False, "refused": isinstance(error, catalog.REFUSED), "problem": told})
            return
        record["hashed"] = found.sealed_sha256 == artifact.sealed_sha256
        if not record["hashed"]:
            record["problem"] = "%s has SHA-256 %s, not %s" % (artifact.name, found.sealed_sha256, artifact.sealed_sha256)

    def _open(self, artifact: Artifact, identities: Sequence[Any]) -> None:
        record = self._records[artifact.name]
        inspector = Inspector()
        try:
            with sealing.opened(
                self._location, self._key(artifact), identities, what=artifact.name, expected=artifact.digests, recipients=self._manifest.recipients
            ) as plain:
                summary = self._read(artifact, plain, inspector)
        except _OF_NO_ARTIFACT:
            raise
        except (LifeboatError, OSError) as error:
            # Say apart whether the stored bytes changed, or only this key or content is wrong.
            self._hash(artifact)
            record["opened"] = False
            record["other_key"] = bool(record["hashed"]) and isinstance(error, WrongIdentityError)
            record["problem"] = record["problem"] or _told(artifact.name, error)
            return
        record.update({"hashed": True, "opened": True})
        if summary is not None:
            self._compare_contents(artifact, summary, inspector)

    def _read(self, artifact: Artifact, plain: IO[bytes], inspector: Inspector) -> Optional[ArchiveSummary]:
        if not names.is_tar(artifact.name):
            if artifact.component == "etcd" and artifact.name.endswith(".db.zst.age"):
                self._check_snapshot(artifact, artifact.name, plain, artifact.plain_size_bytes)
            elif artifact.component == "tools":
                self._check_program(artifact, plain)
            return None
        if artifact.component == "etcd" and (self._manifest.etcd or {}).get("store") in ("v2", "both"):
            self._check_v2_backup(artifact, plain)
            return None
        inspecting = "certificates" in artifact.contents

        def visit(member: tarfile.TarInfo, content: IO[bytes]) -> None:
            if artifact.component == "etcd" and member.name.endswith(".db") and "/v2/" not in member.name:
                self._check_snapshot(artifact, "%s in %s" % (member.name, artifact.name), content, member.size)
            elif inspecting and member.size <= LARGEST_FILE_BYTES:
                data = content.read()
                inspector.add(member.name, data)
                self._encryption.add_file(artifact.host, member.name, data)

        return read_archive(plain, artifact.name, visit)

    def _compare_contents(self, artifact: Artifact, summary: ArchiveSummary, inspector: Inspector) -> None:
        recorded = artifact.contents.get("entries")
        if recorded is not None and recorded != summary.entries:
            self._records[artifact.name].update({"opened": False, "problem": "%s has %d entries, not %d" % (artifact.name, summary.entries, recorded)})
        if "certificates" not in artifact.contents:
            return
        found = inspector.report()
        problems: List[str] = []
        self._certificates += len(found["certificates"])
        for field, key in (("certificates", "fingerprint_sha256"), ("keys", "public_key_sha256")):
            before = _fingerprints(artifact.contents.get(field) or [], key)
            after = _fingerprints(found[field], key)
            for path in sorted(set(before.items()) ^ set(after.items())):
                problems.append("%s in %s differs from the manifest" % (path[0], artifact.name))
        for entry in found["unreadable"]:
            if entry not in (artifact.contents.get("unreadable") or []):
                problems.append("%s in %s: %s" % (entry["path"], artifact.name, entry["reason"]))
        if problems:
            self._certificate_problems[artifact.name] = problems

    def _check_snapshot(self, artifact: Artifact, what: str, content: IO[bytes], size: int) -> None:
        """Put the snapshot into a private directory, look at it, remove it."""
        directory = tempfile.mkdtemp(prefix="lifeboat-verify-", dir=self._working_directory)
        try:
            space = shutil.disk_usage(directory).free
            if space < size + (64 << 20):
                raise LocationFullError(
                    "There is too little space to look at the etcd snapshot",
                    tried="%d bytes for %s in %s" % (size, what, directory),
                    found="%d bytes free" % space,
                    remedy="give working_directory another path",
                )
            path = os.path.join(directory, "snapshot.plain")
            with open(path, "wb", opener=lambda name, flags: os.open(name, flags | os.O_EXCL, 0o600)) as target:
                shutil.copyfileobj(content, target, _BLOCK)
            self._inspect_snapshot(artifact, what, path)
        finally:
            shutil.rmtree(directory)

    def _check_v2_backup(self, artifact: Artifact, content: IO[bytes]) -> None:
        """Both stores in one file, which proves itself by the digests in its record."""

        store = (self._manifest.etcd or {}).get("store")
        try:
            record = v2_artifact.read(content, artifact.name).record
            counted = {"revision": record["v2"]["index"], "keys_total": record["v2"]["keys_total"]} if store == "v2" else record["v3"]
        except BackupInvalid as error:
            self._snapshot_problems.setdefault(artifact.name, []).append("%s: %s" % (artifact.name, _told(artifact.name, error)))
        else:
            proven = {"artifact": artifact.name, "sha256": artifact.plain_sha256, "size_bytes": artifact.plain_size_bytes}
            self._snapshots.append({**proven, "revision": counted["revision"], "keys_total": counted["keys_total"]})
        # Only at its end is it known whether it decrypts.
        while content.read(_BLOCK):
            pass

    @staticmethod
    def _check_program(artifact: Artifact, content: IO[bytes]) -> None:
        """Its bytes are proven by their hash; that they are those of a program was the writer's word."""
        head = content.read(len(MAGIC))
        # Nothing at all comes from what does not decrypt, which is said better there.
        if head != MAGIC and (head or not artifact.plain_size_bytes):
            raise ArtifactDamagedError(
                "%s is not a Linux program" % artifact.name,
                found="it begins with %r" % head,
                remedy="use the etcdutl of another recovery point",
                artifact=artifact.name,
            )

    def _inspect_snapshot(self, artifact: Artifact, what: str, path: str) -> None:
        try:
            proof = prove(path)
            inventory = store_inventory(path, prefixes=self._encryption.prefixes)
            found = record_of(proof, inventory)
        except LifeboatError as error:
            self._snapshot_problems.setdefault(artifact.name, []).append("%s: %s" % (what, _told(what, error)))
            return
        self._snapshots.append(dict(found, artifact=artifact.name))
        self._encryption.add_snapshot(inventory)

    def _key(self, artifact: Artifact) -> str:
        return names.artifact_key(self._manifest.cluster_name, self._manifest.id, artifact.name)


def _all_of(problems: Mapping[str, Sequence[str]]) -> List[str]:
    return [problem for found in problems.values() for problem in found]


def _told(what: str, error: Exception) -> str:
    if isinstance(error, LifeboatError):
        return error.message + (": " + error.found if error.found else "")
    return "%s cannot be read: %s" % (what, error)


def _fingerprints(entries: Sequence[Mapping[str, Any]], key: str) -> Dict[str, Any]:
    return {"%s#%s" % (entry.get("path"), entry.get("number", entry.get("type"))): entry.get(key) for entry in entries}
