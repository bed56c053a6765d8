# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose data a store holds, and what is taken of its encrypted values."""

from __future__ import annotations

import json

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._pki import stored as subject
from ansible_collections.lifeboat.cluster.plugins.module_utils._pki.stored import EncryptionKey, Sample
from tests.encrypting import UID, encrypted, key, stored

OTHER = "0b0f1f5e-5b39-4f5c-8b9e-7d0c7b8f1a11"


def test_the_uid_of_a_stored_namespace() -> None:
    assert subject.uid_of(stored("Namespace", "kube-system")) == UID
    assert subject.uid_of(json.dumps({"metadata": {"uid": UID}}).encode()) == UID
    for value in (b"", b"k8s\0", b"k8s\0\x12\xff", stored()[:20], b"{", b"[1]", b'{"metadata": 3}', b'{"metadata": {"uid": 7}}', b"\xd9\xd9\xf7\xa0"):
        assert subject.uid_of(value) == "", value


def test_who_a_cluster_is() -> None:
    assert subject.identity_of(stored("Namespace", "kube-system"), "/registry").uid == UID
    absent = subject.identity_of(None, "/registry")
    assert (absent.uid, absent.reason) == ("", "/registry/namespaces/kube-system is not there")
    hidden = subject.identity_of(encrypted("aescbc", "key1", key(1), b""), "/registry")
    assert (hidden.uid, hidden.reason) == ("", "not readable: it is encrypted with aescbc key1")
    assert hidden.encrypted == EncryptionKey("aescbc", "v1", "key1")
    assert "no UID that can be read" in subject.identity_of(b"k8s\0", "/registry").reason


@pytest.mark.parametrize(
    ("uid", "reason", "hidden", "told", "passed", "found"),
    [
        (UID, "", False, UID, True, f"kube-system is {UID}"),
        (UID, "", False, "", True, f"kube-system is {UID}; no API server was asked"),
        (UID, "", False, OTHER, False, f"kube-system is {UID} there, the API server says {OTHER}"),
        ("", "/registry/namespaces/kube-system is not there", False, UID, False, "/registry/namespaces/kube-system is not there"),
        ("", "/registry/namespaces/kube-system is not there", False, "", False, "/registry/namespaces/kube-system is not there"),
        ("", "not readable", True, UID, True, "not readable"),
    ],
)
def test_a_store_of_another_cluster_is_told(uid: str, reason: str, hidden: bool, told: str, passed: bool, found: str) -> None:
    assert subject.judge_identity(uid, reason, hidden, told) == subject.Verdict(passed, found)


def test_one_of_the_stores_is_the_cluster_s() -> None:
    hidden = {"kube_system_uid": None, "kube_system_reason": "not readable: it is encrypted with aescbc key1"}
    absent = {"kube_system_uid": None, "kube_system_reason": "/registry/namespaces/kube-system is not there"}
    assert subject.judge_stores({"kube_system_uid": UID}, absent, UID).passed
    assert subject.judge_stores({"kube_system_uid": None}, {"kube_system_uid": UID, "kube_system_reason": ""}, UID).passed
    assert subject.judge_stores({"kube_system_uid": None}, hidden, UID).passed
    assert not subject.judge_stores({"kube_system_uid": None}, absent, UID).passed
    assert not subject.judge_stores({"kube_system_uid": UID}, absent, OTHER).passed
    served = subject.judge_stores({"kube_system_uid": OTHER}, {"kube_system_uid": UID}, UID)
    assert served.passed, "the other store holds what somebody left there"
    assert f"{OTHER} in the store that is not in use" in served.found
    third = "33333333-3333-4333-8333-333333333333"
    for told in (third, ""):
        assert "two clusters" in subject.judge_stores({"kube_system_uid": UID}, {"kube_system_uid": OTHER}, told).found


def test_the_prefix_of_every_api_server_has_keys() -> None:
    assert subject.judge_registry({"/registry": 5}) == subject.Verdict(True, "5 keys below /registry")
    assert subject.judge_registry({"/registry": 5, "/other": 0}) == subject.Verdict(False, "0 keys below /other, 5 keys below /registry")
    assert not subject.judge_registry({}).passed
    assert [subject.normal_prefix(text) for text in ("/registry", "registry", "/registry/", "/", "a/b")] == ["/registry", "/registry", "/registry", "", "/a/b"]


def test_samples_are_the_shortest_of_each_key_and_few() -> None:
    one, two = EncryptionKey("aescbc", "v1", "key1"), EncryptionKey("aesgcm", "v1", "key2")
    long = subject.LARGEST_FURTHER_SAMPLE_BYTES + 1
    shortest = {(one, "secrets"): (300, b"/a"), (one, "configmaps"): (200, b"/b"), (two, "secrets"): (long, b"/c"), (two, "pods"): (long + 1, b"/d")}
    assert subject.choose(shortest, [b"/registry/namespaces/kube-system"]) == [b"/registry/namespaces/kube-system", b"/b", b"/c", b"/a"]
    many = {(one, f"r{number}"): (number, b"/%d" % number) for number in range(500)}
    assert len(subject.choose(many, [])) == subject.MOST_SAMPLES


def test_a_sample_travels_as_text() -> None:
    sample = Sample(EncryptionKey("kms", "v2", "vault"), "secrets", b"/registry/secrets/a/\xff", b"k8s:enc:kms:v2:vault:\0\xff")
    assert Sample.from_result(json.loads(json.dumps(sample.as_result()))) == sample
    assert str(sample.encryption) == "kms v2 vault"
