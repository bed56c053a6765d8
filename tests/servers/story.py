# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked of every S3 server: the story of a bucket from its making to pruning, and single requests whose answers differ from server to server."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._catalog.copying import Wanted, copy_point
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.manifest import results
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.manifest.manifest import Manifest
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.verification import verification
from ansible_collections.lifeboat.cluster.plugins.module_utils._retention import pruning
from ansible_collections.lifeboat.cluster.plugins.module_utils._retention.retention import Policy
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage import names
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.errors import LocationError, NotEncryptedError, ObjectLockedError
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.preparation import Prepared, Wish, prepare
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.probing import Probing, Settings, probe
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.s3.s3 import S3Location
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.s3.s3_transfer import checksum_of
from tests.s3_server import REGION
from tests.servers.real import PATIENCE_SECONDS, RealServer
from tests.unit.plugins.module_utils._recovery_point.making import CA, CA_KEY, CLUSTER, Keys, Maker, make_keys, make_tar

LARGE_BYTES = 9 << 20  # more than one request takes
_LOCK_SECONDS = 12  # longer than a point takes to be written
_KEY = "shop/manifests/one.json"
_PART = "shop/points/one/in-parts"


def make_certificate(directory: Path) -> dict[str, Path]:
    """A certificate for loopback, and its key."""
    files = {"certificate": directory / "certificate.pem", "private_key": directory / "key.pem"}
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=s3"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(files["private_key"]), "-out", str(files["certificate"])]
    subprocess.run(command, check=True, capture_output=True)
    return files


@contextmanager
def credentials(server: RealServer) -> Iterator[None]:
    """The owner's, and none of this machine's, for as long as clients are made."""
    before = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    for name in before:
        del os.environ[name]
    os.environ.update(server.environment())
    try:
        yield
    finally:
        for name in server.environment():
            del os.environ[name]
        os.environ.update(before)


