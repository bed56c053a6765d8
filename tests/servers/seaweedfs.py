# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SeaweedFS, built from the Go module proxy: master, volume, filer and S3 in one process."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

from tests.lab.cache import Cache, key_of
from tests.lab.commands import CONTAINED, run
from tests.ports import free_port
from tests.servers.real import RealServer

VERSION = "v0.0.0-20261109003541-7506e5f91cd6"
_PROGRAM = "github.com/seaweedfs/seaweedfs/weed"
# Its go.mod replaces modules, so `go install` refuses: it is built as what a module of our own needs.
_STEPS = (
    ("go", "mod", "init", "lifeboat-seaweedfs"),
    ("go", "get", f"{_PROGRAM}@{VERSION}"),
    ("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", "weed", _PROGRAM),
)


def weed() -> Path:
    """The program (minutes, once); two processes at once build it once."""

    def build(directory: Path) -> None:
        environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false -mod=mod"}
        for step in _STEPS:
            run([*CONTAINED, *step], environment=environment, directory=directory, timeout=3600)

    return Cache().entry("seaweedfs", key_of(*(word for step in _STEPS for word in step)), build) / "weed"


class SeaweedFS(RealServer):
    """`weed server` with its S3 gateway."""

    name = "SeaweedFS"

    def version(self) -> str:
        """Its release."""
        found = re.search(r"\b(\d+\.\d+)\b", run([weed(), "version"]).stdout)
        assert found
        return found.group(1)

    def start(self) -> None:
        """One process with many ports, all on loopback."""
        (self.directory / "data").mkdir(exist_ok=True)
        credentials = [{"accessKey": self.access_key, "secretKey": self.secret}]
        users = self.directory / "s3.json"
        users.write_text(json.dumps({"identities": [{"name": "owner", "credentials": credentials, "actions": ["Admin", "Read", "Write", "List", "Tagging"]}]}))
        users.chmod(0o600)
        command: list[str | Path] = [weed(), "server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-dir={self.directory / 'data'}", "-filer", "-s3"]
        for part in ("master", "volume", "filer", "s3"):
            command += [f"-{part}.port={free_port()}", f"-{part}.port.grpc={free_port()}"]
        self.port = int(str(command[-2]).rpartition("=")[2])
        # Each bucket takes volumes of its own; without a free one, every write is an internal error.
        command += [
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            "-volume.max=200",
            "-master.volumeSizeLimitMB=64",
            "-master.telemetry=false",
            f"-s3.config={users}",
        ]
        if self.certificate:
            command += [f"-s3.cert.file={self.certificate}", f"-s3.key.file={self.private_key}"]
        self.run_daemon("weed", command)
        self.wait("weed", self.serves)
