# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Inventories that differ from the lab's in one thing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

Groups = dict[str, Any]


def variant(inventory: Path, target: Path, change: Callable[[Groups], None]) -> Path:
    """Write a changed copy of the lab's inventory; ``change`` gets the groups below ``cluster``."""
    loaded: dict[str, Any] = yaml.safe_load(inventory.read_text())
    change(loaded["all"]["children"]["cluster"]["children"])
    target.write_text(yaml.safe_dump(loaded))
    return target


def worker_as_member(groups: Groups) -> None:
    """A worker stands in the group etcd."""
    name, variables = next(iter(groups["workers"]["hosts"].items()))
    groups["etcd"]["hosts"] = {name: variables}


def worker_as_control_plane(groups: Groups) -> None:
    """A worker stands in the group control_plane, and nowhere else."""
    name = next(iter(groups["workers"]["hosts"]))
    groups["control_plane"]["hosts"][name] = groups["workers"]["hosts"].pop(name)


def member_missing(groups: Groups) -> None:
    """One member stands in no group any more."""
    groups["control_plane"]["hosts"].pop(sorted(groups["control_plane"]["hosts"])[-1])


def no_etcd(groups: Groups) -> None:
    """The group etcd is empty."""
    groups["etcd"] = {"hosts": {}}


def no_control_plane(groups: Groups) -> None:
    """The group control_plane is empty, its machines are members only."""
    groups["etcd"] = {"hosts": groups["control_plane"]["hosts"]}
    groups["control_plane"] = {"hosts": {}}


def nothing(groups: Groups) -> None:
    """No group has a host."""
    for name in groups:
        groups[name] = {"hosts": {}}
