# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bad days of a bucket: every one is survived or ends with a clear error, in bounded time, and nothing half-written is ever visible."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.errors import (
    AccessDeniedError,
    CredentialsExpiredError,
    LocationError,
    LocationFullError,
    LocationSlowError,
    LocationVanishedError,
)
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.location import StoredObject
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.s3.s3 import S3Location
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.s3.s3_transfer import S3Upload
from tests.fault_proxy import (
    Answer,
    DropAnswer,
    DropRequest,
    Edited,
    Fault,
    FaultProxy,
    Instead,
    Request,
    Silent,
    Slow,
    Unavailable,
    without_key,
    without_markers,
)
from tests.integration.locations.places import LIMITS, PART, S3Place, pattern, use
from tests.s3_server import WRITER_ACTIONS, S3Server

KEY = "shop/points/p/artifacts/etcd/cp1.tar.zst.age"
LARGE = pattern(3 * PART + 100)
HASTY = LIMITS._replace(attempts=2, connect_timeout_seconds=2.0, read_timeout_seconds=1.0)
BOUND_SECONDS = 60


@pytest.fixture
def proxy(s3: S3Place) -> Iterator[FaultProxy]:
    """The way to the bucket."""
    with FaultProxy(s3.server.port) as proxy:
        yield proxy


@pytest.fixture
def location(s3: S3Place, proxy: FaultProxy) -> S3Location:
    """The bucket, by the proxy."""
    return s3.open(endpoint_url=proxy.endpoint_url)


def nothing_there(s3: S3Place) -> bool:
    """Whether neither an object nor a part of one is in the bucket."""
    return list(s3.open().list("shop/")) == [] and s3.unfinished() == 0


def finish(upload: S3Upload, data: bytes) -> None:
    """The rest of an upload."""
    upload.write(data)
    upload.commit()


# -- connections that break ---------------------------------------------------------------------------------------------------------


