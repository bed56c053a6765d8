# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every check of the roles, word for word as it stands there: met by good evidence, and not met when one thing in it is bad.

The end-to-end tests show that the evidence of a real cluster meets them; many of these faults no test can make on a real machine.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import yaml

from tests.checks_seen import ROOT
from tests.integration.evidence.bad_evidence import BREAKS, UNKNOWN
from tests.integration.evidence.good_evidence import GOOD, HOSTS
from tests.integration.evidence.playground import BEGIN, Playground


def checks_of(value: Any) -> Iterator[dict[str, Any]]:
    """Everything in a task file that is a check."""
    if isinstance(value, dict):
        if {"id", "expect", "found"} <= set(value):
            yield value
        for item in value.values():
            yield from checks_of(item)
    elif isinstance(value, list):
        for item in value:
            yield from checks_of(item)


def role_checks() -> dict[str, dict[str, Any]]:
    """The checks of all roles by id. Their severity is a warning here, so that the play goes on."""
    found: dict[str, dict[str, Any]] = {}
    for path in sorted((ROOT / "roles").glob("*/tasks/*.yml")):
        for check in checks_of(yaml.safe_load(path.read_text(encoding="utf-8"))):
            found[check["id"]] = {**check, "severity": "warning"}
    return found


def broken(where: str, value: Any) -> dict[str, Any]:
    """The variable of the good evidence in which one thing is changed; a % in the path stands for a dot in a name."""
    *way, last = [part.replace("%", ".") for part in where.split(".")]
    name = [*way, last][0]
    evidence = {name: copy.deepcopy(GOOD.get(name))}
    place: Any = evidence
    for part in way:
        place = place[int(part)] if isinstance(place, list) else place[part]
    place[int(last) if isinstance(place, list) else last] = value
    return evidence


def tasks() -> list[dict[str, Any]]:
    """One task with all checks, then one for each break; the play has the good evidence, which would be megabytes if each task had all of it."""
    checks = role_checks()
    found: list[dict[str, Any]] = [{"name": "good", "lifeboat.cluster.check": {"stage": "good", "checks": list(checks.values())}}]
    for check_id, breaks in BREAKS.items():
        for number, (where, value) in enumerate(breaks):
            found.append(
                {
                    "name": f"{check_id} {number}",
                    "lifeboat.cluster.check": {"stage": f"{check_id}.{number}", "checks": [checks[check_id]]},
                    "vars": broken(where, value),
                }
            )
    return found


def test_every_check_can_fail(playground: Playground) -> None:
    """And every one of the roles is in the table: a new check without a way to fail is refused."""
    assert set(BREAKS) == set(role_checks())
    setup = [{"name": "Let the members be known", "ansible.builtin.group_by": {"key": "etcd"}}]
    plays = [
        {"hosts": ",".join(HOSTS), "gather_facts": False, "tasks": setup},
        {"hosts": HOSTS[0], "gather_facts": False, "vars": GOOD, "tasks": tasks()},
    ]
    done = playground.play(BEGIN + yaml.safe_dump(plays, sort_keys=False, width=10_000))
    assert done.returncode == 0, done.stdout

    records = {(record["stage"], record["id"]): record for record in playground.records("check")}
    for check_id, breaks in BREAKS.items():
        good = records["good", check_id]
        assert good["passed"] is True, good
        for number, (where, _value) in enumerate(breaks):
            bad = records[f"{check_id}.{number}", check_id]
            assert bad["passed"] is False, (where, bad)
            # The evidence is bad, not the expression; only a value that is not known yet may be named as missing.
            assert where in UNKNOWN or not str(bad["found"]).startswith("not available"), (where, bad)
            assert bad["remedy"], bad
