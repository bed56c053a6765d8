# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules of a controller as Ansible calls them: check mode, results without secrets, faults as findings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.lifeboat.cluster.plugins.modules import key_pairs, retention_info, text_files


class Caller:
    """Calls a module and reads its answer."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, module: Any, check_mode: bool = False, **options: Any) -> dict[str, Any]:
        self._capsys.readouterr()
        with patch_module_args({**options, "_ansible_check_mode": check_mode}), pytest.raises(SystemExit):
            module.main()
        answer: dict[str, Any] = json.loads(self._capsys.readouterr().out)
        answer.pop("invocation", None)
        return answer


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Caller:
    """Calls modules."""
    return Caller(capsys)


def test_key_pairs(call: Caller, tmp_path: Path) -> None:
    options = {name: str(tmp_path / "keys" / file) for name, file in (("identity_file", "age.key"), ("signing_key", "signing_key"), ("allowed_signers", "a"))}
    shown = call(key_pairs, check_mode=True, **options)
    assert not (tmp_path / "keys").exists()
    done = call(key_pairs, **options)
    assert (shown["changed"], shown["made"], shown["diff"]) == (done["changed"], done["made"], done["diff"])
    assert done["changed"] is True
    assert done["recipients"][0].startswith("age1")
    assert done["signing_key"].startswith("ssh-ed25519 ")
    again = call(key_pairs, **options)
    assert (again["changed"], again["made"], again["recipients"]) == (False, [], done["recipients"])
    secret = Path(options["identity_file"]).read_text().splitlines()[-1]
    assert secret.startswith("AGE-SECRET-KEY-1")
    assert secret not in json.dumps([shown, done, again])
    # One that was put among the recipients is in no answer either.
    refused = call(key_pairs, recipients=[secret], **options)
    assert secret not in json.dumps(refused)
    assert {finding["id"] for finding in refused["findings"] if not finding["passed"]} == {"recipients_usable"}


def test_retention_info(call: Caller) -> None:
    named = call(retention_info, rpo_target_seconds=3600)
    assert named["fits"] is True
    assert call(retention_info, policy=named["fitting"], rpo_target_seconds=3600)["fits"] is True
    narrow = call(retention_info, policy={"keep_daily": "7"}, rpo_target_seconds="3600")
    assert narrow["fits"] is False
    assert str(named["fitting"]["keep_hourly"]) in narrow["remedy"]
    refused = call(retention_info, rpo_target_seconds=0)
    assert refused["failed"] is True
    assert "rpo_target_seconds" in refused["msg"]


def test_text_files_that_are_there_stay(call: Caller, tmp_path: Path) -> None:
    """Without replace: other content, other permissions, a link that leads nowhere."""
    directory = tmp_path / "one" / "two"
    files = {"a": "new\n", "b": "new\n", "c": "new\n"}
    shown = call(text_files, check_mode=True, directory=str(directory), create_directory=True, replace=False, files=files)
    assert not (tmp_path / "one").exists()
    directory.mkdir(parents=True)
    (directory / "a").write_text("of the user\n")
    (directory / "b").symlink_to(tmp_path / "nowhere")
    done = call(text_files, directory=str(directory), create_directory=True, replace=False, files=files)
    assert [Path(path).name for path in shown["written"]] == ["a", "b", "c"]
    assert [Path(path).name for path in done["written"]] == ["c"]
    assert (directory / "a").read_text() == "of the user\n"
    assert (directory / "b").is_symlink()
    again = call(text_files, directory=str(directory), replace=False, files=files)
    assert (again["changed"], again["diff"]) == (False, [])
    replaced = call(text_files, directory=str(directory), files={"a": "new\n"})
    assert replaced["changed"] is True
    assert (directory / "a").read_text() == "new\n"
