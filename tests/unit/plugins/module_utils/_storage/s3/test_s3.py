# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The location in a bucket, against answers that the test server never gives; what it does give is tested in tests/integration/locations."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from botocore import exceptions
from botocore.response import StreamingBody
from botocore.stub import ANY, Stubber

from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.errors import (
    AccessDeniedError,
    ClockSkewError,
    CredentialsExpiredError,
    DependencyMissingError,
    LocationError,
    LocationFullError,
    LocationSlowError,
    LocationVanishedError,
    NotLockableError,
    ObjectExistsError,
    ObjectMissingError,
    ServerRefusedError,
)
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.filesystem import FilesystemLocation
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.locations import open_location
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.s3 import s3_errors
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.s3.s3 import S3Location
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.s3.s3_bucket import Limits
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.s3.s3_lock import Lock
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.s3.s3_transfer import S3Upload, checksum_of
from tests.s3_server import parse_once

KEY = "shop/manifests/p.json"
BUCKET = "backups"
SECRET = "the-secret-access-key"
TOKEN = "the-session-token"
LATER = datetime(2030, 1, 1, tzinfo=timezone.utc)
LIMITS = Limits(attempts=3, part_bytes=8)


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some, and none of this machine's."""
    parse_once()
    for name, value in {"AWS_ACCESS_KEY_ID": "somebody", "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_SESSION_TOKEN": TOKEN}.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/dev/null")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


class Server:
    """What a server answers, in order."""

    def __init__(self, **options: Any) -> None:
        self.location = S3Location(BUCKET, endpoint_url="http://127.0.0.1:9", region="us-east-1", limits=LIMITS, **options)
        # What every new object is marked with is made of randomness: as it is sent, so it is told back.
        self.sent: list[dict[str, Any]] = []
        self.location.bucket._versioned = True
        client = self.location._bucket._client
        client.meta.events.register("before-parameter-build.s3.*", lambda params, **_more: self.sent.append(params))
        self.stubber = Stubber(client)
        self.stubber.activate()

    def says(self, operation: str, answer: dict[str, Any] | None = None, **expected: Any) -> None:
        """The next answer, to a request with these parameters at least."""
        self.stubber.add_response(operation, answer or {}, {"Bucket": BUCKET, **expected} if expected else None)

    def refuses(self, operation: str, code: str, message: str = "because", status: int = 400) -> None:
        """The next answer is a refusal."""
        self.stubber.add_client_error(operation, code, message, status)

    def lists(self, *versions: tuple[str, int], markers: tuple[str, ...] = (), **more: Any) -> None:
        """The next answer is a listing of versions of the key, newest first: ids and sizes."""
        entries = [{"Key": KEY, "VersionId": name, "Size": size, "IsLatest": not number} for number, (name, size) in enumerate(versions)]
        answer = {"Versions": entries, "DeleteMarkers": [{"Key": KEY, "VersionId": name} for name in markers], "IsTruncated": False}
        self.says("list_object_versions", {**answer, **more})

    def tells(self, size: int, upload: S3Upload | None = None, **more: Any) -> None:
        """The next answer is what HEAD tells, of the upload's object or of somebody else's."""
        self.says("head_object", {"ContentLength": size, "Metadata": {"lifeboat-upload": upload._writer} if upload else {}, **more})

    def gives(self, content: bytes) -> None:
        """The next answer is the bytes of an object."""
        self.says("get_object", {"ContentLength": len(content), "Body": StreamingBody(io.BytesIO(content), len(content))})


@pytest.fixture
def server() -> Iterator[Server]:
    """A server all of whose answers are needed."""
    server = Server()
    yield server
    server.stubber.assert_no_pending_responses()


# -- refusals -----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "status", "kind", "remedy"),
    [
        ("AccessDenied", 403, AccessDeniedError, "right"),
        ("403", 403, AccessDeniedError, "right"),
        ("ExpiredToken", 400, CredentialsExpiredError, "renew"),
        ("InvalidAccessKeyId", 403, CredentialsExpiredError, "renew"),
        ("SignatureDoesNotMatch", 403, CredentialsExpiredError, "renew"),
        ("RequestTimeTooSkewed", 403, ClockSkewError, "clock"),
        ("SlowDown", 503, LocationSlowError, "later"),
        ("ServiceUnavailable", 503, LocationSlowError, "later"),
        ("SomethingNew", 503, LocationSlowError, "later"),
        ("TooManyRequests", 429, LocationSlowError, "later"),
        ("QuotaExceeded", 403, LocationFullError, "prune"),
        ("XMinioStorageFull", 507, LocationFullError, "prune"),
        ("NoSuchBucket", 404, LocationVanishedError, "prepare_location"),
        ("PermanentRedirect", 301, LocationError, "region"),
        ("SomethingNew", 400, ServerRefusedError, "documentation"),
    ],
)
def test_what_a_server_refuses_says_what_to_do(server: Server, code: str, status: int, kind: type[LocationError], remedy: str) -> None:
    server.refuses("list_object_versions", code, "a long  \n story", status)
    with pytest.raises(kind) as caught:
        server.location.check_writable(1)
    assert caught.value.__class__ is kind
    assert caught.value.tried == "list_object_versions - in bucket backups at http://127.0.0.1:9"
    assert caught.value.found == f"{code}: a long story (HTTP status {status})"
    assert remedy in caught.value.remedy


