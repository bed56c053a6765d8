# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the action plugins run_begin, stage, check and gate share: a task's place in the run, its journal, and the report after it."""

from __future__ import annotations

import fcntl
import os
import re
import threading
from contextlib import suppress
from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence

from ansible.errors import AnsibleActionFail, AnsibleBrokenConditionalError, AnsibleError
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.parsing.vault import EncryptedString
from ansible.utils.display import Display

from ansible_collections.lifeboat.cluster.plugins.module_utils._evidence.formats import found_text
from ansible_collections.lifeboat.cluster.plugins.module_utils._evidence.journal import Journal, Record
from ansible_collections.lifeboat.cluster.plugins.module_utils._evidence.model import Model, build
from ansible_collections.lifeboat.cluster.plugins.module_utils._evidence.render import render_once
from ansible_collections.lifeboat.cluster.plugins.module_utils._evidence.runs import Run, find_run, salt_of
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.run_files import upload
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.errors import LocationError
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.location import Location
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.locations import LOCATION_ARGUMENTS, open_location
from ansible_collections.lifeboat.cluster.plugins.module_utils.clock import elapsed, now, to_moment
from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import LifeboatError
from ansible_collections.lifeboat.cluster.plugins.module_utils.redact import Redactor, strings_in

display = Display()

# For test suites: a file that collects the ids of checks that were seen failing.
SEEN_VARIABLE = "LIFEBOAT_CHECKS_SEEN"

_SECRET_NAMES = re.compile(r"(^ansible_(ssh_|become_|sudo_|su_)?pass(word)?$|_pass(word|phrase)$|_secret_(access_)?key$|^vault_)")

# Variables that Ansible makes, which are large and hold nothing that a user encrypted.
_NOT_OF_USERS = ("hostvars", "groups", "vars", "ansible_facts", "ansible_delegated_vars")
_DEEPEST = 4

# A location that does not answer (a dead NFS server) must not hold up a recovery.
UPLOAD_SECONDS = 30.0
LAST_UPLOAD_SECONDS = 120.0
# In the run directory, once an upload failed: the warning was given. It says HUNG when the location did not even answer.
_UPLOAD_FAILED = "upload.failed"
_HUNG = "hung"


def collection_root() -> str:
    """The directory that holds plugins/ and roles/."""
    return os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def template_directory() -> str:
    """Where the templates of the report are."""
    return os.path.join(collection_root(), "roles", "report", "templates")


def refuse_loops(task: Any) -> None:
    """Evidence is given as one list in one task: a loop or retries would write a line per turn, and async would lose it."""
    name = str(task.action).rpartition(".")[2]
    for what, used in (("loop", task.loop is not None or task.loop_with), ("until", task.until), ("async", task.async_val)):
        if used:
            raise AnsibleActionFail(
                "lifeboat.cluster.%s can't be used with %s. Give all checks of a step as one list; to wait, use the options module, interval_seconds "
                "and timeout_seconds of lifeboat.cluster.check." % (name, what)
            )


