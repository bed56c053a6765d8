# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Copies of a point: sealed to a new key or as they are, in the same location or another one, and nothing half made is ever a point."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._catalog import copying
from ansible_collections.lifeboat.cluster.plugins.module_utils._catalog.copying import Copied, Wanted, copy_point
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point import points
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.manifest.manifest import Manifest
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.trust import sealing
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.verification import verification
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage import names
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.errors import (
    ArtifactDamagedError,
    IdentityRefusedError,
    OtherClusterError,
    PointError,
    RecipientRefusedError,
    SignatureError,
    WrongIdentityError,
)
from tests.unit.plugins.module_utils._recovery_point.making import CLUSTER, SECRETS, Keys, Maker, assert_no_secrets, flip, make_pki_files, make_tar

TAKEN_AT = "2026-11-20T13:35:00Z"
MORE: dict[str, Any] = {
    "taken_at": TAKEN_AT,
    "etcd": {"hosts": {"cp1": "https://10.0.0.1:2380"}, "sha256": "cd" * 32},
    "missing": [{"component": "node_config", "host": "w1", "reason": "it was down"}],
    "checks": [{"id": "etcd.taken", "host": "cp1", "passed": True, "severity": "error", "stage": "backup"}],
    "durations": {"backup": 12.5},
    "fingerprints": {"ca": "ef" * 32},
    "names": {"api.shop": ["10.0.0.9"]},
    "nodes": {"cp1": {"name": "cp1", "address": "10.0.0.1"}},
    "highest_revision": 5000,
}
# What a copy may say otherwise than its original.
OWN = {"id", "opened_at", "sealed_at", "retain_until", "artifacts", "seen_before", "recipients", "origin", "open_sha256"}


@pytest.fixture
def second(tmp_path: Path, keys: Keys) -> Maker:
    """A second site."""
    (tmp_path / "second").mkdir()
    return Maker(tmp_path / "second", keys)


def original_of(maker: Maker) -> Manifest:
    """A point with a value in every field, and secrets in its artifacts."""
    opening = maker.open()
    artifacts = [
        maker.add(opening.id, "etcd", "cp1", make_tar({"notes": SECRETS["token"].encode() + os.urandom(300_000)})),
        maker.add(opening.id, "pki", "cp1", make_tar(make_pki_files()), inspect=True),
    ]
    return maker.seal(opening.id, artifacts, **MORE)


def wanted(keys: Keys, *recipients: str, **more: Any) -> Wanted:
    """A copy that the cluster's owner makes."""
    return Wanted(str(keys.signing_key), keys.trust, recipients, [str(keys.identity_file)] if recipients else [], **more)


def open_ids(maker: Maker) -> list[str]:
    """Points that were begun and not sealed."""
    return [point.id for point in maker.catalog().points if point.state == "open"]


def test_the_new_key_opens_the_copy_and_the_old_one_does_not(maker: Maker, keys: Keys, stranger: Keys) -> None:
    original = original_of(maker)
    before = {path: path.read_bytes() for path in maker.files()}
    done = copy_point(maker.location, maker.location, original, wanted(keys, stranger.recipient, reason="the laptop was stolen"))
    copy = done.manifest
    assert done.changed
    assert copy is not None
    assert copy.recipients == [stranger.recipient]
    assert verification.verify_point(maker.location, copy, "opened", [str(stranger.identity_file)]).passed
    refused = verification.verify_point(maker.location, copy, "opened", [str(keys.identity_file)])
    assert not refused.passed
    # Everything else is what it was, and the old point is not touched.
    then, now = original.to_record(), copy.to_record()
    assert {field for field in then if then[field] != now[field]} <= OWN
    assert copy.taken_at == TAKEN_AT
    assert {artifact.name: artifact.plain_sha256 for artifact in copy.artifacts} == {artifact.name: artifact.plain_sha256 for artifact in original.artifacts}
    assert copy.origin is not None
    assert copy.origin == {
        "id": original.id,
        "location": maker.location.describe(),
        "reason": "the laptop was stolen",
        "copied_at": copy.origin["copied_at"],
    }
    assert {path: path.read_bytes() for path in before} == before
    point = maker.catalog().get(copy.id)
    assert (point.state, point.usable, point.unlisted) == ("complete", True, [])
    assert maker.catalog().get(original.id).usable


