# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The name of a host's artifact."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.lifeboat.cluster.plugins.filter.artifact_name import FilterModule, artifact_name


def test_host_component_and_extension_make_a_name() -> None:
    assert artifact_name("cp1", "pki", "tar") == "pki/cp1.tar.zst.age"
    assert artifact_name("fd00::11", "velum_database", "sql") == "velum_database/fd00=3A=3A11.sql.zst.age"


def test_what_makes_no_name_is_refused() -> None:
    with pytest.raises(AnsibleFilterError, match="component"):
        artifact_name("cp1", "Pki", "tar")


def test_it_is_known_by_its_name() -> None:
    assert FilterModule().filters() == {"artifact_name": artifact_name}