@pytest.mark.parametrize(
    ("error", "kind", "found"),
    [
        (exceptions.EndpointConnectionError(endpoint_url="http://me:hidden@s3/"), LocationVanishedError, "http://***@s3/"),
        (exceptions.ProxyConnectionError(proxy_url="http://me:hidden@proxy/"), LocationVanishedError, "http://***@proxy/"),
        (exceptions.ConnectTimeoutError(endpoint_url="http://s3/"), LocationVanishedError, "http://s3/"),
        (exceptions.ReadTimeoutError(endpoint_url="http://s3/"), LocationVanishedError, "http://s3/"),
        (exceptions.SSLError(endpoint_url="https://s3/", error="self-signed certificate"), LocationVanishedError, "self-signed"),
        (exceptions.ConnectionClosedError(endpoint_url="http://s3/"), LocationVanishedError, "ConnectionClosedError"),
        (exceptions.IncompleteReadError(actual_bytes=1, expected_bytes=2), LocationVanishedError, "IncompleteReadError"),
        (exceptions.HTTPClientError(error="Invalid header value b'hidden'"), LocationVanishedError, "HTTPClientError"),
        (exceptions.NoCredentialsError(), CredentialsExpiredError, "Unable to locate"),
        (exceptions.CredentialRetrievalError(provider="process", error_msg="hidden"), CredentialsExpiredError, "CredentialRetrievalError"),
        (exceptions.ProfileNotFound(profile="nobody"), CredentialsExpiredError, "nobody"),
        (exceptions.ParamValidationError(report="Invalid bucket name"), LocationError, "Invalid bucket name"),
        (ConnectionResetError(104, "Connection reset by peer"), LocationVanishedError, "reset by peer"),
        (ValueError("hidden"), LocationError, "ValueError"),
    ],
)
def test_what_fails_on_the_way_says_so_without_secrets(error: Exception, kind: type[LocationError], found: str) -> None:
    explained = s3_errors.explained(error, "to test")
    assert explained.__class__ is kind
    assert found in explained.found
    assert explained.remedy
    assert "hidden" not in str(explained.as_result())


