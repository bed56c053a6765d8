# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/break-glass.md, word for word, out of a bucket in which an intruder was: it ends in a running etcd with the right content."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.manifest import results
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage import names
from tests.integration.recovery_point.glass import ALWAYS, FOR_A_BUCKET, FOR_A_WRONG_SUM, Glass, make_point
from tests.integration.recovery_point.servers import KEY, VALUE, Snapshot, etcd, free_ports
from tests.s3_server import REGION, S3Server
from tests.unit.plugins.module_utils._recovery_point.making import CLUSTER, Maker

BUCKET = "backups"
PREFIX = "clusters/"
# What the page says is enough.
ACTIONS = ("s3:ListBucketVersions", "s3:GetObject", "s3:GetObjectVersion")
PAGE = 5  # versions on one page of a listing, so that every key is on several
# Blocks of the page, up to and with those of its sections.
SIGNATURE, SUMS, OPENED = 4, 6, 7


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A server with versions and object lock."""
    with S3Server(tmp_path_factory.mktemp("s3") / "server") as running:
        running.create_bucket(BUCKET)
        yield running


@pytest.fixture(scope="module")
def credentials(server: S3Server) -> dict[str, str]:
    """Those of whoever restores."""
    return server.create_user("restorer", {BUCKET: ACTIONS})


class Bucket:
    """Recovery points in a bucket, below a prefix of the test's own."""

    def __init__(self, server: S3Server, prefix: str) -> None:
        self._client = server.client()
        self.prefix = prefix

    def put(self, key: str, content: bytes) -> None:
        """Store a new version."""
        self._client.put_object(Bucket=BUCKET, Key=self.prefix + key, Body=content)

    def delete(self, key: str) -> None:
        """Lay a delete marker over an object."""
        self._client.delete_object(Bucket=BUCKET, Key=self.prefix + key)

    def upload(self, maker: Maker) -> dict[str, bytes]:
        """Everything of a directory; returns it by key."""
        files = {str(path.relative_to(maker.root)): path.read_bytes() for path in maker.files()}
        for key, content in files.items():
            self.put(key, content)
        return files

    def visible(self) -> list[str]:
        """The keys that a client sees which knows of no versions."""
        answer: dict[str, Any] = self._client.list_objects_v2(Bucket=BUCKET, Prefix=self.prefix)
        return [entry["Key"].removeprefix(self.prefix) for entry in answer.get("Contents", [])]


@pytest.fixture
def bucket(server: S3Server, tmp_path: Path) -> Bucket:
    """A place in the bucket."""
    return Bucket(server, f"{PREFIX}{tmp_path.name}/")


