# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A recovery point of one release, and machines that were set up again with another: refused before anything is changed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.drill.keys import SIGNER, Keys, make_keys
from tests.drill.playbooks import Playbooks
from tests.drill.steps import first_change
from tests.e2e.bench import refused, succeeded
from tests.lab import Lab
from tests.lab.versions import RELEASES
from tests.releases.running import LAB, NEWEST, OLDEST, lab


@pytest.fixture
def nothing_left() -> Iterator[None]:
    """No lab, whatever happened."""
    yield
    left = Lab.open(LAB)
    if left.exists:
        left.down()


def playbooks(directory: Path, keys: Keys) -> Playbooks:
    """Those of an operator of the lab that is up."""
    variables: dict[str, object] = {
        "lifeboat_location": {"type": "directory", "path": str(directory / "location")},
        "lifeboat_allowed_signers": str(keys.allowed_signers),
        "lifeboat_identity_files": [str(keys.identity)],
    }
    return Playbooks(Lab.open(LAB).inventory, directory / "logs", directory / "runs", variables)


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize(("point", "machines"), [(OLDEST, NEWEST), (NEWEST, OLDEST)])
def test_a_point_of_another_release_is_refused(point: str, machines: str, tmp_path: Path) -> None:
    keys = make_keys(tmp_path / "keys")
    (tmp_path / "location").mkdir(mode=0o700)
    lab(point, "up", "single", "--name", LAB)
    writing = {"lifeboat_recipients": [keys.recipient], "lifeboat_signing_key": str(keys.signing_key), "lifeboat_signer": SIGNER}
    succeeded(playbooks(tmp_path, keys).run("backup_cluster", writing))
    lab(machines, "up", "single", "--name", LAB)
    lab(machines, "reset", LAB, "--bare")
    recovery = playbooks(tmp_path, keys).run("recover_cluster", {"confirm_cluster_name": LAB})
    refused(recovery, f"v{RELEASES[point].kubernetes}", RELEASES[machines].kubernetes)
    change = first_change(recovery.report)
    assert change is None, json.dumps(change)
