# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table that a person reads."""

from __future__ import annotations

from datetime import timedelta

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._catalog.table import age, size, summary, table
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.manifest import results
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.trust import tags
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage import names
from tests.unit.plugins.module_utils._recovery_point.making import CLUSTER, Maker


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "0m"), (59, "0m"), (7199, "119m"), (7200, "2h"), (48 * 3600 - 1, "47h"), (48 * 3600, "2d"), (400 * 86400, "400d")],
)
def test_ages_are_short(seconds: int, text: str) -> None:
    assert age(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(None, "-"), (0, "0 B"), (999, "999 B"), (1000, "1.0 KiB"), (150 << 10, "150 KiB"), (1 << 30, "1.0 GiB"), (5000 << 40, "5000 TiB")],
)
def test_sizes_are_short(count: int | None, text: str) -> None:
    assert size(count) == text


def test_the_summary_says_how_many_there_are() -> None:
    assert summary(0, {"all": 0, "sealed": 0}) == "0 of 0 points"
    assert summary(30, {"all": 40, "sealed": 39, "open": 0, "abandoned": 1}) == "30 of 40 points: 39 sealed, 1 abandoned"


def test_every_point_is_a_line_with_what_matters(maker: Maker) -> None:
    maker.point(missing=[{"component": "node_config", "host": "w1", "reason": "unreachable"}])
    proven, failed = maker.point(), maker.point()
    maker.point(sign=False)
    maker.open()
    for point, kind, level, passed in ((proven, "drill", "booted", True), (failed, "verification", "hashed", False)):
        results.append(maker.location, results.new_result(CLUSTER, point.id, kind, level, passed, "r"))
    tags.append(maker.location, tags.new_tag(CLUSTER, proven.id, "keep", "the last of the year"))
    found = maker.catalog(now=names.now() + timedelta(hours=5))
    lines = table(found.rows(), found.counts(), found.now)
    assert lines[0].split()[:3] == ["ID", "STATE", "STATUS"]
    assert lines[-1] == "5 of 5 points: 4 sealed, 1 open"
    cells = {line.split("  ")[0]: [cell.strip() for cell in line.split("  ") if cell.strip()] for line in lines[1:-1]}
    by_words = sorted(" | ".join(row[1:3] + row[4:5] + row[6:]) for row in cells.values())
    assert by_words == [
        f"broken | - | - | - | - | - | {next(row[-1] for row in cells.values() if row[1] == 'broken')}",
        "complete | completed | 5h | FAILED 5h | - | - | etcd pki",
        "complete | completed | 5h | booted 5h | passed 5h | kept | etcd pki",
        "complete | partial | 5h | never | - | - | etcd pki; missing: node_config of w1",
        f"open | - | 5h | - | - | - | {next(row[-1] for row in cells.values() if row[1] == 'open')}",
    ]
    assert "is not signed" in by_words[0]
    assert "not sealed" in by_words[-1]
