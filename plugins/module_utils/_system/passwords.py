# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Passwords that lie in files of a host. They are handed on, and appear in no text."""

from __future__ import annotations

from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import LifeboatError


class PasswordFileError(LifeboatError):
    """There is no password in a file."""


def read_password(path: str) -> str:
    """The first line of a file, without its end: most files end in a newline that is no part of the password."""
    try:
        with open(path, encoding="utf-8") as file:
            password = file.readline().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        found = error.strerror if isinstance(error, OSError) and error.strerror else "no text"
        raise PasswordFileError("The password file %s cannot be read." % path, found=found, remedy="Put the file back, or name the right one.") from None
    if not password:
        raise PasswordFileError("The password file %s is empty." % path, remedy="Put the password into it, or name the right file.")
    return password
