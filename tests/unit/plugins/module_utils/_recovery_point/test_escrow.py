# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each private key alone opens the point, or is found not to; what is recorded of it, and that no private key is."""

from __future__ import annotations

import subprocess
from dataclasses import asdict
from pathlib import Path

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.manifest import results
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.manifest.manifest import Manifest
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.transfer import Delivery, Workspace
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.trust import escrow
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage import names
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.errors import IdentityRefusedError, LocationVanishedError
from tests.unit.plugins.module_utils._recovery_point.making import CLUSTER, Keys, Maker, assert_no_secrets, flip, make_tar


@pytest.fixture(scope="module")
def ssh_keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """SSH pairs of both kinds, the RSA one in the old form, too."""
    directory = tmp_path_factory.mktemp("ssh")
    for name, options in {"ed25519": ["-t", "ed25519"], "rsa": ["-t", "rsa", "-b", "2048"], "pem": ["-t", "rsa", "-b", "2048", "-m", "PEM"]}.items():
        subprocess.run(["ssh-keygen", "-q", *options, "-N", "", "-C", f"{name}@safe", "-f", directory / name], check=True)
    return {name: directory / name for name in ("ed25519", "rsa", "pem")}


def point(maker: Maker, *recipients: str) -> Manifest:
    """A point that is sealed to several recipients; its smallest artifact is the one of pki."""
    opening = maker.open()
    artifacts = []
    for component, size in (("etcd", 90_000), ("pki", 10)):
        artifact = names.artifact_name(component, "cp1", "tar")
        delivery = Delivery(maker.location, CLUSTER, opening.id, artifact, "cp1", Workspace(str(maker.run_directory)))
        content = make_tar({"a": bytes(number * 7 % 251 for number in range(size))})
        with delivery.workspace.plain(len(content), artifact) as plain:
            Path(plain).write_bytes(content)
            artifacts.append(delivery.store(plain, list(recipients), False, None))
    return maker.seal(opening.id, artifacts, recipients=list(recipients))


def test_every_kind_of_key_is_proven_alone(maker: Maker, stranger: Keys, ssh_keys: dict[str, Path]) -> None:
    """age and both kinds of SSH keys; one that is not given is not proven; one that is no recipient's is named; nothing shows a private key."""
    public = {name: path.with_suffix(".pub").read_text().strip() for name, path in ssh_keys.items()}
    manifest = point(maker, maker.keys.recipient, *public.values())
    given = [str(maker.keys.identity_file), str(ssh_keys["ed25519"]), str(ssh_keys["pem"]), str(stranger.identity_file)]
    proof = escrow.prove(maker.location, manifest, escrow.keys_in([*given, given[0]]))
    by_file = {attempt.recipient: attempt for attempt in proof.attempts}
    assert proof.proven == [maker.keys.recipient, escrow.normal(public["ed25519"]), escrow.normal(public["pem"])]
    assert by_file[maker.keys.recipient].artifacts == ["pki/cp1.tar.zst.age"]
    assert by_file[escrow.normal(public["rsa"])].to_record() == {
        "recipient": escrow.normal(public["rsa"]),
        "identity_files": [],
        "proven": False,
        "artifacts": [],
        "problem": "",
    }
    assert [key.recipient for key in proof.strangers] == [stranger.recipient]
    assert escrow.details(proof) == {"recipients": proof.proven, "failed": []}
    assert_no_secrets(str([asdict(attempt) for attempt in proof.attempts]) + str([key[:2] for key in proof.strangers]) + str(escrow.details(proof)))


def test_both_keys_of_one_file_count(maker: Maker, stranger: Keys, tmp_path: Path) -> None:
    """Each line is a key of its own."""
    both = tmp_path / "both"
    both.write_text(maker.keys.identity_file.read_text() + stranger.identity_file.read_text())
    manifest = point(maker, maker.keys.recipient, stranger.recipient)
    assert escrow.prove(maker.location, manifest, escrow.keys_in([str(both)])).proven == [maker.keys.recipient, stranger.recipient]


