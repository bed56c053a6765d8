# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Locations to test, as their options describe them."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.location import Location
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.locations import open_location
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.s3.s3 import S3Location
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.s3.s3_bucket import Limits
from tests.s3_server import S3Server

KINDS = ("directory", "nfs", "s3")
PART = 5 << 20  # S3 allows no smaller ones
LIMITS = Limits(attempts=4, connect_timeout_seconds=5.0, read_timeout_seconds=20.0, part_bytes=PART, page_keys=7)


class Place:
    """A place where locations can be opened, several times as by several controllers."""

    def __init__(self, options: dict[str, Any]) -> None:
        self.options = options
        self.kind: str = options["type"]

    def open(self) -> Location:
        """The location, as from another controller each time."""
        return open_location(self.options)

    def in_a_child(self, program: str, *arguments: str, before: Sequence[str] = ()) -> subprocess.Popen[bytes]:
        """A program in another process, started by ``before`` if given, that finds the location in a variable of this name."""
        beginning = f"import json, sys\nfrom {open_location.__module__} import open_location\nlocation = open_location(json.loads(sys.argv[1]))\n"
        environment = dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path))
        command = [*before, sys.executable, "-c", beginning + program, json.dumps(self.options), *arguments]
        return subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


class S3Place(Place):
    """A bucket."""

    def __init__(self, server: S3Server, bucket: str, **options: Any) -> None:
        super().__init__({"type": "s3", "bucket": bucket, "endpoint_url": server.endpoint_url, **options})
        self.server = server
        self.bucket = bucket

    def open(self, limits: Limits = LIMITS, **options: Any) -> S3Location:
        """The location, with small parts and pages."""
        given = {name: value for name, value in {**self.options, **options}.items() if name not in ("type", "bucket")}
        return S3Location(self.bucket, limits=limits, **given)

    def unfinished(self) -> int:
        """How many uploads in parts have begun and neither ended nor been given up."""
        return len(self.server.client().list_multipart_uploads(Bucket=self.bucket).get("Uploads", []))


def use(monkeypatch: pytest.MonkeyPatch, environment: Mapping[str, str]) -> None:
    """From now on the S3 credentials of this process are these."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)


def pattern(size: int, seed: int = 0) -> bytes:
    """Bytes without repetition, the same for the same arguments."""
    return hashlib.shake_128(b"%d" % seed).digest(size)
