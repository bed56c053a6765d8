# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all S3 servers of these tests have in common: processes that die with the test, on loopback, and clients of their owner."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.lab.commands import tail_of
from tests.s3_server import REGION, parse_once

PATIENCE_SECONDS = 120.0
_ROOT = "lifeboat-root"


class RealServer:
    """A server of several processes and one directory."""

    name = ""

    def __init__(self, directory: Path, *, certificate: Path | None = None, private_key: Path | None = None) -> None:
        """``directory`` is made. With a certificate the server speaks TLS only."""
        self.directory = directory
        self.certificate = certificate
        self.private_key = private_key
        self.access_key = _ROOT
        self.secret = secrets.token_hex(20)
        self.port = 0
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """Start all of it and wait until it serves."""
        raise NotImplementedError

    def version(self) -> str:
        """What the program says of itself."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        """Start it."""
        self.directory.mkdir(parents=True, exist_ok=True)
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """End it."""
        self.stop()

    def stop(self) -> None:
        """End its processes, the last one first."""
        while self._processes:
            process = self._processes.pop()
            process.kill()
            process.wait()

    def run_daemon(self, title: str, command: Sequence[str | Path], environment: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
        """One process, with a log of its own."""
        with self.log(title).open("ab") as log:
            process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *command],
                cwd=self.directory,
                env=dict(environment or os.environ),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self._processes.append(process)
        return process

    def log(self, title: str) -> Path:
        """What a process says."""
        return self.directory / f"{title}.log"

    def wait(self, title: str, condition: Callable[[], bool]) -> None:
        """Until it is so, as long as all processes live."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            for process in self._processes:
                assert process.poll() is None, f"{self.name}: {title} ended: {tail_of(self.log(title))}"
            assert time.monotonic() < deadline, f"{self.name}: {title} does not answer: {tail_of(self.log(title))}"
            time.sleep(0.1)

    @staticmethod
    def listens(port: int) -> bool:
        """Whether somebody accepts connections there."""
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    @property
    def endpoint_url(self) -> str:
        """Where it answers."""
        return f"{'https' if self.certificate else 'http'}://127.0.0.1:{self.port}"

    def environment(self) -> dict[str, str]:
        """What a client of the owner has in its environment; it shuts out the machine's own settings."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def client(self) -> Any:
        """A boto3 client of the owner."""
        import boto3
        from botocore.config import Config

        parse_once()
        session = boto3.session.Session(self.access_key, self.secret, region_name=REGION)
        # Checksums as trailers are not for every server; the product sends none, and this client asks for none.
        config = Config(s3={"addressing_style": "path"}, request_checksum_calculation="when_required")
        return session.client("s3", endpoint_url=self.endpoint_url, verify=str(self.certificate) if self.certificate else None, config=config)

    def serves(self) -> bool:
        """Whether it lists its buckets."""
        from botocore.exceptions import BotoCoreError, ClientError

        if not self.listens(self.port):
            return False
        try:
            self.client().list_buckets()
        except (BotoCoreError, ClientError):
            return False
        return True

    def create_bucket(self, name: str, object_lock: bool = True, versioning: bool = True) -> None:
        """A bucket with versions and object lock; with versions only; or plain."""
        client = self.client()
        client.create_bucket(Bucket=name, ObjectLockEnabledForBucket=object_lock)
        if versioning and not object_lock:
            client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
