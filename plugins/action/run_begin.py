# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Begins a run: its id, its directory, its journal."""

from __future__ import annotations

import getpass
import json
import os
import re
from typing import Any, Dict, List, Optional

from ansible import context
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.lifeboat.cluster.plugins.module_utils._evidence import runs
from ansible_collections.lifeboat.cluster.plugins.module_utils._evidence.journal import Journal
from ansible_collections.lifeboat.cluster.plugins.module_utils._evidence.render import render_once
from ansible_collections.lifeboat.cluster.plugins.module_utils.clock import now, to_iso, to_moment
from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import LifeboatError
from ansible_collections.lifeboat.cluster.plugins.plugin_utils import ansible_core
from ansible_collections.lifeboat.cluster.plugins.plugin_utils.evidence import collection_root, refuse_loops, template_directory, variable, whole_number
from ansible_collections.lifeboat.cluster.plugins.plugin_utils.said import command, said
from ansible_collections.lifeboat.cluster.plugins.plugin_utils.settings import Settings, problems

display = Display()

_AWX_VARIABLES = (
    "job_id",
    "job_launch_type",
    "job_template_id",
    "job_template_name",
    "user_id",
    "user_name",
    "schedule_id",
    "schedule_name",
    "workflow_job_id",
    "workflow_job_name",
)
_GROUPS_OF_ANSIBLE = ("all", "ungrouped")
# The scope of a run that is about the whole cluster. Empty text is no scope.
EVERYTHING = "everything"
# Of earlier runs, on the screen; the journal has all of them.
_MOST_NAMED = 3


def collection_version() -> str:
    """The version of the collection, of an installed one or of a checkout; empty when neither says."""
    root = collection_root()
    try:
        with open(os.path.join(root, "MANIFEST.json"), encoding="utf-8") as stream:
            return str(json.load(stream)["collection_info"]["version"])
    except (OSError, ValueError, KeyError):
        pass
    try:
        with open(os.path.join(root, "galaxy.yml"), encoding="utf-8") as stream:
            return next((line.split(":", 1)[1].strip().strip("\"'") for line in stream if line.startswith("version:")), "")
    except OSError:
        return ""


def newest_of(run_ids: List[str]) -> str:
    """The newest of some runs in words, and how many there were before them."""
    newest = sorted(run_ids, reverse=True)[:_MOST_NAMED]
    return ", ".join(newest) + (" and %d before them" % (len(run_ids) - len(newest)) if len(run_ids) > len(newest) else "")


