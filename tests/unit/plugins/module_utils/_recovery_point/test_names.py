# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names and keys: what is let through and what is not."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._storage import names
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.errors import NameRefusedError

POINT = "20261120T133500Z-1a2b3c"


def test_a_new_id_tells_its_time_and_is_accepted() -> None:
    identifier = names.new_point_id(datetime(2026, 11, 20, 13, 35, tzinfo=timezone.utc))
    assert identifier.startswith("20261120T133500Z-")
    assert names.check_point_id(identifier) == identifier
    assert names.new_point_id() != names.new_point_id()


@pytest.mark.parametrize("value", ["", "latest", POINT + "x", POINT + "\n", "20261120T133500Z-1A2B3C", "../" + POINT, None, 7])
def test_what_is_not_an_id_is_refused(value: Any) -> None:
    with pytest.raises(NameRefusedError, match="not the id"):
        names.check_point_id(value)


@pytest.mark.parametrize("value", ["", ".", "..", "a/b", "-a", ".hidden", "a" * 64, "a b", "a\n", "ä"])
def test_what_cannot_be_a_cluster_name_is_refused(value: str) -> None:
    with pytest.raises(NameRefusedError, match="name of a cluster"):
        names.check_cluster_name(value)


@pytest.mark.parametrize("key", ["", "/a", "a/", "a//b", "a/../b", "..", "a/./b", "a/.b", "a/-b", "a\0b", "a/b\n", "~", "a/" + "b" * 300, "a/" * 500 + "a"])
def test_a_key_cannot_leave_the_location(key: str) -> None:
    with pytest.raises(NameRefusedError):
        names.check_key(key)


@pytest.mark.parametrize(
    "name", ["cp1.tar.zst.age", "etcd/cp1.tar", "etcd/../cp1.zst.age", "etcd/a/b.zst.age", "Etcd/cp1.zst.age", "etcd/.cp1.zst.age", "/cp1.zst.age"]
)
def test_what_is_not_an_artifact_name_is_refused(name: str) -> None:
    with pytest.raises(NameRefusedError):
        names.check_artifact_name(name)


@pytest.mark.parametrize(
    ("host", "segment"),
    [
        ("cp1.example.org", "cp1.example.org"),
        ("CP_1-a", "CP_1-a"),
        ("fd00::11", "fd00=3A=3A11"),
        ("::1", "=3A=3A1"),
        ("süd", "s=C3=BCd"),
        ("a=b", "a=3Db"),
        ("-x-", "=2Dx-"),
        (".x.", "=2Ex."),
        ("a/b", "a=2Fb"),
        ("..", "=2E."),
    ],
)
def test_a_host_of_any_name_has_one_segment(host: str, segment: str) -> None:
    assert names.host_segment(host) == segment
    assert names.check_artifact_name(names.artifact_name("pki", segment, "tar")) == f"pki/{segment}.tar.zst.age"


def test_no_two_hosts_share_a_segment() -> None:
    assert len({names.host_segment(host) for host in ("a:b", "a=3Ab", "a=3ab", "a=3D3Ab", "a;b", "A:b")}) == 6


@pytest.mark.parametrize("host", ["", "ü" * 40])
def test_a_host_without_a_name_or_with_too_long_a_one_is_refused(host: str) -> None:
    with pytest.raises(NameRefusedError, match="name of a host"):
        names.host_segment(host)


def test_the_layout_is_the_documented_one() -> None:
    artifact = names.artifact_name("etcd", "cp1", "tar")
    assert artifact == "etcd/cp1.tar.zst.age"
    assert names.is_tar(artifact)
    assert not names.is_tar(names.artifact_name("etcd", "cp1", "db"))
    assert names.artifact_name("tools", "etcdutl", "") == "tools/etcdutl.zst.age"
    assert names.open_key("shop", POINT) == f"shop/points/{POINT}/open.json"
    assert names.artifact_key("shop", POINT, artifact) == f"shop/points/{POINT}/artifacts/etcd/cp1.tar.zst.age"
    assert names.manifest_key("shop", POINT) == f"shop/manifests/{POINT}.json"
    assert names.signature_key("shop", POINT) == f"shop/manifests/{POINT}.json.sig"
    result = names.result_key("shop", POINT, datetime(2026, 11, 20, 13, 36, tzinfo=timezone.utc), "drill", "booted", False)
    assert result.startswith(f"shop/results/{POINT}/20261120T133600Z-drill-booted-failed-")
    for key in (names.open_key("shop", POINT), names.artifact_key("shop", POINT, artifact), names.signature_key("shop", POINT), result):
        assert names.check_key(key) == key


def test_a_result_of_unknown_kind_or_level_is_refused() -> None:
    for kind, level in (("backup", "opened"), ("drill", "perfect")):
        with pytest.raises(NameRefusedError, match="not a result"):
            names.result_key("shop", POINT, names.now(), kind, level, True)


@pytest.mark.parametrize("text", ["2026-11-20T13:35:00Z", "2026-11-20T13:35:00.123456Z", "2026-11-20T13:35:00+00:00"])
def test_times_in_utc_are_read(text: str) -> None:
    assert names.format_time(names.parse_time(text)) == "2026-11-20T13:35:00Z"


@pytest.mark.parametrize("text", ["", "2026-11-20", "2026-11-20 13:35:00Z", "2026-11-20T13:35:00", "2026-11-20T13:35:00+01:00", "2026-13-40T13:35:00Z", None])
def test_other_times_are_refused_by_name(text: Any) -> None:
    with pytest.raises(NameRefusedError, match="retain_until is not a time"):
        names.parse_time(text, "retain_until")