def test_to_a_second_site_the_sealed_bytes_go_as_they_are_and_without_a_private_key(maker: Maker, second: Maker, keys: Keys) -> None:
    original = original_of(maker)
    copy = copy_point(maker.location, second.location, original, wanted(keys)).manifest
    assert copy is not None
    assert copy.artifacts == original.artifacts
    assert copy.recipients == original.recipients
    assert copy.origin is not None
    assert copy.origin["reason"] == copying.COPIED
    for artifact in original.artifacts:
        there, here = (side.path(names.artifact_key(CLUSTER, point, artifact.name)).read_bytes() for side, point in ((maker, original.id), (second, copy.id)))
        assert there == here
    assert second.catalog().select("latest").id == copy.id
    assert verification.verify_point(second.location, copy, "opened", [str(keys.identity_file)]).passed


def test_a_copy_that_is_there_is_not_made_again(maker: Maker, second: Maker, keys: Keys, stranger: Keys) -> None:
    original = original_of(maker)
    for target, recipients in ((maker, [stranger.recipient]), (second, []), (second, [stranger.recipient, keys.recipient])):
        first = copy_point(maker.location, target.location, original, wanted(keys, *recipients))
        files = target.files()
        again = copy_point(maker.location, target.location, original, wanted(keys, *reversed(recipients)))
        assert (first.changed, again.changed) == (True, False)
        assert again.manifest == first.manifest
        assert target.files() == files
        # The copy is the latest now: to copy that to the same recipients in the same location changes nothing either.
        if target is maker:
            assert first.manifest is not None
            assert copy_point(maker.location, maker.location, first.manifest, wanted(keys, *recipients)) == Copied(first.manifest, False)


def test_a_copy_that_is_damaged_unsigned_or_a_strangers_does_not_count(maker: Maker, second: Maker, keys: Keys, stranger: Keys) -> None:
    original = original_of(maker)
    made: list[Manifest] = []
    for _count in range(3):
        done = copy_point(maker.location, second.location, original, wanted(keys))
        assert done.changed
        assert done.manifest is not None
        made.append(done.manifest)
        if len(made) == 1:
            second.path(names.artifact_key(CLUSTER, made[0].id, "etcd/cp1.tar.zst.age")).unlink()
        else:
            second.path(names.signature_key(CLUSTER, made[-1].id)).unlink()
    strange = Wanted(str(stranger.signing_key), stranger.trust)
    with pytest.raises(SignatureError):
        copy_point(maker.location, second.location, original, strange._replace(trust=keys.trust))


def test_check_mode_reads_and_writes_nothing(maker: Maker, keys: Keys, stranger: Keys) -> None:
    original = original_of(maker)
    files = maker.files()
    assert copy_point(maker.location, maker.location, original, wanted(keys, stranger.recipient), check_mode=True) == Copied(None, True)
    wrong = wanted(keys, stranger.recipient)._replace(identity_files=[str(stranger.identity_file)])
    with pytest.raises(WrongIdentityError):
        copy_point(maker.location, maker.location, original, wrong, check_mode=True)
    assert maker.files() == files