class Story:
    """One server, and what is tried on it."""

    def __init__(self, server: RealServer, directory: Path) -> None:
        self.server = server
        self.directory = directory
        self.keys: Keys = make_keys(directory / "keys")

    def options(self, bucket: str, **more: Any) -> dict[str, Any]:
        """The option ``location`` for a bucket."""
        found = {"type": "s3", "bucket": bucket, "endpoint_url": self.server.endpoint_url, "region": REGION, "addressing_style": "path", **more}
        return {**found, "ca_bundle": str(self.server.certificate)} if self.server.certificate else found

    def location(self, bucket: str, **more: Any) -> S3Location:
        """The bucket, as from another controller each time."""
        options = {name: value for name, value in self.options(bucket, **more).items() if name not in ("type", "bucket")}
        with credentials(self.server):
            return S3Location(bucket, **options)

    def prepared(self, bucket: str, **more: Any) -> Prepared:
        """Make it, or look what it lacks."""
        with credentials(self.server):
            return prepare(self.options(bucket, **more), Wish(create=True))

    def probed(self, location: S3Location) -> Probing:
        """Try everything that is relied upon."""
        return probe(location, CLUSTER, Settings())

    def maker(self, name: str, location: S3Location) -> Maker:
        """Makes points there."""
        directory = self.directory / name
        directory.mkdir(exist_ok=True)
        return Maker(directory, self.keys, location=location)

    def point(self, maker: Maker, retain_until: datetime, taken_at: datetime) -> Manifest:
        """A point with a large artifact and a small one."""
        opening = maker.open(names.format_time(retain_until))
        artifacts = [
            maker.add(opening.id, "etcd", "cp1", make_tar({"snapshot/notes.txt": os.urandom(LARGE_BYTES)})),
            maker.add(opening.id, "pki", "cp1", make_tar({"etc/kubernetes/pki/ca.crt": CA, "etc/kubernetes/pki/ca.key": CA_KEY}), inspect=True),
        ]
        return maker.seal(opening.id, artifacts, taken_at=names.format_time(taken_at))

    def run(self, name: str, location: S3Location) -> None:
        """Three points are made; the second is written over and deleted, the third verified and copied, the first pruned when its time is over."""
        maker, now = self.maker(name, location), datetime.now(timezone.utc)
        soon, later = now + timedelta(seconds=_LOCK_SECONDS), now + timedelta(days=1)
        first = self.point(maker, soon, now - timedelta(hours=2))
        if location.locks:
            for stored in location.list(f"{CLUSTER}/points/{first.id}/"):
                with pytest.raises(ObjectLockedError):
                    location.remove(stored.key)
        second = self.point(maker, later, now - timedelta(hours=1))
        third = self.point(maker, later, now)
        assert location.put_new(names.manifest_key(CLUSTER, third.id), location.read(names.manifest_key(CLUSTER, third.id), 1 << 20), later) is False
        for manifest in (first, second, third):
            assert verification.verify_point(self.location_again(location), manifest, "opened", [str(self.keys.identity_file)]).passed
        assert {point.id: point.state for point in maker.catalog().points} == dict.fromkeys((first.id, second.id, third.id), "complete")
        passed = results.new_result(CLUSTER, third.id, "verification", "opened", True, "run")
        results.append(location, passed, str(self.keys.signing_key), later)
        if location.bucket.versioned:
            self._overlay(maker, location, second)
        copy = copy_point(location, self.maker(f"{name}-copy", self.location_again(location, prefix="second")).location, third, self.wanted()).manifest
        assert copy is not None
        assert [artifact.sealed_sha256 for artifact in copy.artifacts] == [artifact.sealed_sha256 for artifact in third.artifacts]
        self._prune(maker, location, first)

    def wanted(self) -> Wanted:
        """The copy that is wanted."""
        return Wanted(str(self.keys.signing_key), self.keys.trust)

    def location_again(self, location: S3Location, **more: Any) -> S3Location:
        """The same bucket from another controller."""
        return self.location(location.bucket.name, object_lock_mode=location.mode, **more)

    def _overlay(self, maker: Maker, location: S3Location, manifest: Manifest) -> None:
        """With credentials that may write, everything of a point is written over and deleted: it lies on top, and is named."""
        client = self.server.client()
        keys = [stored.key for prefix in ("points", "manifests") for stored in maker.location.list(f"{CLUSTER}/{prefix}/") if manifest.id in stored.key]
        for key in keys:
            client.put_object(Bucket=location.bucket.name, Key=key, Body=b"pay")
            client.delete_object(Bucket=location.bucket.name, Key=key)
        found = maker.catalog().get(manifest.id)
        assert (found.state, found.usable, found.overlaid) == ("tampered", True, sorted(keys))
        assert verification.verify_point(maker.location, manifest, "opened", [str(self.keys.identity_file)]).passed

    def _prune(self, maker: Maker, location: S3Location, first: Manifest) -> None:
        """The first goes when its lock has ended; nothing else does, and what is gone is not in the list any more."""
        keys = [stored.key for stored in location.list(f"{CLUSTER}/points/{first.id}/")]
        keys += [names.manifest_key(CLUSTER, first.id), names.signature_key(CLUSTER, first.id)]
        deadline = time.monotonic() + PATIENCE_SECONDS
        while any(location.locked_until(key) for key in keys) or datetime.now(timezone.utc) < names.parse_time(first.retain_until):
            assert time.monotonic() < deadline
            time.sleep(0.5)
        done = self._pruned(location)
        assert (done.removed, done.left) == ([first.id], [])
        assert first.id not in maker.catalog().known

    def _pruned(self, location: S3Location) -> pruning.Outcome:
        trust = self.keys.trust
        plan = pruning.prepare(location, CLUSTER, trust, Policy(keep_last=1), names.now())
        return pruning.apply(location, plan, trust, str(self.keys.signing_key), "run")

    # -- what servers do differently ----------------------------------------------------------------------------------------------

    def facts(self) -> dict[str, str]:
        """The server's row of the table."""
        return {
            "version": self.server.version(),
            **self._locked_bucket(),
            **self._plain_bucket(),
            "checksum": self._checksum(),
            "encryption": self._encryption(),
        }

    def _locked_bucket(self) -> dict[str, str]:
        """A bucket that was made with locks, over TLS."""
        made = self.prepared("facts-locked", object_lock_mode="governance")
        location = self.location("facts-locked", object_lock_mode="governance")
        found = self.probed(location)
        checks = {check["id"]: check for check in found.checks}
        below = checks["names"]["found"]
        return {
            "versions": "yes" if made.after["versioning"] == "Enabled" else "no",
            "lock": "yes" if found.facts["locked"] else "no",
            "lock_later": self._lock_later(),
            "write_once": _said(checks["written"]["passed"] and checks["lock_holds"]["passed"]),
            "lock_in_parts": self._lock_in_parts(location) if checks["parts"]["passed"] else "no",
            "conditions_versioned": _conditions(found),
            "names": "both are listed" if below == "both are listed" else "refused" if "refused" in below else "the second is hidden",
            "tidy": "yes" if made.after["unfinished_uploads"].startswith("removed") else "no",
        }

    def _lock_later(self) -> str:
        """Whether a bucket without lock can get it."""
        self.server.create_bucket("facts-late", object_lock=False)
        try:
            self.prepared("facts-late", object_lock_mode="governance")
        except LocationError:
            return "no"
        return "yes"

    def _lock_in_parts(self, location: S3Location) -> str:
        """Whether the lock that the request asks for is kept, or has to be set afterwards."""
        client, until = self.server.client(), datetime.now(timezone.utc) + timedelta(seconds=_LOCK_SECONDS)
        lock = {"ObjectLockMode": "GOVERNANCE", "ObjectLockRetainUntilDate": until}
        name = {"Bucket": location.bucket.name, "Key": _PART}
        upload = client.create_multipart_upload(**name, ChecksumAlgorithm="CRC32", **lock)["UploadId"]
        checksum = {"ChecksumCRC32": checksum_of(b"part")}
        part = client.upload_part(**name, UploadId=upload, PartNumber=1, Body=b"part", **checksum)
        parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"], **checksum}]}
        client.complete_multipart_upload(**name, UploadId=upload, MultipartUpload=parts)
        return "yes" if client.head_object(**name).get("ObjectLockRetainUntilDate") else "set afterwards"

    def _plain_bucket(self) -> dict[str, str]:
        """A bucket without versions."""
        self.server.create_bucket("facts-plain", object_lock=False, versioning=False)
        found = self.probed(self.location("facts-plain"))
        checks = {check["id"]: check for check in found.checks}
        return {"conditions_plain": _conditions(found), "replaces": "refused by the check" if not checks["links"]["passed"] else "works"}

    def _checksum(self) -> str:
        """Whether wrong bytes are noticed."""
        from botocore.exceptions import ClientError

        try:
            self.server.client().put_object(Bucket="facts-plain", Key=_KEY, Body=b"bytes", ChecksumCRC32=checksum_of(b"others"))
        except ClientError:
            return "yes"
        return "no"

    def _encryption(self) -> str:
        """What comes of server_side_encryption, on a server without keys."""
        location = self.location("facts-plain", server_side_encryption="AES256")
        try:
            location.put_new(_KEY + ".encrypted", b"bytes")
        except NotEncryptedError:
            return "ignored, and so refused here"
        except LocationError:
            return "refused"
        return "yes"


def _said(met: bool) -> str:
    return "yes" if met else "no"


def _conditions(found: Probing) -> str:
    return " / ".join("yes" if found.facts["conditions"][way] else "no" for way in ("single", "parts"))
