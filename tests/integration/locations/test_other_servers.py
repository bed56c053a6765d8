# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What other S3 servers do differently, one quirk at a time, laid over the test server; the servers themselves are driven in tests/servers."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from botocore.exceptions import ClientError

from ansible_collections.lifeboat.cluster.plugins.module_utils._catalog.catalog import Catalog
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.manifest import results
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.points import sealed_ids
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.verification import verification
from ansible_collections.lifeboat.cluster.plugins.module_utils._retention import pruning
from ansible_collections.lifeboat.cluster.plugins.module_utils._retention.retention import Policy, PruneRefusedError
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage import names
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.errors import (
    AccessDeniedError,
    HiddenError,
    LocationError,
    NotEncryptedError,
    NotLockableError,
    ObjectExistsError,
    ObjectLockedError,
    ServerRefusedError,
    ServerUnfitError,
)
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.location import StoredObject
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.preparation import UNSUPPORTED, Wish, prepare
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.probing import Settings, probe
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.s3 import s3_lock
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.s3.s3 import S3Location
from tests.fault_proxy import Answer, DropAnswer, Edited, FaultProxy, Instead, Request, When, refusal
from tests.integration.locations.places import PART, S3Place, pattern, use
from tests.s3_server import PRUNER_ACTIONS, READER_ACTIONS
from tests.unit.plugins.module_utils._recovery_point.aging import Past
from tests.unit.plugins.module_utils._recovery_point.making import CLUSTER, Keys, Maker

KEY = "shop/manifests/one.json"
LARGE = pattern(PART + 9)


def in_time(seconds: float) -> datetime:
    """So many seconds from now."""
    return datetime.now(timezone.utc).replace(microsecond=0) + timedelta(seconds=seconds)


@pytest.fixture
def proxy(s3: S3Place) -> Iterator[FaultProxy]:
    """The way to the bucket, on which the server becomes another one."""
    with FaultProxy(s3.server.port) as proxy:
        yield proxy


@pytest.fixture
def plain(s3: S3Place, proxy: FaultProxy) -> S3Place:
    """A bucket without versions, by the proxy."""
    name = f"{s3.bucket}-plain"
    s3.server.create_bucket(name, object_lock=False, versioning=False)
    return S3Place(s3.server, name, endpoint_url=proxy.endpoint_url)


@pytest.fixture
def location(s3: S3Place, proxy: FaultProxy) -> S3Location:
    """The bucket with versions and locks, by the proxy."""
    return s3.open(endpoint_url=proxy.endpoint_url)


def found_of(place: S3Location, identifier: str) -> tuple[bool, str]:
    """What the check of this id found."""
    [check] = [check for check in probe(place, CLUSTER, Settings()).checks if check["id"] == identifier]
    return check["passed"], check["found"]


def ignoring_conditions(proxy: FaultProxy, place: S3Place) -> None:
    """A server that takes every object, whatever the condition says; a lock it keeps."""
    client = place.server.client()

    def attributes(request: Request) -> dict[str, Any]:
        found: dict[str, Any] = {"Metadata": {name[len("x-amz-meta-") :]: text for name, text in request.headers.items() if name.startswith("x-amz-meta-")}}
        if "x-amz-object-lock-mode" in request.headers:
            until = request.headers["x-amz-object-lock-retain-until-date"]
            found.update({"ObjectLockMode": request.headers["x-amz-object-lock-mode"], "ObjectLockRetainUntilDate": until, "ChecksumAlgorithm": "CRC32"})
        return found

    def put(request: Request) -> Answer:
        try:
            answer = client.put_object(Bucket=place.bucket, Key=unquote(request.key), Body=request.body, **attributes(request))
        except ClientError as error:
            return refusal(error.response["ResponseMetadata"]["HTTPStatusCode"], error.response["Error"]["Code"])
        return Answer(200, {"ETag": answer["ETag"], **({"x-amz-version-id": answer["VersionId"]} if "VersionId" in answer else {})})

    def complete(request: Request) -> Answer:
        fields = re.findall(rb"<PartNumber>(\d+)</PartNumber>|<ETag>([^<]*)</ETag>|<ChecksumCRC32>([^<]*)</ChecksumCRC32>", request.body)
        numbers, tags, sums = ([field[kind].decode().replace("&quot;", '"') for field in fields if field[kind]] for kind in range(3))
        parts = [{"PartNumber": int(number), "ETag": tag, "ChecksumCRC32": total} for number, tag, total in zip(numbers, tags, sums, strict=True)]
        more = {"UploadId": request.query["uploadId"], "MultipartUpload": {"Parts": parts}}
        answer = client.complete_multipart_upload(Bucket=place.bucket, Key=unquote(request.key), **more)
        body = f"<CompleteMultipartUploadResult><ETag>{answer['ETag']}</ETag></CompleteMultipartUploadResult>"
        return Answer(200, {"x-amz-version-id": answer["VersionId"]} if "VersionId" in answer else {}, body.encode())

    proxy.add(When("put_object", meant=lambda request: bool(request.body), respond=lambda request, _ask: put(request)))
    proxy.add(Instead("complete_multipart_upload", times=None, respond=complete))


