# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Traits that the product does not take in silence: what a backup says of them, and without which setting a recovery is refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.lab.traits import Traits


@dataclass(frozen=True)
class Demand:
    """What the product asks of somebody with such a cluster."""

    trait: str
    # The check that every backup ends with as a warning.
    warning: str
    # `lifeboat_platform_overrides` without which a recovery is refused, and the words by which the refusal names them. A recovery ends the warning.
    overrides: Mapping[str, object] = field(default_factory=dict)
    way: str = ""


_ALL = (
    Demand("wal-elsewhere", "platform.etcd_log", {"etcd": {"wal_into_data_dir": True}}, "{etcd: {wal_into_data_dir: true}}"),
    Demand("kms", "recovery_point.kms_not_needed"),
)


def demands(traits: Traits) -> list[Demand]:
    """Those of a lab."""
    return [demand for demand in _ALL if demand.trait in traits]


def overrides(wanted: list[Demand]) -> dict[str, object]:
    """What has to be set for a recovery."""
    found: dict[str, object] = {}
    for demand in wanted:
        found.update(demand.overrides)
    return found


def warned(report: Mapping[str, Any], check_id: str) -> bool:
    """Whether a run that ended with success says that a check was not met."""
    return any(check["id"] == check_id and check["outcome"] == "warning" for check in report["checks"])
