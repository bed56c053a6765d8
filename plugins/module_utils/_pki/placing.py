# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Puts a new encryption configuration in the place of the one that is there, in one step, and keeps the old one beside it."""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass

from ansible_collections.lifeboat.cluster.plugins.module_utils._system.disk import sync_directory, write_all
from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import LifeboatError

_LARGEST_BYTES = 1 << 20


class PlacingError(LifeboatError):
    """A configuration cannot be put in place."""


@dataclass(frozen=True)
class Plan:
    """What is to be written, and where what stands there is kept."""

    path: str
    content: bytes
    aside: str
    changed: bool


def plan(path: str, source: str, sha256: str, suffix: str) -> Plan:
    """Look at both files; nothing is changed."""
    content = _read(source)
    if hashlib.sha256(content).hexdigest() != sha256:
        raise PlacingError("%s is not what was sent" % source, found="another SHA-256", remedy="Run it again.")
    return Plan(path, content, "%s.%s" % (path, suffix), _read(path) != content)


def _read(path: str) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise PlacingError("%s cannot be read" % path, found=str(error.strerror), remedy="See what lies there; a link is not followed.") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise PlacingError("%s is not a regular file" % path, remedy="See what lies there.")
    with os.fdopen(descriptor, "rb") as stream:
        return stream.read(_LARGEST_BYTES)


def apply(planned: Plan) -> None:
    """Keep the old file, once, and give the new one its name, owner and mode."""
    if not planned.changed:
        return
    before = os.stat(planned.path)
    directory = os.path.dirname(planned.path)
    if not os.path.lexists(planned.aside):
        _write(planned.aside, _read(planned.path), before)
    _write(planned.path, planned.content, before)
    sync_directory(directory)


def _write(path: str, content: bytes, like: os.stat_result) -> None:
    """Whole or not at all: beside its name, durable, then named."""
    part = os.path.join(os.path.dirname(path), ".lifeboat-%s.part" % os.urandom(8).hex())
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        write_all(descriptor, content)
        os.fchown(descriptor, like.st_uid, like.st_gid)
        os.fchmod(descriptor, stat.S_IMODE(like.st_mode))
        os.fsync(descriptor)
        os.rename(part, path)
    except BaseException:
        os.unlink(part)
        raise
    finally:
        os.close(descriptor)
