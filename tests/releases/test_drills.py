# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Drills on the releases that are not the usual one: every one of them comes back from nothing, the oldest from more."""

from __future__ import annotations

import json

import pytest

from tests import environment
from tests.lab import Lab
from tests.lab.versions import RELEASES
from tests.releases.running import LAB, OLDEST, OTHERS, run
from tests.traits.drilling import LEAST_CHECKS, LEAST_CHECKS_OF_A_PART, LEAST_CHECKS_OF_ONE_MACHINE


def drill(release: str, scenario: str, topology: str, least: int) -> None:
    """Run one as a person does, and judge its report."""
    try:
        output = run(release, "tests.drill", "--scenario", scenario, "--topology", topology, "--lab", LAB)
    finally:
        left = Lab.open(LAB)
        if left.exists:
            left.down()
    print(output)
    report = json.loads((environment.BUILD / "drill" / "report.json").read_text())
    assert report["verdict"] == "passed"
    assert report["counts"]["passed"] == report["counts"]["total"] >= least
    manifests = sorted((environment.BUILD / "drill" / "location" / LAB / "manifests").glob("*.json"))
    found = json.loads(manifests[0].read_text())["versions"]
    assert found["kubelet"] == RELEASES[release].kubernetes, "the drill ran on another release than was asked for"


@pytest.mark.parametrize("release", [release for release in OTHERS if release != OLDEST])
def test_one_machine_comes_back(release: str) -> None:
    drill(release, "bomb", "single", LEAST_CHECKS_OF_ONE_MACHINE)


def test_a_whole_cluster_of_the_oldest_comes_back() -> None:
    drill(OLDEST, "bomb", "ha", LEAST_CHECKS["bomb"])


def test_a_lost_quorum_of_the_oldest_comes_back() -> None:
    drill(OLDEST, "quorum", "ha", LEAST_CHECKS_OF_A_PART)