class Evidence:
    """One task's way to the evidence of its run."""

    def __init__(self, task: Any, task_vars: Dict[str, Any], templar: Any) -> None:
        self.task = task
        self.task_vars = task_vars
        self.templar = templar
        self.no_log = bool(task.no_log)
        self.host = str(task_vars.get("inventory_hostname", "localhost"))
        try:
            self.run: Run = find_run(task_vars, os.getppid())
        except LifeboatError as error:
            raise AnsibleActionFail(str(error), result=error.as_result()) from error
        self.redactor = Redactor(known_secrets(task_vars, templar), salt_of(self.run.directory))
        self.journal = Journal(self.run.directory, self.redactor)

    def record(self, kind: str, stage: str, **fields: Any) -> Record:
        """A journal record of this task."""
        return dict(
            {
                "kind": kind,
                "host": self.host,
                "delegated_to": str(self.task.delegate_to) if self.task.delegate_to else None,
                "stage": stage,
                "play": str(self.task_vars.get("ansible_play_name") or ""),
                "task": self.task.get_name(),
                "check_mode": True if self.task.check_mode else None,
            },
            **fields,
        )

    def append(self, *records: Record) -> None:
        """Write to the journal. Evidence that can't be written is a warning: it never stops a recovery, and the gate fails safe without it."""
        try:
            self.journal.append(*records)
        except (LifeboatError, OSError) as error:
            display.warning("Evidence of %s was lost. %s" % (self.host, error))

    def model(self) -> Model:
        """What the journal says so far; an empty model when it can't be read."""
        try:
            return build(self.journal.read())
        except (LifeboatError, OSError) as error:
            display.warning("The journal of run %s can't be read: %s" % (self.run.id, error))
            return build([])

    def value(self, value: Any) -> Any:
        """A found value as it may be shown: without secrets, and as a fingerprint only in a task with no_log."""
        if self.no_log and value is not None and not isinstance(value, bool):
            self.redactor.learn(strings_in(value))
            return self.redactor.fingerprint(value)
        return self.redactor.value(value)

    def render(self) -> None:
        """Bring the report up to date; one of several hosts does it for all. A report that can't be made is a warning."""
        try:
            render_once(self.run.directory, template_directory())
        except (LifeboatError, OSError) as error:
            display.warning("The report of run %s could not be rendered: %s" % (self.run.id, error))

    def upload(self, stage: str, reports: bool = False) -> None:
        """Copy the journal, and in the end the report, to the location, if there is one. Failing is one warning and one record in a run, never more."""
        failed = os.path.join(self.run.directory, _UPLOAD_FAILED)
        if self.task.check_mode or (not reports and _content(failed) == _HUNG):
            return
        try:
            given = self.task_vars.get("lifeboat_location") or self.task_vars["hostvars"]["localhost"].get("lifeboat_location")
            # Read at each use: it may hold credentials, which have no business in the run directory.
            specification = self.templar.template(given) if given else None
        except (AnsibleError, LookupError) as error:
            specification, problem = None, "lifeboat_location cannot be read: %s" % innermost_reason(error)
        else:
            problem = ""
        if specification:
            seconds = LAST_UPLOAD_SECONDS if reports else UPLOAD_SECONDS
            problem = within(
                seconds, lambda: upload(location_of(specification), self.run.cluster_name, self.run.id, self.run.directory, reports), "the backup location"
            )
        if problem and self._note_failure(failed, problem):
            text = self.redactor.text("The evidence of this run is not copied to the location: %s" % " ".join(problem.split()))
            display.warning("%s. It stays in %s, and the run goes on." % (text.rstrip("."), self.run.directory))
            self.append(self.record("note", stage, text=text))

    @staticmethod
    def _note_failure(path: str, problem: str) -> bool:
        """Remember it; True the first time."""
        word = _HUNG if problem.endswith(_HUNG) else "failed"
        try:
            with open(path, "x", encoding="ascii", opener=lambda name, flags: os.open(name, flags, 0o600)) as stream:
                stream.write(word)
        except FileExistsError:
            if word == _HUNG:
                with suppress(OSError), open(path, "w", encoding="ascii") as stream:
                    stream.write(word)
            return False
        except OSError:
            return True
        return True

    def say(self, text: str) -> None:
        """Show a line with the run's clock on the screen, between Ansible's own."""
        started = to_moment(self.run.started_at)
        display.display("[%s] %s" % (elapsed(now() - started) if started else "--:--", self.redactor.text(text)))


def location_of(specification: Any) -> Location:
    """The location that a variable describes; what is wrong with it is said without its values, which may be secret."""
    checked = ArgumentSpecValidator({"location": LOCATION_ARGUMENTS["location"]}).validate({"location": specification})
    if checked.error_messages:
        raise LocationError("lifeboat_location does not describe a location", remedy="see option location of lifeboat.cluster.recovery_point")
    return open_location(checked.validated_parameters["location"])


