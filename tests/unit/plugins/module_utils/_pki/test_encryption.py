# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an encryption configuration can read, on values that were made by the libraries an API server's ciphers come from."""

from __future__ import annotations

import base64
import json
import traceback
from collections.abc import Sequence
from typing import Any

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._pki import encryption as subject
from ansible_collections.lifeboat.cluster.plugins.module_utils._pki.encryption import Configuration, EncryptionConfigurationError, Stored, judge
from ansible_collections.lifeboat.cluster.plugins.module_utils._pki.stored import EncryptionKey, Sample
from tests.encrypting import IDENTITY, configuration, encrypted, key, keys, stored

PATH = b"/registry/secrets/shop/password"


def sample(provider: str, name: str, secret: bytes, resource: str = "secrets", path: bytes = PATH) -> Sample:
    """One encrypted value."""
    return Sample(EncryptionKey(provider, "v1", name), resource, path, encrypted(provider, name, secret, path))


def store(*samples: Sample, plain: dict[str, int] | None = None) -> Stored:
    """A store that holds them."""
    return Stored(tuple((one.encryption, one.resource) for one in samples), samples, plain or {})


def read(*providers: dict[str, Any], resources: Sequence[str] = ("secrets",)) -> Configuration:
    """A configuration of one entry."""
    return Configuration.parse(configuration((resources, providers)), "e.yaml")


@pytest.mark.parametrize(("provider", "size"), [(name, size) for name in ("aescbc", "aesgcm") for size in (16, 24, 32)] + [("secretbox", 32)])
def test_every_provider_opens_its_values(provider: str, size: int) -> None:
    secret = key(1, size)
    value = sample(provider, "key1", secret)
    right = read(keys(provider, ("key2", key(2, size)), ("key1", secret)), IDENTITY)
    assert subject.decrypt(value, right.providers_of("secrets")) == stored()
    found = judge(right, store(value))
    assert (found.problems, found.proven, found.named) == ((), (f"{provider} key1 (secrets)",), ())


@pytest.mark.parametrize("provider", ["aescbc", "aesgcm", "secretbox"])
def test_another_key_of_the_same_name_does_not_pass(provider: str) -> None:
    """Every tutorial calls it key1: comparing names alone believed it."""
    found = judge(read(keys(provider, ("key1", key(2)))), store(sample(provider, "key1", key(1))))
    assert found.problems == (f"{provider} key1 (secrets) is in it, and does not open a value: it is another key of that name",)


def test_a_wrong_key_of_aescbc_is_never_taken_for_the_right_one() -> None:
    """One in 256 values ends in a right padding under a wrong key; it is no object then."""
    wrong = read(keys("aescbc", ("key1", key(2))))
    for _round in range(2000):
        assert subject.decrypt(sample("aescbc", "key1", key(1)), wrong.providers_of("secrets")) is None


def test_a_value_of_aesgcm_opens_under_its_own_path_only() -> None:
    there = Configuration.parse(configuration((["secrets"], [keys("aesgcm", ("key1", key(1)))])), "e.yaml")
    value = encrypted("aesgcm", "key1", key(1), PATH)
    moved = Sample(EncryptionKey("aesgcm", "v1", "key1"), "secrets", PATH + b"2", value)
    assert subject.decrypt(moved, there.providers_of("secrets")) is None


def test_two_keys_of_one_name_are_both_tried() -> None:
    there = read(keys("aesgcm", ("key1", key(9))), keys("aesgcm", ("key1", key(1))))
    assert judge(there, store(sample("aesgcm", "key1", key(1)))).problems == ()


def test_a_missing_key_is_named() -> None:
    value = sample("aescbc", "key1", key(1))
    assert judge(read(keys("aescbc", ("key2", key(1)))), store(value)).problems == ("aescbc key1 (secrets) is not in it",)
    assert judge(read(keys("aesgcm", ("key1", key(1)))), store(value)).problems == ("aescbc key1 (secrets) is not in it",)
    assert judge(read(IDENTITY), store(value)).problems == ("aescbc key1 (secrets) is not in it",)


def test_a_key_of_another_resource_does_not_count() -> None:
    value = sample("aescbc", "key1", key(1))
    there = Configuration.parse(configuration((["configmaps"], [keys("aescbc", ("key1", key(1)))]), (["secrets"], [IDENTITY])), "e.yaml")
    assert judge(there, store(value)).problems == ("aescbc key1 (secrets) is not in it",)


@pytest.mark.parametrize(
    ("text", "resource", "fits"),
    [
        ("secrets", "secrets", True),
        ("secrets", "secrets.example.com", False),
        ("secrets.example.com", "secrets", False),
        ("secrets.example.com", "secrets.example.com", True),
        ("nodes", "minions", True),
        ("services", "services/specs", True),
        ("ingresses.networking.k8s.io", "ingress", True),
        ("deployments.apps", "deployments", True),
        ("*.*", "secrets", True),
        ("*.*", "things.example.com", True),
        ("*.", "secrets", True),
        ("*.apps", "deployments", True),
        ("*.example.com", "things.example.com", True),
        ("*.example.com", "things.example.org", False),
        ("*.example.com", "secrets", False),
    ],
)
def test_which_entry_is_about_a_resource(text: str, resource: str, fits: bool) -> None:
    assert bool(read(IDENTITY, resources=[text]).providers_of(resource)) is fits