# -- making a bucket ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", ["InvalidArgument", "MalformedXML", "NotImplemented"])
def test_a_server_that_takes_no_such_rule_is_prepared_all_the_same(s3: S3Place, proxy: FaultProxy, code: str) -> None:
    def respond(request: Request, _ask: Callable[[Request], Answer]) -> Answer:
        return refusal(404, "NoSuchLifecycleConfiguration") if request.method == "GET" else refusal(400, code, "The XML was not well-formed")

    proxy.add(When("lifecycle", respond=respond))
    options = {**s3.options, "endpoint_url": proxy.endpoint_url, "object_lock_mode": "governance"}
    done = prepare(options, Wish())
    assert done.after["unfinished_uploads"] == UNSUPPORTED
    assert "takes no rule that removes unfinished uploads" in done.notes[0]
    assert not done.changed
    assert prepare(options, Wish(), check_mode=True).after["unfinished_uploads"].endswith("if this server takes a rule for that")


def test_a_rule_that_is_taken_and_dropped_is_noticed(s3: S3Place, proxy: FaultProxy) -> None:
    def respond(request: Request, _ask: Callable[[Request], Answer]) -> Answer:
        return refusal(404, "NoSuchLifecycleConfiguration") if request.method == "GET" else Answer(200, {})

    proxy.add(When("lifecycle", respond=respond))
    assert prepare({**s3.options, "endpoint_url": proxy.endpoint_url}, Wish()).after["unfinished_uploads"] == UNSUPPORTED


def test_a_server_without_versions_or_locks_says_so(proxy: FaultProxy, plain: S3Place) -> None:
    text = "A header you provided implies functionality that is not implemented"
    unfit = ("versions", "versioning", "object-lock")
    proxy.add(When(meant=lambda request: any(name in request.query for name in unfit), respond=lambda _request, _ask: refusal(501, "NotImplemented", text)))
    location = plain.open()
    with pytest.raises(ServerUnfitError, match="no versions of objects") as caught:
        location.check_writable(1)
    assert "docs/locations.md has a table" in caught.value.remedy
    # The probe gives checks, and no exception.
    assert found_of(location, "listed") == (False, f"This S3 server has no versions of objects: NotImplemented: {text} (HTTP status 501)")
    assert found_of(location, "versioned")[0] is False
    with pytest.raises(ServerUnfitError, match="no versions of objects"):
        prepare({**plain.options, "object_lock_mode": "governance"}, Wish())
    done = prepare(plain.options, Wish())
    assert done.after["versioning"] == UNSUPPORTED
    assert "can replace or remove recovery points" in done.warnings[0]
    planned = prepare(plain.options, Wish(), check_mode=True)
    assert (planned.changed, planned.before, planned.after, planned.warnings) == (False, done.before, done.after, done.warnings)
    proxy.heal()
    proxy.add(When(meant=lambda request: "object-lock" in request.query, respond=lambda _request, _ask: refusal(501, "NotImplemented", text)))
    with pytest.raises(NotLockableError, match="This S3 server has no object lock"):
        plain.open(object_lock_mode="governance").check_writable(1)


@pytest.mark.parametrize(
    ("status", "code", "told"), [(501, "NotImplemented", "server has no object lock"), (400, "InvalidRequest", "bucket has no object lock")]
)
def test_a_refusal_of_a_request_for_a_lock_is_one_of_the_lock(s3: S3Place, proxy: FaultProxy, status: int, code: str, told: str) -> None:
    locking = "x-amz-object-lock-mode"
    proxy.add(When(meant=lambda request: locking in request.headers, respond=lambda _request, _ask: refusal(status, code)))
    location = s3.open(endpoint_url=proxy.endpoint_url, object_lock_mode="governance")
    for content in (b"small", LARGE):
        with pytest.raises(NotLockableError, match=told):
            location.put_new(KEY, content, in_time(3600))
    assert s3.open().size(KEY) is None


def test_a_lock_that_is_over_is_not_a_bucket_without_locks(s3: S3Place) -> None:
    location = s3.open(object_lock_mode="governance")
    for content in (b"small", LARGE):
        with pytest.raises(NotLockableError, match="would have ended already") as caught:
            location.put_new(KEY, content, in_time(-30))
        assert "another bucket" not in caught.value.remedy


# -- writing -----------------------------------------------------------------------------------------------------------------------


