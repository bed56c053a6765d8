# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shipped policies, given to users of the test server exactly as they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.s3_server import S3Server

DIRECTORY = Path(__file__).parents[3] / "extensions" / "s3-policies"
PURPOSES = ("backup", "verify", "restore", "prune")
PLACEHOLDER = "LIFEBOAT_BUCKET"


def read_policy(purpose: str, bucket: str) -> dict[str, Any]:
    """A policy for one bucket."""
    found: dict[str, Any] = json.loads((DIRECTORY / f"{purpose}.json").read_text().replace(PLACEHOLDER, bucket))
    return found


def statements_for(purpose: str, bucket: str, user: str) -> list[dict[str, Any]]:
    """A user's policy as statements of the bucket's policy: the only kind that versitygw has. Nothing is changed; the principal is added."""
    return [{**statement, "Principal": {"AWS": user}} for statement in read_policy(purpose, bucket)["Statement"]]


class Policed:
    """A bucket and one user for each purpose.

    versitygw keeps the policy of a bucket in one extended attribute, of which ext4 takes no more than 4 KiB: so it has the policy of one user at a time,
    and the others may do nothing meanwhile.
    """

    def __init__(self, server: S3Server, bucket: str) -> None:
        self.server = server
        self.bucket = bucket
        self._users = {purpose: server.create_user(f"{bucket}-{purpose}") for purpose in PURPOSES}

    def become(self, purpose: str) -> dict[str, str]:
        """Give this user its policy; returns its environment."""
        document = {"Version": "2012-10-17", "Statement": statements_for(purpose, self.bucket, f"{self.bucket}-{purpose}")}
        self.server.client().put_bucket_policy(Bucket=self.bucket, Policy=json.dumps(document, separators=(",", ":")))
        return self._users[purpose]