def test_an_exact_entry_comes_before_a_wildcard() -> None:
    there = Configuration.parse(
        configuration((["secrets"], [keys("aescbc", ("key1", key(1)))]), (["*.*"], [keys("aesgcm", ("all", key(2)))])),
        "e.yaml",
    )
    assert [provider.type for provider in there.providers_of("secrets")] == ["aescbc"]
    assert [provider.type for provider in there.providers_of("configmaps")] == ["aesgcm"]
    assert (there.text_of("secrets"), there.text_of("pods")) == ("secrets", "*.*")


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_kms_is_covered_by_its_name_and_version(version: str) -> None:
    """Until now the name of the provider was looked for among the names of keys, so that every backup failed."""
    name = EncryptionKey("kms", version, "vault")
    value = Sample(name, "secrets", PATH, f"k8s:enc:kms:{version}:vault:".encode() + bytes(40))
    kms = {"kms": {"apiVersion": version, "name": "vault", "endpoint": "unix:///run/kms.sock"}}
    found = judge(read(kms, IDENTITY), store(value))
    assert (found.problems, found.kms) == ((), ({"name": "vault", "version": version, "endpoint": "unix:///run/kms.sock"},))
    other = {"kms": dict(kms["kms"], name="other")}
    assert judge(read(other), store(value)).problems == (f"kms {version} vault (secrets) is not in it",)
    assert judge(read({"kms": dict(kms["kms"], apiVersion="v1" if version == "v2" else "v2")}), store(value)).problems


def test_the_version_of_a_kms_is_v1_where_none_is_written() -> None:
    there = read({"kms": {"name": "vault", "endpoint": "unix:///run/kms.sock", "cachesize": 10}})
    assert judge(there, Stored(((EncryptionKey("kms", "v1", "vault"), "secrets"),))).problems == ()


def test_values_that_are_not_encrypted_need_identity() -> None:
    value = sample("aescbc", "key1", key(1))
    without = read(keys("aescbc", ("key1", key(1))))
    plain = {"secrets": 3, "pods": 9, "ranges": 1, "": 1}
    assert judge(without, store(value, plain=plain)).problems == ("identity (secrets) is not in it, and 3 values are not encrypted",)
    assert judge(read(keys("aescbc", ("key1", key(1))), IDENTITY), store(value, plain=plain)).problems == ()
    everything = read(keys("aescbc", ("key1", key(1))), resources=["*.*"])
    problems = judge(everything, store(value, plain=plain)).problems
    assert [problem.split(" is")[0] for problem in problems] == ["identity (pods)", "identity (secrets)"]


def test_what_has_no_sample_is_judged_by_name() -> None:
    there = read(keys("aescbc", ("key1", key(1))))
    found = judge(there, Stored(((EncryptionKey("aescbc", "v1", "key1"), "secrets"),)))
    assert (found.named, found.proven, found.problems) == (("aescbc key1 (secrets)",), (), ())


def test_an_encrypted_namespace_tells_whose_it_is() -> None:
    path = b"/registry/namespaces/kube-system"
    value = Sample(EncryptionKey("aesgcm", "v1", "key1"), "namespaces", path, encrypted("aesgcm", "key1", key(1), path, stored("Namespace", "kube-system")))
    found = judge(read(keys("aesgcm", ("key1", key(1))), resources=["*.*"]), store(value))
    assert found.kube_system == stored("Namespace", "kube-system")


def test_the_record_of_a_point_of_before_is_read() -> None:
    record = {
        "encryption": [{"provider": "aescbc", "version": "v1", "key_name": "key1", "count": 2, "resources": ["configmaps", "secrets"]}],
        "unencrypted_secrets": 4,
    }
    found = Stored.from_record(record)
    assert found.keys == ((EncryptionKey("aescbc", "v1", "key1"), "configmaps"), (EncryptionKey("aescbc", "v1", "key1"), "secrets"))
    assert found.plain == {"secrets": 4}
    assert not Stored.from_record({}).encrypted


SECRET = base64.b64encode(b"planted-encryption-key-32-bytes!").decode()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"kind: Pod\n",
        b"kind: EncryptionConfiguration\nresources: planted\n",
        b"kind: EncryptionConfiguration\nresources: [{resources: [secrets], providers: [{kms: {}}]}]\n",
        b"kind: EncryptionConfiguration\nresources: [" + SECRET.encode(),
        b"kind: EncryptionConfiguration\n"
        + f"resources: [{{resources: [secrets], providers: [{{aescbc: {{keys: [{{name: a, secret: '{SECRET}!'}}]}}}}]}}]\n".encode(),
        f"kind: EncryptionConfiguration\nresources: [{{resources: [secrets], providers: [{{aescbc: {{keys: [{{secret: {SECRET}}}]}}}}]}}]\n".encode(),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_without_its_content(content: bytes) -> None:
    with pytest.raises(EncryptionConfigurationError) as caught:
        Configuration.parse(content, "/etc/e.yaml")
    told = json.dumps(caught.value.as_result()) + "".join(traceback.format_exception(caught.value))
    assert "/etc/e.yaml" in told
    assert "planted" not in told
    assert SECRET not in told


def test_no_key_is_shown() -> None:
    there = read(keys("aescbc", ("key1", b"planted-encryption-key-32-bytes!")))
    assert "planted" not in repr(there)
    assert SECRET not in repr(there)


def test_keys_and_values_that_are_none_open_nothing() -> None:
    for provider in ("aescbc", "aesgcm", "secretbox"):
        there = read(keys(provider, ("key1", b"short")), keys(provider, ("key1", key(1))))
        prefix = f"k8s:enc:{provider}:v1:key1:".encode()
        for rest in (b"", b"x", bytes(16), bytes(33), bytes(48)):
            value = Sample(EncryptionKey(provider, "v1", "key1"), "secrets", PATH, prefix + rest)
            assert subject.decrypt(value, there.providers_of("secrets")) is None
