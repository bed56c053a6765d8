# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys for a drill or a test: age to seal with, SSH to sign with."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

import pyrage

SIGNER = "backup@lifeboat.test"
NAMESPACE = "lifeboat-recovery-point"


@dataclass(frozen=True)
class Keys:
    """Where the keys lie; the private ones are readable by their owner only."""

    directory: Path

    @property
    def identity(self) -> Path:
        """The age identity, which opens recovery points."""
        return self.directory / "age.txt"

    @property
    def recipient(self) -> str:
        """The age recipient, to which recovery points are sealed."""
        return (self.directory / "age.pub").read_text().strip()

    @property
    def signing_key(self) -> Path:
        """The SSH key, which signs manifests."""
        return self.directory / "signing"

    @property
    def allowed_signers(self) -> Path:
        """Who may sign."""
        return self.directory / "allowed_signers"

    def private_values(self) -> dict[str, bytes]:
        """What must never appear anywhere else, by name."""
        lines = self.identity.read_text().splitlines()
        found = {"age identity": next(line for line in lines if line.startswith("AGE-SECRET-KEY-")).encode()}
        if self.signing_key.exists():
            found["signing key"] = "".join(self.signing_key.read_text().splitlines()[1:-1])[80:200].encode()
        return found


def make_keys(directory: Path) -> Keys:
    """Make a new set in a new directory."""
    directory.mkdir(parents=True, mode=0o700)
    keys = Keys(directory)
    identity = pyrage.x25519.Identity.generate()
    keys.identity.touch(mode=0o600)
    keys.identity.write_text(f"# public key: {identity.to_public()}\n{identity}\n")
    (directory / "age.pub").write_text(f"{identity.to_public()}\n")
    make_signing_key(keys)
    return keys


def make_signing_key(keys: Keys) -> None:
    """A key to sign with, which is trusted besides those of before."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", SIGNER, "-f", str(keys.signing_key)], check=True, stdin=subprocess.DEVNULL)
    public = keys.signing_key.with_suffix(".pub").read_text().split()
    with keys.allowed_signers.open("a") as signers:
        signers.write(f"{SIGNER} {public[0]} {public[1]}\n")
