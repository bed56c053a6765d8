# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Signatures with SSH keys (``ssh-keygen -Y``), each bound to one purpose by its namespace."""

from __future__ import annotations

import base64
import os
import re
import tempfile
from contextlib import contextmanager
from typing import Iterator, List, NamedTuple, Optional, Sequence

from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.errors import (
    DependencyMissingError,
    SignedByStrangerError,
    SignedBytesEditedError,
    SigningUnavailableError,
)
from ansible_collections.lifeboat.cluster.plugins.module_utils._system import programs
from ansible_collections.lifeboat.cluster.plugins.module_utils.redact import shaped_like_secrets

MANIFEST_NAMESPACE = "lifeboat-recovery-point"
RESULT_NAMESPACE = "lifeboat-result"
TAG_NAMESPACE = "lifeboat-tag"
TOMBSTONE_NAMESPACE = "lifeboat-tombstone"
LARGEST_SIGNATURE_BYTES = 64 << 10
_LARGEST_SIGNERS_BYTES = 1 << 20
_TIMEOUT_SECONDS = 60
_ARMOUR = re.compile(rb"\A-----BEGIN SSH SIGNATURE-----\n((?:[A-Za-z0-9+/=]{70}\n)*[A-Za-z0-9+/=]{1,70}\n)-----END SSH SIGNATURE-----\n\Z")


class Signer(NamedTuple):
    """Who signed: the name in the allowed signers file, and the key's fingerprint."""

    principal: str
    key: str


class _Outcome(NamedTuple):
    succeeded: bool
    output: bytes
    complaint: str


def sign(data: bytes, key_file: str, namespace: str) -> bytes:
    """Sign with a private key without passphrase (or, given a public key, with the one that ssh-agent holds)."""
    _refuse_key("The signing key", key_file, "lifeboat_signing_key")
    if not os.path.isfile(key_file):
        raise SigningUnavailableError(
            "The signing key is not there", tried=key_file, remedy="correct lifeboat_signing_key, or make a key: ssh-keygen -t ed25519 -N '' -f %s" % key_file
        )
    outcome = _ssh_keygen(["-Y", "sign", "-f", key_file, "-n", namespace], data)
    if not outcome.succeeded or not outcome.output.startswith(b"-----BEGIN SSH SIGNATURE-----"):
        nameless = "No user exists for uid" in outcome.complaint
        raise SigningUnavailableError(
            "Signing failed",
            tried="ssh-keygen -Y sign -f %s -n %s" % (key_file, namespace),
            found=outcome.complaint,
            remedy="ssh-keygen wants a name for the user that runs this: give uid %d one in /etc/passwd of the controller (of its image, or with nss_wrapper)"
            % os.getuid()
            if nameless
            else "the key must be readable, of mode 0600, owned by the user that runs this, without passphrase (or in ssh-agent: then give its .pub file)",
        )
    return outcome.output


def make_key(path: str, comment: str) -> None:
    """Make a private key without passphrase, and its public half beside it (``.pub``). Neither file may be there."""
    outcome = _ssh_keygen(["-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", path], b"")
    if not outcome.succeeded:
        raise SigningUnavailableError(
            "A signing key cannot be made",
            tried="ssh-keygen -t ed25519 -f %s" % path,
            found=outcome.complaint,
            remedy="make the directory writable for the user that runs this, or name another place in lifeboat_signing_key",
        )


def public_half(key_file: str) -> str:
    """Type and public half of a private key without passphrase, as they stand in an allowed signers file."""
    outcome = _ssh_keygen(["-y", "-f", key_file], b"")
    if not outcome.succeeded:
        raise SigningUnavailableError(
            "The public half of the signing key cannot be read",
            tried="ssh-keygen -y -f %s" % key_file,
            found=outcome.complaint,
            remedy="the key must be readable, of mode 0600, owned by the user that runs this, and without passphrase",
        )
    return " ".join(outcome.output.decode("utf-8", "replace").split()[:2])


def verify(data: bytes, signature: bytes, namespace: str, allowed_signers: str, what: str, principal: Optional[str] = None) -> Signer:
    """Prove that an allowed signer signed these bytes for this purpose. Edited bytes and a stranger's key are different errors."""
    _check_armour(signature, what)
    check_allowed_signers(allowed_signers)
    complaint = ""
    with _signature_file(signature) as path:
        for candidate in [principal] if principal else _principals(path, allowed_signers):
            outcome = _ssh_keygen(["-Y", "verify", "-f", allowed_signers, "-I", candidate, "-n", namespace, "-s", path], data)
            if outcome.succeeded:
                return Signer(candidate, _key_in(outcome.output))
            complaint = outcome.complaint
    # Only now it matters whether the bytes are wrong, or the signer.
    key = check_integrity(data, signature, namespace, what)
    raise SignedByStrangerError(
        "%s is signed by a stranger" % what,
        tried="to find the key%s among the allowed signers in %s" % (" of %s" % principal if principal else "", allowed_signers),
        found="signed with %s; %s" % (key, complaint or "no principal has this key"),
        remedy="if this key is yours, add it to the allowed signers file; else do not use the point, and find out who wrote it",
    )


