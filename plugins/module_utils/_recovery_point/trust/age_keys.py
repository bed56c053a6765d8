# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""To whom artifacts are sealed, and who can open them: recipients and identities of age, as people give them."""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Sequence

from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.errors import (
    DependencyMissingError,
    IdentityRefusedError,
    RecipientRefusedError,
)
from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import how_to_install
from ansible_collections.lifeboat.cluster.plugins.module_utils.redact import shaped_like_secrets

_SSH_KEY_TYPES = ("ssh-ed25519 ", "ssh-rsa ")

SEALING_ARGUMENTS: Dict[str, Any] = {
    "recipients": {"type": "list", "elements": "str", "required": True},
}
OPENING_ARGUMENTS: Dict[str, Any] = {
    "identity_files": {"type": "list", "elements": "path", "default": []},
}


def parse_recipients(recipients: Sequence[str]) -> List[Any]:
    """The age recipients (``age1...``, or an ssh-ed25519 or ssh-rsa public key) as pyrage knows them."""
    pyrage = age_library()
    if not recipients:
        raise RecipientRefusedError("Nobody is named to whom artifacts are sealed", remedy="put at least one public key, age1..., into lifeboat_recipients")
    parsed: List[Any] = []
    for text in recipients:
        text = text.strip()
        if shaped_like_secrets(text):
            raise RecipientRefusedError(
                "A recipient is a private key",
                found="a text that has the form of one",
                remedy="replace that key pair, and put its public key (age-keygen -y) among the recipients",
            )
        try:
            parsed.append(pyrage.ssh.Recipient.from_str(text) if text.startswith(_SSH_KEY_TYPES) else pyrage.x25519.Recipient.from_str(text))
        except (pyrage.RecipientError, ValueError) as error:
            raise RecipientRefusedError(
                "This is not a recipient that artifacts can be sealed to", found=repr(text[:80]), remedy="use age1..., ssh-ed25519 or ssh-rsa public keys"
            ) from error
    return parsed


def load_identities(paths: Sequence[str]) -> List[Any]:
    """The private keys in the identity files (age's own, or unencrypted SSH private keys). Their contents appear in no message."""
    identities: List[Any] = []
    for path in paths:
        identities += _identities_of(path)
    if not identities:
        raise IdentityRefusedError(
            "No age identity is given, so nothing can be opened",
            found="identity files: %s" % (", ".join(paths) or "none"),
            remedy="give the private key's file in lifeboat_identity_files",
        )
    return identities


def _identities_of(path: str) -> List[Any]:
    pyrage = age_library()
    if shaped_like_secrets(path):
        raise IdentityRefusedError(
            "An age identity is given where the name of its file is meant",
            tried="to read it as the name of a file",
            found="a text that has the form of a private key",
            remedy="put it into a file that only you can read, name that file in lifeboat_identity_files, and take the key out of where it was written",
        )
    try:
        with open(path, "rb") as stream:
            content = stream.read(1 << 20)
    except OSError as error:
        raise IdentityRefusedError(
            "An age identity file cannot be read", tried=path, found=error.strerror or type(error).__name__, remedy="correct lifeboat_identity_files"
        ) from error
    refused: Optional[str] = None
    identities: List[Any] = []
    content = content[3:] if content.startswith(b"\xef\xbb\xbf") else content
    if content.startswith((b"age-encryption.org/", b"-----BEGIN AGE ENCRYPTED FILE-----")):
        refused = "it is encrypted itself (age-keygen's key behind a passphrase): decrypt it first, age --decrypt"
    elif b"AGE-PLUGIN-" in content:
        refused = "it is the identity of a plugin (a hardware key), which is no key by itself: add a recipient whose key is a file"
    elif b"-----BEGIN " in content:
        try:
            return [pyrage.ssh.Identity.from_buffer(content)]
        except (pyrage.IdentityError, ValueError):
            refused = "an SSH private key of a kind that cannot be used, or with a passphrase"
    else:
        lines = [line.strip() for line in content.decode("utf-8", "replace").splitlines()]
        try:
            for line in lines:
                if line and not line.startswith("#"):
                    identities.append(pyrage.x25519.Identity.from_str(line))
        except (pyrage.IdentityError, ValueError):
            refused = "line %d is not an AGE-SECRET-KEY-1... key" % (lines.index(line) + 1)
    if refused:  # raised here, outside the handlers: the original error may quote the key
        raise IdentityRefusedError(
            "An age identity file cannot be used",
            tried=path,
            found=refused,
            remedy="use a file as age-keygen writes it, or an SSH private key without passphrase",
        )
    return identities


def age_library() -> Any:
    """The package pyrage, which only the controller needs."""
    try:
        import pyrage
    except ImportError as error:
        raise DependencyMissingError(
            "The Python package pyrage is not there",
            tried="to import it on the controller",
            found=str(error),
            remedy=how_to_install("pyrage"),
        ) from error
    return pyrage