def test_a_connection_that_breaks_under_an_upload(s3: S3Place, proxy: FaultProxy, location: S3Location) -> None:
    part = proxy.add(DropRequest("upload_part", times=2, after_bytes=PART // 2))
    small = proxy.add(DropRequest("put_object", after_bytes=1))
    assert location.put_new(KEY, LARGE) is True
    assert location.put_new(KEY + ".sig", b"signature") is True
    assert (part.happened, small.happened) == (2, 1)
    assert s3.open().read(KEY, len(LARGE)) == LARGE
    assert [(entry.key, entry.overlaid) for entry in s3.open().list("shop/")] == [(KEY, 0), (KEY + ".sig", 0)]
    assert s3.unfinished() == 0


def test_connections_that_always_break_under_an_upload(s3: S3Place, proxy: FaultProxy) -> None:
    location = s3.open(HASTY, endpoint_url=proxy.endpoint_url)
    proxy.add(DropRequest("upload_part", times=None, after_bytes=PART // 2))
    proxy.add(DropRequest("put_object", times=None, after_bytes=1))
    for content in (LARGE, b"small"):
        with pytest.raises(LocationVanishedError) as caught:
            location.put_new(KEY, content)
        assert KEY in str(caught.value)
    assert nothing_there(s3)


def test_a_connection_that_breaks_under_a_download(s3: S3Place, proxy: FaultProxy, location: S3Location) -> None:
    s3.open().put_new(KEY, LARGE)
    fault = proxy.add(DropAnswer("get_object", times=3, after_bytes=PART // 3))
    before = proxy.add(DropAnswer("get_object", times=1))
    assert location.read(KEY, len(LARGE)) == LARGE
    assert (fault.happened, before.happened) == (3, 1)
    proxy.add(DropAnswer("get_object", times=None, after_bytes=PART // 3))
    with pytest.raises(LocationVanishedError, match="broke"):
        s3.open(HASTY, endpoint_url=proxy.endpoint_url).read(KEY, len(LARGE))


def test_a_download_that_is_left_early_ends_at_once(s3: S3Place, proxy: FaultProxy, location: S3Location) -> None:
    s3.open().put_new(KEY, LARGE)
    with location.open(KEY) as stream:
        assert stream.read(100) == LARGE[:100]
        proxy.add(Slow("get_object", times=None, rate=1 << 17))  # 40 seconds for a part
        stream.read(PART)
        begin = time.monotonic()
    assert time.monotonic() - begin < 20


@pytest.mark.parametrize(("operation", "content"), [("put_object", b"small"), ("complete_multipart_upload", LARGE)])
def test_an_answer_that_is_lost(s3: S3Place, proxy: FaultProxy, location: S3Location, operation: str, content: bytes) -> None:
    """The server stored it, and the client never heard: its second request meets its own object."""
    fault = proxy.add(DropAnswer(operation))
    assert location.put_new(KEY, content) is True
    assert fault.happened == 1
    assert proxy.seen.count(operation) == 2
    assert list(s3.open().list("shop/")) == [StoredObject(KEY, len(content), 0)]


def test_a_server_that_goes_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with S3Server(tmp_path / "other") as server:
        use(monkeypatch, server.environment())
        server.create_bucket("backups")
        place = S3Place(server, "backups")
        location, port = place.open(HASTY), server.port
        with location.upload(KEY) as upload:
            upload.write(LARGE)
            server.stop()
            with pytest.raises(LocationVanishedError, match="cannot be reached"):
                upload.commit()
        for attempt in (lambda: location.check_writable(1), lambda: location.read(KEY, 10), lambda: list(location.list("shop/"))):
            with pytest.raises(LocationVanishedError, match="cannot be reached"):
                attempt()
        server.start(port)
        assert location.size(KEY) is None
        assert location.sweep("shop/", 0) == 1
        assert location.put_new(KEY, LARGE) is True


# -- servers that are busy, slow or silent ------------------------------------------------------------------------------------------


def test_a_storm_of_refusals_is_survived(s3: S3Place, proxy: FaultProxy, location: S3Location) -> None:
    storm = [proxy.add(Unavailable(operation)) for operation in ("create_multipart_upload", "upload_part", "complete_multipart_upload", "head_object")]
    storm += [proxy.add(Unavailable(operation, times=2)) for operation in ("list_object_versions", "get_object")]
    assert location.put_new(KEY, LARGE) is True
    assert location.read(KEY, len(LARGE)) == LARGE
    assert [fault.happened for fault in storm] == [1, 1, 1, 1, 2, 2]
    assert list(s3.open().list("shop/")) == [StoredObject(KEY, len(LARGE), 0)]


def test_a_server_that_is_busy_for_ever(s3: S3Place, proxy: FaultProxy) -> None:
    location = s3.open(HASTY, endpoint_url=proxy.endpoint_url)
    proxy.add(Unavailable(times=None))
    begin = time.monotonic()
    attempts = (
        lambda: location.put_new(KEY, b"small"),
        lambda: location.put_new(KEY, LARGE),
        lambda: location.read(KEY, 10),
        lambda: list(location.list("shop/")),
        lambda: location.check_writable(1),
    )
    for attempt in attempts:
        with pytest.raises(LocationSlowError) as caught:
            attempt()
        assert "SlowDown: Please reduce your request rate." in str(caught.value)
        assert s3.bucket in str(caught.value)
    assert time.monotonic() - begin < BOUND_SECONDS
    assert len(proxy.seen) == 2 * len(attempts)
    assert nothing_there(s3)


def test_a_slow_server(s3: S3Place, proxy: FaultProxy, location: S3Location) -> None:
    s3.open().put_new(KEY, LARGE)
    fault = proxy.add(Slow("get_object", times=2, rate=8 << 20))
    assert location.read(KEY, len(LARGE)) == LARGE
    assert fault.happened == 2


def test_a_server_that_says_nothing(s3: S3Place, proxy: FaultProxy) -> None:
    location = s3.open(HASTY, endpoint_url=proxy.endpoint_url)
    s3.open().put_new(KEY + ".sig", b"signature")
    once = proxy.add(Silent("list_object_versions"))
    assert location.read(KEY + ".sig", 100) == b"signature"
    assert once.happened == 1
    proxy.add(Silent(times=None))
    begin = time.monotonic()
    for attempt in (lambda: location.put_new(KEY, b"small"), lambda: location.read(KEY, 10), lambda: list(location.list("shop/"))):
        with pytest.raises(LocationVanishedError, match="in time"):
            attempt()
    assert time.monotonic() - begin < BOUND_SECONDS
    assert s3.open().size(KEY) is None


# -- servers and things between that lie --------------------------------------------------------------------------------------------


def test_an_upload_that_arrived_in_part_although_the_server_said_yes(s3: S3Place, proxy: FaultProxy, location: S3Location) -> None:
    client = s3.server.client()

    def short_object(request: Request) -> Answer:
        metadata = {name[len("x-amz-meta-") :]: value for name, value in request.headers.items() if name.startswith("x-amz-meta-")}
        answer = client.put_object(Bucket=s3.bucket, Key=request.key, Body=request.body[:-1], Metadata=metadata)
        return Answer(200, {"ETag": answer["ETag"], "x-amz-version-id": answer["VersionId"]})

    def short_part(request: Request) -> Answer:
        query = request.query
        parameters = {"UploadId": query["uploadId"], "PartNumber": int(query["partNumber"]), "Body": request.body[:-1], "ChecksumAlgorithm": "CRC32"}
        answer = client.upload_part(Bucket=s3.bucket, Key=request.key, **parameters)
        return Answer(200, {"ETag": answer["ETag"], "x-amz-checksum-crc32": answer["ChecksumCRC32"]})

    for size, fault, told, found in (
        (1000, Instead("put_object", respond=short_object), "did not arrive whole", "999 bytes"),
        # The checksum of each part is named once more when the upload is completed.
        (PART + 1000, Instead("upload_part", respond=short_part), "received other bytes than were sent", "InvalidPart"),
    ):
        content = pattern(size)
        with location.upload(KEY) as upload:
            upload.write(content)
            # The first part has to be as long as S3 wants, so only the last can be short.
            while size > PART and "upload_part" not in proxy.seen:
                time.sleep(0.01)
            proxy.add(fault)
            with pytest.raises(LocationError, match=told) as caught:
                upload.commit()
        assert found in str(caught.value)
        assert fault.happened == 1
        assert nothing_there(s3)
        assert location.put_new(KEY, content) is True
        assert location.remove(KEY) is True


def test_a_listing_that_does_not_hang_together(s3: S3Place, proxy: FaultProxy, location: S3Location) -> None:
    keys = [f"shop/manifests/{number:02}.json" for number in range(20)]
    direct = s3.open()
    for key in keys:
        direct.put_new(key, b"{}")
    pages: list[bytes] = []

    def kept(body: bytes) -> bytes:
        pages.append(body)
        return body

    proxy.add(Edited("list_object_versions", times=3, edit=kept))
    assert [entry.key for entry in location.list("shop/")] == keys
    # So many pages as they are, then one that is not.
    for whole, fault, found in (
        (0, Edited("list_object_versions", edit=without_markers), "not where"),
        (1, Instead("list_object_versions", respond=lambda _request: Answer(200, {}, pages[0])), "twice"),
        (2, Instead("list_object_versions", respond=lambda _request: Answer(200, {}, pages[1])), "begins elsewhere"),
    ):
        proxy.add(Fault("list_object_versions", times=whole))
        proxy.add(fault)
        with pytest.raises(LocationError, match="does not hang together") as caught:
            list(location.list("shop/"))
        assert found in str(caught.value)
        proxy.heal()
    # What is left out without a trace only the signed manifests can tell; it is not lost, and all others are there.
    proxy.add(Edited("list_object_versions", times=3, edit=without_key(keys[3])))
    assert [entry.key for entry in location.list("shop/")] == [key for key in keys if key != keys[3]]
    proxy.heal()
    assert location.read(keys[3], 10) == b"{}"


# -- credentials and clocks ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["another secret", "no user", "no right"])
def test_credentials_that_expire_under_an_upload(s3: S3Place, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    name = f"writer-{s3.bucket}"
    writer = s3.server.create_user(name, {s3.bucket: WRITER_ACTIONS})
    use(monkeypatch, writer)
    location = s3.open()
    expected = AccessDeniedError if how == "no right" else CredentialsExpiredError
    with location.upload(KEY) as upload:
        upload.write(LARGE[: 2 * PART + 1])
        if how == "another secret":
            s3.server.change_secret(name)
        elif how == "no user":
            s3.server.delete_user(name)
        else:
            s3.server.allow(name, s3.bucket, [])
        with pytest.raises(expected) as caught:
            finish(upload, LARGE)
    for text in (str(caught.value), repr(caught.value.as_result())):
        assert writer["AWS_SECRET_ACCESS_KEY"] not in text
        assert KEY in text
    for attempt in (lambda: location.check_writable(1), lambda: location.put_new(KEY, b"small"), lambda: list(location.list("shop/"))):
        with pytest.raises(expected):
            attempt()
    use(monkeypatch, s3.server.environment())
    assert list(s3.open().list("shop/")) == []
    # Who may do nothing any more cannot take back what was begun either.
    assert s3.open().sweep("shop/", 0) == 1
    assert nothing_there(s3)


def test_no_credentials_at_all(s3: S3Place, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = s3.server.environment()
    without = {name: value for name, value in environment.items() if name not in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
    use(monkeypatch, without)
    with pytest.raises(CredentialsExpiredError, match="no S3 credentials"):
        s3.open().check_writable(1)
    with pytest.raises(CredentialsExpiredError, match="profile"):
        s3.open(profile="nobody")
    use(monkeypatch, s3.server.environment("nobody", "not-the-secret"))
    with pytest.raises(CredentialsExpiredError) as caught:
        s3.open().check_writable(1)
    assert "not-the-secret" not in str(caught.value)


def test_a_profile_holds_the_credentials(s3: S3Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    environment = s3.server.environment()
    lines = ["[backups]", *(f"{name.lower()} = {environment[name]}" for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"))]
    (tmp_path / "credentials").write_text("\n".join(lines) + "\n")
    use(monkeypatch, {"AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials"), "AWS_CONFIG_FILE": os.devnull, "AWS_EC2_METADATA_DISABLED": "true"})
    s3.open(profile="backups", region="us-east-1").check_writable(1)


SKEWED = """
try:
    location.put_new(sys.argv[2], b"content")
except Exception as error:
    print(type(error).__name__)
    print(error)
"""


@pytest.mark.parametrize("shift", ["+2h", "-2h"])
def test_a_clock_that_is_wrong(s3: S3Place, shift: str) -> None:
    process = s3.in_a_child(SKEWED, KEY, before=("faketime", "-f", shift))
    said = process.communicate()[0].decode().splitlines()
    assert said[0] == "ClockSkewError", said
    assert "RequestTimeTooSkewed" in "".join(said)
    assert s3.open().size(KEY) is None


# -- a full disk --------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 24 MiB. It is tmpfs, which keeps extended attributes from Linux 6.6 on."""
    mount = tmp_path / "small"
    mount.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m,mode=0700", "lifeboat-test", mount], check=True)
    try:
        yield mount
    finally:
        subprocess.run(["umount", "--lazy", mount], check=True)


def test_a_server_whose_disk_is_full(small_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with S3Server(small_disk / "s3") as server:
        use(monkeypatch, server.environment())
        server.create_bucket("backups")
        place = S3Place(server, "backups")
        location = place.open(HASTY._replace(read_timeout_seconds=20.0))
        location.put_new("shop/manifests/a", b"there before")
        with pytest.raises(LocationFullError, match="No space"):
            location.put_new(KEY, LARGE + LARGE)
        (small_disk / "filler").write_bytes(b"x" * (20 << 20))
        with pytest.raises(LocationFullError, match="No space"):
            location.put_new(KEY, LARGE[: PART - 1])
        (small_disk / "filler").unlink()
        assert [entry.key for entry in location.list("shop/")] == ["shop/manifests/a"]
        assert place.unfinished() == 0
        assert location.read("shop/manifests/a", 100) == b"there before"
        assert location.put_new(KEY, b"there is space again") is True


# -- memory -------------------------------------------------------------------------------------------------------------------------

SEALED = """
import os
import tempfile
import pyrage
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.trust import sealing
me = pyrage.x25519.Identity.generate()
with tempfile.TemporaryFile() as source:
    for part in range(10):
        source.seek(part * (512 << 20))
        source.write(os.urandom(30 << 20))
    source.truncate(5 << 30)
    source.seek(0)
    digests = sealing.seal_to(location, sys.argv[2], source, [str(me.to_public())])
assert digests.plain_size_bytes == 5 << 30, digests
assert digests.sealed_size_bytes > 300 << 20, digests
sealing.unseal_from(location, sys.argv[2], sealing.Discard(), [me], what=sys.argv[2], expected=digests)
with open("/proc/self/status") as status:
    print(next(line.split()[1] for line in status if line.startswith("VmHWM")))
"""


def test_five_gigabytes_are_sealed_and_opened_in_little_memory(s3: S3Place) -> None:
    process = s3.in_a_child(SEALED, KEY)
    said = process.communicate()[0].decode()
    assert process.returncode == 0
    assert int(said) < 200 * 1024, f"{said} KiB resident"
    assert s3.open().remove(KEY) is True