def test_a_lock_that_an_upload_in_parts_lost_is_set_afterwards(s3: S3Place, proxy: FaultProxy) -> None:
    client, until = s3.server.client(), in_time(3600)

    def begin(request: Request) -> Answer:
        metadata = {name[len("x-amz-meta-") :]: text for name, text in request.headers.items() if name.startswith("x-amz-meta-")}
        answer = client.create_multipart_upload(Bucket=s3.bucket, Key=unquote(request.key), Metadata=metadata, ChecksumAlgorithm="CRC32")
        return Answer(200, {}, f"<R><UploadId>{answer['UploadId']}</UploadId></R>".encode())

    proxy.add(Instead("create_multipart_upload", times=None, respond=begin))
    location = s3.open(endpoint_url=proxy.endpoint_url, object_lock_mode="governance")
    assert location.put_new(KEY, LARGE, until) is True
    assert location.locked_until(KEY) == until
    # Where it cannot be set either, the check says so, and nothing stays.
    proxy.add(When("object_retention", meant=lambda request: request.method == "PUT", respond=lambda _request, _ask: refusal(400, "InvalidRequest")))
    with pytest.raises(NotLockableError, match="not locked as demanded"):
        location.put_new(KEY + ".sig", LARGE, until)
    assert s3.open().size(KEY + ".sig") is None
    passed, found = found_of(location, "parts")
    assert (passed, "not locked as demanded" in found) == (False, True)


def test_what_a_server_would_replace_is_looked_for_and_the_check_fails(proxy: FaultProxy, plain: S3Place) -> None:
    ignoring_conditions(proxy, plain)
    for content in (b"small", LARGE):
        assert plain.open().put_new(KEY, content) is True
        assert plain.open().put_new(KEY, content) is False
        with pytest.raises(ObjectExistsError):
            plain.open().put_new(KEY, content + b"?")
        assert plain.open().read(KEY, len(content)) == content
        assert plain.open().remove(KEY) is True
    passed, found = found_of(plain.open(), "links")
    assert passed is False
    assert found == "this server replaced an object (in one request, in parts) although it was told not to, and the bucket keeps no versions"


def test_with_versions_a_server_that_ignores_conditions_will_do(s3: S3Place, proxy: FaultProxy, location: S3Location) -> None:
    assert found_of(location, "links") == (True, "a second object under the same name is refused (in one request, in parts)")
    ignoring_conditions(proxy, s3)
    passed, found = found_of(s3.open(endpoint_url=proxy.endpoint_url), "links")
    assert passed
    assert "the first version stays, and is the one that is read" in found


def test_a_server_that_knows_no_conditions_is_looked_at_before_it_is_written_to(s3: S3Place, proxy: FaultProxy, plain: S3Place) -> None:
    """What is laid over an object is locked, and makes its point tampered until the lock is over."""
    proxy.add(When(meant=lambda request: "if-none-match" in request.headers, respond=lambda _request, _ask: refusal(501, "NotImplemented")))
    location, client = s3.open(endpoint_url=proxy.endpoint_url, object_lock_mode="governance"), s3.server.client()
    assert location.put_new(KEY, b"content", in_time(3600)) is True
    assert location.put_new(KEY, b"content", in_time(3600)) is False
    with pytest.raises(ObjectExistsError):
        location.put_new(KEY, b"others", in_time(3600))
    assert len(client.list_object_versions(Bucket=s3.bucket, Prefix=KEY)["Versions"]) == 1
    # A new process learns it before it writes, too.
    again = s3.open(endpoint_url=proxy.endpoint_url, object_lock_mode="governance")
    with pytest.raises(ObjectExistsError):
        again.put_new(KEY, b"others", in_time(3600))
    assert list(location.list("shop/")) == [StoredObject(KEY, 7, 0)]
    # And the probe says that nothing was replaced.
    assert found_of(again, "links") == (
        True,
        "this server knows no conditions (in one request, in parts); the first version stays, and is the one that is read",
    )
    assert found_of(plain.open(), "links") == (False, "this server knows no conditions (in one request, in parts)")


def test_a_repeated_request_is_no_tampering(s3: S3Place, proxy: FaultProxy) -> None:
    """Its answer was lost, and the server keeps both; they are locked, so nobody can take one back."""
    client, until = s3.server.client(), in_time(3600)
    lost = proxy.add(DropAnswer("put_object", times=1))
    location = s3.open(endpoint_url=proxy.endpoint_url, object_lock_mode="governance")
    location.bucket.conditional = False
    assert location.put_new(KEY, b"content", until) is True
    assert lost.happened == 1
    assert len(client.list_object_versions(Bucket=s3.bucket, Prefix=KEY)["Versions"]) == 2
    assert list(location.list("shop/")) == [StoredObject(KEY, 7, 0)]
    # What is not the same is tampering, as before.
    client.put_object(Bucket=s3.bucket, Key=KEY, Body=b"ransom!")
    assert list(location.list("shop/")) == [StoredObject(KEY, 7, 1)]
    # Once the server has shown that it ignores conditions, nothing is written before somebody looked.
    ignoring_conditions(proxy, s3)
    again = s3.open(endpoint_url=proxy.endpoint_url, object_lock_mode="governance")
    for _repeated in range(3):
        assert again.put_new(KEY, b"content", until) is False
    assert len(client.list_object_versions(Bucket=s3.bucket, Prefix=KEY)["Versions"]) == 4


