# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Buckets only: what lies over an object does not become the object, and what is locked stays."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.errors import (
    AccessDeniedError,
    LocationVanishedError,
    NotLockableError,
    ObjectExistsError,
    ObjectLockedError,
)
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.location import StoredObject
from tests.integration.locations.places import PART, S3Place, pattern, use
from tests.s3_server import READER_ACTIONS, WRITER_ACTIONS, S3Server

KEY = "shop/manifests/p.json"
KEYS = {f"shop/points/p{number}/artifacts/etcd/cp1.tar.zst.age": pattern(1000 + number, number) for number in range(4)}
KEYS["shop/manifests/p1.json"] = b"{}"
KEYS["shop/points/p9/artifacts/etcd/cp1.tar.zst.age"] = pattern(PART + 1, 9)
PATIENCE_SECONDS = 60


def refused(action: Any, **parameters: Any) -> str:
    """The code with which the server refuses, told of nothing by our own code."""
    from botocore.exceptions import ClientError

    with pytest.raises(ClientError) as caught:
        action(**parameters)
    return str(caught.value.response["Error"]["Code"])


def in_time(seconds: float) -> datetime:
    """So many seconds from now."""
    return datetime.now(timezone.utc) + timedelta(seconds=seconds)


def test_a_writer_cannot_replace_what_is_there(s3: S3Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the credentials of the backup job everything is overwritten and deleted; it all lies on top, and is seen."""
    writer = s3.server.create_user(f"writer-{s3.bucket}", {s3.bucket: WRITER_ACTIONS})
    use(monkeypatch, writer)
    honest = s3.open()
    for key, content in KEYS.items():
        assert honest.put_new(key, content) is True
    client = s3.server.client(writer)
    for number, key in enumerate(KEYS):
        for _repeated in range(number):
            client.put_object(Bucket=s3.bucket, Key=key, Body=b"ransom")
        client.delete_object(Bucket=s3.bucket, Key=key)
        if number % 2:
            client.put_object(Bucket=s3.bucket, Key=key, Body=b"ransom")
        assert refused(client.get_object, Bucket=s3.bucket, Key=key) == "NoSuchKey" if not number % 2 else True
        versions = client.list_object_versions(Bucket=s3.bucket, Prefix=key)["Versions"]
        assert refused(client.delete_object, Bucket=s3.bucket, Key=key, VersionId=versions[-1]["VersionId"]) == "AccessDenied"
    overlaid = {key: number + 1 + number % 2 for number, key in enumerate(KEYS)}

    use(monkeypatch, s3.server.create_user(f"reader-{s3.bucket}", {s3.bucket: READER_ACTIONS}))
    reader = s3.open()
    assert list(reader.list("shop/")) == sorted(StoredObject(key, len(content), overlaid[key]) for key, content in KEYS.items())
    assert reader.children("shop/points/") == ["p0", "p1", "p2", "p3", "p9"]
    for location in (honest, reader, s3.open()):
        for key, content in KEYS.items():
            assert location.size(key) == len(content)
            assert location.read(key, len(content)) == content
            with location.open(key) as stream:
                assert stream.read(10) == content[:10]
    # The honest writer is told that its bytes are there, and lays nothing more on top.
    use(monkeypatch, writer)
    again = s3.open()
    for key, content in KEYS.items():
        assert again.put_new(key, content) is False
        with pytest.raises(ObjectExistsError):
            again.put_new(key, b"ransom")
    with pytest.raises(AccessDeniedError) as caught:
        again.remove(KEY.replace("p.json", "p1.json"))
    assert "AccessDenied" in str(caught.value)
    assert {entry.key: entry.size_bytes for entry in again.list("shop/")} == {key: len(content) for key, content in KEYS.items()}

    use(monkeypatch, s3.server.environment())
    owner = s3.open()
    for key in KEYS:
        assert owner.remove(key) is True
        assert owner.size(key) is None
    assert list(owner.list("shop/")) == []
    assert s3.server.client().list_object_versions(Bucket=s3.bucket).get("Versions", []) == []


def test_an_upload_that_began_earlier_and_ended_later_is_not_the_original(s3: S3Place) -> None:
    client = s3.server.client()
    upload = client.create_multipart_upload(Bucket=s3.bucket, Key=KEY)["UploadId"]
    part = client.upload_part(Bucket=s3.bucket, Key=KEY, UploadId=upload, PartNumber=1, Body=b"ransom")
    location = s3.open()
    assert location.put_new(KEY, b"content") is True
    parts = [{"PartNumber": 1, "ETag": part["ETag"]}]
    client.complete_multipart_upload(Bucket=s3.bucket, Key=KEY, UploadId=upload, MultipartUpload={"Parts": parts})
    for reader in (location, s3.open()):
        assert reader.read(KEY, 100) == b"content"
    assert list(location.list("shop/")) == [StoredObject(KEY, 7, 1)]


def test_more_versions_than_a_page_holds(s3: S3Place) -> None:
    location = s3.open()
    location.put_new(KEY, b"content")
    location.put_new(KEY + ".sig", b"signature")
    client = s3.server.client()
    for number in range(17):
        client.put_object(Bucket=s3.bucket, Key=KEY, Body=b"ransom %d" % number)
        if number % 5 == 0:
            client.delete_object(Bucket=s3.bucket, Key=KEY)
    assert s3.open().read(KEY, 100) == b"content"
    assert list(s3.open().list("shop/")) == [StoredObject(KEY, 7, 21), StoredObject(KEY + ".sig", 9, 0)]


def test_a_key_that_was_deleted_before_it_was_written(s3: S3Place) -> None:
    """A delete marker can be laid under any name that can be guessed; the object is written nevertheless."""
    for size in (10, PART + 1):
        key = f"{KEY}.{size}"
        s3.server.client().delete_object(Bucket=s3.bucket, Key=key)
        location = s3.open()
        assert location.size(key) is None
        assert location.put_new(key, pattern(size)) is True
        assert s3.open().read(key, size) == pattern(size)


def test_a_bucket_without_versions(s3: S3Place) -> None:
    name = f"{s3.bucket}-plain"
    s3.server.create_bucket(name, object_lock=False, versioning=False)
    plain = S3Place(s3.server, name)
    location = plain.open()
    for key, content in KEYS.items():
        assert location.put_new(key, content) is True
        assert location.put_new(key, content) is False
        with pytest.raises(ObjectExistsError):
            location.put_new(key, content + b"?")
        assert plain.open().read(key, len(content)) == content
    assert list(location.list("shop/")) == sorted(StoredObject(key, len(content), 0) for key, content in KEYS.items())
    for key in KEYS:
        assert location.remove(key) is True
    assert list(location.list("shop/")) == []


def test_a_prefix_in_the_bucket(s3: S3Place) -> None:
    below, beside = s3.open(prefix="team/backups/"), s3.open(prefix="team/backup")
    below.put_new(KEY, b"content")
    beside.put_new(KEY, b"other")
    assert list(below.list("shop/")) == [StoredObject(KEY, 7, 0)]
    assert below.children("shop/") == ["manifests"]
    assert s3.open(prefix="team/backups").read(KEY, 10) == b"content"
    assert list(s3.open().list("shop/")) == []
    assert s3.open().children("team/") == ["backup", "backups"]


def test_a_bucket_that_is_not_there(s3: S3Place) -> None:
    location = S3Place(s3.server, "nobody-made-this").open()
    for attempt in (lambda: location.check_writable(1), lambda: location.put_new(KEY, b"x"), lambda: list(location.list("shop/")), lambda: location.size(KEY)):
        with pytest.raises(LocationVanishedError, match="bucket is not there"):
            attempt()


# -- locks --------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["governance", "compliance"])
def test_what_is_locked_stays(s3: S3Place, mode: str) -> None:
    location = s3.open(object_lock_mode=mode)
    assert location.locks is True
    location.check_writable(1)
    until = in_time(3600).replace(microsecond=1)
    rounded = until.replace(microsecond=0) + timedelta(seconds=1)
    client = s3.server.client()
    for key, content in ((KEY, b"content"), (KEY + ".large", pattern(PART + 1))):
        assert location.put_new(key, content, until) is True
        assert location.locked_until(key) == rounded
        version = client.list_object_versions(Bucket=s3.bucket, Prefix=key)["Versions"][0]["VersionId"]
        assert refused(client.delete_object, Bucket=s3.bucket, Key=key, VersionId=version) == "AccessDenied"
        with pytest.raises(ObjectLockedError, match="is locked") as caught:
            location.remove(key)
        assert "a lock until 20" in str(caught.value)
        # Nobody who forgot about the lock gets further.
        with pytest.raises(ObjectLockedError):
            s3.open().remove(key)
        assert s3.open().read(key, len(content)) == content


@pytest.mark.parametrize("mode", ["governance", "compliance"])
def test_locks_get_longer_and_never_shorter(s3: S3Place, mode: str) -> None:
    location = s3.open(object_lock_mode=mode)
    hour, day = in_time(3600).replace(microsecond=0), in_time(86400).replace(microsecond=0)
    location.put_new(KEY, b"content", hour)
    assert location.retain(KEY, hour) is False
    assert location.retain(KEY, day) is True
    assert location.locked_until(KEY) == day
    assert location.retain(KEY, hour) is False
    assert location.locked_until(KEY) == day
    # What was stored without a lock can get one later, and the same bytes again bring theirs.
    location.put_new(KEY + ".sig", b"signature")
    assert location.locked_until(KEY + ".sig") is None
    assert location.retain(KEY + ".sig", hour) is True
    assert location.put_new(KEY + ".sig", b"signature", day) is False
    assert location.locked_until(KEY + ".sig") == day
    # The lock of the original counts, whatever lies over it.
    s3.server.client().put_object(Bucket=s3.bucket, Key=KEY, Body=b"ransom")
    assert location.locked_until(KEY) == day


@pytest.mark.parametrize("mode", ["governance", "compliance"])
def test_a_lock_that_is_over_keeps_nothing(s3: S3Place, mode: str) -> None:
    location = s3.open(object_lock_mode=mode)
    location.put_new(KEY, b"content", in_time(3))
    with pytest.raises(ObjectLockedError):
        location.remove(KEY)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while location.locked_until(KEY) is not None:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert location.remove(KEY) is True
    assert location.size(KEY) is None


def test_a_bucket_without_locks_is_refused_when_one_is_demanded(s3: S3Place) -> None:
    name = f"{s3.bucket}-unlocked"
    s3.server.create_bucket(name, object_lock=False)
    place = S3Place(s3.server, name)
    location = place.open(object_lock_mode="governance")
    with pytest.raises(NotLockableError, match="no object lock"):
        location.check_writable(1)
    for size in (10, PART + 1):
        with pytest.raises(NotLockableError, match="lock"):
            location.put_new(KEY, pattern(size), in_time(3600))
        assert location.size(KEY) is None
    assert place.unfinished() == 0
    assert location.put_new(KEY, b"without a lock") is True


def test_the_certificate_of_the_server_is_checked(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    import subprocess

    directory = tmp_path_factory.mktemp("tls")
    files = {"certificate": directory / "certificate", "private_key": directory / "key"}
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=s3"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(files["private_key"]), "-out", str(files["certificate"])]
    subprocess.run(command, check=True, capture_output=True)
    with S3Server(directory / "s3", **files) as server:
        use(monkeypatch, server.environment())
        place = S3Place(server, "backups")
        with pytest.raises(LocationVanishedError, match="certificate") as caught:
            place.open().check_writable(1)
        assert "ca_bundle" in str(caught.value)
        monkeypatch.setenv("AWS_CA_BUNDLE", str(files["certificate"]))
        server.create_bucket("backups")
        monkeypatch.delenv("AWS_CA_BUNDLE")
        location = place.open(ca_bundle=str(files["certificate"]))
        # Over TLS, checksums come behind the bytes.
        for key, content in KEYS.items():
            assert location.put_new(key, content) is True
            assert location.read(key, len(content)) == content