def user_name() -> str:
    """Who started the run, also behind sudo and for users without a name."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = "uid %d" % os.getuid()
    behind = os.environ.get("SUDO_USER")
    return "%s (sudo by %s)" % (name, behind) if behind and behind != name else name


class ActionModule(ActionBase):
    """lifeboat.cluster.run_begin"""

    _requires_connection = False

    def run(self, tmp: Any = None, task_vars: Optional[Dict[str, Any]] = None) -> Dict[str, Any]:
        result: Dict[str, Any] = super().run(tmp, task_vars)
        refuse_loops(self._task)
        _validation, options = self.validate_argument_spec(
            argument_spec={
                "playbook": {"type": "str"},
                "title": {"type": "str"},
                "cluster_name": {"type": "str"},
                "directory": {"type": "path"},
                "minimum_free_bytes": {"type": "int", "default": 268435456},
                "rpo_target_seconds": {"type": "raw"},
                "rto_target_seconds": {"type": "raw"},
                "declared_at": {"type": "raw"},
                "disaster_at": {"type": "raw"},
                "scope": {"type": "str"},
                "named": {"type": "dict", "default": {}},
                "changes_cluster": {"type": "bool", "default": False},
            }
        )
        host = str((task_vars or {}).get("inventory_hostname", ""))
        if host != "localhost":
            raise AnsibleActionFail("A run begins once, on localhost; this play runs on %s. Use a play with hosts: localhost." % host)
        try:
            result.update(self._begin(options, task_vars or {}))
        except LifeboatError as error:
            raise AnsibleActionFail(str(error), result=error.as_result()) from None
        return result

    def _begin(self, options: Dict[str, Any], task_vars: Dict[str, Any]) -> Dict[str, Any]:
        def of(option: str, name: str) -> Any:
            return options[option] if options.get(option) not in (None, "") else variable(task_vars, self._templar, name)

        cluster_name = str(of("cluster_name", "lifeboat_cluster_name") or "")
        if not cluster_name:
            raise AnsibleActionFail("The cluster has no name. Set lifeboat_cluster_name in the inventory, for example in group_vars/all.")
        playbook = options.get("playbook") or _playbook_name()
        scope = _scope(playbook, options["named"], options.get("scope"), variable(task_vars, self._templar, "lifeboat_scope"), task_vars)
        self._check_settings(playbook, options["changes_cluster"])
        # Of the controller alone, and of -e: what machines have in the inventory is there in a rerun too.
        values = said(options["named"], lambda name: self._templar.template(task_vars[name]) if name in task_vars else None)
        runs_directory = os.path.abspath(os.path.expanduser(str(of("directory", "lifeboat_runs_directory") or runs.DEFAULT_DIRECTORY)))
        targets = {name: whole_number(of("%s_target_seconds" % name, "%s_target_seconds" % name), "%s_target_seconds" % name) for name in ("rpo", "rto")}
        times = {name: _moment(options.get(name), name) for name in ("declared_at", "disaster_at")}

        run_id = runs.new_run_id(playbook)
        directory = runs.make_run_directory(runs_directory, run_id, options["minimum_free_bytes"])
        # The task runs in a fork; the run lives as long as ansible-playbook itself does.
        process = runs.this_process(os.getppid())
        earlier = runs.earlier_runs(runs_directory, cluster_name, but=run_id)
        removed = self._remove_leftovers(runs_directory, earlier)
        started_at, user = to_iso(now()), user_name()
        groups = task_vars.get("groups") or {}
        begin = runs.begin_record(
            run_id,
            time=started_at,
            playbook=playbook,
            title=options.get("title"),
            cluster_name=cluster_name,
            user=user,
            scope=scope,
            **runs.process_fields(process),
            ansible_version=ansible_core.version,
            collection_version=collection_version(),
            awx=_awx(task_vars),
            groups={name: len(groups[name]) for name in sorted(groups) if name not in _GROUPS_OF_ANSIBLE},
            hosts=len(groups.get("all", [])),
            targets={"rpo_seconds": targets["rpo"], "rto_seconds": targets["rto"]},
            check_mode=bool(self._task.check_mode),
            changes_cluster=options["changes_cluster"],
            limit=str(task_vars["ansible_limit"]) if task_vars.get("ansible_limit") else None,
            dead_run_ids=earlier.dead,
            removed_leftovers=[os.path.basename(path) for path in removed],
            host="localhost",
        )
        measures = [{"kind": "measure", "host": "localhost", "name": name, "value": to_iso(moment)} for name, moment in times.items() if moment is not None]
        Journal(directory).append(begin, *measures)
        display.display("[00:00] run %s of cluster %s began, evidence in %s" % (run_id, cluster_name, directory))
        if earlier.unfinished:
            display.display("[00:00] earlier runs that changed the cluster, and failed on their way or were stopped: %s" % newest_of(earlier.unfinished))
        if earlier.alive:
            display.warning("Another run of cluster %s is going on in this moment: %s" % (cluster_name, ", ".join(earlier.alive)))
        fact = {
            "id": run_id,
            "directory": directory,
            "playbook": playbook,
            "started_at": started_at,
            "cluster_name": cluster_name,
            "scope": scope,
            "user": user,
            **runs.process_fields(process),
            "dead_run_ids": earlier.dead,
            "said": values,
            "command": command(playbook, cluster_name, values, [str(source) for source in task_vars.get("ansible_inventory_sources") or ()]),
        }
        return {
            "changed": False,
            "run": fact,
            "dead_run_ids": earlier.dead,
            "alive_run_ids": earlier.alive,
            "unknown_run_ids": earlier.unknown,
            "removed_leftovers": removed,
            "ansible_facts": {"lifeboat_run": fact},
            # The verdict is bad until it was proven good: what a failed task returns never reaches the statistics, and what a
            # killed run would have published reaches nobody.
            "ansible_stats": {
                "data": {"lifeboat_run_id": run_id, "lifeboat_verdict": "failed", "lifeboat_report": os.path.join(directory, "report.html")},
                "per_host": False,
                "aggregate": False,
            },
        }

    def _check_settings(self, playbook: str, changes_cluster: bool) -> None:
        """Refuse what would stop the run in its middle; of several problems, all are said."""
        settings = Settings.of(context.CLIARGS, self._task.timeout)
        found = problems(settings, playbook, changes_cluster)
        if found:
            raise AnsibleActionFail("\n".join(str(problem) for problem in found), result=found[0].as_result())

    @staticmethod
    def _remove_leftovers(runs_directory: str, earlier: runs.EarlierRuns) -> List[str]:
        """Remove unsealed artifacts of interrupted runs, and bring their reports up to date. Of runs of which nobody knows whether they live, only what was
        forgotten: it may be another container's, on the same machine and with the same name."""
        removed = []
        for run_id in earlier.dead + earlier.unknown:
            directory = os.path.join(runs_directory, run_id)
            dead = run_id in earlier.dead
            for path in runs.plain_leftovers(directory, 0.0 if dead else runs.FORGOTTEN_AFTER_SECONDS):
                try:
                    os.unlink(path)
                except OSError as error:
                    display.warning("The unsealed artifact %s of an interrupted run could not be removed: %s" % (path, error.strerror))
                else:
                    removed.append(path)
            if not dead:
                continue
            try:
                render_once(directory, template_directory())
            except (LifeboatError, OSError) as error:
                display.warning("The report of the interrupted run %s could not be rendered: %s" % (run_id, error))
        return removed


