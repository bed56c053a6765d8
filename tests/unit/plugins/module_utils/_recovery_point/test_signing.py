# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Signatures: unsigned, edited and a stranger's are three different things."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.trust import signing
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.errors import (
    DependencyMissingError,
    SignatureError,
    SignedByStrangerError,
    SignedBytesEditedError,
)
from tests.unit.plugins.module_utils._recovery_point.making import Keys, assert_no_secrets

DATA = b'{"id":"20261120T133500Z-1a2b3c"}\n'
NAMESPACE = signing.MANIFEST_NAMESPACE


@pytest.fixture(scope="module")
def signature(keys: Keys) -> bytes:
    """A good signature of DATA."""
    return signing.sign(DATA, str(keys.signing_key), NAMESPACE)


def verify(keys: Keys, data: bytes, signature: bytes, namespace: str = NAMESPACE, principal: str | None = None) -> signing.Signer:
    """Verify as a reader does."""
    return signing.verify(data, signature, namespace, str(keys.allowed_signers), "The manifest of p", principal)


def test_a_good_signature_names_its_signer(keys: Keys, signature: bytes) -> None:
    signer = verify(keys, DATA, signature)
    assert signer.principal == "ops@shop"
    assert signer.key.startswith("SHA256:")
    assert verify(keys, DATA, signature, principal="ops@shop") == signer


def test_stock_ssh_keygen_verifies_it(keys: Keys, signature: bytes, tmp_path: Path) -> None:
    (tmp_path / "sig").write_bytes(signature)
    command = ["ssh-keygen", "-Y", "verify", "-f", keys.allowed_signers, "-I", "ops@shop", "-n", NAMESPACE, "-s", tmp_path / "sig"]
    subprocess.run(command, input=DATA, check=True, capture_output=True)


def test_every_changed_byte_of_the_data_is_an_edit(keys: Keys, signature: bytes) -> None:
    for position in range(0, len(DATA), 3):
        data = bytearray(DATA)
        data[position] ^= 1
        with pytest.raises(SignedBytesEditedError, match="does not agree with its signature"):
            verify(keys, bytes(data), signature)


def test_every_changed_byte_of_the_signature_is_an_edit(keys: Keys, signature: bytes) -> None:
    for position in range(0, len(signature), 5):
        changed = bytearray(signature)
        changed[position] ^= 1
        with pytest.raises(SignedBytesEditedError):
            verify(keys, DATA, bytes(changed))
    for changed in (signature[:-1], signature + b"\n", b"\n" + signature, signature.replace(b"\n", b"\r\n"), b"", signature + signature):
        with pytest.raises(SignedBytesEditedError, match="is not one as ssh-keygen writes it"):
            verify(keys, DATA, bytes(changed))


def test_a_stranger_is_told_from_an_edit(keys: Keys, stranger: Keys) -> None:
    signature = signing.sign(DATA, str(stranger.signing_key), NAMESPACE)
    with pytest.raises(SignedByStrangerError, match="signed by a stranger") as caught:
        verify(keys, DATA, signature)
    assert "SHA256:" in str(caught.value)


def test_another_principal_or_another_purpose_does_not_count(keys: Keys, signature: bytes) -> None:
    with pytest.raises(SignedByStrangerError, match="somebody-else"):
        verify(keys, DATA, signature, principal="somebody-else")
    with pytest.raises(SignedBytesEditedError, match="namespace"):
        verify(keys, DATA, signature, namespace=signing.RESULT_NAMESPACE)


def test_a_signer_who_may_sign_results_only_cannot_sign_manifests(keys: Keys, signature: bytes, tmp_path: Path) -> None:
    limited = tmp_path / "allowed"
    limited.write_text(keys.allowed_signers.read_text().replace("lifeboat-*", "lifeboat-result"))
    with pytest.raises(SignedByStrangerError):
        signing.verify(DATA, signature, NAMESPACE, str(limited), "The manifest of p")
    limited.write_text(keys.allowed_signers.read_text().replace("namespaces=", 'valid-before="20200101",namespaces='))
    with pytest.raises(SignedByStrangerError):
        signing.verify(DATA, signature, NAMESPACE, str(limited), "The manifest of p")


def test_keys_that_cannot_sign_are_explained(keys: Keys, tmp_path: Path) -> None:
    with pytest.raises(SignatureError, match="signing key is not there"):
        signing.sign(DATA, str(tmp_path / "none"), NAMESPACE)
    locked = tmp_path / "locked"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "planted passphrase", "-f", locked], check=True)
    with pytest.raises(SignatureError, match="without passphrase"):
        signing.sign(DATA, str(locked), NAMESPACE)
    loose = tmp_path / "loose"
    loose.write_bytes(keys.signing_key.read_bytes())
    loose.chmod(0o644)
    with pytest.raises(SignatureError, match="0600") as caught:
        signing.sign(DATA, str(loose), NAMESPACE)
    assert_no_secrets(str(caught.value))


def test_a_missing_allowed_signers_file(signature: bytes, tmp_path: Path) -> None:
    with pytest.raises(SignatureError, match="allowed signers file is not there"):
        signing.verify(DATA, signature, NAMESPACE, str(tmp_path / "none"), "The manifest of p")


def test_without_ssh_keygen_it_says_what_to_install(keys: Keys, signature: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(DependencyMissingError, match="install OpenSSH"):
        verify(keys, DATA, signature)