def test_encryption_that_a_server_ignores_is_noticed(s3: S3Place) -> None:
    location = s3.open(server_side_encryption="AES256")
    for content in (b"small", LARGE):
        with pytest.raises(NotEncryptedError, match="not encrypted by the server as demanded"):
            location.put_new(KEY, content)
        assert location.size(KEY) is None
    passed, found = found_of(location, "written")
    assert (passed, "the server ignored the request" in found) == (False, True)


# -- reading -----------------------------------------------------------------------------------------------------------------------


def test_a_listing_with_other_etags_than_get(proxy: FaultProxy, plain: S3Place) -> None:
    proxy.add(Edited("list_object_versions", times=None, edit=lambda body: re.sub(rb"<ETag>[^<]*</ETag>", b"<ETag>of-its-chunks-4</ETag>", body)))
    for content in (b"", b"small", LARGE):
        assert plain.open().put_new(KEY, content) is True
        assert plain.open().put_new(KEY, content) is False
        assert plain.open().read(KEY, len(content)) == content
        assert plain.open().remove(KEY) is True


def test_a_server_that_knows_no_version_ids(proxy: FaultProxy, plain: S3Place) -> None:
    proxy.add(When(meant=lambda request: "versionId" in request.query, respond=lambda _request, _ask: refusal(501, "NotImplemented")))
    for content in (b"small", LARGE):
        assert plain.open().put_new(KEY, content) is True
        assert plain.open().read(KEY, len(content)) == content
        assert plain.open().put_new(KEY, content) is False
        assert plain.open().remove(KEY) is True
        assert plain.open().size(KEY) is None


def test_what_is_written_over_between_two_parts_is_noticed(s3: S3Place, plain: S3Place) -> None:
    plain.open().put_new(KEY, LARGE)
    with plain.open().open(KEY) as stream:
        assert stream.read(10) == LARGE[:10]
        s3.server.client().put_object(Bucket=plain.bucket, Key=KEY, Body=LARGE[::-1])
        with pytest.raises(LocationError, match="got other bytes while it was read"):
            list(iter(lambda: stream.read(PART), b""))


def test_a_point_that_the_server_does_not_give_is_not_broken(s3: S3Place, proxy: FaultProxy, tmp_path: Path, keys: Keys) -> None:
    maker = Maker(tmp_path, keys, location=s3.open(endpoint_url=proxy.endpoint_url))
    manifest = maker.point()
    proxy.add(When("get_object", meant=lambda request: "open.json" in request.key, respond=lambda _request, _ask: refusal(400, "InternalMood")))
    point = maker.catalog().get(manifest.id)
    assert (point.state, point.usable) == ("unreadable", False)
    assert "The S3 server refused: InternalMood" in point.reason
    plan = pruning.prepare(maker.location, CLUSTER, keys.trust, Policy(keep_last=1), names.now())
    assert plan.plan.decisions[0].reasons[0].startswith("unreadable, so nothing is known of it")
    proxy.heal()
    proxy.add(When("get_object", meant=lambda request: "artifacts" in request.key, respond=lambda _request, _ask: refusal(400, "InternalMood")))
    seen = verification.verify_point(maker.location, manifest, "opened", [str(keys.identity_file)])
    assert not seen.passed
    assert not seen.judged


def test_a_point_in_an_archive_class_takes_no_other_out_of_use(s3: S3Place, proxy: FaultProxy, tmp_path: Path, keys: Keys) -> None:
    """Amazon S3 refuses to give what a lifecycle rule moved there with the status of a missing right, which no credentials lack."""
    maker = Maker(tmp_path, keys, location=s3.open(endpoint_url=proxy.endpoint_url))
    old, new = maker.point(), maker.point()
    answer = refusal(403, "InvalidObjectState", "The operation is not valid for the object's storage class")
    proxy.add(When("get_object", meant=lambda request: old.id in request.key, respond=lambda _request, _ask: answer))
    found = maker.catalog()
    assert {point.id: point.state for point in found.points} == {old.id: "unreadable", new.id: "complete"}
    assert "lies in an archive class" in found.get(old.id).reason
    assert found.select("latest").id == new.id


