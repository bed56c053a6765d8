# Copyright: (c) 2026, Lifeboat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The trait become-password: the user of the machines has a password, and sudo asks for it."""

from __future__ import annotations

import re
import secrets
from pathlib import Path

from .commands import run
from .errors import LabError


def make_password(file: Path) -> None:
    """A password of a lab's own. It begins with characters that shells, YAML and Jinja would like to read."""
    file.touch(mode=0o600)
    file.write_text(f"'{{{secrets.token_urlsafe(12)}: $1")


def hashed(password: str) -> str:
    """As /etc/shadow has it."""
    return run(["openssl", "passwd", "-6", "-stdin"], stdin=f"{password}\n").stdout.strip()


def with_password(shadow: str, user: str, digest: str) -> str:
    """The text of /etc/shadow with a user's password set."""
    changed, count = re.subn(rf"^({re.escape(user)}):[^:]*:", lambda found: f"{found[1]}:{digest}:", shadow, flags=re.MULTILINE)
    if count != 1:
        raise LabError(f"give {user} a password", f"/etc/shadow has {count} lines of that user")
    return changed