def check_allowed_signers(path: str) -> None:
    """Prove that the file is there, can be read, and names somebody: with any other one, every point would look as if a stranger had signed it."""
    _refuse_key("A private key", path, "lifeboat_allowed_signers")
    try:
        with open(path, "rb") as stream:
            lines = stream.read(_LARGEST_SIGNERS_BYTES).splitlines()
    except OSError as error:
        raise SigningUnavailableError(
            "The allowed signers file is not there" if isinstance(error, FileNotFoundError) else "The allowed signers file cannot be read",
            tried="to read %s" % (path or "a file without a name"),
            found=error.strerror or type(error).__name__,
            remedy='correct lifeboat_allowed_signers; a line of the file is a name and a public key: echo "backup $(cat signing_key.pub)" > allowed_signers',
        ) from error
    if not any(line.strip() and not line.lstrip().startswith(b"#") for line in lines):
        raise SigningUnavailableError(
            "The allowed signers file names nobody",
            tried="to read %s" % path,
            found="no line with a name and a public key",
            remedy='put the public keys of those who may sign into it: echo "backup $(cat signing_key.pub)" > %s' % path,
        )


def _refuse_key(what: str, path: str, variable: str) -> None:
    """A key itself, where the name of its file is meant, would be in every message."""
    if shaped_like_secrets(path):
        raise SigningUnavailableError(
            "%s itself is given where the name of a file is meant" % what,
            tried="to read it as the name of a file",
            found="a text that has the form of a private key",
            remedy="put it into a file that only you can read, name the right file in %s, and take the key out of where it was written" % variable,
        )


def _principals(signature_path: str, allowed_signers: str) -> List[str]:
    found = _ssh_keygen(["-Y", "find-principals", "-f", allowed_signers, "-s", signature_path], b"")
    return found.output.decode("utf-8", "replace").splitlines() if found.succeeded else []


def check_integrity(data: bytes, signature: bytes, namespace: str, what: str) -> str:
    """Prove that the signature belongs to these bytes, whoever made it; returns the key's fingerprint."""
    _check_armour(signature, what)
    with _signature_file(signature) as path:
        outcome = _ssh_keygen(["-Y", "check-novalidate", "-n", namespace, "-s", path], data)
    if not outcome.succeeded:
        raise SignedBytesEditedError(
            "%s does not agree with its signature" % what,
            tried="ssh-keygen -Y check-novalidate -n %s" % namespace,
            found=outcome.complaint,
            remedy="one of the two was edited or damaged: use another recovery point, or another copy of it",
        )
    return _key_in(outcome.output)


def _key_in(output: bytes) -> str:
    # 'Good "namespace" signature for ops@shop with ED25519 key SHA256:...'
    words = output.decode("utf-8", "replace").split()
    return next((word for word in words if word.startswith("SHA256:")), "an unknown key")


def _check_armour(signature: bytes, what: str) -> None:
    if not _is_armoured(signature):
        raise SignedBytesEditedError(
            "The signature of %s is not one as ssh-keygen writes it" % _lower_first(what),
            found="%d bytes that are no whole SSH signature" % len(signature),
            remedy="it was edited or damaged: use another recovery point, or another copy of it",
        )


def _is_armoured(signature: bytes) -> bool:
    """Only the one form that ssh-keygen writes, so that every byte counts."""
    match = _ARMOUR.match(signature)
    try:
        return match is not None and base64.b64encode(base64.b64decode(match.group(1), validate=False)) == match.group(1).replace(b"\n", b"")
    except ValueError:
        return False


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]


@contextmanager
def _signature_file(signature: bytes) -> Iterator[str]:
    """ssh-keygen takes the signature from a file only."""
    descriptor, path = tempfile.mkstemp(prefix="lifeboat-", suffix=".sig")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(signature)
        yield path
    finally:
        os.unlink(path)


def _ssh_keygen(arguments: Sequence[str], data: bytes) -> _Outcome:
    command = ["ssh-keygen", *arguments]
    # No terminal and no askpass program: a key with a passphrase is an error, not a question that nobody sees.
    environment = dict(os.environ, SSH_ASKPASS_REQUIRE="never", LC_ALL="C")
    environment.pop("DISPLAY", None)
    try:
        done = programs.run(command, stdin=data, timeout_seconds=_TIMEOUT_SECONDS, environment=environment, own_session=True)
    except FileNotFoundError as error:
        raise DependencyMissingError(
            "ssh-keygen is not there", tried=" ".join(command[:3]), remedy="install OpenSSH 8.9 or newer (its client programs) on the controller"
        ) from error
    except programs.TooLong as error:
        raise SigningUnavailableError(
            "ssh-keygen did not answer",
            tried=" ".join(command[:3]),
            found="nothing in %d seconds" % _TIMEOUT_SECONDS,
            remedy="does the key wait for a touch or a passphrase?",
        ) from error
    complaint = " ".join((done.stderr or done.stdout).decode("utf-8", "replace").split())[:400]
    return _Outcome(done.returncode == 0, done.stdout, complaint)