# -- removing ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("status", "code", "text"), [(400, "InvalidRequest", "Object is WORM protected and cannot be overwritten"), (403, "AccessDenied", "")])
def test_what_a_lock_keeps_is_named_by_every_word_for_it(s3: S3Place, proxy: FaultProxy, status: int, code: str, text: str) -> None:
    s3.open(object_lock_mode="governance").put_new(KEY, b"content", in_time(3600))
    proxy.add(When("delete_object", respond=lambda _request, _ask: refusal(status, code, text)))
    with pytest.raises(ObjectLockedError, match="is locked"):
        s3.open(endpoint_url=proxy.endpoint_url).remove(KEY)


def test_a_default_retention_that_no_object_shows(s3: S3Place) -> None:
    retention = {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 3}}
    s3.server.client().put_object_lock_configuration(Bucket=s3.bucket, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": retention})
    location = s3.open()
    location.put_new(KEY, b"content")
    with pytest.raises(ObjectLockedError) as caught:
        location.remove(KEY)
    assert "lock" in caught.value.found


@pytest.mark.parametrize("text", ["", "Access Denied because object protected by object lock."])
def test_a_lock_that_is_over_by_one_clock_only_is_not_a_missing_right(s3: S3Place, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Clocks may differ by minutes, and a point goes as soon as its time is over: else the run would end in an error at the first one."""
    s3.open(object_lock_mode="governance").put_new(KEY, b"content", in_time(100))

    class Ahead(datetime):
        """The clock of the controller."""

        @classmethod
        def now(cls, tz: Any = None) -> Any:
            """The time, 200 seconds too late."""
            return datetime.now(tz) + timedelta(seconds=200)

    monkeypatch.setattr(s3_lock, "datetime", Ahead)
    proxy.add(When("delete_object", respond=lambda _request, _ask: refusal(403, "AccessDenied", text)))
    location = s3.open(endpoint_url=proxy.endpoint_url, object_lock_mode="governance")
    assert location.locked_until(KEY) is None
    with pytest.raises(ObjectLockedError, match="is locked"):
        location.remove(KEY)


def test_a_legal_hold_keeps_its_point_and_stops_no_pruning(s3: S3Place, keys: Keys) -> None:
    past = Past(s3.open(), keys)
    held, old, new = (past.point(names.now() - timedelta(days=days)) for days in (40, 30, 20))
    client = s3.server.client()
    for prefix in (f"shop/manifests/{held}", f"shop/points/{held}/"):
        for version in client.list_object_versions(Bucket=s3.bucket, Prefix=prefix)["Versions"]:
            client.put_object_legal_hold(Bucket=s3.bucket, Key=version["Key"], VersionId=version["VersionId"], LegalHold={"Status": "ON"})
    past.location = s3.open(object_lock_mode="governance")
    plan = pruning.prepare(past.location, CLUSTER, past.trust, Policy(keep_last=1), names.now())
    done = pruning.apply(past.location, plan, past.trust, past.signing_key, "20261004T180000Z-prune-0001")
    assert done.removed == [old]
    assert len(done.left) == 1
    assert done.left[0].startswith(f"{held} is not removed whole")
    assert set(sealed_ids(past.location, CLUSTER)) == {held, new}


def test_a_missing_right_is_not_a_default_retention(s3: S3Place, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else pruning would leave everything to the next run, for ever, and never fail."""
    s3.open().put_new(KEY, b"content")
    retention = {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}}
    s3.server.client().put_object_lock_configuration(Bucket=s3.bucket, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": retention})
    may = [action for action in PRUNER_ACTIONS if "Delete" not in action]
    use(monkeypatch, s3.server.create_user(f"no-pruner-{s3.bucket}", {s3.bucket: may}))
    for mode in ("none", "governance"):
        with pytest.raises(AccessDeniedError, match="credentials do not allow"):
            s3.open(object_lock_mode=mode).remove(KEY)
    # Amazon S3 names what may not be touched.
    text = "User: arn:aws:iam::1:user/prune is not authorized to perform: s3:DeleteObjectVersion on resource: arn:aws:s3:::the-object-lock-bucket/shop/x"
    proxy.add(When("delete_object", respond=lambda _request, _ask: refusal(403, "AccessDenied", text)))
    with pytest.raises(AccessDeniedError, match="credentials do not allow"):
        s3.open(endpoint_url=proxy.endpoint_url).remove(KEY)


def test_a_version_that_is_gone_is_no_error_of_its_removal(s3: S3Place, proxy: FaultProxy, location: S3Location) -> None:
    """The answer was lost and the request repeated, or two runs prune at once."""
    lost = proxy.add(DropAnswer("delete_object", times=1))
    location.put_new(KEY, b"content")
    s3.server.client().put_object(Bucket=s3.bucket, Key=KEY, Body=b"another")
    assert location.remove(KEY) is True
    assert lost.happened == 1
    assert s3.open().size(KEY) is None
    assert s3.open().remove(KEY) is False


@pytest.mark.parametrize("mode", ["none", "governance"])
def test_what_others_called_as_they_liked_goes_with_its_point(s3: S3Place, keys: Keys, mode: str) -> None:
    """A copy that somebody made, and directories as consoles make them: none may stop all pruning, and none is a point."""
    past = Past(s3.open(), keys)
    old, new = (past.point(names.now() - timedelta(days=days)) for days in (30, 20))
    directories = ("shop/manifests/", "shop/results/", "shop/tags/", "shop/pruned/")
    for key in (f"shop/points/{old}/", f"shop/points/{old}/open copy.json", f"shop/points/{old}/artifacts/", *directories):
        s3.server.client().put_object(Bucket=s3.bucket, Key=key, Body=b"")
    past.location = s3.open(object_lock_mode=mode)
    found = Catalog(past.location, CLUSTER, past.trust)
    assert [(row["id"], row["state"]) for row in found.rows()] == [(old, "complete"), (new, "complete")]
    plan = pruning.prepare(past.location, CLUSTER, past.trust, Policy(keep_last=1), names.now())
    assert plan.problems == []
    assert pruning.apply(past.location, plan, past.trust, past.signing_key, "20261004T180000Z-prune-0001").removed == [old]
    assert [stored.key for stored in past.location.list("shop/") if old in stored.key and "pruned" not in stored.key] == []
    again = pruning.prepare(past.location, CLUSTER, past.trust, Policy(keep_last=1), names.now())
    assert not pruning.apply(past.location, again, past.trust, past.signing_key, "20261004T180000Z-prune-0002").changed


@pytest.mark.parametrize("code", ["NoSuchUpload", "NotImplemented", "MethodNotAllowed"])
def test_a_server_that_has_no_unfinished_uploads_to_tell_of(proxy: FaultProxy, location: S3Location, code: str) -> None:
    proxy.add(When("list_multipart_uploads", respond=lambda _request, _ask: refusal(404, code)))
    assert location.sweep("shop/", 0) == 0


def test_a_server_that_finds_uploads_by_their_whole_key_only(s3: S3Place, proxy: FaultProxy, location: S3Location) -> None:
    client = s3.server.client()
    for key in (KEY, "other/manifests/one.json"):
        client.create_multipart_upload(Bucket=s3.bucket, Key=key)
    nothing = Answer(200, {}, b"<ListMultipartUploadsResult></ListMultipartUploadsResult>")
    proxy.add(When("list_multipart_uploads", meant=lambda request: bool(request.query.get("prefix")), respond=lambda _request, _ask: nothing))
    assert location.sweep("shop/", 3600) == 0
    assert location.sweep("shop/", 0) == 1
    assert [upload["Key"] for upload in client.list_multipart_uploads(Bucket=s3.bucket)["Uploads"]] == ["other/manifests/one.json"]


def test_a_sweep_that_fails_is_no_end_of_pruning(s3: S3Place, proxy: FaultProxy, tmp_path: Path, keys: Keys) -> None:
    maker = Maker(tmp_path, keys, location=s3.open(endpoint_url=proxy.endpoint_url))
    maker.point()
    proxy.add(When("list_multipart_uploads", respond=lambda _request, _ask: refusal(400, "InternalMood")))
    plan = pruning.prepare(maker.location, CLUSTER, keys.trust, Policy(keep_last=1), names.now())
    done = pruning.apply(maker.location, plan, keys.trust, str(keys.signing_key), "run")
    assert done.left == ["unfinished uploads are not swept: The S3 server refused: InternalMood: no message (HTTP status 400)"]


# -- an object that has the name of a directory ------------------------------------------------------------------------------------


def hiding(proxy: FaultProxy, name: str) -> None:
    """A server on which an object of this name was stored, and that lists it in the place of everything below it."""
    entry = f"<Version><Key>{name}</Key><VersionId>v</VersionId><IsLatest>true</IsLatest><Size>3</Size><ETag>e</ETag></Version>".encode()
    below = re.compile(rb"<(Version|DeleteMarker)>(?:(?!</\1>).)*<Key>" + re.escape(name.encode()) + rb"/[^<]*</Key>.*?</\1>", re.DOTALL)
    common = re.compile(rb"<CommonPrefixes><Prefix>" + re.escape(name.encode()) + rb"/[^<]*</Prefix></CommonPrefixes>")

    def respond(request: Request, ask: Callable[[Request], Answer]) -> Answer:
        answer, prefix = ask(request), request.query.get("prefix", "")
        body = common.sub(b"", below.sub(b"", answer.body))
        alone = "delimiter" not in request.query or "/" not in name[len(prefix) :]
        if name.startswith(prefix) and alone and "key-marker" not in request.query:
            place = body.find(b"<Version>")
            place = place if place >= 0 else body.rindex(b"</ListVersionsResult>")
            body = body[:place] + entry + body[place:]
        return Answer(answer.status, answer.headers, body)

    proxy.add(When("list_object_versions", respond=respond))


def listing_both(proxy: FaultProxy, name: str) -> None:
    """A server on which an object of this name lies, and that lists it and everything below it."""
    entry = f"<Version><Key>{name}</Key><VersionId>v</VersionId><IsLatest>true</IsLatest><Size>3</Size><ETag>e</ETag></Version>".encode()

    def respond(request: Request, ask: Callable[[Request], Answer]) -> Answer:
        answer = ask(request)
        if name.startswith(request.query.get("prefix", "")) and "key-marker" not in request.query:
            end = answer.body.rindex(b"</ListVersionsResult>")
            answer = Answer(answer.status, answer.headers, answer.body[:end] + entry + answer.body[end:])
        return answer

    proxy.add(When("list_object_versions", respond=respond))


def test_what_an_object_hides_is_read_and_the_deed_is_named(s3: S3Place, proxy: FaultProxy, tmp_path: Path, keys: Keys) -> None:
    maker = Maker(tmp_path, keys, location=s3.open(endpoint_url=proxy.endpoint_url))
    manifest = maker.point()
    results.append(maker.location, results.new_result(CLUSTER, manifest.id, "verification", "opened", True, "r"), str(keys.signing_key))
    for name in (f"shop/points/{manifest.id}", f"shop/points/{manifest.id}/artifacts/etcd", "shop/points", "shop/manifests", f"shop/results/{manifest.id}"):
        hiding(proxy, name)
        reader = s3.open(endpoint_url=proxy.endpoint_url)
        maker.location = reader
        found = maker.catalog()
        row = found.get(manifest.id).row(found.now)
        assert (row["state"], row["usable"], row["overlaid"]) == ("tampered", True, [name]), name
        assert "an object has the name of a directory" in row["reason"]
        assert found.select("latest").manifest == manifest
        assert verification.verify_point(reader, manifest, "opened", [str(keys.identity_file)]).passed
        proxy.heal()
    maker.location = s3.open()
    assert maker.catalog().get(manifest.id).state == "complete"


@pytest.mark.parametrize(("prefix", "name"), [("", "shop"), ("backups/lifeboat", "backups"), ("backups/lifeboat", "backups/lifeboat")])
def test_an_object_beside_what_is_listed_hides_nothing(s3: S3Place, proxy: FaultProxy, tmp_path: Path, keys: Keys, prefix: str, name: str) -> None:
    """Amazon S3, Ceph and SeaweedFS list both; that there are no tags and tombstones yet proves nothing."""
    listing_both(proxy, name)
    maker = Maker(tmp_path, keys, location=s3.open(endpoint_url=proxy.endpoint_url, prefix=prefix))
    # Where nothing at all is listed, nobody can know, and the object is named as the bucket knows it.
    with pytest.raises(HiddenError, match="Everything of cluster shop is hidden") as nothing:
        maker.catalog()
    assert nothing.value.found == name
    manifest = maker.point()
    assert maker.catalog().get(manifest.id).state == "complete"
    assert pruning.prepare(maker.location, CLUSTER, keys.trust, Policy(keep_last=1), names.now()).problems == []


def test_pruning_and_backing_up_stop_at_a_hidden_directory(s3: S3Place, proxy: FaultProxy, tmp_path: Path, keys: Keys) -> None:
    maker = Maker(tmp_path, keys, location=s3.open(endpoint_url=proxy.endpoint_url))
    manifest = maker.point()
    for name in ("shop/manifests", "shop/tags", "shop/results", "shop/pruned", "shop/points"):
        hiding(proxy, name)
        with pytest.raises(PruneRefusedError, match="has the name of a directory") as refused:
            pruning.prepare(maker.location, CLUSTER, keys.trust, Policy(keep_last=1), names.now())
        assert name in refused.value.found
        proxy.heal()
    hiding(proxy, f"shop/points/{manifest.id}")
    plan = pruning.prepare(maker.location, CLUSTER, keys.trust, Policy(keep_last=1), names.now())
    assert "has the name of" in plan.plan.decisions[0].reasons[0]
    proxy.heal()
    hiding(proxy, "shop")
    with pytest.raises(HiddenError, match="Everything of cluster shop is hidden"):
        maker.catalog()
    proxy.heal()
    hiding(proxy, "shop/manifests")
    with pytest.raises(HiddenError, match="is hidden by an object") as hidden:
        maker.location.put_new(KEY, b"new")
    assert "shop/manifests" in hidden.value.found
    assert "remove every version" in hidden.value.remedy


def test_a_bucket_without_locks_is_not_write_once_whatever_is_asked_for(s3: S3Place, proxy: FaultProxy) -> None:
    assert s3.open(object_lock_mode="governance").lacks() == ""
    name = f"{s3.bucket}-versions"
    s3.server.create_bucket(name, object_lock=False)
    location = S3Place(s3.server, name).open(object_lock_mode="governance")
    assert "this bucket has no object lock" in location.lacks()
    facts = probe(location, CLUSTER, Settings()).facts
    assert (facts["write_once"], "no object lock" in facts["lacks"]) == (False, True)
    # One that has them, says so, and does not keep them.
    proxy.add(When("delete_object", meant=lambda request: "versionId" in request.query, respond=lambda _request, _ask: Answer(204, {})))
    facts = probe(s3.open(endpoint_url=proxy.endpoint_url, object_lock_mode="governance"), CLUSTER, Settings()).facts
    assert (facts["write_once"], facts["lacks"]) == (False, "that locks hold here is not proven: the locked probe was removed")
    proxy.heal()
    # Each lock is read back when it is set, so the right to see this is not needed.
    for status, code, told in ((403, "AccessDenied", ""), (400, "InternalMood", "could not be seen: InternalMood")):
        unseen = refusal(status, code)
        proxy.add(When(meant=lambda request: "object-lock" in request.query, respond=lambda _request, _ask, unseen=unseen: unseen))
        assert told in s3.open(endpoint_url=proxy.endpoint_url, object_lock_mode="governance").lacks()
        proxy.heal()


def test_who_may_not_see_the_versioning_is_not_told_that_there_is_none(s3: S3Place, monkeypatch: pytest.MonkeyPatch) -> None:
    may = [action for action in READER_ACTIONS if action != "s3:GetBucketVersioning"]
    use(monkeypatch, s3.server.create_user(f"unseeing-{s3.bucket}", {s3.bucket: may}))
    lacks = s3.open().lacks()
    assert "may not see whether the bucket keeps versions" in lacks
    assert "neither versions" not in lacks


def test_plain_http_is_known_by_any_spelling(s3: S3Place) -> None:
    for address in (s3.server.endpoint_url, s3.server.endpoint_url.replace("http", "HTTP")):
        assert found_of(s3.open(endpoint_url=address), "transport") == (False, address)


def test_a_slow_server_is_not_called_one_that_breaks_locks(s3: S3Place, proxy: FaultProxy) -> None:
    """What the probe may do when its lock is over, or nearly, says nothing of locks. The clock goes on while the server thinks."""
    late = 0.0

    def slow(request: Request, ask: Callable[[Request], Answer]) -> Answer:
        nonlocal late
        late += 40.0
        return ask(request)

    def probed() -> tuple[bool, str]:
        found = probe(s3.open(endpoint_url=proxy.endpoint_url, object_lock_mode="governance"), CLUSTER, Settings(), clock=lambda: time.time() + late)
        [check] = [check for check in found.checks if check["id"] == "lock_holds"]
        return check["passed"], check["found"]

    proxy.add(When(meant=lambda request: "uploadId" in request.query or "uploads" in request.query, respond=slow))
    passed, found = probed()
    assert (passed, found.startswith("locked until")) == (True, True)
    assert late > 60
    proxy.heal()
    proxy.add(When("head_object", meant=lambda request: "/probes/" in request.key, respond=slow))
    passed, found = probed()
    assert (passed, found.startswith("could not be tried: the server took so long")) == (False, True)


def test_the_probe_tries_the_names(s3: S3Place, proxy: FaultProxy, location: S3Location) -> None:
    plain = f"{s3.bucket}-names"
    s3.server.create_bucket(plain, object_lock=False, versioning=False)
    # Also where the rights that are tried remove the probe.
    for place in (location, S3Place(s3.server, plain).open()):
        passed, found = found_of(place, "names")
        assert (passed, found.startswith("the second is refused")) == (True, True)

    # A server that takes both, and shows one: what lies below a probe is stored beside it here.
    stored: list[str] = []

    def beside(request: Request, _ask: Callable[[Request], Answer]) -> Answer:
        stored.append(unquote(request.key))
        return Answer(200, {"ETag": '"e"'})

    def told(_request: Request, _ask: Callable[[Request], Answer]) -> Answer:
        return Answer(200, {"Content-Length": "0", "ETag": '"e"'})

    def is_below(request: Request) -> bool:
        return "/probes/" in request.key and request.key.count("/") == 3

    proxy.add(When("put_object", meant=is_below, respond=beside))
    proxy.add(When("head_object", meant=is_below, respond=told))
    passed, found = found_of(s3.open(endpoint_url=proxy.endpoint_url), "names")
    assert stored
    assert passed is False
    assert "is in no listing, because there is an object" in found


def test_a_refusal_has_a_class_of_its_own(proxy: FaultProxy, location: S3Location) -> None:
    location.put_new(KEY, b"content")
    proxy.add(When("get_object", respond=lambda _request, _ask: refusal(400, "InternalMood")))
    with pytest.raises(ServerRefusedError, match="InternalMood"):
        location.read(KEY, 100)
