# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run ids, directories, and which runs still live."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._evidence import runs
from ansible_collections.lifeboat.cluster.plugins.module_utils._evidence.journal import Journal


def begun(directory: Path, process: runs.Process, cluster: str = "prod-1", run_id: str = "", **more: Any) -> str:
    """Make a run that some process began."""
    run_id = run_id or runs.new_run_id("test")
    path = runs.make_run_directory(str(directory), run_id, 0)
    Journal(path).append(runs.begin_record(run_id, cluster_name=cluster, **runs.process_fields(process), **more))
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


def test_a_process_of_before_the_last_boot(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ended by the boot, where it is certain that this very machine was booted: not of a container, nor of another machine with the same name."""
    before = runs.this_process(os.getpid())._replace(boot_id="earlier", pid_namespace=runs.INITIAL_PID_NAMESPACE)
    monkeypatch.setattr(runs, "pid_namespace", lambda: runs.INITIAL_PID_NAMESPACE)
    assert runs.is_alive(before) is False
    assert runs.is_alive(before._replace(machine_id="another")) is None
    assert runs.is_alive(before._replace(machine_id="")) is None
    monkeypatch.setattr(runs, "pid_namespace", lambda: "pid:[4026532999]")
    assert runs.is_alive(before._replace(pid_namespace="pid:[4026532999]")) is None


# Another container of the same machine, as far as it matters here: the same host name and boot id, other processes under the same numbers.
CONTAINER = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")
LOOK = """
import json, sys
sys.path.insert(0, sys.argv[1])
from ansible_collections.lifeboat.cluster.plugins.module_utils._evidence import runs
process = runs.Process(*json.loads(sys.argv[2]))
print(json.dumps([runs.is_alive(process), runs.pid_namespace(), runs.boot_id(), runs.this_controller(), runs.earlier_runs(sys.argv[3], "prod-1")]))
"""


def test_another_container_of_the_machine_is_not_believed_dead(tmp_path: Path) -> None:
    """Its processes have other numbers here, or none: nothing can be told of a run there, so nothing of it is removed."""
    mine = runs.this_process(os.getpid())
    run_id = begun(tmp_path, mine)
    tree = next(path for path in sys.path if os.path.isdir(os.path.join(path, "ansible_collections", "lifeboat")))
    command = [sys.executable, "-I", "-c", LOOK, tree, json.dumps(list(mine)), str(tmp_path)]
    answers = [json.loads(subprocess.run([*prefix, *command], capture_output=True, text=True, check=True).stdout) for prefix in ((), CONTAINER)]
    (here, there) = answers
    assert (here[0], here[4]) == (True, [[], [run_id], [], []])
    assert there[1] != here[1] == mine.pid_namespace
    assert there[2:4] == here[2:4] == [mine.boot_id, mine.controller]
    assert (there[0], there[4]) == (None, [[], [], [run_id], []])


def test_without_the_processes_of_this_namespace_nothing_is_told() -> None:
    """A new pid namespace with the /proc of the old one: the numbers there are others'."""
    tree = next(path for path in sys.path if os.path.isdir(os.path.join(path, "ansible_collections", "lifeboat")))
    mine = runs.this_process(os.getpid())._replace(started_ticks=1)
    command = [sys.executable, "-I", "-c", LOOK, tree, json.dumps(list(mine)), "/nonexistent"]
    answer = json.loads(subprocess.run(["unshare", "--pid", "--fork", "--kill-child", *command], capture_output=True, text=True, check=True).stdout)
    assert answer[:2] == [None, ""]


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
    assert runs.earlier_runs(str(tmp_path), "prod-1", but=this) == ([dead], [alive], [unknown], [])


def test_only_changes_that_nobody_finished_are_unfinished(tmp_path: Path) -> None:
    """Neither a list that failed, nor a plan; nor a recovery after which another one came to its end."""
    mine = runs.this_process(os.getpid())._replace(pid=0)
    begun(tmp_path, mine, run_id="1-list")
    begun(tmp_path, mine, run_id="2-recover_cluster", changes_cluster=True, check_mode=True)
    begun(tmp_path, mine, run_id="3-recover_cluster", changes_cluster=True)
    assert runs.earlier_runs(str(tmp_path), "prod-1").unfinished == ["3-recover_cluster"]
    begun(tmp_path, mine, run_id="4-restore_etcd", changes_cluster=True)
    Journal(str(tmp_path / "4-restore_etcd")).append({"kind": "run_end", "status": "passed"})
    begun(tmp_path, mine, run_id="5-recover_cluster", changes_cluster=True)
    found = runs.earlier_runs(str(tmp_path), "prod-1")
    assert (found.unfinished, len(found.dead)) == (["5-recover_cluster"], 4)


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
    assert runs.plain_leftovers(str(tmp_path / run_id), 3600) == []
    os.utime(tmp_path / run_id / "y.plain", (1, 1))
    assert runs.plain_leftovers(str(tmp_path / run_id), 3600) == [str(tmp_path / run_id / "y.plain")]


def fact(directory: str, **changes: Any) -> dict[str, Any]:
    """Variables of a task whose localhost knows a run."""
    mine = runs.this_process(os.getpid())
    known = {"id": "x", "directory": directory, "cluster_name": "prod-1", **runs.process_fields(mine)}
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
    others: list[dict[str, Any]] = [{"pid": 1}, {"boot_id": "earlier"}, {"controller": "elsewhere"}, {"pid_namespace": "pid:[1]"}, {"pid_started_ticks": 1}]
    for changes in others:
        with pytest.raises(runs.NoRun, match="belongs to another run"):
            runs.find_run(fact(path, **changes), os.getpid())
    with pytest.raises(runs.RunError, match="is gone"):
        runs.find_run(fact(str(tmp_path / "gone")), os.getpid())
