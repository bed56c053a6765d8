# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real S3 server on loopback for tests: versitygw on plain files, with versions, object lock and several users.

Its directory needs extended attributes of users: ext4 and xfs have them, tmpfs from Linux 6.6 on.

    with S3Server(tmp_path / "s3") as server:
        server.create_bucket("backups")
        writer = server.create_user("writer", {"backups": WRITER_ACTIONS})
        client = server.client(writer)
"""

from __future__ import annotations

import functools
import json
import os
import secrets
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.lab.cache import Cache, key_of
from tests.lab.commands import CONTAINED, run, tail_of

VERSION = "1.8.0"
REGION = "us-east-1"
PATIENCE_SECONDS = 60.0
_PACKAGE = f"github.com/versity/versitygw/cmd/versitygw@v{VERSION}"
_BUILD = ("go", "install", "-trimpath", "-ldflags", "-s -w", _PACKAGE)
_ROOT = "lifeboat-root"
_HEALTH = "/health"
_LISTENING = "0A"  # TCP_LISTEN in /proc/net/tcp

READER_ACTIONS = (
    "s3:ListBucket",
    "s3:ListBucketVersions",
    "s3:GetObject",
    "s3:GetObjectVersion",
    "s3:GetObjectRetention",
    "s3:GetBucketObjectLockConfiguration",
    "s3:GetBucketVersioning",
)
# Whoever backs up: may lay things on top (every PUT and plain DELETE does), but has no right over older versions.
WRITER_ACTIONS = (
    *READER_ACTIONS,
    "s3:PutObject",
    "s3:DeleteObject",
    "s3:PutObjectRetention",
    "s3:AbortMultipartUpload",
    "s3:ListMultipartUploadParts",
    "s3:ListBucketMultipartUploads",
)
# Whoever prunes: also removes versions.
PRUNER_ACTIONS = (*WRITER_ACTIONS, "s3:DeleteObjectVersion")


def versitygw() -> Path:
    """The program, built from the Go module proxy (minutes, once); two processes at once build it once."""

    def build(directory: Path) -> None:
        environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false", "GOBIN": str(directory)}
        run([*CONTAINED, *_BUILD], environment=environment, directory=directory, timeout=3600)

    return Cache().entry("versitygw", key_of(*_BUILD), build) / "versitygw"


class S3Server:
    """One versitygw process and its directory. It dies with the thread that started it."""

    def __init__(self, directory: Path, *, certificate: Path | None = None, private_key: Path | None = None) -> None:
        """``directory`` is made; buckets are directories below ``data``. With a certificate the server speaks TLS only."""
        self.directory = directory
        self._scheme = "https" if certificate else "http"
        self._tls = ["--cert", str(certificate), "--key", str(private_key)] if certificate else []
        self._secret = secrets.token_hex(20)
        self._statements: dict[str, list[dict[str, Any]]] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    # -- its life -----------------------------------------------------------------------------------------------------------------

    def __enter__(self) -> S3Server:
        """Start it, and wait until it answers."""
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """End it."""
        self.stop()

    def start(self, port: int = 0) -> None:
        """Start it on a port that the kernel chooses, or on a given one, and wait until it answers."""
        assert self._process is None, "it runs already"
        parse_once()
        for name in ("data", "versions", "users"):
            (self.directory / name).mkdir(parents=True, exist_ok=True)
        command: list[str | Path] = ["setpriv", "--pdeathsig", "KILL", versitygw(), "--port", f"127.0.0.1:{port}", "--region", REGION, *self._tls]
        # Without the cache, a user who is removed or gets another secret is another user at once.
        command += ["--iam-dir", self.directory / "users", "--iam-cache-disable", "--keep-alive", "--quiet", "--health", _HEALTH]
        command += ["posix", "--versioning-dir", self.directory / "versions", self.directory / "data"]
        environment = {**os.environ, "ROOT_ACCESS_KEY_ID": _ROOT, "ROOT_SECRET_ACCESS_KEY": self._secret}
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        try:
            self._wait()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End it; everything stays in its directory, and it can be started again."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _wait(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not self._answers(self._process.pid):
            assert self._process.poll() is None, f"versitygw ended: {tail_of(self.log)}"
            assert time.monotonic() < deadline, f"versitygw does not answer: {tail_of(self.log)}"
            time.sleep(0.05)

    def _answers(self, pid: int) -> bool:
        self.port = _listening_port(pid)
        if not self.port:
            return False
        if self._tls:
            return True
        try:
            with urllib.request.urlopen(self.endpoint_url + _HEALTH, timeout=PATIENCE_SECONDS) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    # -- where it is --------------------------------------------------------------------------------------------------------------

    @property
    def endpoint_url(self) -> str:
        """Where it answers."""
        return f"{self._scheme}://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        """What it says."""
        return self.directory / "versitygw.log"

    @property
    def data(self) -> Path:
        """One directory per bucket."""
        return self.directory / "data"

    def files(self, bucket: str) -> list[Path]:
        """The files of a bucket that hold the newest versions, for tests that damage them; only what has a name as an object."""
        top = self.data / bucket
        return sorted(path for path in top.rglob("*") if path.is_file() and path.relative_to(top).parts[0] != ".sgwtmp")

    def older_files(self, bucket: str) -> list[Path]:
        """The files that hold versions with something above them; empty ones are delete markers."""
        top = self.directory / "versions" / bucket
        return sorted(path for path in top.rglob("*") if path.is_file() and path.relative_to(top).parts[0] != ".sgwtmp")

    # -- users and buckets --------------------------------------------------------------------------------------------------------

    def environment(self, access_key: str = _ROOT, secret: str = "") -> dict[str, str]:
        """What a client of the root user (or another one) has in its environment; it shuts out the machine's own settings."""
        return {
            "AWS_ACCESS_KEY_ID": access_key,
            "AWS_SECRET_ACCESS_KEY": secret or self._secret,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    @functools.cached_property
    def _owner(self) -> Any:
        return self.client()

    def client(self, environment: Mapping[str, str] | None = None, **options: Any) -> Any:
        """A boto3 client of the root user, or of the user whose environment is given."""
        import boto3

        parse_once()
        given = environment or self.environment()
        session = boto3.session.Session(given["AWS_ACCESS_KEY_ID"], given["AWS_SECRET_ACCESS_KEY"], region_name=REGION)
        return session.client("s3", **{"endpoint_url": self.endpoint_url, **options})

    def create_bucket(self, name: str, object_lock: bool = True, versioning: bool = True) -> None:
        """A bucket with versions and object lock; with versions only; or plain. versitygw has no lock without versions."""
        client = self._owner
        client.create_bucket(Bucket=name, ObjectLockEnabledForBucket=object_lock)
        if versioning or object_lock:
            client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})

    def create_user(self, name: str, policy: Mapping[str, Sequence[str]] | None = None) -> dict[str, str]:
        """A user who may do these actions (``s3:...``) in these buckets and nothing else; returns the environment of its clients."""
        secret = secrets.token_hex(20)
        self._admin("create-user", "--access", name, "--secret", secret, "--role", "user")
        for bucket, actions in (policy or {}).items():
            self.allow(name, bucket, actions)
        return self.environment(name, secret)

    def allow(self, name: str, bucket: str, actions: Sequence[str]) -> None:
        """From now on the user may do exactly these actions in the bucket."""
        arn = f"arn:aws:s3:::{bucket}"
        statements = [statement for statement in self._statements.get(bucket, []) if statement["Principal"]["AWS"] != name]
        of_bucket = [action for action in actions if "Bucket" in action]
        of_objects = [action for action in actions if "Bucket" not in action]
        for chosen, resource in ((of_bucket, arn), (of_objects, f"{arn}/*")):
            if chosen:
                statements.append({"Effect": "Allow", "Principal": {"AWS": name}, "Action": chosen, "Resource": resource})
        self._statements[bucket] = statements
        if statements:
            self._owner.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": statements}))
        else:
            self._owner.delete_bucket_policy(Bucket=bucket)

    def change_secret(self, name: str) -> dict[str, str]:
        """The user's old secret is worth nothing from now on; returns the new environment."""
        secret = secrets.token_hex(20)
        self._admin("update-user", "--access", name, "--secret", secret)
        return self.environment(name, secret)

    def delete_user(self, name: str) -> None:
        """The user is gone."""
        self._admin("delete-user", "--access", name)

    def _admin(self, *arguments: str) -> None:
        environment = {**os.environ, "ADMIN_ACCESS_KEY_ID": _ROOT, "ADMIN_SECRET_ACCESS_KEY": self._secret}
        command: list[str | Path] = [versitygw(), "admin", "--region", REGION, "--allow-insecure", "--endpoint-url", self.endpoint_url, *arguments]
        run(command, environment=environment, timeout=PATIENCE_SECONDS)


def parse_once() -> None:
    """Let all clients of this process share what botocore knows of S3: for each it would parse megabytes of JSON again, most of a short test's time."""
    import botocore.session

    if not hasattr(botocore.session.create_loader, "cache_info"):
        botocore.session.create_loader = functools.lru_cache(maxsize=None)(botocore.session.create_loader)


def _listening_port(pid: int) -> int:
    """The port that a process listens on, 0 when it does not yet: it chose a free one itself, so nobody can be faster."""
    try:
        inodes = {os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir()}
    except OSError:  # it ends, or becomes another program, at this moment
        return 0
    for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[3] == _LISTENING and f"socket:[{fields[9]}]" in inodes:
            return int(fields[1].rpartition(":")[2], 16)
    return 0
