# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a manifest says of the run that made it: its checks and how long its stages took, out of the journal."""

from __future__ import annotations

from typing import Any, Dict, List, NamedTuple

from ansible_collections.lifeboat.cluster.plugins.module_utils._evidence.journal import Journal
from ansible_collections.lifeboat.cluster.plugins.module_utils._evidence.model import build


class Account(NamedTuple):
    """``checks`` and ``durations`` of a manifest."""

    checks: List[Dict[str, Any]]
    durations: Dict[str, Any]


def of_run(run_directory: str) -> Account:
    """The account of a run as far as its stages have ended; what was found stays in the journal, so no secret can come with it.

    What is still open (the stage that seals is) will say more when it is asked again, and is left out: of checks, those of hosts that are in it.
    """
    model = build(Journal(run_directory).read())
    checks = [
        {"id": check.id, "host": check.host, "passed": check.passed, "severity": check.severity, "stage": check.stage}
        for check in model.checks
        if check.host not in model.stages[check.stage].open_hosts
    ]
    return Account(
        sorted(checks, key=lambda check: (check["stage"], check["id"], check["host"])),
        {name: stage.seconds for name, stage in sorted(model.stages.items()) if not stage.is_open},
    )
