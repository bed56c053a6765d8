# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the drill itself found joins the journal of the recovery that it judges, and the report is rendered anew."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# The collection is imported from the tree in which this checkout is lifeboat.cluster; `tests.environment` made it.
from ansible_collections.lifeboat.cluster.plugins.module_utils._evidence import runs
from ansible_collections.lifeboat.cluster.plugins.module_utils._evidence.journal import Journal
from ansible_collections.lifeboat.cluster.plugins.module_utils._evidence.render import render
from ansible_collections.lifeboat.cluster.plugins.module_utils.clock import to_iso
from tests import environment
from tests.drill.verification import Check

STAGE = "drill"
TITLE = "What the drill found from the outside"
TEMPLATES = environment.ROOT / "roles" / "report" / "templates"
READABLE = 0o644


def run_without_recovery(runs_directory: Path, cluster_name: str) -> Path:
    """A run of the drill's own, for a report when no recovery got so far as to begin one."""
    run_id = runs.new_run_id("drill")
    directory = Path(runs.make_run_directory(str(runs_directory), run_id, 0))
    process = runs.this_process(os.getpid())
    begin = runs.begin_record(run_id, playbook="drill", cluster_name=cluster_name, **runs.process_fields(process))
    Journal(str(directory)).append({**begin, "host": "localhost"})
    return directory


def add(run_directory: Path, checks: Sequence[Check], measures: dict[str, Any], facts: dict[str, str], began_at: float) -> None:
    """Append a stage with checks, measures and facts about the drill; measures with a time are written as ISO 8601 by the caller."""
    common = {"stage": STAGE, "host": "localhost"}
    journal = Journal(str(run_directory))
    journal.append({"kind": "stage_start", "title": TITLE, "time": to_iso(began_at), **common})
    for check in checks:
        journal.append(
            {
                "kind": "check",
                "id": check.id,
                "title": check.title,
                "passed": check.passed,
                "expected": check.expected,
                "found": check.found,
                "remedy": check.remedy,
                "severity": "error",
                "duration": check.seconds,
                "task": STAGE,
                **common,
            }
        )
    for name, value in measures.items():
        if value is not None:
            journal.append({"kind": "measure", "name": name, "value": value, "unit": "time" if name.endswith("_at") else "seconds", **common})
    journal.append({"kind": "note", "topic": STAGE, "facts": facts, **common})
    status = "passed" if all(check.passed for check in checks) else "failed"
    journal.append({"kind": "stage_end", "title": TITLE, "status": status, **common})


def write_report(run_directory: Path, target: Path) -> dict[str, Any]:
    """Render every form of the report, also into ``target``; returns it as data."""
    report: dict[str, Any] = render(str(run_directory), str(TEMPLATES), str(target), READABLE)
    return report