@pytest.fixture
def glass(tmp_path: Path, maker: Maker, binaries: Path, repository: Path, server: S3Server, bucket: Bucket, credentials: dict[str, str]) -> Glass:
    """A machine without Lifeboat and without a location: only the address of the bucket, and credentials."""
    glass = Glass(tmp_path, maker, binaries, repository, programs=["curl"])
    glass.settings.update(LOCATION=str(tmp_path / "fetched"), ENDPOINT=server.endpoint_url, REGION=REGION, BUCKET=BUCKET, PREFIX=bucket.prefix)
    glass.settings.update({name: credentials[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")})
    return glass


def followed(glass: Glass, count: int | None = None, **settings: str) -> tuple[int, str]:
    """Run the blocks for a bucket; the status and what was said."""
    done = glass.run(count, (ALWAYS, FOR_A_BUCKET), **settings)
    assert glass.settings["AWS_SECRET_ACCESS_KEY"] not in done.stdout
    return done.returncode, done.stdout


def fetched(glass: Glass) -> dict[str, bytes]:
    """What was fetched, by key."""
    top = Path(glass.settings["LOCATION"])
    return {str(path.relative_to(top)): path.read_bytes() for path in top.rglob("*") if path.is_file()}


def replace_curl(glass: Glass, script: str) -> None:
    """Put a shell script in the place of curl; it finds that one as $CURL, and an editor as $SED."""
    program = glass.work.parent / "bin" / "curl"
    program.unlink()
    program.write_text(f"#!/bin/sh\nCURL={shutil.which('curl')} SED={shutil.which('sed')}\n{script}\n")
    program.chmod(0o755)


def intrude(bucket: Bucket, files: dict[str, bytes]) -> None:
    """Lay other versions and delete markers over everything, and store what was never there."""
    for key, content in files.items():
        for junk in (b"junk over " + content[:100], content[::-1]):
            bucket.put(key, junk)
        bucket.delete(key)
    of_manifest = next(key for key in files if "/manifests/" in key and key.endswith(".json"))
    for key, content in {
        f"{CLUSTER}/manifests/20991231T000000Z-ffffff.json": b"no JSON \x1b[2J",
        f"{CLUSTER}/manifests/further/below.json": b"{}",
        f"{CLUSTER}/manifests/<&z\"'+(!*)>.json": b"{}",
        # What a key with a space could make of a line of two words.
        f"{of_manifest} file:/etc/passwd": b"{}",
        f"{CLUSTER}/results/x/20261120T133500Z-restore-restored-passed-00000000.json": b'{"highest_revision": 9000000000000000}',
    }.items():
        for _time in range(PAGE + 1):
            bucket.put(key, content)


def test_the_document_ends_in_a_running_etcd(glass: Glass, bucket: Bucket, maker: Maker, snapshot: Snapshot, binaries: Path) -> None:
    """The originals are fetched, and no byte of what was laid over them."""
    older, _files = make_point(maker, snapshot, taken_at="2026-11-19T00:00:00Z")
    manifest, files = make_point(maker, snapshot, taken_at="2026-11-20T00:00:00Z")
    highest = 3_000_000_000_000_000
    restored = results.new_result(CLUSTER, manifest.id, "restore", "restored", True, "r", highest)
    results.append(maker.location, restored, str(maker.keys.signing_key))
    originals = bucket.upload(maker)
    intrude(bucket, originals)
    replace_curl(glass, f"$SED 's/?\\(key-marker=[^&]*&\\)\\?prefix=/?\\1max-keys={PAGE}\\&prefix=/' | exec $CURL \"$@\"")
    assert not set(bucket.visible()) & set(originals)
    peer, client = free_ports()
    status, said = followed(glass, PEER=f"http://127.0.0.1:{peer}")
    assert status == 0, said
    assert f"chosen: {manifest.id}" in said
    of_older = f"{CLUSTER}/points/{older.id}/"
    found = fetched(glass)
    assert {key: found.get(key) for key in originals if not key.startswith(of_older)} == {
        key: content for key, content in originals.items() if not key.startswith(of_older)
    }
    assert not [key for key in found if key.startswith(of_older) or "below" in key or "&" in key]
    for path, content in files.items():
        assert (glass.root / path).read_bytes() == content
    with etcd(binaries, glass.root / "var/lib/etcd", "cp1", peer, client) as running:
        assert running.ctl("get", KEY, "--print-value-only").strip() == VALUE
        revision = json.loads(running.ctl("get", KEY, "--write-out", "json"))["header"]["revision"]
        assert highest + 1_000_000_000 <= revision < highest + 2_000_000_000


def test_a_forged_newest_point_stops_at_its_signature_and_another_can_be_named(glass: Glass, bucket: Bucket, maker: Maker, snapshot: Snapshot) -> None:
    manifest, _files = make_point(maker, snapshot, taken_at="2026-11-20T00:00:00Z")
    originals = bucket.upload(maker)
    forged = "20991231T000000Z-ffffff"
    real = originals[names.manifest_key(CLUSTER, manifest.id)]
    bucket.put(names.manifest_key(CLUSTER, forged), real.replace(manifest.id.encode(), forged.encode()).replace(b"2026-11-20", b"2099-12-31"))
    bucket.put(names.signature_key(CLUSTER, forged), originals[names.signature_key(CLUSTER, manifest.id)])
    status, said = followed(glass, SIGNATURE)
    assert status != 0
    assert f"chosen: {forged}" in said
    assert "Could not verify signature" in said
    status, said = followed(glass, SUMS, POINT=manifest.id)
    assert status == 0, said


def test_a_wrong_oldest_version_stops_at_its_sum_and_the_right_one_is_found(glass: Glass, bucket: Bucket, maker: Maker, snapshot: Snapshot) -> None:
    manifest, _files = make_point(maker, snapshot)
    artifact = "pki/cp1.tar.zst.age"
    key = names.artifact_key(CLUSTER, manifest.id, artifact)
    bucket.put(key, b"stored before it")
    bucket.upload(maker)
    bucket.put(key, b"stored after it")
    bucket.delete(key)
    status, said = followed(glass, SUMS)
    assert status != 0
    assert f"{artifact}: FAILED" in said
    usual = glass.blocks((ALWAYS, FOR_A_BUCKET))
    done = glass.follow([*usual[: SUMS - 1], *glass.blocks((FOR_A_WRONG_SUM,)), *usual[SUMS - 1 : OPENED]], ARTIFACT=artifact)
    assert done.returncode == 0, done.stdout
    assert (glass.work / "plain/etcd/snapshot.db").read_bytes() == snapshot.content


def test_credentials_are_in_no_argument_and_no_file(glass: Glass, bucket: Bucket, maker: Maker, snapshot: Snapshot) -> None:
    make_point(maker, snapshot)
    bucket.upload(maker)
    arguments = glass.work.parent / "arguments"
    replace_curl(glass, f'echo "$*" >> {arguments}\nexec $CURL "$@"')
    status, said = followed(glass, SUMS)
    assert status == 0, said
    assert "--aws-sigv4" in arguments.read_text()
    secret = glass.settings["AWS_SECRET_ACCESS_KEY"].encode()
    assert secret not in arguments.read_bytes()
    for directory, _names, files in os.walk(glass.work):
        assert not [name for name in files if secret in (Path(directory) / name).read_bytes()]


@pytest.mark.parametrize(
    ("changed", "words"), [({"AWS_SECRET_ACCESS_KEY": "0" * 40}, "403"), ({"BUCKET": "another"}, "40"), ({"ENDPOINT": "http://127.0.0.1:1"}, "connect")]
)
def test_a_bucket_that_does_not_answer_stops_the_document_at_once(glass: Glass, changed: dict[str, str], words: str) -> None:
    done = glass.run(2, (ALWAYS, FOR_A_BUCKET), **changed)
    assert done.returncode != 0
    assert words in done.stdout
    assert not fetched(glass)
