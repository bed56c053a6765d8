# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long a run may be silent on a host that it has locked."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.lifeboat.cluster.plugins.filter.lock_silence import FilterModule, lock_silence

GIGABYTE = 1_000_000_000


@pytest.mark.parametrize(
    ("sizes", "hosts", "forks", "one_by_one", "seconds"),
    [
        ([], 0, 5, 0, 900),
        ([1_000_000], 4, 5, 0, 1200),
        ([1_000_000], "4", "5", "3", 3000),
        # Three members get the fifty gigabytes.
        ([50 * GIGABYTE, 1000], 3, 5, 0, 900 + 300 + 30_000),
        # Two hundred workers, five at a time.
        ([1000], 200, 5, 0, 900 + 40 * 300),
        ([GIGABYTE], 200, 0, 0, 900 + 200 * 300 + 1800),
    ],
)
def test_it_grows_with_the_work(sizes: list[int], hosts: Any, forks: Any, one_by_one: Any, seconds: int) -> None:
    assert lock_silence([{"plain_size_bytes": size} for size in sizes], hosts, forks, one_by_one=one_by_one) == seconds


def test_what_is_no_list_is_refused() -> None:
    with pytest.raises(AnsibleFilterError, match="needs the list of artifacts"):
        lock_silence("many", 1, 1)
    assert list(FilterModule().filters()) == ["lock_silence"]
