# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a drill keeps its recovery points. Nothing of it is destroyed with the cluster; in a bucket, an intruder is at it before the recovery."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from botocore.exceptions import ClientError

from tests import environment
from tests.s3_server import REGION, S3Server

KINDS = ("directory", "s3")
BACKUP, RESTORE = "backup", "restore"
BUCKET = "lifeboat"
LOCK_MODE = "governance"
JUNK = b"laid over it by an intruder\n"
_POLICIES = environment.ROOT / "extensions" / "s3-policies"
_REFUSED = ("AccessDenied", "AccessForbidden", "ObjectLocked", "InvalidRequest")


class Place:
    """A location for the life of a drill. Jobs are BACKUP and RESTORE."""

    kind: str

    def __enter__(self) -> Place:
        """Make it."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """What was stored stays."""

    @property
    def options(self) -> dict[str, object]:
        """Its ``lifeboat_location``."""
        raise NotImplementedError

    def describe(self) -> str:
        """What it is, for the screen and the report."""
        raise NotImplementedError

    def process_environment(self, job: str) -> dict[str, str]:
        """What the playbook of a job finds in its environment."""
        del job
        return {}

    def secrets(self) -> dict[str, bytes]:
        """What must appear in no output, by name."""
        return {}

    def besides(self) -> list[Path]:
        """Where secrets of the location belong."""
        return []

    def manifests(self, cluster: str) -> list[bytes]:
        """The manifests of a cluster, the oldest point first."""
        raise NotImplementedError


class DirectoryPlace(Place):
    """A directory of the controller."""

    kind = "directory"

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def __enter__(self) -> DirectoryPlace:
        """Make the directory."""
        self._directory.mkdir(mode=0o700)
        return self

    @property
    def options(self) -> dict[str, object]:
        """Its ``lifeboat_location``."""
        return {"type": self.kind, "path": str(self._directory)}

    def describe(self) -> str:
        """Where it is."""
        return f"directory {self._directory}"

    def manifests(self, cluster: str) -> list[bytes]:
        """Files."""
        return [path.read_bytes() for path in sorted((self._directory / cluster / "manifests").glob("*.json"))]


@dataclass
class Overlay:
    """What an intruder did to a bucket, and what it looked like before: ETag of the only version by key."""

    before: dict[str, str]
    overwritten: int = 0
    deleted: int = 0
    refused_deletions: int = 0
    destroyed: list[str] = field(default_factory=list)


class S3Place(Place):
    """A bucket with object lock on a real S3 server of the drill's own, and one user for each job, with the policies that are shipped."""

    kind = "s3"

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._server = S3Server(directory)
        self._users: dict[str, dict[str, str]] = {}

    def __enter__(self) -> S3Place:
        """Start the server; make the bucket and its users."""
        self._directory.mkdir(mode=0o700)
        self._server.__enter__()
        self._server.create_bucket(BUCKET, object_lock=True)
        statements = []
        for job in (BACKUP, RESTORE):
            self._users[job] = self._server.create_user(f"{job}-job")
            policy = json.loads((_POLICIES / f"{job}.json").read_text().replace("LIFEBOAT_BUCKET", BUCKET))
            principal = {"AWS": [self._users[job]["AWS_ACCESS_KEY_ID"]]}
            statements += [{**statement, "Sid": f"{job}{statement['Sid']}", "Principal": principal} for statement in policy["Statement"]]
        self._server.client().put_bucket_policy(Bucket=BUCKET, Policy=json.dumps({"Version": "2012-10-17", "Statement": statements}))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """End the server."""
        self._server.__exit__(kind, error, trace)

    @property
    def options(self) -> dict[str, object]:
        """Its ``lifeboat_location``; credentials are in the environment alone."""
        return {
            "type": self.kind,
            "bucket": BUCKET,
            "endpoint_url": self._server.endpoint_url,
            "region": REGION,
            "addressing_style": "path",
            "object_lock_mode": LOCK_MODE,
        }

    def describe(self) -> str:
        """Which bucket, where."""
        return f"s3 bucket {BUCKET} with object lock ({LOCK_MODE}) at {self._server.endpoint_url}"

    def process_environment(self, job: str) -> dict[str, str]:
        """Credentials of the job's user."""
        return self._users[job]

    def secrets(self) -> dict[str, bytes]:
        """The secret halves of the credentials."""
        return {f"S3 credentials of the {job} job": user["AWS_SECRET_ACCESS_KEY"].encode() for job, user in self._users.items()}

    def besides(self) -> list[Path]:
        """The server's own list of users."""
        return [self._directory / "users"]

    def manifests(self, cluster: str) -> list[bytes]:
        """Oldest versions, as every reader has to read a bucket."""
        client = self._server.client()
        keys = {key: versions[-1] for key, versions in self._versions(f"{cluster}/manifests/").items() if key.endswith(".json")}
        return [client.get_object(Bucket=BUCKET, Key=key, VersionId=version["VersionId"])["Body"].read() for key, version in sorted(keys.items())]

    def _versions(self, prefix: str) -> dict[str, list[dict[str, Any]]]:
        """Versions by key, newest first; delete markers are left out."""
        found: dict[str, list[dict[str, Any]]] = {}
        for page in self._server.client().get_paginator("list_object_versions").paginate(Bucket=BUCKET, Prefix=prefix):
            for version in page.get("Versions", []):
                found.setdefault(version["Key"], []).append(version)
        return found

    def intrude(self, cluster: str) -> Overlay:
        """Do what can be done to a point without the right to remove versions.

        With the backup job's credentials every object is overwritten, and deleted as far as its policy allows (not at all). Then somebody whom no policy
        hinders lays a delete marker over every object, and tries to remove the originals too, which only their lock prevents.
        """
        originals = {key: versions[-1] for key, versions in self._versions(f"{cluster}/").items()}
        done = Overlay({key: version["ETag"] for key, version in originals.items()})
        job, owner = self._server.client(self._users[BACKUP]), self._server.client()
        for key, original in originals.items():
            with suppress(ClientError):
                job.put_object(Bucket=BUCKET, Key=key, Body=JUNK)
                done.overwritten += 1
            try:
                job.delete_object(Bucket=BUCKET, Key=key)
            except ClientError as error:
                if error.response["Error"]["Code"] not in _REFUSED:
                    raise
                done.refused_deletions += 1
            owner.delete_object(Bucket=BUCKET, Key=key)
            done.deleted += 1
            if "/points/" in key or "/manifests/" in key:
                with suppress(ClientError):
                    owner.delete_object(Bucket=BUCKET, Key=key, VersionId=original["VersionId"])
                    done.destroyed.append(key)
        return done

    def differences(self, overlay: Overlay) -> list[str]:
        """Keys whose oldest version is not what it was before the intruder, or that still show an object to those who read no versions."""
        now = self._versions("")
        wrong = [key for key, etag in overlay.before.items() if key not in now or now[key][-1]["ETag"] != etag]
        visible = {entry["Key"] for entry in self._server.client().list_objects_v2(Bucket=BUCKET).get("Contents", [])}
        return sorted({*wrong, *(visible & set(overlay.before))})


def open_place(kind: str, directory: Path) -> Place:
    """The location of a drill below a directory that is not there yet."""
    return {"directory": DirectoryPlace, "s3": S3Place}[kind](directory)
