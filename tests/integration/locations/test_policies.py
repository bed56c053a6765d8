# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shipped policies, on a real server: what each set of credentials may do, and what it may not, request by request and on the whole way of a point."""

from __future__ import annotations

import datetime
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from ansible_collections.lifeboat.cluster.plugins.module_utils._catalog.catalog import Catalog
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point import points
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.manifest import results
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.trust import tags
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.verification.verification import verify_point
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage import names
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.errors import AccessDeniedError, LocationError, ObjectLockedError
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.location import Location
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.probing import AREAS, DEEP_AREAS, PURPOSES, WRITES, Settings, probe
from tests.integration.locations.conftest import Shop
from tests.integration.locations.policies import DIRECTORY, PLACEHOLDER, Policed, read_policy
from tests.unit.plugins.module_utils._recovery_point.making import CLUSTER, Keys, Maker, make_tar

NOW = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
LATER = datetime.timedelta(days=30)
POINT = "20261120T133500Z-1a2b3c"
READING = {"list", "list versions", "get", "get version", "get retention", "see versioning", "see object lock"}


@pytest.fixture(scope="module")
def policed(shop: Shop) -> Policed:
    """A bucket with object lock, and the four users."""
    bucket = shop.name()
    shop.server.create_bucket(bucket)
    return Policed(shop.server, bucket)


# -- the documents -----------------------------------------------------------------------------------------------------------------


def test_documents_name_one_bucket_and_nothing_else() -> None:
    """Each purpose has its document and its row in the README; the only thing to fill in is the bucket."""
    assert sorted(path.stem for path in DIRECTORY.glob("*.json")) == sorted(PURPOSES)
    readme = (DIRECTORY / "README.md").read_text()
    for purpose in PURPOSES:
        assert f"`{purpose}.json`" in readme
        for statement in read_policy(purpose, "one")["Statement"]:
            resources = statement["Resource"] if isinstance(statement["Resource"], list) else [statement["Resource"]]
            assert all(resource == "arn:aws:s3:::one" or resource.startswith("arn:aws:s3:::one/") for resource in resources), statement
            assert PLACEHOLDER not in json.dumps(statement)


@pytest.mark.parametrize("purpose", PURPOSES)
def test_documents_and_the_domain_say_the_same(purpose: str) -> None:
    """Where a set may write is where the module that checks credentials expects it to."""
    policy = read_policy(purpose, "one")
    areas = {
        resource.split("/")[2]
        for statement in policy["Statement"]
        if statement["Effect"] == "Allow" and "s3:PutObject" in statement["Action"]
        for resource in statement["Resource"]
    }
    assert areas == {*WRITES[purpose], "probes"}


# -- request by request ------------------------------------------------------------------------------------------------------------


