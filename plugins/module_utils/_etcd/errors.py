# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can go wrong between us and etcd, or with a file that etcd made."""

from __future__ import annotations

from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import LifeboatError


def tls_words(text: str) -> bool:
    """Whether a program that says no more than a text speaks of TLS or of certificates."""
    return any(word in text.lower() for word in ("tls", "ssl", "certificate", "handshake"))


class EtcdError(LifeboatError):
    """An etcd member, or a tool of etcd, did not do what was asked of it."""


class Unreachable(EtcdError):
    """No answer: connection refused, TLS refused, time-out, or the connection broke."""


class Rejected(EtcdError):
    """etcd answered with an error of its own."""

    def __init__(self, message: str, *, reason: str, tried: str = "", remedy: str = "", **details: object) -> None:
        super().__init__(message, tried=tried, found=reason, remedy=remedy, **details)
        self.reason = reason

    @property
    def compacted(self) -> bool:
        """The revision asked for lies below the compaction."""
        return "has been compacted" in self.reason

    @property
    def future(self) -> bool:
        """The revision asked for was not reached by this member yet."""
        return "future revision" in self.reason


class NotAvailable(EtcdError):
    """This transport cannot ask that question of this server. Never to be read as an answer."""


class SnapshotError(EtcdError):
    """Taking a snapshot failed."""


class SnapshotInvalid(EtcdError):
    """A file is not a complete, unaltered snapshot; ``reason`` in the details says which."""


class StoreCorrupt(SnapshotInvalid):
    """The pages of a bbolt file contradict each other."""


class MembershipRefused(EtcdError):
    """A member change was refused before it was tried, because of what it would do to the quorum."""


class RestoreError(EtcdError):
    """Building a data directory from a snapshot failed."""


class BackupError(EtcdError):
    """Taking a backup of the v2 store failed."""


class BackupInvalid(EtcdError):
    """A file is not a complete, unaltered backup of the v2 store; ``reason`` in the details says which."""


class StoreUnknown(EtcdError):
    """It cannot be told in which store the cluster keeps its objects."""


class ToolError(EtcdError):
    """The etcdutl of this host could not be kept."""
