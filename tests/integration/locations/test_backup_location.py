# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Locations are made, what protects them is never weakened, and what is wrong with one is found before a backup relies on it."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from ansible_collections.lifeboat.cluster.plugins.module_utils._storage import names
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.errors import (
    AccessDeniedError,
    CredentialsExpiredError,
    LocationError,
    LocationFullError,
    LocationReadOnlyError,
    LocationVanishedError,
    NotLockableError,
)
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.preparation import UNSUPPORTED, Prepared, Wish, prepare
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.probing import Settings, probe
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.s3.s3_lock import default_retention
from tests.integration import playbooks
from tests.integration.locations.conftest import Shop, environment_of
from tests.s3_server import READER_ACTIONS
from tests.unit.plugins.module_utils._recovery_point.making import CLUSTER


def made(shop: Shop, bucket: str, wish: Wish, mode: str = "governance", check_mode: bool = False, who: Mapping[str, str] | None = None) -> Prepared:
    """Prepare a bucket."""
    with environment_of(who or shop.server.environment()):
        return prepare(shop.options(bucket, object_lock_mode=mode), wish, check_mode)


def failed(checks: list[dict[str, Any]]) -> dict[str, str]:
    """The checks that are not met, with what was found; that the test server speaks no TLS is known."""
    return {check["id"]: check["found"] for check in checks if not check["passed"] and check["id"] != "transport"}


def settings_of(shop: Shop, bucket: str) -> dict[str, Any]:
    """What the server says of a bucket."""
    client = shop.server.client()
    lock = client.get_object_lock_configuration(Bucket=bucket)["ObjectLockConfiguration"]
    return {"versioning": client.get_bucket_versioning(Bucket=bucket).get("Status"), "retention": default_retention(lock)}


# -- buckets -----------------------------------------------------------------------------------------------------------------------


def test_a_bucket_is_made_only_on_demand_and_only_once(shop: Shop) -> None:
    """Missing without create is an error that says what to run; check mode makes nothing; a rerun changes nothing."""
    bucket = shop.name()
    with pytest.raises(LocationVanishedError, match="lifeboat_location_create=true"):
        made(shop, bucket, Wish())
    wish = Wish(create=True, default_retention_days=30)
    planned = made(shop, bucket, wish, check_mode=True)
    assert planned.changed
    with pytest.raises(ClientError):
        shop.server.client().head_bucket(Bucket=bucket)
    done = made(shop, bucket, wish)
    assert done.before["bucket"] == "absent"
    assert {name: done.after[name] for name in planned.after if name != "unfinished_uploads"} == {
        "bucket": "present",
        "versioning": "Enabled",
        "object_lock": "on",
        "default_retention": "GOVERNANCE, 30 days",
    }
    assert settings_of(shop, bucket) == {"versioning": "Enabled", "retention": ("GOVERNANCE", 30)}
    again = made(shop, bucket, wish)
    assert not again.changed
    assert again.after["unfinished_uploads"] == UNSUPPORTED
    assert "takes no rule that removes unfinished uploads" in again.notes[0]


def test_what_protects_is_never_weakened(shop: Shop) -> None:
    """A longer default retention stays, a shorter one grows; compliance stays compliance; the policy is left alone."""
    bucket = shop.name()
    client = shop.server.client()
    made(shop, bucket, Wish(create=True, default_retention_days=90))
    shop.server.create_user(f"{bucket}-reader", {bucket: READER_ACTIONS})
    policy = client.get_bucket_policy(Bucket=bucket)["Policy"]

    shorter = made(shop, bucket, Wish(default_retention_days=30))
    assert not shorter.changed
    assert "longer than asked and stays" in shorter.notes[0]
    assert settings_of(shop, bucket)["retention"] == ("GOVERNANCE", 90)

    strict = made(shop, bucket, Wish(default_retention_days=100), mode="compliance")
    assert (strict.before["default_retention"], strict.after["default_retention"]) == ("GOVERNANCE, 90 days", "COMPLIANCE, 100 days")
    milder = made(shop, bucket, Wish(default_retention_days=120))
    assert milder.after["default_retention"] == "COMPLIANCE, 120 days"
    assert not made(shop, bucket, Wish(), mode="none").changed
    assert settings_of(shop, bucket) == {"versioning": "Enabled", "retention": ("COMPLIANCE", 120)}
    assert client.get_bucket_policy(Bucket=bucket)["Policy"] == policy