def within(seconds: float, work: Callable[[], Any], what: str) -> str:
    """Do something that may never end; returns why it did not succeed, or nothing."""
    outcome: List[str] = []

    def worker() -> None:
        try:
            work()
        except (LifeboatError, OSError) as error:
            outcome.append(str(error))
        else:
            outcome.append("")

    thread = threading.Thread(target=worker, daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        return "%s did not answer within %g s: %s" % (what, seconds, _HUNG)
    return outcome[0] if outcome else "an error in the program, shown above"


def _content(path: str) -> str:
    try:
        with open(path, encoding="ascii") as stream:
            return stream.read()
    except OSError:
        return ""


def known_secrets(task_vars: Dict[str, Any], templar: Any) -> List[str]:
    """Values of variables that are secret by their name, and of those that stand encrypted in a file."""
    found = list(_decrypted({name: task_vars[name] for name in task_vars if name not in _NOT_OF_USERS}))
    for name in [str(key) for key in task_vars if _SECRET_NAMES.search(str(key))]:
        try:
            value = templar.template(task_vars[name])
        except AnsibleError:
            continue
        if isinstance(value, str):
            found.append(str(value))
    return found


def _decrypted(value: Any, depth: int = 0) -> Iterator[str]:
    if isinstance(value, EncryptedString):
        try:
            yield str(value)
        except AnsibleError:
            # No key for it: then nothing of it can get into evidence either.
            return
    elif depth < _DEEPEST and isinstance(value, dict):
        for item in value.values():
            yield from _decrypted(item, depth + 1)
    elif depth < _DEEPEST and isinstance(value, list):
        for item in value:
            yield from _decrypted(item, depth + 1)


def variable(task_vars: Dict[str, Any], templar: Any, name: str) -> Any:
    """An inventory variable as localhost sees it, else as the hosts of the inventory do (they must agree); None when nobody has it."""
    if task_vars.get(name) is not None:
        return templar.template(task_vars[name])
    values: Dict[str, Any] = {}
    hostvars = task_vars.get("hostvars") or {}
    groups = task_vars.get("groups") or {}
    for host in groups.get("all", []):
        if name in hostvars[host] and hostvars[host][name] is not None:
            values.setdefault(str(hostvars[host][name]), hostvars[host][name])
    if len(values) > 1:
        raise AnsibleActionFail("The hosts of the inventory don't agree about %s: %s. Set it once, in group_vars/all." % (name, ", ".join(sorted(values))))
    return next(iter(values.values()), None)


def whole_number(value: Any, name: str) -> Optional[int]:
    """An integer from a number or from text, as extra variables come; None for nothing."""
    if value is None or str(value).strip() == "":
        return None
    try:
        number = int(str(value).strip())
    except ValueError:
        raise AnsibleActionFail("%s has to be a whole number of seconds, not %r." % (name, str(value))) from None
    if number < 0:
        raise AnsibleActionFail("%s can't be negative (%d)." % (name, number))
    return number


def extras(evidence: Evidence, stage: str, options: Dict[str, Any], templar: Any) -> List[Record]:
    """Journal records for the options measures, facts, notes and next_steps. What is undefined is left out with a warning."""
    records = []
    for name, raw in (options.get("measures") or {}).items():
        value = _templated(raw, "measure %s" % name, templar)
        if value is None:
            continue
        unit = None
        if isinstance(value, dict):
            unit = value.get("unit")
            value = value.get("value")
        records.append(evidence.record("measure", stage, name=str(name), value=evidence.value(value), unit=unit or _unit(str(name))))
    for topic, raw in (options.get("facts") or {}).items():
        facts = _templated(raw, "facts %s" % topic, templar)
        if isinstance(facts, dict):
            records.append(evidence.record("note", stage, topic=str(topic), facts={str(key): evidence.value(facts[key]) for key in facts}))
    for text in options.get("notes") or []:
        records.append(evidence.record("note", stage, text=str(text)))
    for text in options.get("next_steps") or []:
        records.append(evidence.record("note", stage, topic="next_step", text=str(text)))
    return records


def _templated(raw: Any, what: str, templar: Any) -> Any:
    try:
        return templar.template(raw)
    except AnsibleError as error:
        display.warning("%s is not recorded: %s" % (what[:1].upper() + what[1:], first_line(error)))
        return None


def _unit(name: str) -> Optional[str]:
    """The unit that a measure's name ends with."""
    return next((unit for unit in ("seconds", "bytes", "percent") if name.endswith("_" + unit)), "time" if name.endswith("_at") else None)


def first_line(error: BaseException) -> str:
    """The text of an error that fits into a line."""
    return str(error).strip().split("\n", 1)[0]


def innermost_reason(error: BaseException) -> str:
    """The first cause of an error of a template: what is undefined, or what is wrong with a value."""
    if isinstance(error, AnsibleBrokenConditionalError):
        return "the expectation is no condition: it gives neither true nor false"
    innermost = error
    while innermost.__cause__ is not None:
        innermost = innermost.__cause__
    if isinstance(innermost, AnsibleBrokenConditionalError):
        return innermost_reason(innermost)
    # Types are named as people know them, not as Ansible tags them.
    text = re.sub(r"_Ansible(?:Tagged|LazyTemplate|LazyAccess)(\w+)", lambda found: found.group(1).lower(), first_line(innermost))
    return text if isinstance(innermost, AnsibleError) else "%s: %s" % (type(innermost).__name__, text)


def conclude(evidence: Evidence, stage: str, checks: List[Record], seconds: float, result: Dict[str, Any], more: Sequence[Record] = ()) -> None:
    """Record checks, show those that are not met, and fail the host when one of them is an error; the report is rendered before."""
    evidence.append(*([evidence.record("check", stage, duration=seconds, **check) for check in checks] + list(more)))
    failed = [check for check in checks if check["passed"] is False]
    _note_seen(failed)
    for check in failed:
        if check["severity"] == "warning":
            found = " ".join(found_text(check["found"]).split()).rstrip(".")
            about = (evidence.host, check["title"], check["id"], check["expected"], found, check["remedy"])
            evidence.say("WARNING %s: %s [%s]: expected %s, found %s. %s" % about)
    errors = [check for check in failed if check["severity"] == "error"]
    if errors:
        evidence.render()
        # No stage may end after this.
        evidence.upload(stage)
        raise AnsibleActionFail(_message(errors, len(checks), evidence, stage), result=dict(result, checks=failed))


def _message(failed: List[Record], total: int, evidence: Evidence, stage: str) -> str:
    lines = ["%d of %d checks not met on %s in stage %s." % (len(failed), total, evidence.host, stage)]
    for number, check in enumerate(failed, 1):
        lines += [
            "%d. %s [%s]" % (number, check["title"], check["id"]),
            "   expected:   %s" % check["expected"],
            "   found:      %s" % found_text(check["found"]).replace("\n", "\n               "),
            "   what to do: %s" % check["remedy"],
        ]
    lines.append("Evidence: %s" % os.path.join(evidence.run.directory, "report.html"))
    return "\n".join(lines)


def _note_seen(failed: List[Record]) -> None:
    path = os.environ.get(SEEN_VARIABLE)
    if not path or not failed:
        return
    with open(path, "a", encoding="utf-8") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        stream.write("".join("%s\n" % check["id"] for check in failed))
