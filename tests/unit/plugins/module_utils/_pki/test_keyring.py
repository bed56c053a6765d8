# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which keys of a recovery point a machine lacks, and a configuration that has them."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from ansible_collections.lifeboat.cluster.plugins.module_utils._pki import keyring as subject
from ansible_collections.lifeboat.cluster.plugins.module_utils._pki.encryption import Configuration, EncryptionConfigurationError, Stored, judge
from ansible_collections.lifeboat.cluster.plugins.module_utils._pki.stored import EncryptionKey, Sample
from tests.encrypting import IDENTITY, configuration, encrypted, key, keys

LOCAL = ("aescbc", "aesgcm", "secretbox")


def holding(provider: str, name: str, resource: str = "secrets", version: str = "v1", **plain: int) -> Stored:
    """A store with values of one key."""
    return Stored(((EncryptionKey(provider, version, name), resource),), (), plain)


def value(provider: str, secret: bytes, resource: str = "secrets") -> Stored:
    """The same with a value to open."""
    path = f"/registry/{resource}/shop/a".encode()
    name = EncryptionKey(provider, "v1", "key1")
    return Stored(((name, resource),), (Sample(name, resource, path, encrypted(provider, "key1", secret, path)),), {})


def parsed(content: bytes) -> Configuration:
    """Read."""
    return Configuration.parse(content, "e.yaml")


@pytest.mark.parametrize("provider", LOCAL)
def test_a_rotated_key_goes_behind_those_in_use(provider: str) -> None:
    """Case 13: the point is of key1, the API server has key2 alone."""
    here = configuration((["secrets"], [keys(provider, ("key2", key(2))), IDENTITY]))
    point = parsed(configuration((["secrets"], [keys(provider, ("key1", key(1))), IDENTITY])))
    differences = subject.compare(parsed(here), [point], holding(provider, "key1"))
    assert [str(one) for one in differences] == [f"{provider} key1 (secrets) is not here"]
    assert all(one.addable for one in differences)

    changed = subject.add(here, differences, "e.yaml")
    document = yaml.safe_load(changed)
    assert [next(iter(entry)) for entry in document["resources"][0]["providers"]] == [provider, "identity"]
    assert [one["name"] for one in document["resources"][0]["providers"][0][provider]["keys"]] == ["key2", "key1"]
    assert subject.compare(parsed(changed), [point], holding(provider, "key1")) == []
    assert judge(parsed(changed), value(provider, key(1))).problems == ()
    assert subject.add(changed, differences, "e.yaml") == changed


def test_a_key_of_another_provider_gets_a_provider_of_its_own_at_the_end() -> None:
    here = configuration((["secrets", "configmaps"], [IDENTITY, keys("secretbox", ("key2", key(2)))]))
    point = parsed(configuration((["secrets"], [keys("aescbc", ("key1", key(1)))])))
    changed = subject.add(here, subject.compare(parsed(here), [point], holding("aescbc", "key1")), "e.yaml")
    document = yaml.safe_load(changed)
    assert [next(iter(entry)) for entry in document["resources"][0]["providers"]] == ["identity", "secretbox", "aescbc"]


@pytest.mark.parametrize("provider", LOCAL)
def test_another_key_of_the_same_name_is_found_and_both_values_open(provider: str) -> None:
    here = configuration((["secrets"], [keys(provider, ("key1", key(2))), IDENTITY]))
    point = parsed(configuration((["secrets"], [keys(provider, ("key1", key(1)))])))
    differences = subject.compare(parsed(here), [point], holding(provider, "key1"))
    assert [str(one) for one in differences] == [f"{provider} key1 (secrets) is another key here than in the recovery point"]
    changed = parsed(subject.add(here, differences, "e.yaml"))
    assert judge(changed, value(provider, key(1))).problems == ()
    assert judge(changed, value(provider, key(2))).problems == ()
    # AES-CBC does not notice every wrong key: the one that all values are of stands first.
    assert [one.secret for one in changed.providers_of("secrets")[0].keys] == ([key(1), key(2)] if provider == "aescbc" else [key(2), key(1)])


def test_the_same_keys_are_no_difference() -> None:
    content = configuration((["secrets"], [keys("aescbc", ("key2", key(2)), ("key1", key(1))), IDENTITY]))
    assert subject.compare(parsed(content), [parsed(content)], holding("aescbc", "key1")) == []
    assert subject.compare(parsed(content), [], holding("aescbc", "key1")) == []
    assert subject.compare(Configuration(()), [parsed(content)], Stored((), (), {"secrets": 3})) == []


def test_a_key_that_nobody_has_and_a_kms_cannot_be_added() -> None:
    here = parsed(configuration((["secrets"], [keys("aescbc", ("key2", key(2))), IDENTITY])))
    (lost,) = subject.compare(here, [here], holding("aescbc", "key1"))
    assert (str(lost), lost.addable) == ("aescbc key1 (secrets) is neither here nor in the recovery point", False)
    (elsewhere,) = subject.compare(here, [here], holding("kms", "vault", version="v2"))
    assert (str(elsewhere), elsewhere.addable) == ("kms v2 vault (secrets) is not here, and its key lies in no recovery point", False)
    kms = parsed(configuration((["secrets"], [{"kms": {"apiVersion": "v2", "name": "vault", "endpoint": "unix:///s"}}])))
    assert subject.compare(kms, [], holding("kms", "vault", version="v2")) == []


def test_values_of_before_encryption_need_identity_at_the_end() -> None:
    here = configuration((["secrets"], [keys("aescbc", ("key1", key(1)))]))
    (difference,) = subject.compare(parsed(here), [], Stored((), (), {"secrets": 3}))
    assert str(difference) == "identity (secrets) is not here, and the recovery point holds values that are not encrypted"
    changed = subject.add(here, [difference], "e.yaml")
    assert yaml.safe_load(changed)["resources"][0]["providers"][1:] == [{"identity": {}}]
    assert subject.add(changed, [difference], "e.yaml") == changed


def test_a_resource_that_is_written_plain_today_stays_so() -> None:
    here = configuration((["secrets"], [keys("aescbc", ("key1", key(1))), IDENTITY]))
    point = parsed(configuration((["secrets", "deployments.apps"], [keys("aescbc", ("key1", key(1)))])))
    differences = subject.compare(parsed(here), [point], holding("aescbc", "key1", "deployments"))
    document: dict[str, Any] = yaml.safe_load(subject.add(here, differences, "e.yaml"))
    assert document["resources"][1]["resources"] == ["deployments.apps"]
    assert [next(iter(entry)) for entry in document["resources"][1]["providers"]] == ["identity", "aescbc"]


def test_nothing_of_a_key_is_told() -> None:
    planted = b"planted-encryption-key-32-bytes!"
    here = parsed(configuration((["secrets"], [IDENTITY])))
    point = parsed(configuration((["secrets"], [keys("aescbc", ("key1", planted))])))
    differences = subject.compare(here, [point], holding("aescbc", "key1"))
    told = json.dumps([one.as_result() for one in differences]) + repr(differences) + subject.summary(differences)
    assert "planted" not in told
    assert "cGxhbnRlZC" not in told
    with pytest.raises(EncryptionConfigurationError):
        subject.add(b"kind: Pod\n", differences, "e.yaml")
