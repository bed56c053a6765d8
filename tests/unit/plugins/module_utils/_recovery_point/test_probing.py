# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is found of a directory, what rights mean, and which lifecycle rules do harm; buckets are probed in tests/integration/locations."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._storage import names
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.filesystem import FilesystemLocation
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.preparation import taking_rules, tidy_rules
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.probing import (
    AREAS,
    PURPOSES,
    WRITES,
    Settings,
    default_retention,
    excess_rights,
    missing_rights,
    probe,
)

CLUSTER = "shop"
IDS = {
    "listed",
    "written",
    "parts",
    "names",
    "versioned",
    "locked",
    "lock_holds",
    "clock",
    "transport",
    "space",
    "links",
    "private",
    "rights_needed",
    "rights_excess",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An empty directory."""
    path = tmp_path / "location"
    path.mkdir(mode=0o700)
    return path


def failed(checks: list[dict[str, Any]]) -> dict[str, str]:
    """What is not met."""
    return {check["id"]: check["found"] for check in checks if not check["passed"]}


@pytest.mark.parametrize("shared", [False, True])
def test_a_good_directory(root: Path, shared: bool) -> None:
    """Every check is there and met, and nothing stays."""
    found = probe(FilesystemLocation(str(root), shared=shared), CLUSTER, Settings(purpose="backup", minimum_free_bytes=1))
    assert {check["id"] for check in found.checks} == IDS
    assert failed(found.checks) == {}
    assert found.facts["kind"] == ("nfs" if shared else "directory")
    assert found.facts["links"]
    assert found.facts["free_bytes"] > 0
    assert not [path for path in root.rglob("*") if path.is_file()]


def test_what_is_wrong_with_a_directory(root: Path) -> None:
    """Space, clock, and others who may write."""
    root.chmod(0o777)
    location = FilesystemLocation(str(root))
    found = probe(location, CLUSTER, Settings(minimum_free_bytes=1 << 62, clock_tolerance_seconds=60), clock=lambda: time.time() + 600)
    problems = failed(found.checks)
    assert problems.keys() == {"space", "clock", "private"}
    assert "ahead" in problems["clock"]
    assert problems["private"].startswith("mode 0777")
    severities = {check["id"]: check["severity"] for check in found.checks}
    assert (severities["private"], severities["space"]) == ("warning", "error")


def test_a_directory_without_links(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A local one can do without, a shared one can not; nor where a second link replaces the first."""
    link = os.link

    def none(*arguments: Any, **options: Any) -> None:
        if str(arguments[1]).endswith(".link"):
            raise PermissionError(1, "Operation not permitted")
        link(*arguments, **options)

    monkeypatch.setattr(os, "link", none)
    assert failed(probe(FilesystemLocation(str(root)), CLUSTER, Settings()).checks) == {}
    assert failed(probe(FilesystemLocation(str(root), shared=True), CLUSTER, Settings()).checks).keys() == {"links"}

    def replacing(source: str, target: str, **options: Any) -> None:
        if target.endswith(".link") and os.path.exists(target):
            os.unlink(target)
        link(source, target, **options)

    monkeypatch.setattr(os, "link", replacing)
    for shared in (False, True):
        assert "replaced" in failed(probe(FilesystemLocation(str(root), shared=shared), CLUSTER, Settings()).checks)["links"]


def test_a_directory_that_takes_nothing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What depends on a written probe is not met either; old probes stay where they are."""
    location = FilesystemLocation(str(root))

    def refused(*_arguments: Any) -> bool:
        location.refuse("write", "x", OSError(30, "Read-only file system"))

    monkeypatch.setattr(location, "put_new", refused)
    problems = failed(probe(location, CLUSTER, Settings()).checks)
    assert problems.keys() == {"written", "clock", "links"}
    assert "read-only" in problems["written"]


def test_only_looking_writes_nothing(root: Path) -> None:
    """As in check mode."""
    before = root.stat().st_mtime_ns
    found = probe(FilesystemLocation(str(root)), CLUSTER, Settings(write=False))
    assert IDS - {check["id"] for check in found.checks} == {"written", "clock", "links", "parts", "names"}
    assert root.stat().st_mtime_ns == before
    assert stat.S_IMODE(root.stat().st_mode) == 0o700


def test_names_of_probes_say_when() -> None:
    """And lie beside everything that anybody reads."""
    key = names.probe_key(CLUSTER, names.parse_time("2026-11-20T13:35:00Z"))
    assert key.startswith("shop/probes/20261120T133500Z-")
    assert names.check_key(key) == key


# -- rights ------------------------------------------------------------------------------------------------------------------------


def rights_for(purpose: str, **more: Any) -> dict[str, Any]:
    """Exactly what a purpose needs."""
    return {
        "read": {"manifests": True, "points": True},
        "write": {area: area in WRITES[purpose] for area in AREAS},
        "delete_version": purpose == "prune",
        "extend": purpose in ("backup", "prune"),
        "bypass_governance": False,
        "delete_marker": False,
        **more,
    }


@pytest.mark.parametrize("purpose", PURPOSES)
def test_rights_of_a_purpose_fit_it_alone(purpose: str) -> None:
    """Each right that lacks is named, and each that is too much."""
    rights = rights_for(purpose)
    assert missing_rights(rights, purpose) == []
    assert excess_rights(rights, purpose) == []
    for area in AREAS:
        turned = rights_for(purpose, write={**rights["write"], area: area not in WRITES[purpose]})
        assert (missing_rights(turned, purpose) or excess_rights(turned, purpose)) == [f"writing below {area}/"]
    assert missing_rights(rights_for(purpose, read={"manifests": True, "points": False}), purpose) == ["reading points"]
    assert excess_rights(rights_for(purpose, delete_marker=True, bypass_governance=True), purpose) == ["breaking governance locks", "laying delete markers"]
    removing = rights_for(purpose, delete_version=purpose != "prune")
    assert (missing_rights(removing, purpose) or excess_rights(removing, purpose)) == ["removing versions"]


def test_what_is_not_known_is_neither_missing_nor_too_much() -> None:
    """A server that answers something else than yes or no."""
    unknown = {"read": dict.fromkeys(("manifests", "points")), "write": dict.fromkeys(AREAS), **dict.fromkeys(("delete_version", "extend"))}
    rights = {**unknown, "bypass_governance": None, "delete_marker": None}
    for purpose in ("", *PURPOSES):
        assert missing_rights(rights, purpose) == []
        assert excess_rights(rights, purpose) == []


# -- configuration of buckets, as servers answer -----------------------------------------------------------------------------------


def test_default_retention_in_days_and_years() -> None:
    """And none at all, in each of the ways in which servers say so."""
    assert default_retention({"Rule": {"DefaultRetention": {"Mode": "COMPLIANCE", "Years": 2}}}) == ("COMPLIANCE", 730)
    assert default_retention({"Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 30}}}) == ("GOVERNANCE", 30)
    for none in ({}, {"Rule": {}}, {"Rule": {"DefaultRetention": None}}, {"ObjectLockEnabled": "Enabled"}):
        assert default_retention(none) == ("", 0)


def rule(**more: Any) -> dict[str, Any]:
    """A lifecycle rule."""
    return {"ID": "one", "Status": "Enabled", "Filter": {"Prefix": ""}, **more}


def abort(days: int) -> dict[str, Any]:
    """What drops unfinished uploads."""
    return {"AbortIncompleteMultipartUpload": {"DaysAfterInitiation": days}}


@pytest.mark.parametrize(
    "enough",
    [
        rule(**abort(7)),
        rule(**abort(1)),
        {**rule(**abort(7)), "Filter": {}},
        {"Status": "Enabled", "Prefix": "", **abort(7)},
        rule(Filter={"Prefix": "a/"}, **abort(7)),
    ],
)
def test_a_rule_that_is_there_is_enough(enough: dict[str, Any]) -> None:
    """Nothing is written then."""
    assert tidy_rules([enough], "a/b/", 7) is None


@pytest.mark.parametrize(
    "other",
    [
        rule(**abort(8)),
        rule(Status="Disabled", **abort(7)),
        rule(Filter={"Prefix": "c/"}, **abort(7)),
        rule(Filter={"Tag": {"Key": "a", "Value": "b"}}, **abort(7)),
        rule(Expiration={"Days": 3}),
    ],
)
def test_rules_of_others_stay(other: dict[str, Any]) -> None:
    """Ours comes beside them, and replaces itself only."""
    first = tidy_rules([other], "a/b/", 7)
    assert first is not None
    assert first[0] == other
    assert tidy_rules(first, "a/b/", 7) is None
    stricter = tidy_rules(first, "a/b/", 3)
    assert stricter is not None
    assert len(stricter) == 2
    assert stricter[0] == other
    assert stricter[1]["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 3}


def test_rules_that_take_objects_away_are_named() -> None:
    """Those that touch the location, whatever they do with it."""
    harmful = [
        rule(ID="expires", Expiration={"Days": 3}),
        rule(ID="forgets", Filter={"Prefix": "a/"}, NoncurrentVersionExpiration={"NoncurrentDays": 1}),
        rule(ID="freezes", Filter={"Prefix": "a/b/c/"}, Transitions=[{"Days": 1, "StorageClass": "GLACIER"}]),
        rule(ID="sorts", Filter={"Tag": {"Key": "a", "Value": "b"}}, Expiration={"Days": 3}),
    ]
    harmless = [
        rule(**abort(7)),
        rule(Status="Disabled", Expiration={"Days": 3}),
        rule(Filter={"Prefix": "c/"}, Expiration={"Days": 3}),
        rule(Expiration={"ExpiredObjectDeleteMarker": True}),
    ]
    assert [name for name, _what in taking_rules(harmful + harmless, "a/b/")] == ["expires", "forgets", "freezes", "sorts"]