def test_a_wrong_key_is_said_before_a_point_is_begun(maker: Maker, keys: Keys, stranger: Keys) -> None:
    original = original_of(maker)
    files = maker.files()
    base = wanted(keys, stranger.recipient)
    for change, error in (
        ({"identity_files": [str(stranger.identity_file)]}, WrongIdentityError),
        ({"identity_files": []}, IdentityRefusedError),
        ({"recipients": ["age1planted"]}, RecipientRefusedError),
    ):
        with pytest.raises(error) as caught:
            copy_point(maker.location, maker.location, original, base._replace(**change))
        assert_no_secrets(str(caught.value) + repr(caught.value.as_result()))
    with pytest.raises(PointError, match="would be of no use"):
        copy_point(maker.location, maker.location, original, wanted(keys))
    assert maker.files() == files


@pytest.mark.parametrize("resealed", [True, False])
def test_a_damaged_artifact_is_refused_and_no_manifest_is_written(maker: Maker, second: Maker, keys: Keys, stranger: Keys, resealed: bool) -> None:
    original = original_of(maker)
    # The larger one: the smallest is looked at before anything is begun.
    flip(maker.path(names.artifact_key(CLUSTER, original.id, "etcd/cp1.tar.zst.age")), 200_000)
    with pytest.raises(ArtifactDamagedError, match="etcd/cp1") as caught:
        copy_point(maker.location, second.location, original, wanted(keys, *([stranger.recipient] if resealed else [])))
    assert open_ids(second) == [caught.value.details["unsealed_copy"]]
    assert not [path for path in second.files() if "manifests" in path.parts]
    # The point is repaired (or another copy of it is found): then it is copied anew.
    flip(maker.path(names.artifact_key(CLUSTER, original.id, "etcd/cp1.tar.zst.age")), 200_000)
    assert copy_point(maker.location, second.location, original, wanted(keys)).changed
    assert len(open_ids(second)) == 1


def test_it_is_kept_as_long_as_the_original_and_not_less_than_the_days(maker: Maker, second: Maker, keys: Keys) -> None:
    original = original_of(maker)
    copy = copy_point(maker.location, second.location, original, wanted(keys)).manifest
    assert copy is not None
    assert copy.retain_until == original.retain_until
    opening = maker.open("2026-01-01T00:00:00Z")
    old = maker.seal(opening.id, [maker.add(opening.id, "etcd", "cp1", b"x", "db"), maker.add(opening.id, "pki", "cp1", make_tar({"ca": b"x"}))])
    copy = copy_point(maker.location, second.location, old, wanted(keys, retain_days=3)).manifest
    assert copy is not None
    assert names.parse_time(copy.retain_until) >= names.now() + timedelta(days=2, hours=23)


def test_another_clusters_location_is_refused_and_an_old_point_of_a_rebuilt_one_is_not(maker: Maker, second: Maker, keys: Keys, stranger: Keys) -> None:
    original = original_of(maker)
    rebuilt = {"kube_system_uid": "11111111-0c4e-4ff3-ba1f-ee0b2b7e5a5c", "ca_sha256": "ab" * 32}
    second.point(cluster_identity=rebuilt)
    with pytest.raises(OtherClusterError):
        copy_point(maker.location, second.location, original, wanted(keys))
    assert open_ids(second) == []
    # In its own location the name went over to the rebuilt cluster, by whoever said so at its first backup.
    newer = maker.open()
    artifacts = [maker.add(newer.id, "etcd", "cp1", b"x", "db"), maker.add(newer.id, "pki", "cp1", make_tar({"ca": b"x"}))]
    manifest = maker.evidence(artifacts, cluster_identity=rebuilt)
    how = points.Sealing(str(keys.signing_key), keys.trust, replaces=original.cluster_identity.kube_system_uid)
    points.seal_point(maker.location, points.draft(maker.location, CLUSTER, newer.id, manifest), how)
    assert copy_point(maker.location, maker.location, original, wanted(keys, stranger.recipient)).changed
    # The next backup is of the rebuilt cluster, and the copy does not make it a stranger.
    points.check_same_cluster(maker.location, CLUSTER, points.ClusterIdentity(**rebuilt), keys.trust)


