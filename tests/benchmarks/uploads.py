# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sealing a file into a bucket beside `zstd | age` and a plain multipart upload, and into a directory beside `zstd | age` and fsync."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

from tests import environment
from tests.benchmarks.measure import Measurement, alternate
from tests.s3_server import S3Server

BUCKET = "backups"
# One process for each measured run, as a controller would start it. Both sides add a checksum to every part and sign no bodies, as over TLS; ours also
# hashes the plain and the sealed bytes for the manifest. It prints its peak memory in KiB (VmHWM: what ru_maxrss says begins with the parent's).
SEAL = """
import sys
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage import filesystem
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.s3 import s3
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.trust.sealing import seal_to
path, directory, endpoint, bucket, name, recipient = sys.argv[1:]
location = filesystem.FilesystemLocation(directory) if directory else s3.S3Location(bucket, endpoint_url=endpoint)
with open(path, "rb") as source:
    seal_to(location, name, source, [recipient])
print([line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")][0])
"""
# boto3's own transfer manager, as its command line program uses it: parts of 8 MiB, ten at once.
UPLOAD = """
import sys
import boto3
from botocore.config import Config
endpoint, bucket, name, path = sys.argv[1:]
client = boto3.client("s3", endpoint_url=endpoint, config=Config(s3={"payload_signing_enabled": False}))
if path == "-":
    client.upload_fileobj(sys.stdin.buffer, bucket, name)
else:
    client.upload_file(path, bucket, name)
"""


class Bench:
    """A file of which half can be compressed, a bucket with object lock, a directory, and a recipient."""

    def __init__(self, scratch: Path, server: S3Server, megabytes: int) -> None:
        self._scratch = scratch
        self._server = server
        self._number = 0
        self.peaks: list[int] = []
        self.location = scratch / "location"
        self.location.mkdir()
        self.source = scratch / "source.db"
        with self.source.open("wb") as file:
            for _number in range(megabytes):
                file.write(os.urandom(500_000) + (b"kubernetes " * 45_455)[:500_000])
        subprocess.run(["age-keygen", "-o", scratch / "age.key"], check=True, capture_output=True)
        self.recipient = subprocess.run(["age-keygen", "-y", scratch / "age.key"], check=True, capture_output=True, text=True).stdout.strip()
        server.create_bucket(BUCKET)
        self._variables = {**os.environ, **server.environment(), "PYTHONPATH": str(environment.collection_tree())}

    def _fresh(self) -> str:
        self._number += 1
        return f"bench/{self._number}"

    def _remove(self, name: str) -> None:
        client = self._server.client()
        for version in client.list_object_versions(Bucket=BUCKET, Prefix=name)["Versions"]:
            client.delete_object(Bucket=BUCKET, Key=version["Key"], VersionId=version["VersionId"])

    def _seal(self, directory: str, name: str) -> None:
        command = [sys.executable, "-c", SEAL, str(self.source), directory, self._server.endpoint_url, BUCKET, name, self.recipient]
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=self._variables)
        self.peaks.append(int(done.stdout) // 1024)

    def into_bucket(self) -> None:
        """Ours."""
        name = self._fresh()
        self._seal("", name)
        self._remove(name)

    def into_directory(self) -> None:
        """Ours."""
        name = self._fresh()
        self._seal(str(self.location), name)
        (self.location / name).unlink()

    def _shell(self, command: str) -> None:
        subprocess.run(["bash", "-o", "pipefail", "-ec", command], check=True, env=self._variables)

    def _typed(self, *words: str | Path) -> str:
        return " ".join(shlex.quote(str(word)) for word in words)

    @property
    def _pipe(self) -> str:
        return f"zstd -q -3 -c {self._typed(self.source)} | age -r {self.recipient}"

    def piped(self) -> None:
        """What a person types for a directory."""
        target = self._scratch / "piped.age"
        self._shell(f"{self._pipe} > {self._typed(target)} && sync {self._typed(target)}")
        target.unlink()

    def piped_and_uploaded(self) -> None:
        """What a person types for a bucket: seal, then upload."""
        name, target = self._fresh(), self._scratch / "piped.age"
        upload = self._typed(sys.executable, "-c", UPLOAD, self._server.endpoint_url, BUCKET, name, target)
        self._shell(f"{self._pipe} > {self._typed(target)} && {upload}")
        target.unlink()
        self._remove(name)

    def piped_into_upload(self) -> None:
        """The same with the upload at the end of the pipe."""
        name = self._fresh()
        self._shell(f"{self._pipe} | {self._typed(sys.executable, '-c', UPLOAD, self._server.endpoint_url, BUCKET, name, '-')}")
        self._remove(name)


def measure(scratch: Path, megabytes: int, runs: int) -> list[Measurement]:
    """All figures around sealing and uploading."""
    with S3Server(scratch / "s3") as server:
        bench = Bench(scratch, server, megabytes)
        results = []
        for name, ours, baseline, to_reach, beside in (
            ("seal_upload", bench.into_bucket, bench.piped_and_uploaded, 1.3, "zstd | age, then a multipart upload"),
            ("seal_upload_stream", bench.into_bucket, bench.piped_into_upload, None, "zstd | age | a multipart upload"),
            ("seal_directory", bench.into_directory, bench.piped, None, "zstd | age, and fsync"),
        ):
            bench.peaks.clear()
            seconds = alternate(ours, baseline, runs)
            results.append(Measurement(name, *seconds, to_reach, f"{megabytes} MB, beside {beside}; peak memory {max(bench.peaks)} MB (to stay below 200)"))
        return results