def test_an_old_bucket_gets_what_it_lacks(shop: Shop) -> None:
    """Versions and object lock are switched on where the server does that."""
    bucket = shop.name()
    shop.server.create_bucket(bucket, object_lock=False, versioning=False)
    done = made(shop, bucket, Wish(), check_mode=True)
    assert done.before == {**done.after, "versioning": "off", "object_lock": "off"}
    assert made(shop, bucket, Wish()).changed
    assert failed(probe(shop.location(bucket, object_lock_mode="governance"), CLUSTER, Settings()).checks).keys() == {"rights_excess"}


def test_who_may_not_is_told(shop: Shop) -> None:
    """Without the rights of an administrator, without valid credentials, with a retention that has no mode."""
    bucket = shop.name()
    shop.server.create_bucket(bucket)
    reader = shop.server.create_user(f"{bucket}-reader", {bucket: READER_ACTIONS})
    with pytest.raises(AccessDeniedError):
        made(shop, bucket, Wish(default_retention_days=30), who=reader)
    with pytest.raises(AccessDeniedError):
        made(shop, shop.name(), Wish(create=True), who=reader)
    with pytest.raises(CredentialsExpiredError):
        made(shop, bucket, Wish(), who={**reader, "AWS_ACCESS_KEY_ID": "nobody"})
    with pytest.raises(LocationError, match="needs a mode"):
        made(shop, bucket, Wish(default_retention_days=30), mode="none")


# -- what is found of a bucket -----------------------------------------------------------------------------------------------------


def test_a_bucket_without_lock_is_found_and_refused(shop: Shop) -> None:
    """The check says so, the backup's own write says so, and nothing is left behind that looks like a recovery point."""
    bucket = shop.name()
    shop.server.create_bucket(bucket, object_lock=False)
    location = shop.location(bucket, object_lock_mode="governance")
    problems = failed(probe(location, CLUSTER, Settings()).checks)
    assert problems["locked"].startswith("object lock is off")
    assert "object lock" in problems["written"]
    assert problems["lock_holds"] == "nothing could be written"
    with pytest.raises(NotLockableError, match="no object lock"):
        location.check_writable(1)
    with pytest.raises(NotLockableError):
        location.put_new(names.manifest_key(CLUSTER, "20261120T133500Z-1a2b3c"), b"{}", datetime.now(timezone.utc) + timedelta(days=1))
    assert list(location.list(names.cluster_prefix(CLUSTER))) == []


def test_without_own_locks_the_default_has_to_be_long_enough(shop: Shop) -> None:
    """With object_lock_mode none, a default retention shorter than the points are kept is a warning. Objects that bring a lock need none."""
    bucket = shop.name()
    made(shop, bucket, Wish(create=True, default_retention_days=1))
    plain = shop.location(bucket)
    assert "1 days" in failed(probe(plain, CLUSTER, Settings(retain_days=30, write=False)).checks)["locked"]
    assert failed(probe(plain, CLUSTER, Settings(retain_days=1, write=False)).checks) == {}
    own = shop.location(bucket, object_lock_mode="governance")
    assert failed(probe(own, CLUSTER, Settings(retain_days=30, write=False)).checks) == {}
    until = datetime.now(timezone.utc).replace(microsecond=0) + timedelta(days=30)
    own.put_new(f"{CLUSTER}/runs/one/file", b"x", until)
    assert own.locked_until(f"{CLUSTER}/runs/one/file") == until


