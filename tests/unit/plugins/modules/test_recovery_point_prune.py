# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Modules recovery_point_prune and recovery_point_tag: results, check mode, reruns, refusals."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.lifeboat.cluster.plugins.module_utils._storage import names
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.filesystem import FilesystemLocation
from ansible_collections.lifeboat.cluster.plugins.modules import recovery_point_prune, recovery_point_tag
from tests.unit.plugins.module_utils._recovery_point.aging import Past
from tests.unit.plugins.module_utils._recovery_point.making import assert_no_secrets, make_keys

NOW = names.now()


class Runner:
    """Calls the modules as Ansible does, on a location with points of three months."""

    def __init__(self, directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (directory / "location").mkdir(mode=0o700)
        self.keys = make_keys(directory / "keys")
        self.past = Past(FilesystemLocation(str(directory / "location")), self.keys)
        self.old, self.middle, self.new = (self.past.point(NOW - timedelta(days=days)) for days in (90, 60, 30))
        self._capsys = capsys

    def __call__(self, module: Any, check_mode: bool = False, **options: Any) -> dict[str, Any]:
        arguments = {
            "location": {"path": str(self.past.location.path)},
            "cluster_name": "shop",
            "allowed_signers": str(self.keys.allowed_signers),
            "signing_key": str(self.keys.signing_key),
            "_ansible_check_mode": check_mode,
            **options,
        }
        self._capsys.readouterr()
        with patch_module_args({name: value for name, value in arguments.items() if value is not None}), pytest.raises(SystemExit):
            module.main()
        answer: dict[str, Any] = json.loads(self._capsys.readouterr().out)
        assert_no_secrets(json.dumps(answer))
        return answer

    def prune(self, check_mode: bool = False, **options: Any) -> dict[str, Any]:
        """Prune to the newest point."""
        return self(recovery_point_prune, check_mode, **{"policy": {"keep_last": 1}, "confirm_cluster_name": "shop", "run_id": "run-1", **options})

    def tag(self, point: str, state: str, check_mode: bool = False, **options: Any) -> dict[str, Any]:
        """Tag a point."""
        return self(recovery_point_tag, check_mode, **{"id": point, "state": state, "reason": "audit", **options})


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Runner:
    """Calls the modules."""
    return Runner(tmp_path, capsys)


def test_check_mode_says_what_is_then_done(run: Runner) -> None:
    before = run.past.keys_there()
    shown = run.prune(check_mode=True, confirm_cluster_name=None, signing_key=None)
    assert run.past.keys_there() == before
    done = run.prune()
    shown.pop("invocation", None)  # newer cores return it only when asked
    done.pop("invocation", None)
    assert shown == done
    assert done["changed"] is True
    assert (done["removed"], done["kept"], done["completed"], done["extended"], done["left"]) == ([run.old, run.middle], [run.new], [], [], [])
    assert done["freed_bytes"] > 1000
    assert [(row["id"], row["action"]) for row in done["plan"]] == [(run.old, "remove"), (run.middle, "remove"), (run.new, "keep")]
    assert done["groups"] == [{"name": "etcd+pki", "points": 3, "kept": 1, "newest_verified": run.new}]
    assert done["table"][-1].startswith("1 kept, 2 to remove; ")
    assert done["diff"]["after"].count("\n") == 1
    assert run.past.points_there() == [run.new]
    again = run.prune()
    assert (again["changed"], again["removed"], again["kept"]) == (False, [], [run.new])


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"confirm_cluster_name": "Shop"}, "PruneRefusedError"),
        ({"confirm_cluster_name": None}, "PruneRefusedError"),
        ({"signing_key": None}, "PruneRefusedError"),
        ({"policy": {}}, "PruneRefusedError"),
        ({"policy": {"keep_last": -1}}, "PruneRefusedError"),
        ({"allowed_signers": None}, "SignatureUncheckedError"),
    ],
)
def test_what_stops_it(run: Runner, options: dict[str, Any], kind: str) -> None:
    before = run.past.keys_there()
    answer = run.prune(**options)
    assert answer["failed"] is True
    assert answer["error"]["kind"] == kind
    assert answer["error"]["remedy"]
    assert run.past.keys_there() == before


def test_a_gap_is_named(run: Runner) -> None:
    for key in [key for key in run.past.keys_there() if f"/{run.old}" in key]:
        run.past.location.remove(key)
    for check_mode in (True, False):
        answer = run.prune(check_mode=check_mode)
        assert answer["error"]["gaps"] == [run.old]
    assert run.past.points_there() == [run.middle, run.new]


def test_a_tag_holds_back_and_is_appended_once(run: Runner) -> None:
    before = run.past.keys_there()
    shown = run.tag(run.old, "keep", check_mode=True)
    assert (shown["changed"], run.past.keys_there()) == (True, before)
    done = run.tag(run.old, "keep")
    assert done["changed"] is True
    assert (done["tag"]["tag"], done["tag"]["reason"]) == ("keep", "audit")
    assert done["diff"]["before"] == {}
    assert [key for key in run.past.keys_there() if key not in before] == [done["tag_key"], done["tag_key"] + ".sig"]
    again = run.tag(run.old, "keep", reason="another reason")
    assert (again["changed"], again["tag"]["reason"]) == (False, "audit")
    assert run.prune()["removed"] == [run.middle]


def test_a_tag_that_is_not_believed_does_not_count_as_said(run: Runner) -> None:
    run.past.tag(run.old, "keep", NOW - timedelta(days=1), sign=False)
    assert run.tag(run.old, "keep")["changed"] is True
    # Of two in one second the one that keeps counts, so the release has to be of a later one.
    run.past.tag(run.middle, "keep", NOW - timedelta(days=1))
    released = run.tag(run.middle, "release")
    assert (released["changed"], released["diff"]["before"]["tag"]) == (True, "keep")
    assert run.tag(run.middle, "release")["changed"] is False
    assert run.prune()["removed"] == [run.middle]


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"reason": " "}, "NameRefusedError"),
        ({"allowed_signers": None}, "SignatureUncheckedError"),
        ({"id": "20200101T000000Z-abcdef"}, "NoRecoveryPointError"),
        ({"id": "latest"}, "NameRefusedError"),
        ({"signing_key": "stranger"}, "SignedByStrangerError"),
    ],
)
def test_what_stops_a_tag(run: Runner, tmp_path: Path, options: dict[str, Any], kind: str) -> None:
    if options.get("signing_key"):
        options = {"signing_key": str(make_keys(tmp_path / "stranger").signing_key)}
    before = run.past.keys_there()
    answer = run.tag(options.pop("id", run.old), "keep", **options)
    assert (answer.get("failed"), answer["error"]["kind"]) == (True, kind)
    assert run.past.keys_there() == before
