# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes of the keys of a Salt master: what has to be done, doing it, and reading it back. The master need not run: keys are files."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any, Dict, Iterable, List, Sequence

from ansible_collections.lifeboat.cluster.plugins.module_utils._files.aside import Aside
from ansible_collections.lifeboat.cluster.plugins.module_utils._files.ledger import Ledger
from ansible_collections.lifeboat.cluster.plugins.module_utils._salt.keys import (
    ACCEPTED,
    DENIED,
    DIRECTORIES,
    PENDING,
    REJECTED,
    Key,
    Keys,
    SaltError,
    check_fingerprint,
    check_id,
    read_keys,
)
from ansible_collections.lifeboat.cluster.plugins.module_utils._system.disk import make_directories, sync_directories

ABSENT, RECONCILED = "absent", "reconciled"
# Of a key that is moved out of the master's sight; it is kept aside.
AWAY = ""


class KeyRefused(SaltError):
    """A key is not the one that was meant."""


@dataclass(frozen=True)
class Wanted:
    """An id and, where it is known, the fingerprint that its key must have."""

    id: str
    fingerprint: str = ""


@dataclass(frozen=True)
class Move:
    """One key that changes its state, or goes away."""

    key: Key
    to: str
    why: str

    def as_result(self) -> Dict[str, str]:
        """Fields for a module's result."""
        return {"id": self.key.id, "from": self.key.state, "to": self.to or ABSENT, "fingerprint": self.key.fingerprint, "why": self.why}


@dataclass
class Plan:
    """What has to be done, and what is only told."""

    before: Keys
    moves: List[Move] = field(default_factory=list)
    caches: List[str] = field(default_factory=list)
    refused: List[Dict[str, str]] = field(default_factory=list)
    missing: List[str] = field(default_factory=list)
    unknown: Dict[str, List[str]] = field(default_factory=dict)

    @property
    def changed(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.moves or self.caches)

    def refuse(self, key: Key, expected: str, why: str) -> None:
        """Leave a key as it is and say why."""
        self.refused.append({"id": key.id, "state": key.state, "fingerprint": key.fingerprint, "expected": expected, "why": why})

    def diff(self) -> Dict[str, str]:
        """The keys before and after, and the parts of the cache that go."""
        moved = {move.key: move.to for move in self.moves}
        after = [Key(key.id, moved.get(key, key.state), key.path, key.fingerprint) for key in self.before.keys if moved.get(key, key.state) != AWAY]
        return {"before": self.before.lines() + "".join("cache %s\n" % path for path in self.caches), "after": self.before.lines(after)}

    def as_result(self) -> Dict[str, Any]:
        """Fields for a module's result."""
        return {
            "moves": [move.as_result() for move in self.moves],
            "caches": list(self.caches),
            "refused": list(self.refused),
            "missing": list(self.missing),
            "unknown": dict(self.unknown),
        }


def read_wanted(items: Sequence[Dict[str, Any]], state: str) -> List[Wanted]:
    """What was asked for, checked: ids that are ids, fingerprints that are fingerprints, nothing twice."""
    wanted = [Wanted(check_id(str(item["id"])), check_fingerprint(str(item.get("fingerprint") or ""))) for item in items]
    ids = [one.id for one in wanted]
    problems = ["%s is given twice" % minion_id for minion_id in sorted(set(ids)) if ids.count(minion_id) > 1]
    if state == RECONCILED:
        problems += ["%s is given without a fingerprint" % one.id for one in wanted if not one.fingerprint] + (["no key is given"] if not wanted else [])
    if problems:
        raise SaltError(
            "The keys that were given can't be used.",
            tried="read %d keys for the state %s" % (len(wanted), state),
            found="; ".join(problems),
            remedy="Give each id once; to reconcile, give all accepted keys of the recovery point with their fingerprints.",
        )
    return wanted


def plan(keys: Keys, cache_dir: str, state: str, wanted: Sequence[Wanted], cache: bool = False) -> Plan:
    """What has to be done. Raises KeyRefused when a key is not the one that was meant; a reconciliation tells it in the plan instead."""
    planned = Plan(keys)
    for one in wanted:
        states = keys.of(one.id)
        if state == RECONCILED:
            _reconcile(planned, one, states)
        elif state == ABSENT:
            _require(one, states.values())
            planned.moves += [Move(key, AWAY, "asked for") for key in states.values()]
            path = os.path.join(cache_dir, "minions", one.id)
            planned.caches += [path] if cache and os.path.lexists(path) else []
        elif state == REJECTED:
            _require(one, states.values())
            _reject(planned, one, states)
        else:
            _accept(planned, one, states)
    if state == RECONCILED:
        known = {one.id for one in wanted}
        planned.unknown = {name: sorted(set(keys.by_state(name)) - known) for name in DIRECTORIES}
    return planned


def _refusal(one: Wanted, found: Sequence[Key], what: str, remedy: str) -> KeyRefused:
    return KeyRefused(
        "The key of minion %s is refused." % one.id,
        tried="find the key %s of %s" % (one.fingerprint or "(no fingerprint was given)", one.id),
        found="%s: %s" % (what, "; ".join(map(str, found)) or "no key at all"),
        remedy=remedy,
    )