class Requests:
    """Requests of one user about a locked object, and about an unlocked one."""

    def __init__(self, policed: Policed, purpose: str) -> None:
        self.root = policed.server.client()
        self.client = policed.server.client(policed.become(purpose))
        self.bucket = policed.bucket
        self.until = NOW + LATER
        self.locked = self._new()
        self.locked_version = self._put(self.locked, ObjectLockMode="GOVERNANCE", ObjectLockRetainUntilDate=self.until, ChecksumAlgorithm="CRC32")

    @staticmethod
    def _new() -> str:
        return f"{CLUSTER}/points/{POINT}/{os.urandom(4).hex()}"

    def _free(self) -> dict[str, str]:
        """A new object without a lock."""
        key = self._new()
        return {"Key": key, "VersionId": self._put(key)}

    def _put(self, key: str, **more: Any) -> str:
        return str(self.root.put_object(Bucket=self.bucket, Key=key, Body=b"x", **more)["VersionId"])

    def ask(self, operation: str, **arguments: Any) -> Callable[[], bool]:
        """A request, and whether it was done; every failure but a refusal is an error of the test."""

        def done() -> bool:
            try:
                answer = getattr(self.client, operation)(Bucket=self.bucket, **arguments)
            except ClientError as error:
                if error.response["ResponseMetadata"]["HTTPStatusCode"] != 403:
                    raise
                return False
            return not answer.get("Errors")

        return done

    def _retention(self, moved: datetime.timedelta, **more: Any) -> Callable[[], bool]:
        retention = {"Mode": "GOVERNANCE", "RetainUntilDate": self.until + moved}
        return self.ask("put_object_retention", Key=self.locked, VersionId=self.locked_version, Retention=retention, **more)

    def table(self) -> dict[str, Callable[[], bool]]:
        """All of them, those that would do most harm last."""
        new = os.urandom(4).hex()
        locked = {"Key": self.locked, "VersionId": self.locked_version}
        table = {
            "list": self.ask("list_objects_v2"),
            "list versions": self.ask("list_object_versions"),
            "get": self.ask("get_object", Key=self.locked),
            "get version": self.ask("get_object", **locked),
            "get retention": self.ask("get_object_retention", **locked),
            "see versioning": self.ask("get_bucket_versioning"),
            "see object lock": self.ask("get_object_lock_configuration"),
        }
        for area in (*AREAS, "probes"):
            place = f"{CLUSTER}/{area}/{POINT}" if area in DEEP_AREAS else f"{CLUSTER}/{area}"
            table[f"put {area}"] = self.ask("put_object", Key=f"{place}/{new}", Body=b"x")
            if area in DEEP_AREAS:  # an object that has the name of a directory: nobody may write one
                table[f"put a name of a directory of {area}"] = self.ask("put_object", Key=f"{CLUSTER}/{area}/{new}", Body=b"x")
            lock = {"ObjectLockMode": "GOVERNANCE", "ObjectLockRetainUntilDate": self.until, "ChecksumAlgorithm": "CRC32"}
            table[f"put locked {area}"] = self.ask("put_object", Key=f"{place}/{new}-locked", Body=b"x", **lock)
        return {
            **table,
            # Names that look like another area to a pattern with a star.
            "put points as results": self.ask("put_object", Key=f"{CLUSTER}/points/{POINT}/results/{new}", Body=b"x"),
            "put results as points": self.ask("put_object", Key=f"{CLUSTER}/results/{POINT}/points/{new}", Body=b"x"),
            "put beside clusters": self.ask("put_object", Key=f"results/{new}", Body=b"x"),
            "extend": self._retention(LATER),
            "shorten": self._retention(-LATER / 2),
            "shorten with bypass": self._retention(-LATER / 2, BypassGovernanceRetention=True),
            "hold": self.ask("put_object_legal_hold", **self._free(), LegalHold={"Status": "ON"}),
            "delete": self.ask("delete_object", Key=self._free()["Key"]),
            "delete locked version": self.ask("delete_object", **locked),
            "delete locked version with bypass": self.ask("delete_object", **locked, BypassGovernanceRetention=True),
            "delete many": self.ask("delete_objects", Delete={"Objects": [self._free()]}),
            "delete version": self.ask("delete_object", **self._free()),
            "change retention": self.ask("put_object_lock_configuration", ObjectLockConfiguration={"ObjectLockEnabled": "Enabled"}),
            "suspend versioning": self.ask("put_bucket_versioning", VersioningConfiguration={"Status": "Suspended"}),
            "see policy": self.ask("get_bucket_policy"),
            "change policy": self.ask("put_bucket_policy", Policy="{}"),
            "delete policy": self.ask("delete_bucket_policy"),
            "delete bucket": self.ask("delete_bucket"),
        }


def writes(purpose: str) -> set[str]:
    """The requests by which a purpose writes."""
    return {f"put {lock}{area}" for area in (*WRITES[purpose], "probes") for lock in ("", "locked ")}


MAY = {
    "backup": READING | writes("backup") | {"extend"},
    "verify": READING | writes("verify"),
    "restore": READING | writes("restore"),
    "prune": READING | writes("prune") | {"extend", "delete many", "delete version"},
}


@pytest.mark.parametrize("purpose", PURPOSES)
def test_what_each_set_may_and_may_not(policed: Policed, purpose: str) -> None:
    """Every request of the table is done exactly where the purpose has need of it."""
    requests = Requests(policed, purpose)
    done = {name for name, request in requests.table().items() if request()}
    assert done == MAY[purpose], {"too much": done - MAY[purpose], "too little": MAY[purpose] - done}
    there = requests.root.head_object(Bucket=policed.bucket, Key=requests.locked)
    assert there["VersionId"] == requests.locked_version
    assert there["ObjectLockRetainUntilDate"] >= requests.until


def test_the_table_can_fail(policed: Policed) -> None:
    """The owner of the bucket may do what no set may: the requests themselves are in order."""
    requests = Requests(policed, "backup")
    requests.client = requests.root
    table = requests.table()
    for name in ("delete locked version", "shorten", "change policy", "delete bucket", "suspend versioning"):
        del table[name]  # refused even to the owner, or the end of the other tests
    assert {name for name, request in table.items() if not request()} == set()


# -- the whole way -----------------------------------------------------------------------------------------------------------------


def refused(action: Callable[[], Any]) -> None:
    """These credentials may not."""
    with pytest.raises(AccessDeniedError):
        action()


def objects(location: Location) -> list[str]:
    """Every key of the cluster, but those of probes."""
    return [stored.key for stored in location.list(names.cluster_prefix(CLUSTER)) if "/probes/" not in stored.key]


