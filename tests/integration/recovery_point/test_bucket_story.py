# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The life of recovery points in a bucket, playbook by playbook, each with the credentials that it is meant to have and the policy that is shipped."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._catalog.catalog import Catalog
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage import names
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.locations import open_location
from tests.integration import playbooks
from tests.integration.locations.policies import Policed, statements_for
from tests.s3_server import S3Server
from tests.unit.plugins.module_utils._recovery_point.aging import Past
from tests.unit.plugins.module_utils._recovery_point.making import CLUSTER, Keys, Maker, assert_no_secrets, make_keys

BUCKET, SECOND = "life", "second"


class Owner:
    """Whose buckets these are: the inventory, and playbooks with the credentials of one job or another."""

    def __init__(self, directory: Path, server: S3Server, keys: Keys) -> None:
        self.directory = directory
        self.server = server
        self.keys = keys
        self.metrics = directory / "lifeboat.prom"
        self.said = ""

    def place(self, bucket: str) -> dict[str, Any]:
        """A location as it is written into an inventory."""
        return {
            "type": "s3",
            "bucket": bucket,
            "endpoint_url": self.server.endpoint_url,
            "region": "us-east-1",
            "addressing_style": "path",
            "object_lock_mode": "governance",
        }

    def play(self, playbook: str, who: Mapping[str, str], *arguments: str, expect: int = 0, **more: Any) -> str:
        """Run a playbook; returns what it says."""
        variables = {
            "lifeboat_cluster_name": CLUSTER,
            "lifeboat_runs_directory": str(self.directory / "runs"),
            "lifeboat_location": self.place(BUCKET),
            "lifeboat_recipients": [self.keys.recipient],
            "lifeboat_identity_files": [str(self.keys.identity_file)],
            "lifeboat_signing_key": str(self.keys.signing_key),
            "lifeboat_allowed_signers": str(self.keys.allowed_signers),
            "lifeboat_metrics_file": str(self.metrics),
            "rpo_target_seconds": 86400,
            **more,
        }
        hosts = {"control_plane": {"hosts": {"cp1": {"ansible_host": "192.0.2.1"}}}, "etcd": {"hosts": {"cp1": {}}}, "workers": {}, "admin": {}}
        (self.directory / "hosts.yml").write_text(json.dumps({"all": {"vars": variables, "children": hosts}}))
        done = playbooks.play(self.directory, "--inventory", str(self.directory / "hosts.yml"), f"lifeboat.cluster.{playbook}", *arguments, **who)
        assert done.returncode == expect, done.stdout
        self.said += done.stdout
        return done.stdout

    def catalog(self, bucket: str = BUCKET) -> Catalog:
        """What the owner sees."""
        return Catalog(open_location(self.place(bucket)), CLUSTER, self.keys.trust)


@pytest.fixture
def owner(tmp_path: Path, keys: Keys, monkeypatch: pytest.MonkeyPatch) -> Iterator[Owner]:
    """A server without buckets; in the environment, the credentials of its owner."""
    with S3Server(tmp_path / "s3") as server:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        yield Owner(tmp_path, server, keys)


def test_from_an_empty_server_to_the_last_prune(owner: Owner, tmp_path: Path) -> None:
    """Made, filled, verified, proven, reported as ready, copied for another key, tagged, pruned: nobody needs more rights than its policy gives."""
    root = owner.server.environment()
    owner.play("prepare_location", root, "-e", "lifeboat_location_create=true")
    lock = owner.server.client().get_object_lock_configuration(Bucket=BUCKET)["ObjectLockConfiguration"]
    assert lock["ObjectLockEnabled"] == "Enabled"
    owner.server.create_bucket(SECOND)
    job = Policed(owner.server, BUCKET)

    # Points of a while ago, whose locks are over, and one of now.
    location, now = open_location(owner.place(BUCKET)), names.now()
    past = Past(location, owner.keys)
    audited, old = (past.point(now - timedelta(days=days)) for days in (90, 60))
    point = Maker(tmp_path, owner.keys, location=location).point(durations={"discover": 3}).id

    # With the rights of a backup everybody can read that all is there; and that nothing is proven yet.
    said = owner.play("report_readiness", job.become("backup"), expect=2)
    assert re.search(r"etcd +STALE", said), said
    said = owner.play("verify_recovery_points", job.become("verify"), "-e", "recovery_point_level=opened recovery_point_verify_limit=1")
    assert point in said
    owner.play("prove_recipients", job.become("verify"))
    said = owner.play("report_readiness", job.become("backup"))
    assert re.search(r"etcd +fresh", said), said
    assert f'lifeboat_recipient_proven_timestamp_seconds{{cluster="shop",recipient="{owner.keys.recipient}"}}' in owner.metrics.read_text()
    said = owner.play("list_recovery_points", job.become("restore"))
    assert re.search(rf"{point} +complete +completed .* opened ", said), said

    # A key was replaced: a copy for the new one, in another bucket, by somebody who may read here and write there.
    heir = make_keys(tmp_path / "heir")
    document = {"Version": "2012-10-17", "Statement": statements_for("backup", SECOND, f"{BUCKET}-backup")}
    owner.server.client().put_bucket_policy(Bucket=SECOND, Policy=json.dumps(document, separators=(",", ":")))
    copied = {"lifeboat_copy_recipients": [heir.recipient], "lifeboat_copy_location": owner.place(SECOND), "recovery_point_id": point}
    who = job.become("backup")
    said = owner.play("copy_recovery_point", who, "-e", json.dumps(copied))
    again = owner.play("copy_recovery_point", who, "-e", json.dumps(copied))
    assert "changed=0" in again.split("PLAY RECAP")[1]
    copy = owner.catalog(SECOND).select("latest")
    assert ((copy.manifest.origin or {}).get("id"), copy.manifest.recipients) == (point, [heir.recipient])
    assert copy.id in said
    said = owner.play(
        "verify_recovery_point",
        root,
        "-e",
        json.dumps({"lifeboat_location": owner.place(SECOND), "lifeboat_identity_files": [str(heir.identity_file)], "recovery_point_level": "opened"}),
    )
    assert copy.id in said

    # What nobody needs goes; what was tagged, and what is locked, stays, and so does every version of it.
    owner.play("tag_recovery_point", job.become("prune"), "-e", f"recovery_point_id={audited} recovery_point_tag=keep recovery_point_reason=audit")
    retention = ("-e", "lifeboat_retention='keep_last=1 minimum_age_days=7'")
    refused = owner.play("prune_recovery_points", job.become("backup"), *retention, "-e", "confirm_cluster_name=shop", expect=2)
    assert "AccessDenied" in refused
    assert sorted(owner.catalog().known) == [audited, old, point]
    said = owner.play("prune_recovery_points", job.become("prune"), *retention, "-e", "confirm_cluster_name=shop")
    found = owner.catalog()
    assert {entry.id: entry.state for entry in found.points} == {audited: "complete", point: "complete"}
    assert found.gaps() == []
    assert old in said
    assert_no_secrets(owner.said + owner.metrics.read_text())
    for secret in (root["AWS_SECRET_ACCESS_KEY"], *(job.become(purpose)["AWS_SECRET_ACCESS_KEY"] for purpose in ("backup", "verify", "restore", "prune"))):
        assert secret not in owner.said