def test_a_token_that_cannot_be_sent_is_in_no_message(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python names the whole header that it refuses."""
    monkeypatch.setenv("AWS_SESSION_TOKEN", TOKEN + "\n")
    with pytest.raises(LocationError) as caught:
        S3Location(BUCKET, endpoint_url="http://127.0.0.1:9", limits=LIMITS._replace(attempts=1)).check_writable(1)
    for secret in (TOKEN, SECRET):
        assert secret not in str(caught.value.as_result())


def test_options_that_cannot_be_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(LocationError, match="holds a user or a password") as caught:
        S3Location(BUCKET, endpoint_url="https://me:hidden@s3/")
    assert "hidden" not in str(caught.value)
    with pytest.raises(LocationError, match="ca_bundle"):
        S3Location(BUCKET, ca_bundle=str(tmp_path / "nowhere"))
    with pytest.raises(LocationError, match="object lock"):
        S3Location(BUCKET, object_lock_mode="eternal")
    with pytest.raises(LocationError, match="cannot be used"):
        S3Location("no bucket/name", limits=LIMITS).check_writable(1)
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(DependencyMissingError, match="boto3"):
        S3Location(BUCKET)


def test_locations_from_options(tmp_path: Path) -> None:
    directory = open_location({"type": "directory", "path": str(tmp_path)})
    shared = open_location({"type": "nfs", "path": str(tmp_path), "mount_required": False})
    assert isinstance(directory, FilesystemLocation)
    assert isinstance(shared, FilesystemLocation)
    assert (directory.shared, shared.shared) == (False, True)
    bucket = open_location({"type": "s3", "bucket": BUCKET, "prefix": "team", "object_lock_mode": "compliance", "endpoint_url": None, "path": None})
    assert bucket.describe() == "bucket backups at Amazon S3, below team/"
    assert bucket.locks
    for options in ({"type": "s3"}, {"type": "nfs"}, {}, {"type": "tape", "path": "/"}):
        with pytest.raises(LocationError):
            open_location(options)
    # Modules read it in another directory than its user stands in.
    with pytest.raises(LocationError, match="ca_bundle of a backup location must be absolute"):
        open_location({"type": "s3", "bucket": BUCKET, "ca_bundle": "ca.crt"})


# -- writing ------------------------------------------------------------------------------------------------------------------------


def test_encryption_is_asked_for() -> None:
    server = Server(server_side_encryption="aws:kms", kms_key_id="the-key")
    encryption = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "the-key"}
    with server.location.upload(KEY) as small:
        server.says("put_object", {"VersionId": "v"}, Key=KEY, Body=b"1", Metadata=ANY, IfNoneMatch="*", ChecksumCRC32="g9zvtw==", **encryption)
        server.tells(1, small, ServerSideEncryption="aws:kms")
        server.lists(("v", 1))
        small.write(b"1")
        assert small.commit() is True
    with server.location.upload(KEY) as large:
        server.says("create_multipart_upload", {"UploadId": "u"}, Key=KEY, Metadata=ANY, ChecksumAlgorithm="CRC32", **encryption)
        # Some servers return no checksum of a part, and want it when the upload is completed.
        first, second = {"ChecksumCRC32": checksum_of(b"12345678")}, {"ChecksumCRC32": checksum_of(b"9")}
        server.says("upload_part", {"ETag": "e"}, Key=KEY, UploadId="u", PartNumber=1, Body=b"12345678", **first)
        large.write(b"12345678")
        large.write(b"9")
        large._sending[0].result()
        server.says("upload_part", {"ETag": "f"}, Key=KEY, UploadId="u", PartNumber=2, Body=b"9", **second)
        parts = {"Parts": [{"PartNumber": 1, "ETag": "e", **first}, {"PartNumber": 2, "ETag": "f", **second}]}
        server.says("complete_multipart_upload", {"VersionId": "w"}, Key=KEY, UploadId="u", MultipartUpload=parts, IfNoneMatch="*")
        server.tells(9, large, ServerSideEncryption="aws:kms")
        server.lists(("w", 9))
        assert large.commit() is True
    server.stubber.assert_no_pending_responses()


def test_a_server_without_conditions(server: Server) -> None:
    for number in range(2):
        with server.location.upload(KEY) as upload:
            upload.write(b"1")
            if not number:
                server.refuses("put_object", "NotImplemented", status=501)
            server.lists()  # nobody but us looks whether there is one
            server.says("put_object", {"VersionId": "v"}, Key=KEY, Body=b"1", Metadata=ANY, ChecksumCRC32="g9zvtw==")
            server.tells(1, upload)
            server.lists(("v", 1))
            assert upload.commit() is True


@pytest.mark.parametrize("theirs", [b"1", b"2"])
def test_without_conditions_the_second_writer_takes_its_version_back(server: Server, theirs: bytes) -> None:
    server.location._bucket.conditional = False
    with server.location.upload(KEY) as upload:
        upload.write(b"1")
        server.says("put_object", {"VersionId": "second"})
        server.tells(1, upload)
        server.lists(("second", 1), ("first", 1))
        server.says("delete_object", {}, Key=KEY, VersionId="second")
        server.tells(1)
        server.gives(theirs)
        if theirs == b"1":
            assert upload.commit() is False
        else:
            with pytest.raises(ObjectExistsError):
                upload.commit()


def test_another_writer_that_has_not_finished_yet(server: Server) -> None:
    with server.location.upload(KEY) as upload:
        upload.write(b"1")
        server.refuses("put_object", "ConditionalRequestConflict", status=409)
        server.lists()
        server.says("put_object", {"VersionId": "v"})
        server.tells(1, upload)
        server.lists(("v", 1))
        assert upload.commit() is True


def test_ten_thousand_parts_hold_the_largest_object() -> None:
    upload = S3Location(BUCKET).upload(KEY)
    total = 0
    for number in range(10_000):
        upload._sent = number
        assert upload._part_bytes() <= 5 << 30
        total += upload._part_bytes()
    assert total > 5 << 40


@pytest.mark.parametrize(
    "found",
    [
        {},
        {"ObjectLockMode": "COMPLIANCE", "ObjectLockRetainUntilDate": LATER - timedelta(seconds=1)},
        {"ObjectLockMode": "GOVERNANCE", "ObjectLockRetainUntilDate": LATER},
    ],
)
def test_a_lock_that_is_not_as_demanded_is_noticed(found: dict[str, Any]) -> None:
    server = Server(object_lock_mode="compliance")
    with server.location.upload(KEY, LATER) as upload:
        upload.write(b"1")
        lock = {"ObjectLockMode": "COMPLIANCE", "ObjectLockRetainUntilDate": LATER}
        server.says("put_object", {"VersionId": "v"}, Key=KEY, Body=b"1", Metadata=ANY, IfNoneMatch="*", ChecksumCRC32="g9zvtw==", **lock)
        server.tells(1, upload, **found)
        # It is locked once more, and looked at again.
        server.says("get_object_retention", {})
        server.says("put_object_retention", {}, Key=KEY, VersionId="v", Retention={"Mode": "COMPLIANCE", "RetainUntilDate": LATER})
        server.tells(1, upload, **found)
        server.says("get_object_retention", {})
        server.says("delete_object", {}, Key=KEY, VersionId="v")
        with pytest.raises(NotLockableError, match="not locked as demanded"):
            upload.commit()
    server.stubber.assert_no_pending_responses()


def test_a_locked_object_gets_a_checksum_from_every_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REQUEST_CHECKSUM_CALCULATION", "when_required")
    bucket = S3Location(BUCKET)._bucket
    for until, expected in ((None, {}), (LATER, {"ChecksumCRC32": "g9zvtw=="})):
        assert S3Upload(bucket, KEY, KEY, lock=Lock("governance", until), encryption={})._checksum(b"1") == expected


def test_nothing_is_written_into_a_bucket_that_is_not_there(server: Server) -> None:
    """Some servers would make it, without locks and versions."""
    server.location.bucket._versioned = None
    server.refuses("get_bucket_versioning", "NoSuchBucket", status=404)
    with pytest.raises(LocationVanishedError, match="bucket is not there"):
        server.location.put_new(KEY, b"1")


def test_without_versions_only_an_object_of_ours_is_taken_back(server: Server) -> None:
    """What lies under the key may be another writer's by the time that ours turns out to be of no use."""
    server.location.bucket._versioned = False
    with server.location.upload(KEY) as upload:
        upload.write(b"1")
        server.lists()
        server.says("put_object", {})
        server.tells(2, upload)
        server.tells(1)
        with pytest.raises(LocationError, match="did not arrive whole"):
            upload.commit()


# -- reading ------------------------------------------------------------------------------------------------------------------------


def test_an_original_that_was_removed_is_looked_up_again(server: Server) -> None:
    server.lists(("first", 1))
    server.gives(b"1")
    assert server.location.read(KEY, 10) == b"1"
    server.refuses("get_object", "NoSuchVersion", status=404)
    server.lists(("second", 2))
    server.gives(b"22")
    assert server.location.read(KEY, 10) == b"22"
    server.refuses("get_object", "NoSuchVersion", status=404)
    server.lists(markers=("m",))
    server.refuses("head_object", "404", status=404)
    with pytest.raises(ObjectMissingError):
        server.location.read(KEY, 10)


def test_an_object_of_another_size_than_its_listing_says(server: Server) -> None:
    server.lists(("v", 5))
    server.gives(b"1234")
    with pytest.raises(LocationError, match="another size"):
        server.location.open(KEY)


def test_a_body_that_ends_early_is_read_again(server: Server) -> None:
    server.lists(("v", 5))
    server.says("get_object", {"ContentLength": 5, "Body": StreamingBody(io.BytesIO(b"123"), 5)})
    server.gives(b"12345")
    assert server.location.read(KEY, 10) == b"12345"


def test_listings_that_do_not_hang_together(server: Server) -> None:
    onward: dict[str, Any] = {"IsTruncated": True, "NextKeyMarker": KEY, "NextVersionIdMarker": "v"}
    server.lists(("v", 1), **onward)
    server.lists(**onward)
    with pytest.raises(LocationError, match="leads back"):
        list(server.location.list("shop/"))
    older = {"Key": KEY, "VersionId": "older", "Size": 1, "IsLatest": False}
    server.says("list_object_versions", {"Versions": [older, {**older, "VersionId": "latest", "IsLatest": True}]})
    with pytest.raises(LocationError, match="cannot be told which was first"):
        list(server.location.list("shop/"))
    server.says("list_object_versions", {"Versions": [{**older, "Key": "other/key"}]})
    with pytest.raises(LocationError, match="not asked for"):
        list(server.location.list("shop/"))


def test_a_page_may_begin_with_the_version_that_ended_the_one_before(server: Server) -> None:
    server.lists(("v", 1), IsTruncated=True, NextKeyMarker=KEY, NextVersionIdMarker="v")
    server.lists(("v", 1), ("w", 2))
    assert [(entry.size_bytes, entry.overlaid) for entry in server.location.list("shop/")] == [(2, 1)]