def _scope(playbook: str, named: Dict[str, Any], given: Optional[str], wanted: Any, task_vars: Dict[str, Any]) -> str:
    """What the run is about. Whoever has to name something has named it, and an empty text never means everything where a name is meant."""
    names = {str(name): str("" if value is None else value).strip() for name, value in named.items()}
    empty = sorted(name for name, value in names.items() if not value)
    if empty:
        raise runs.RunError(
            "%s is about something that has to be named, and %s is empty or not set." % (playbook, " and ".join(empty)),
            tried="read %s" % ", ".join(empty),
            found="nothing (AWX sends empty text for a question that nobody answered)",
            remedy="Run it again with %s." % " ".join("-e %s=<name>" % name for name in empty),
        )
    scope, other = str(given or "").strip(), str("" if wanted is None else wanted).strip()
    if scope and other not in ("", scope):
        raise runs.RunError(
            "%s is about %s, and lifeboat_scope says something else." % (playbook, scope),
            tried="compare the two",
            found="lifeboat_scope is %s" % other,
            remedy="Leave lifeboat_scope out; or run recover_cluster or backup_cluster with it.",
        )
    groups = task_vars.get("groups") or {}
    if scope in names.values() and (scope in groups or re.search(r"[\s,*?\[\]!&~]", scope)):
        raise runs.RunError(
            "%s is about one machine, and %s names more." % (playbook, next(name for name in names if names[name] == scope)),
            tried="look for a machine of that name in the inventory",
            found="%s is %s" % (scope, "a group" if scope in groups else "a pattern"),
            remedy="Name one machine as the inventory does. For several ones run recover_cluster or backup_cluster with -e lifeboat_scope=%s." % scope,
        )
    return scope or other or EVERYTHING


def _playbook_name() -> str:
    """The name of the playbook on the command line, without directory and suffix."""
    paths = context.CLIARGS.get("args") or ("run",)
    name = os.path.basename(str(paths[0]))
    for suffix in (".yml", ".yaml"):
        if name.endswith(suffix):
            return name[: -len(suffix)]
    return name.rpartition(".")[2]


def _moment(value: Any, name: str) -> Optional[float]:
    if value is None or str(value).strip() == "":
        return None
    moment = to_moment(value)
    if moment is None:
        raise AnsibleActionFail("%s has to be a time such as 2026-11-20T13:40:00Z, not %r." % (name, str(value)))
    return moment


def _awx(task_vars: Dict[str, Any]) -> Optional[Dict[str, str]]:
    """What AWX says about its job, under either of its prefixes."""
    found = {}
    for name in _AWX_VARIABLES:
        for prefix in ("awx_", "tower_"):
            if task_vars.get(prefix + name) not in (None, ""):
                found[name] = str(task_vars[prefix + name])
                break
    return found or None
