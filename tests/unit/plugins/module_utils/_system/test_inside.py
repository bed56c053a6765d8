# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs on the host, and through a runtime that behaves like docker."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._system.inside import Inside, ProgramError

# Lists two containers; `exec` runs the command on the host, with nothing of its environment but what --env names.
DOCKER = """#!/usr/bin/python3
import json, os, sys
words = sys.argv[1:]
with open(os.environ["SEEN"], "a") as seen:
    seen.write(json.dumps(words) + "\\n")
if words[0] == "ps":
    print(os.environ["CONTAINERS"])
    sys.exit(0)
passed, words = {"PATH": os.environ["PATH"]}, words[1:]
while words[0].startswith("--"):
    option = words.pop(0)
    if option == "--env":
        name = words.pop(0)
        passed[name] = os.environ[name]
os.execvpe(words[1], words[1:], passed)
"""


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A runtime with the containers velum-mariadb and openldap; everything that it was asked is written down."""
    program = tmp_path / "docker"
    program.write_text(DOCKER)
    program.chmod(0o755)
    monkeypatch.setenv("SEEN", str(tmp_path / "seen"))
    monkeypatch.setenv("CONTAINERS", "1a k8s_velum-mariadb_velum-private-admin_default_x_0\n2b k8s_openldap_velum-private-admin_default_x_0")
    return program


def test_on_the_host() -> None:
    """Input, output, environment."""
    done = Inside().run(["sh", "-c", 'cat; printf %s "$WORD"; echo complaint >&2'], stdin=b"in ", environment={"WORD": "out"})
    assert (done.status, done.text, done.complaint) == (0, "in out", "complaint")


def test_output_goes_to_a_file(tmp_path: Path) -> None:
    """Without passing through memory."""
    with (tmp_path / "out").open("wb") as file:
        done = Inside().run(["echo", "a line"], stdout=file)
    assert done.output == b""
    assert (tmp_path / "out").read_text() == "a line\n"


def test_a_directory_is_searched_first(tmp_path: Path) -> None:
    """Before the PATH."""
    program = tmp_path / "ls"
    program.write_text("#!/bin/sh\necho mine\n")
    program.chmod(0o755)
    assert Inside(search=[str(tmp_path)]).run(["ls"]).text == "mine\n"
    assert Inside(search=[str(tmp_path)]).has("ls")
    assert not Inside().has("no-such-program")


@pytest.mark.parametrize(
    ("command", "text"),
    [
        (["no-such-program"], "is not on this host"),
        (["sh", "-c", "echo it broke >&2; exit 3"], "exit status 3: it broke"),
        (["sleep", "60"], "did not end within"),
    ],
)
def test_failures_are_told(command: list[str], text: str) -> None:
    """Missing, failed, too slow."""
    with pytest.raises(ProgramError, match=text):
        Inside().run(command, timeout_seconds=0.5)


def test_a_status_can_be_expected() -> None:
    """As an answer."""
    assert Inside().run(["sh", "-c", "exit 1"], statuses=(0, 1)).status == 1


def test_in_a_container(docker: Path, tmp_path: Path) -> None:
    """Found by the name that the kubelet gives it; the secret is in no argument."""
    inside = Inside("velum-mariadb", str(docker))
    assert inside.run(["sh", "-c", 'cat; printf %s "$PASSWORD"'], stdin=b"dump ", environment={"PASSWORD": "geheim"}).text == "dump geheim"
    assert inside.has("sh")
    assert not inside.has("no-such-program")
    seen = [json.loads(line) for line in (tmp_path / "seen").read_text().splitlines()]
    assert seen[1][:5] == ["exec", "--interactive", "--env", "PASSWORD", "1a"]
    assert "geheim" not in (tmp_path / "seen").read_text()


@pytest.mark.parametrize(("name", "text"), [("salt-master", "0 containers"), ("twice", "2 containers")])
def test_a_container_must_be_the_only_one(docker: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str) -> None:
    """None or two are refused, with what was found."""
    if name == "twice":
        monkeypatch.setenv("CONTAINERS", "1a k8s_twice_a_b_c_0\n2b twice")
    with pytest.raises(ProgramError, match=text):
        Inside(name, str(docker)).run(["true"])


def test_a_runtime_must_be_there() -> None:
    """It is named when it is not."""
    with pytest.raises(ProgramError, match="no-such-runtime is not on this host"):
        Inside("any", "no-such-runtime").run(["true"])
