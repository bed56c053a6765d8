# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cluster as people have them: everything is lost, and comes back at the first try, with nothing about it in the inventory."""

from __future__ import annotations

from tests.lab.traits import PRESETS
from tests.traits.drilling import drill


def test_a_cluster_that_has_grown_for_years() -> None:
    """Controller in another time zone, names without addresses, a pod in front of the API, audit and admission files, etcd on a mount of its own, ..."""
    report = drill("real")
    named = {word.partition("=")[0] for word in report["facts"]["drill"]["traits"].split()}
    assert named == set(PRESETS["real"])