def test_whole_way_of_a_point(shop: Shop, keys: Keys, tmp_path: Path) -> None:
    """One user backs up, one verifies, one restores, one prunes; each does its part with its own credentials, and none that of another."""
    policed = Policed(shop.server, shop.name())
    shop.server.create_bucket(policed.bucket)
    signing_key = str(keys.signing_key)
    until = NOW + LATER

    def seen_by(purpose: str, mode: str = "governance") -> Location:
        return shop.location(policed.bucket, policed.become(purpose), object_lock_mode=mode)

    maker = Maker(tmp_path, keys)
    maker.location = seen_by("backup", "none")  # so that a part of it can be pruned
    unlocked = maker.point()
    maker.location = backup = seen_by("backup")
    opening = maker.open(names.format_time(until))
    manifest = maker.seal(opening.id, [maker.add(opening.id, component, "cp1", make_tar({"file": os.urandom(3000)})) for component in ("etcd", "pki")])
    manifest_key = names.manifest_key(CLUSTER, manifest.id)
    assert backup.locked_until(manifest_key) == until
    refused(lambda: results.append(backup, results.new_result(CLUSTER, manifest.id, "verification", "opened", True, "run"), signing_key))
    refused(lambda: tags.append(backup, tags.new_tag(CLUSTER, manifest.id, "release", "none"), signing_key))
    with pytest.raises(LocationError):
        backup.remove(manifest_key)
    refused(lambda: backup.remove(names.manifest_key(CLUSTER, unlocked.id)))

    verify = seen_by("verify")
    trusted = Catalog(verify, CLUSTER, keys.trust).select(manifest.id)
    assert verify_point(verify, trusted.manifest, "hashed").passed
    key = results.append(verify, results.new_result(CLUSTER, manifest.id, "verification", "hashed", True, "run"), signing_key, until)
    assert verify.locked_until(key) == until
    refused(lambda: points.open_point(verify, CLUSTER, "run", names.format_time(until)))
    refused(lambda: verify.put_new(names.manifest_key(CLUSTER, names.new_point_id()), b"{}"))

    restore = seen_by("restore")
    chosen = Catalog(restore, CLUSTER, keys.trust).select(manifest.id)
    assert verify_point(restore, chosen.manifest, "opened", [str(keys.identity_file)]).artifacts[0]["opened"]
    restored = results.new_result(CLUSTER, chosen.id, "restore", "restored", True, "run", highest_revision=4711)
    results.append(restore, restored, signing_key, until)
    assert Catalog(restore, CLUSTER, keys.trust).high_water_revision() == 4711
    refused(lambda: restore.put_new(names.artifact_key(CLUSTER, chosen.id, "etcd/cp9.tar.zst.age"), b"x"))
    refused(lambda: restore.remove(names.manifest_key(CLUSTER, unlocked.id)))

    prune = seen_by("prune")
    tags.append(prune, tags.new_tag(CLUSTER, manifest.id, "keep", "for the audit"), signing_key)
    assert prune.retain(manifest_key, until + LATER)
    assert prune.locked_until(manifest_key) == until + LATER
    with pytest.raises(ObjectLockedError):
        prune.remove(manifest_key)
    prune.put_new(names.tombstone_key(CLUSTER, unlocked.id), b"{}")
    gone = [key for key in objects(prune) if unlocked.id in key and "/pruned/" not in key]
    assert len(gone) == 5
    assert all(prune.remove(key) for key in gone)
    left = objects(prune)
    assert not set(gone) & set(left)
    assert manifest_key in left
    refused(lambda: prune.put_new(names.manifest_key(CLUSTER, names.new_point_id()), b"{}"))
    refused(lambda: points.open_point(prune, CLUSTER, "run", names.format_time(until)))


# -- the module that checks credentials agrees -------------------------------------------------------------------------------------


@pytest.mark.parametrize("purpose", PURPOSES)
def test_probing_finds_exactly_these_rights(shop: Shop, policed: Policed, purpose: str) -> None:
    """Each set passes for its own purpose, and not for one that has need of more."""
    other = "verify" if purpose == "prune" else "prune"
    location = shop.location(policed.bucket, policed.become(purpose), object_lock_mode="governance")
    own = {check["id"]: check for check in probe(location, CLUSTER, Settings(purpose=purpose)).checks}
    assert [check for check in own.values() if not check["passed"] and check["id"] != "transport"] == []
    foreign = {check["id"]: check for check in probe(location, CLUSTER, Settings(purpose=other)).checks}
    if purpose == "prune":
        assert not foreign["rights_excess"]["passed"]
        assert "removing versions" in foreign["rights_excess"]["found"]
    else:
        assert not foreign["rights_needed"]["passed"]
        assert "removing versions" in foreign["rights_needed"]["found"]