def test_secrets_appear_nowhere(maker: Maker, second: Maker, keys: Keys, stranger: Keys) -> None:
    original = original_of(maker)
    copy = copy_point(maker.location, second.location, original, wanted(keys, stranger.recipient)).manifest
    assert copy is not None
    assert_no_secrets(repr(copy))
    for path in second.files():
        assert_no_secrets(path.read_bytes().decode("latin-1"))


KILLED = """
import sys
from ansible_collections.lifeboat.cluster.plugins.module_utils._catalog import catalog, copying
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.trust import sealing, trust
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.filesystem import FilesystemLocation
source, target, point, key, signers, recipient, identity = sys.argv[1:]
seal_to = sealing.seal_to
def slow(location, name, source, *arguments):
    def held(digests):
        print("half", flush=True)
        sys.stdin.read()
    return seal_to(location, name, source, arguments[0], held, *arguments[2:])
sealing.seal_to = slow
believed = trust.Trust(signers)
original = catalog.read_believable(FilesystemLocation(source), "shop", point, believed)
copying.copy_point(FilesystemLocation(source), FilesystemLocation(target), original, copying.Wanted(key, believed, [recipient], [identity]))
"""


def test_a_killed_copy_is_no_point_and_the_next_one_begins_anew(maker: Maker, second: Maker, keys: Keys, stranger: Keys) -> None:
    original = original_of(maker)
    arguments = [maker.location.path, second.location.path, original.id, str(keys.signing_key), str(keys.allowed_signers), stranger.recipient]
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path))
    command = [sys.executable, "-c", KILLED, *arguments, str(keys.identity_file)]
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "half\n"
        process.send_signal(signal.SIGKILL)
    left = open_ids(second)
    assert len(left) == 1
    done = copy_point(maker.location, second.location, original, wanted(keys, stranger.recipient))
    assert done.changed
    assert done.manifest is not None
    assert done.manifest.id not in left
    assert second.catalog().select("latest").id == done.manifest.id
    later = second.catalog(now=names.now() + timedelta(days=2))
    assert later.get(left[0]).state == "abandoned"


def test_it_takes_little_memory_and_no_plain_file(maker: Maker, second: Maker, keys: Keys, stranger: Keys, tmp_path: Path) -> None:
    opening = maker.open()
    blocks = (os.urandom(1 << 20) for _count in range(160))
    name = names.artifact_name("etcd", "cp1", "db")
    digests = sealing.seal_to(maker.location, names.artifact_key(CLUSTER, opening.id, name), blocks, [keys.recipient])
    small = maker.add(opening.id, "pki", "cp1", make_tar({"ca": b"x"}))
    large = small.__class__(name, "etcd", "cp1", digests.sealed_sha256, digests.sealed_size_bytes, digests.plain_sha256, digests.plain_size_bytes)
    original = maker.seal(opening.id, [large, small])
    arguments = [maker.location.path, second.location.path, original.id, str(keys.signing_key), str(keys.allowed_signers), stranger.recipient]
    empty = tmp_path / "temporary"
    empty.mkdir()
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path), TMPDIR=str(empty))
    # Not ru_maxrss, which begins with the parent's.
    # No file may grow larger than a sealed artifact's; what is plain would have to lie in the temporary directory or the target.
    peak = "\nprint(open('/proc/self/status').read().split('VmHWM:')[1].split()[0])\n"
    program = KILLED.replace("sealing.seal_to = slow", "") + peak
    with subprocess.Popen([sys.executable, "-c", program, *arguments, str(keys.identity_file)], env=environment, stdout=subprocess.PIPE, text=True) as process:
        largest = 0
        while process.poll() is None:
            largest = max([largest, *(path.stat().st_size for path in empty.rglob("*") if path.is_file())])
            time.sleep(0.02)
        assert process.stdout is not None
        assert int(process.stdout.read()) < 120 * 1024
    assert process.returncode == 0
    assert largest < 100_000
