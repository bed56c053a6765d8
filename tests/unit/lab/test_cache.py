# Copyright: (c) 2026, Lifeboat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cache entries: their keys, killed builders, two builders."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab.cache import Cache, key_of
from tests.lab.paths import REPOSITORY


def _builder(root: Path, body: str) -> subprocess.Popen[str]:
    begin = "import sys, time\nfrom pathlib import Path\nfrom tests.lab.cache import Cache\ndef build(directory):\n"
    script = f"{begin}{body}\nprint(Cache(Path(sys.argv[1])).entry('thing', 'k', build))\n"
    return subprocess.Popen([sys.executable, "-c", script, str(root)], stdout=subprocess.PIPE, text=True, cwd=REPOSITORY)


def test_keys_tell_inputs_apart() -> None:
    assert key_of("a", "b") == key_of("a", "b")
    assert len({key_of("a", "b"), key_of("ab"), key_of("ab", ""), key_of("", "ab"), key_of("b", "a"), key_of("a", "c")}) == 6


def test_an_entry_is_built_once(tmp_path: Path) -> None:
    calls: list[Path] = []

    def build(directory: Path) -> None:
        calls.append(directory)
        (directory / "file").write_text("content")

    cache = Cache(tmp_path)
    first, second = cache.entry("thing", "k", build), cache.entry("thing", "k", build)
    assert first == second == cache.path("thing", "k")
    assert (first / "file").read_text() == "content"
    assert len(calls) == 1


def test_a_failed_build_leaves_no_entry(tmp_path: Path) -> None:
    def fail(directory: Path) -> None:
        (directory / "half").write_text("half")
        raise ValueError("no")

    def build(directory: Path) -> None:
        (directory / "whole").write_text("whole")

    cache = Cache(tmp_path)
    with pytest.raises(ValueError, match="no"):
        cache.entry("thing", "k", fail)
    assert not cache.path("thing", "k").exists()
    assert [path.name for path in cache.entry("thing", "k", build).iterdir()] == ["whole"]


def test_a_killed_build_is_made_anew(tmp_path: Path) -> None:
    killed = _builder(tmp_path, "    (directory / 'half').write_text('half')\n    print('begun', flush=True)\n    time.sleep(60)")
    assert killed.stdout is not None
    assert killed.stdout.readline() == "begun\n"
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    killed.stdout.close()
    assert not Cache(tmp_path).path("thing", "k").exists()

    def build(directory: Path) -> None:
        (directory / "whole").write_text("whole")

    assert [path.name for path in Cache(tmp_path).entry("thing", "k", build).iterdir()] == ["whole"]


def test_two_builders_make_it_once(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.touch()
    body = f"    with open({str(log)!r}, 'a') as log: log.write('built\\n')\n    time.sleep(0.5)"
    builders = [_builder(tmp_path / "cache", body) for _number in range(3)]
    for builder in builders:
        builder.communicate()
        assert builder.returncode == 0
    assert log.read_text() == "built\n"


def test_removing_what_nobody_needs(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    for key in ("new", "old"):
        cache.entry("thing", key, lambda directory: (directory / "file").touch())
    for foreign in (".partial-thing-gone", "venv-0123", ".partial-other-0123"):
        (tmp_path / foreign).mkdir()
    elsewhere = Path("/elsewhere/thing-old")
    removed = cache.remove_unused(["thing"], [cache.path("thing", "new"), elsewhere])
    assert sorted(path.name for path in removed) == [".partial-thing-gone", "thing-old"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [".partial-other-0123", "locks", "thing-new", "venv-0123"]