def _require(one: Wanted, found: Iterable[Key]) -> None:
    """Every key of the id is the one that is meant."""
    others = [key for key in found if one.fingerprint and key.fingerprint != one.fingerprint]
    if others:
        raise _refusal(
            one, others, "another fingerprint, so another machine's key", "Find out whose key it is; leave the fingerprint out to take it all the same."
        )


def _reject(planned: Plan, one: Wanted, states: Dict[str, Key]) -> None:
    found = [states[name] for name in (ACCEPTED, PENDING) if name in states]
    if not found and REJECTED not in states:
        raise _refusal(one, list(states.values()), "nothing to reject", "Let the minion ask for acceptance first, or give another id.")
    for number, key in enumerate(found):
        planned.moves.append(Move(key, AWAY if number or REJECTED in states else REJECTED, "asked for"))


def _accept(planned: Plan, one: Wanted, states: Dict[str, Key]) -> None:
    accepted = states.get(ACCEPTED)
    if accepted is not None:
        _require(one, [accepted])
        chosen = accepted
    else:
        # Without a fingerprint only what waits is meant: a denied key contradicts another one, and a rejected one was refused by somebody.
        names = (PENDING, REJECTED, DENIED) if one.fingerprint else (PENDING,)
        fitting = [states[name] for name in names if name in states and one.fingerprint in ("", states[name].fingerprint)]
        if not fitting:
            raise _refusal(
                one,
                list(states.values()),
                "no such key to accept",
                "Compare with salt-call --local key.finger on the minion; let the minion ask for acceptance.",
            )
        chosen = fitting[0]
        planned.moves.append(Move(chosen, ACCEPTED, "asked for"))
    # The same key left in another state: one that is rejected too stays locked out, since the master looks there first.
    planned.moves += [Move(key, AWAY, "the same key is accepted") for key in states.values() if key != chosen and key.fingerprint == chosen.fingerprint]
    rejected = states.get(REJECTED)
    if rejected is not None and rejected.fingerprint != chosen.fingerprint:
        raise _refusal(one, [rejected], "another key of this id is rejected, which locks the id out", "Take the rejected one away first (state: absent).")


def _reconcile(planned: Plan, one: Wanted, states: Dict[str, Key]) -> None:
    """The accepted key is the one of the recovery point; what else there is of it goes when it is the same key, and is refused when it is not."""
    accepted = states.get(ACCEPTED)
    holder = accepted if accepted is not None and accepted.fingerprint == one.fingerprint else None
    if accepted is not None and holder is None:
        planned.refuse(accepted, one.fingerprint, "accepted with another fingerprint than in the recovery point")
    if REJECTED in states:
        planned.refuse(states[REJECTED], one.fingerprint, "rejected, which locks the id out; somebody decided so after the recovery point was taken")
    for key in [states[name] for name in (PENDING, DENIED) if name in states]:
        if key.fingerprint != one.fingerprint:
            planned.refuse(key, one.fingerprint, "%s with another fingerprint than in the recovery point" % key.state)
        elif holder is not None:
            planned.moves.append(Move(key, AWAY, "the same key is accepted"))
        elif accepted is None and REJECTED not in states:
            planned.moves.append(Move(key, ACCEPTED, "the key of the recovery point"))
            holder = key
    if accepted is None and holder is None:
        planned.missing.append(one.id)


def apply(planned: Plan, aside: str) -> Keys:
    """Do what was planned and read it back. A run that was killed is finished by the next: every step stands alone.

    What goes away is moved below ``aside``; of an id, the cache goes last, since the removal of a node reads the node's name from it.
    """
    pki_dir = planned.before.pki_dir
    if planned.changed:
        make_directories(aside)
        ledger = Ledger(aside)
        with ledger.writing():
            keeper = Aside(aside, "salt_key", ledger)
            for move in planned.moves:
                if move.to == AWAY:
                    keeper.move(move.key.path, move.key.path)
                else:
                    _rename(move, pki_dir)
            for path in planned.caches:
                keeper.move(path, path)
            keeper.sync()
    after = read_keys(pki_dir)
    wrong = [move for move in planned.moves if not _moved(move, after.of(move.key.id))]
    if wrong:
        raise SaltError(
            "The keys of the Salt master are not as they were put.",
            tried="; ".join("%s to %s" % (move.key, move.to or ABSENT) for move in wrong),
            found=after.lines(key for key in after.keys if key.id in {move.key.id for move in wrong}) or "no key of these ids",
            remedy="Something else changes them: close the master's ports (port_fence) while keys are put in order, then run this again.",
        )
    return after


def _moved(move: Move, states: Dict[str, Key]) -> bool:
    if states.get(move.key.state) == move.key:
        return False
    return move.to == AWAY or (move.to in states and states[move.to].fingerprint == move.key.fingerprint)


def _rename(move: Move, pki_dir: str) -> None:
    directory = os.path.join(pki_dir, DIRECTORIES[move.to])
    if make_directories(directory):
        status = os.stat(os.path.dirname(move.key.path))
        os.chown(directory, status.st_uid, status.st_gid)
        os.chmod(directory, status.st_mode & 0o777)
    os.rename(move.key.path, os.path.join(directory, move.key.id))
    sync_directories([os.path.dirname(move.key.path), directory])