@pytest.mark.parametrize(("hours", "word"), [(1, "ahead"), (-1, "behind")])
def test_a_clock_that_is_wrong_is_found(shop: Shop, hours: int, word: str) -> None:
    """The lock of the probe follows the clock of the location, so that a wrong clock here neither breaks the probe nor locks it for an hour."""
    bucket = shop.name()
    shop.server.create_bucket(bucket)
    location = shop.location(bucket, object_lock_mode="governance")
    found = probe(location, CLUSTER, Settings(), clock=lambda: time.time() + 3600 * hours)
    problems = failed(found.checks)
    assert problems.keys() == {"clock", "rights_excess"}
    assert problems["clock"].endswith(f"seconds {word}")
    assert abs(found.facts["skew_seconds"] - 3600 * hours) < 60
    stored = list(location.list(names.probes_prefix(CLUSTER)))
    assert len(stored) == 2
    for until in (location.locked_until(entry.key) for entry in stored):
        assert until is None or until < datetime.now(timezone.utc) + timedelta(minutes=10)


def test_probes_that_stayed_are_removed_later(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who may not remove leaves one; who prunes takes it away when its lock has ended, and leaves one that may still be in use."""
    bucket = shop.name()
    shop.server.create_bucket(bucket)
    location = shop.location(bucket)
    old = names.probe_key(CLUSTER, datetime.now(timezone.utc) - timedelta(hours=1))
    young = names.probe_key(CLUSTER, datetime.now(timezone.utc))
    for key in (old, young, f"{CLUSTER}/probes/something-else"):
        location.put_new(key, b"x")
    monkeypatch.setattr(location, "_mode", "none")
    assert probe(location, CLUSTER, Settings()).facts["leftover_probes"] == 2
    assert [stored.key for stored in location.list(names.probes_prefix(CLUSTER))] == [young, f"{CLUSTER}/probes/something-else"]
    # The uploads that were begun to see where one may write are gone as well.
    assert "Uploads" not in shop.server.client().list_multipart_uploads(Bucket=bucket)


def test_nothing_is_written_when_only_looking(shop: Shop) -> None:
    """As in check mode."""
    bucket = shop.name()
    shop.server.create_bucket(bucket)
    found = probe(shop.location(bucket, object_lock_mode="governance"), CLUSTER, Settings(purpose="backup", write=False))
    assert {check["id"] for check in found.checks} == {"listed", "clock", "versioned", "locked", "transport", "space", "links", "private"}
    assert "Versions" not in shop.server.client().list_object_versions(Bucket=bucket)


# -- directories -------------------------------------------------------------------------------------------------------------------


def test_a_directory_is_made_only_on_demand_and_only_once(tmp_path: Path) -> None:
    """Mode 0700; only the last directory; one that is there keeps its mode, and the check says what is wrong with it."""
    path = tmp_path / "location"
    options = {"type": "directory", "path": str(path)}
    with pytest.raises(LocationVanishedError, match="lifeboat_location_create=true"):
        prepare(options, Wish())
    assert prepare(options, Wish(create=True), check_mode=True).changed
    assert not path.exists()
    assert prepare(options, Wish(create=True)).after == {"directory": "present", "mode": "0700"}
    assert path.stat().st_mode & 0o7777 == 0o700
    path.chmod(0o775)
    assert not prepare(options, Wish(create=True)).changed
    assert path.stat().st_mode & 0o7777 == 0o775
    with pytest.raises(LocationVanishedError, match="above the backup location"):
        prepare({"path": str(path / "not" / "there")}, Wish(create=True))
    (tmp_path / "file").write_text("")
    with pytest.raises(LocationError, match="not a directory"):
        prepare({"path": str(tmp_path / "file")}, Wish(create=True))
    with pytest.raises(LocationError, match="absolute"):
        prepare({"path": "location"}, Wish(create=True))


def test_why_a_directory_cannot_be_made(tmp_path: Path) -> None:
    """A full disk and a read-only one are no lack of rights."""
    mount = tmp_path / "disk"
    mount.mkdir()
    options = {"type": "directory", "path": str(mount / "location")}
    subprocess.run(["mount", "-t", "tmpfs", "-o", "nr_inodes=1,mode=0700", "lifeboat-test", mount], check=True)
    try:
        with pytest.raises(LocationFullError) as full:
            prepare(options, Wish(create=True))
        subprocess.run(["mount", "-o", "remount,ro", mount], check=True)
        with pytest.raises(LocationReadOnlyError) as read_only:
            prepare(options, Wish(create=True))
    finally:
        subprocess.run(["umount", "--lazy", mount], check=True)
    assert "more space" in full.value.remedy
    assert "mount it for writing" in read_only.value.remedy


def test_nothing_is_made_beneath_a_missing_mount() -> None:
    """A file server's directory is not made on the root file system; unless somebody says that it needs no mount."""
    with tempfile.TemporaryDirectory(prefix="lifeboat-test-", dir="/") as parent:
        options = {"type": "nfs", "path": f"{parent}/location"}
        with pytest.raises(LocationVanishedError, match="Nothing is mounted"):
            prepare(options, Wish(create=True))
        assert os.listdir(parent) == []
        assert prepare({**options, "mount_required": False}, Wish(create=True)).changed


# -- the playbook ------------------------------------------------------------------------------------------------------------------


def play(directory: Path, environment: Mapping[str, str], location: Mapping[str, Any], *arguments: str) -> tuple[int, str]:
    """Run prepare_location as a user does; extra variables are text."""
    variables = {"lifeboat_location": location, "lifeboat_cluster_name": CLUSTER, "lifeboat_runs_directory": str(directory / "runs")}
    (directory / "variables.json").write_text(json.dumps({**variables, "recovery_point_location_minimum_free_bytes": "1"}))
    command = ["--inventory", "localhost,", "lifeboat.cluster.prepare_location", "--extra-vars", f"@{directory / 'variables.json'}"]
    done = playbooks.play(directory, *command, *arguments, **environment)
    return done.returncode, done.stdout


def test_playbook_makes_and_checks_a_bucket(shop: Shop, tmp_path: Path) -> None:
    """The bucket is made, a table says what was found, no secret is in the output; the credentials of a job that lack rights are found."""
    options = shop.options(shop.name(), object_lock_mode="governance")
    environment = shop.server.environment()
    code, said = play(tmp_path, environment, options, "--extra-vars", "lifeboat_location_create=true", "--diff")
    assert code == 0, said
    assert '"bucket": "present"' in said
    assert "yes       A lock cannot be shortened, and what it protects cannot be removed: locked until" in said
    assert "warning   What goes over the network is encrypted: http://" in said
    assert "-         There is enough free space" in said
    assert environment["AWS_SECRET_ACCESS_KEY"] not in said
    writer = shop.server.create_user("writer", {options["bucket"]: READER_ACTIONS})
    code, said = play(tmp_path, writer, options, "--extra-vars", "lifeboat_location_purpose=backup")
    assert code != 0
    assert "writing below points/" in said
    assert "recovery_point.location_rights_needed" in said


def test_playbook_makes_and_checks_a_directory(tmp_path: Path) -> None:
    """In check mode nothing is there afterwards, and nothing fails; afterwards no probe is left."""
    path = tmp_path / "location"
    options = {"type": "directory", "path": str(path)}
    code, said = play(tmp_path, {}, options, "--extra-vars", "lifeboat_location_create=true", "--check")
    assert code == 0, said
    assert not path.exists()
    code, said = play(tmp_path, {}, options, "--extra-vars", "lifeboat_location_create=true")
    assert code == 0, said
    assert path.stat().st_mode & 0o7777 == 0o700
    assert list(path.rglob("probes/*")) == []