def test_a_damaged_artifact_is_no_proof(maker: Maker) -> None:
    """Only the smallest is opened, unless all are asked for; a flipped bit anywhere in it fails the key."""
    manifest = point(maker, maker.keys.recipient)
    keys = escrow.keys_in([str(maker.keys.identity_file)])
    flip(maker.path(names.artifact_key(CLUSTER, manifest.id, "etcd/cp1.tar.zst.age")), -5)
    assert escrow.prove(maker.location, manifest, keys).proven == [maker.keys.recipient]
    every = escrow.prove(maker.location, manifest, keys, prove_all=True)
    assert (every.proven, every.failed, every.attempts[0].artifacts) == ([], [maker.keys.recipient], ["pki/cp1.tar.zst.age"])
    assert "etcd/cp1.tar.zst.age" in every.attempts[0].problem


def test_a_manifest_that_lies_about_its_recipients(maker: Maker, stranger: Keys) -> None:
    """A public key in the manifest proves nothing: the artifact was never sealed to it."""
    manifest = point(maker, maker.keys.recipient)
    lying = Manifest(**{**vars(manifest), "recipients": [maker.keys.recipient, stranger.recipient]})
    proof = escrow.prove(maker.location, lying, escrow.keys_in([str(stranger.identity_file)]))
    assert proof.failed == [stranger.recipient]
    assert "No identity matches" in proof.attempts[1].problem


def test_keys_that_cannot_be_used(tmp_path: Path, ssh_keys: dict[str, Path]) -> None:
    """No message quotes them."""
    locked = tmp_path / "locked"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "a passphrase", "-f", locked], check=True)
    torn = tmp_path / "torn"
    torn.write_text(ssh_keys["ed25519"].read_text()[:200])
    odd = tmp_path / "odd"
    odd.write_text("AGE-SECRET-KEY-1PLANTED\n")
    for path in (locked, torn, odd, tmp_path / "none"):
        with pytest.raises(IdentityRefusedError) as caught:
            escrow.keys_in([str(path)])
        assert "PLANTED" not in str(caught.value)
        assert torn.read_text()[60:160] not in str(caught.value)


def append(maker: Maker, manifest: Manifest, key: Path | None, **details: object) -> None:
    """A result of a proof."""
    result = results.new_result(CLUSTER, manifest.id, escrow.KIND, "opened", not details.get("failed"), "none", details=dict(details))
    results.append(maker.location, result, str(key) if key else None)


def last(maker: Maker, *wanted: str) -> dict[str, bool]:
    """Whether each recipient was proven last."""
    found = results.names_of(stored.key for stored in maker.location.list(names.results_prefix(CLUSTER)))
    return {recipient: proof.passed for recipient, proof in escrow.last_proofs(maker.location, CLUSTER, found, wanted, maker.keys.trust).items()}


def test_only_signed_proofs_count_and_a_failure_beats_a_success(maker: Maker, stranger: Keys) -> None:
    """Unsigned, a stranger's, or with something odd inside: passed over."""
    manifest = point(maker, maker.keys.recipient)
    append(maker, manifest, None, recipients=["age1a"])
    append(maker, manifest, stranger.signing_key, recipients=["age1a"])
    assert last(maker, "age1a") == {}
    append(maker, manifest, maker.keys.signing_key, recipients=["age1a", "age1b"])
    assert last(maker, "age1a", "age1c") == {"age1a": True}
    # Of the same second as the one before.
    append(maker, manifest, maker.keys.signing_key, recipients=["age1b"], failed=["age1a"])
    assert last(maker, "age1a", "age1b") == {"age1a": False, "age1b": True}
    assert not results.is_verified(maker.catalog().get(manifest.id).results)


def test_a_location_that_went_away_says_nothing_about_keys(maker: Maker) -> None:
    manifest = point(maker, maker.keys.recipient)
    append(maker, manifest, maker.keys.signing_key, recipients=["age1a"])
    found = results.names_of(stored.key for stored in maker.location.list(names.results_prefix(CLUSTER)))
    maker.root.rename(maker.root.with_name("elsewhere"))
    with pytest.raises(LocationVanishedError):
        escrow.prove(maker.location, manifest, escrow.keys_in([str(maker.keys.identity_file)]))
    with pytest.raises(LocationVanishedError):
        escrow.last_proofs(maker.location, CLUSTER, found, ["age1a"], maker.keys.trust)
