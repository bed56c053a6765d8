# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run ids, directories, and which runs still live."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils.evidence import runs
from ansible_collections.lifeboat.cluster.plugins.module_utils.evidence.journal import Journal


def begun(directory: Path, process: runs.Process, cluster: str = "prod-1", run_id: str = "") -> str:
    """Make a run that some process began."""
    run_id = run_id or runs.new_run_id("test")
    path = runs.make_run_directory(str(directory), run_id, 0)
    facts = {"controller": process.controller, "boot_id": process.boot_id, "pid": process.pid, "pid_started_ticks": process.started_ticks}
    Journal(path).append(runs.begin_record(run_id, cluster_name=cluster, **facts))
    return run_id


def test_ids() -> None:
    """They sort by time, differ, and hold nothing that a path or a shell takes amiss."""
    assert re.fullmatch(r"20261120T134012Z-recover_cluster-[0-9a-f]{4}", runs.new_run_id("recover_cluster", 1795182012))
    assert re.fullmatch(r"\d{8}T\d{6}Z-a_b_c-[0-9a-f]{4}", runs.new_run_id("a/../b c"))
    assert len({runs.new_run_id("x", 1795182012) for _number in range(50)}) > 40


def test_directory(tmp_path: Path) -> None:
    """It is private, has a journal and a salt, and is never taken twice."""
    path = Path(runs.make_run_directory(str(tmp_path / "a" / "runs"), "id", 1))
    assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert (path / "journal").is_dir()
    assert len(runs.salt_of(str(path))) == 32
    assert runs.salt_of(str(path)) == runs.salt_of(str(path))
    with pytest.raises(runs.RunError, match="File exists"):
        runs.make_run_directory(str(tmp_path / "a" / "runs"), "id", 1)


def test_no_space(tmp_path: Path) -> None:
    """It says how much there is."""
    with pytest.raises(runs.RunError, match=r"too little space(.|\n)*bytes free(.|\n)*lifeboat_runs_directory"):
        runs.make_run_directory(str(tmp_path), "id", 1 << 62)
    assert not (tmp_path / "id").exists()


def test_a_lost_salt(tmp_path: Path) -> None:
    """Without the file, no fingerprint is made with an empty salt."""
    assert len(runs.salt_of(str(tmp_path))) == 32
    assert runs.salt_of(str(tmp_path)) != runs.salt_of(str(tmp_path))


def test_processes() -> None:
    """This one lives; one that ended, one with the id of another, and one of an earlier boot don't; another controller's can't be told."""
    mine = runs.this_process(os.getpid())
    assert runs.is_alive(mine) is True
    assert runs.is_alive(mine._replace(started_ticks=mine.started_ticks + 1)) is False
    assert runs.is_alive(mine._replace(boot_id="earlier")) is False
    assert runs.is_alive(mine._replace(controller="elsewhere")) is None
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    process = runs.this_process(child.pid)
    assert runs.is_alive(process) is True
    child.kill()
    while runs.process_started(child.pid):
        # A zombie counts as dead, before anyone waits for it.
        pass
    assert runs.is_alive(process) is False
    child.communicate()


def test_earlier_runs(tmp_path: Path) -> None:
    """Only those of this cluster without an end, by what is known of their process."""
    mine = runs.this_process(os.getpid())
    dead = begun(tmp_path, mine._replace(pid=0))
    alive = begun(tmp_path, mine)
    unknown = begun(tmp_path, mine._replace(controller="elsewhere"))
    begun(tmp_path, mine._replace(pid=0), cluster="other")
    ended = begun(tmp_path, mine._replace(pid=0))
    Journal(str(tmp_path / ended)).append({"kind": "run_end", "status": "passed"})
    (tmp_path / "no-run" / "journal").mkdir(parents=True)
    this = begun(tmp_path, mine)
    assert runs.earlier_runs(str(tmp_path), "prod-1", but=this) == ([dead], [alive], [unknown])


def test_leftovers(tmp_path: Path) -> None:
    """Unsealed artifacts anywhere below a run, and nothing else."""
    run_id = begun(tmp_path, runs.this_process(os.getpid()))
    (tmp_path / run_id / "a" / "b").mkdir(parents=True)
    for name in ("a/b/x.plain", "y.plain", "z.age", "a/plain"):
        (tmp_path / run_id / name).write_text("x")
    (tmp_path / run_id / "dir.plain").mkdir()
    (tmp_path / run_id / "link.plain").symlink_to(tmp_path)
    found = [os.path.relpath(path, tmp_path / run_id) for path in runs.plain_leftovers(str(tmp_path / run_id))]
    assert found == ["a/b/x.plain", "link.plain", "y.plain"]


def fact(directory: str, **changes: Any) -> dict[str, Any]:
    """Variables of a task whose localhost knows a run."""
    mine = runs.this_process(os.getpid())
    known = {"id": "x", "directory": directory, "pid": os.getpid(), "boot_id": mine.boot_id, "controller": mine.controller, "cluster_name": "prod-1"}
    return {"hostvars": {"localhost": {"ansible_facts": {"lifeboat_run": {**known, **changes}}}}}


def test_find_run(tmp_path: Path) -> None:
    """The run of this process, from a fact and from nothing else (facts are no variables any more in ansible-core 2.24); others are refused with what to do."""
    path = runs.make_run_directory(str(tmp_path), "x", 0)
    variables = fact(path)
    assert runs.find_run(variables, os.getpid()).cluster_name == "prod-1"
    with pytest.raises(runs.NoRun, match="No run has begun"):
        runs.find_run({"hostvars": {"localhost": variables["hostvars"]["localhost"]["ansible_facts"]}}, os.getpid())
    with pytest.raises(runs.NoRun, match="No run has begun"):
        runs.find_run({"hostvars": {"localhost": {}}}, os.getpid())
    with pytest.raises(runs.NoRun, match=r"a --limit of 'cp1'(.|\n)*add localhost"):
        runs.find_run({"hostvars": {}, "ansible_limit": "cp1"}, os.getpid())
    for changes in ({"pid": 1}, {"boot_id": "earlier"}, {"controller": "elsewhere"}):
        with pytest.raises(runs.NoRun, match="belongs to another run"):
            runs.find_run(fact(path, **changes), os.getpid())
    with pytest.raises(runs.RunError, match="is gone"):
        runs.find_run(fact(str(tmp_path / "gone")), os.getpid())
