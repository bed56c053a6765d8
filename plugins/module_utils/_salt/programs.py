# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a Salt master's own programs say: who is connected, who answers, who is at work; and having minions fill its cache again."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Sequence

from ansible_collections.lifeboat.cluster.plugins.module_utils._salt.keys import SaltError, cached, check_id
from ansible_collections.lifeboat.cluster.plugins.module_utils._system.inside import Inside, ProgramError

# What Salt's command line needs to start, and to give up on a minion, beside the time that it waits for answers.
_OVERHEAD_SECONDS = 60.0
_POLL_SECONDS = 0.5
_FALSE = (False, None, "", 0, "False", "false")


def busy(grains: Mapping[str, Any], names: Sequence[str]) -> List[str]:
    """Which of these grains say that something is going on. What is neither true nor false counts: better one refusal too many."""
    return [name for name in names if grains.get(name) not in _FALSE]


@dataclass
class Answers:
    """What came of asking the minions. ``running`` tells whether the master itself answered."""

    running: bool = False
    reason: str = ""
    present: List[str] = field(default_factory=list)
    answered: List[str] = field(default_factory=list)
    silent: List[str] = field(default_factory=list)
    busy: Dict[str, List[str]] = field(default_factory=dict)
    grains: Dict[str, Dict[str, Any]] = field(default_factory=dict)

    def as_result(self) -> Dict[str, Any]:
        """Fields for a module's result."""
        names = ("running", "reason", "present", "answered", "silent", "busy", "grains")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True)
class Programs:
    """The programs of a Salt master, with its configuration."""

    inside: Inside
    config: str
    timeout_seconds: int

    def _json(self, program: str, *arguments: str) -> Any:
        """What a program answers. A status other than 0 is no failure as long as there is an answer: it says that a minion was silent."""
        command = [program, "-c", self.config, "--out=json", *arguments]
        done = self.inside.run(command, timeout_seconds=self.timeout_seconds + _OVERHEAD_SECONDS, statuses=range(256))
        # Remarks come before the document, each on lines of their own.
        lines = done.text.splitlines()
        for number, line in enumerate(lines):
            if line[:1] in ("{", "["):
                try:
                    return json.loads("\n".join(lines[number:]))
                except ValueError:
                    continue
        raise SaltError(
            "The Salt master gave no answer.",
            tried=" ".join(command),
            found="status %d: %s" % (done.status, (done.complaint or done.text).strip()[-500:] or "it said nothing"),
            remedy="Start the Salt master and look at its log.",
        )

    def call(self, ids: Sequence[str], function: str, *arguments: str) -> Dict[str, Any]:
        """Have minions run a function; what each that answered returned."""
        targets = ",".join(check_id(minion_id) for minion_id in ids)
        found = self._json("salt", "--static", "--timeout=%d" % self.timeout_seconds, "-L", targets, function, *arguments)
        return {str(key): value for key, value in found.items()} if isinstance(found, dict) else {}

    def ask(self, ids: Sequence[str], busy_grains: Sequence[str] = (), grains: Sequence[str] = ()) -> Answers:
        """Who is connected and who answers; also who is at work, and other grains. A master that does not run is a finding."""
        answers = Answers()
        names = sorted({*busy_grains, *grains})
        try:
            present = self._json("salt-run", "manage.present")
            answers.present = sorted(map(str, present)) if isinstance(present, list) else []
            found = (self.call(ids, "grains.item", *names) if names else self.call(ids, "test.ping")) if ids else {}
        except (ProgramError, SaltError) as error:
            answers.reason = " ".join(error.found.split())
            answers.silent = sorted(ids)
            return answers
        answers.running = True
        said = {minion_id: value for minion_id, value in sorted(found.items()) if minion_id in ids and (isinstance(value, dict) if names else value is True)}
        answers.answered = list(said)
        answers.silent = sorted(set(ids) - set(said))
        if names:
            at_work = {minion_id: busy(value, busy_grains) for minion_id, value in said.items()}
            answers.busy = {minion_id: which for minion_id, which in at_work.items() if which}
            answers.grains = {minion_id: {name: value.get(name) for name in grains} for minion_id, value in said.items()}
        return answers

    def fill(self, cache_dir: str, ids: Sequence[str], wait_seconds: float) -> Dict[str, List[str]]:
        """Have minions send grains, pillar and mine to the master again, and wait until its cache has them; who is still missing there."""
        self.call(ids, "saltutil.refresh_pillar")
        self.call(ids, "mine.update")
        end = time.monotonic() + wait_seconds
        while True:
            missing = lacking(cache_dir, ids)
            if not any(missing.values()) or time.monotonic() >= end:
                return missing
            time.sleep(_POLL_SECONDS)


def lacking(cache_dir: str, ids: Sequence[str]) -> Dict[str, List[str]]:
    """Which of these minions the master's cache knows nothing of."""
    return {name: sorted(set(ids) - set(cached(cache_dir, name))) for name in ("data", "mine")}
