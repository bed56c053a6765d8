# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tool that lists checks which no test has seen failing."""

from __future__ import annotations

from pathlib import Path

from tests import checks_seen

ROLE = """
- name: Check
  lifeboat.cluster.check:
    checks:
      - {id: etcd.quorum, title: t, expect: a, found: b, remedy: c}
      - {id: "etcd.{{ item }}.size", title: t, expect: a, found: b, remedy: c}
- name: No check
  other.module: {id: not.a.check, title: t}
"""

PLUGIN = """
def run():
    return [_check("gate.limit", "title"), other("not.one", "x"), _check(name, "title"), _check("alone")]
"""


def test_finds_checks(tmp_path: Path) -> None:
    """In tasks, in defaults and in plugins, and nothing else."""
    (tmp_path / "roles" / "etcd" / "tasks").mkdir(parents=True)
    (tmp_path / "roles" / "etcd" / "defaults").mkdir()
    (tmp_path / "plugins" / "action").mkdir(parents=True)
    (tmp_path / "roles" / "etcd" / "tasks" / "verify.yml").write_text(ROLE)
    (tmp_path / "roles" / "etcd" / "defaults" / "main.yml").write_text("etcd_checks: [{id: etcd.default, expect: a, found: b}]\n")
    (tmp_path / "roles" / "etcd" / "tasks" / "tagged.yml").write_text("x: !unknown y\n")
    (tmp_path / "plugins" / "action" / "gate.py").write_text(PLUGIN)
    assert set(checks_seen.defined(tmp_path)) == {"etcd.quorum", "etcd.{{ item }}.size", "etcd.default", "gate.limit"}


def test_problems() -> None:
    """New checks that never failed, excused ones that did, and excused ones that are gone."""
    checks = {"a.new": "f", "a.seen": "f", "a.excused": "f", "a.{{ item }}.size": "f", "a.x{{ item }}": "f", "a.late": "f"}
    found = checks_seen.problems(checks, ["a.seen", "a.db.size", "a.late"], {"a.excused", "a.late", "a.gone"})
    assert [line.split(":", 1)[1].strip() for line in found] == [
        "no test has seen a.new fail",
        "no test has seen a.x{{ item }} fail",
        "a.late was seen failing, so take it out of the list",
        "there is no check a.gone any more, so take it out of the list",
    ]


def test_remarks_in_files(tmp_path: Path) -> None:
    """Everything behind a number sign is a remark."""
    (tmp_path / "list").write_text("# heading\n\na.b  # because\nc.d\n")
    assert checks_seen.lines_of(tmp_path / "list") == {"a.b", "c.d"}
    assert checks_seen.lines_of(tmp_path / "nothing") == set()


def test_this_collection() -> None:
    """It finds the checks of the gate."""
    assert {"gate.confirmation", "gate.groups", "gate.limit", "gate.preflight"} <= set(checks_seen.defined(checks_seen.ROOT))
