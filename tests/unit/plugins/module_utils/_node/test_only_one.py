# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two calls that want one host's services: one works, the other waits, and who only waits makes room."""

from __future__ import annotations

import os
import re
import threading
from pathlib import Path

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._node.services.services import Journal, ServiceError, only_one
from ansible_collections.lifeboat.cluster.plugins.module_utils._system.disk import DiskError


def test_only_one_call_works_at_a_time(tmp_path: Path) -> None:
    """The second one waits, and tells in the end what the first one does."""
    run = str(tmp_path / "run")
    with only_one(5, run):
        with pytest.raises(DiskError, match="The control of this node's services is in use by another process") as caught, only_one(0.1, run):
            pass
        assert caught.value.found == "a process that has not said what it does"
        Journal("started", run).beat("start etcd", ["no quorum"], now=True)
        with pytest.raises(DiskError) as caught, only_one(0.1, run):
            pass
        assert re.fullmatch(rf"process {os.getpid()}: start etcd, for \d+ s, waiting for no quorum", caught.value.found)
    with only_one(0, run):
        pass


def test_the_second_call_goes_on_when_the_first_has_ended(tmp_path: Path) -> None:
    """However long that took, within what it is given."""
    run, begun, ended = str(tmp_path / "run"), threading.Event(), threading.Event()

    def first() -> None:
        with only_one(5, run):
            begun.set()
            ended.wait(60)

    thread = threading.Thread(target=first)
    thread.start()
    assert begun.wait(60)
    threading.Timer(0.5, ended.set).start()
    with only_one(60, run):
        assert ended.is_set()
    thread.join(60)


def test_a_call_that_only_waits_makes_room(tmp_path: Path) -> None:
    """Left behind by a controller that was killed, it would wait for minutes; the next one is not told to make room in its turn."""
    run, begun = str(tmp_path / "run"), threading.Event()
    said: list[str] = []

    def first() -> None:
        with only_one(5, run):
            begun.set()
            try:
                Journal("started", run).wait("start etcd", 600, lambda: ["no quorum"])
            except ServiceError as error:
                said.append(error.message)

    thread = threading.Thread(target=first)
    thread.start()
    assert begun.wait(60)
    with only_one(60, run):
        assert said == ["Another call wants to control this host's services, so this one waits no more."]
        assert Journal("started", run).wait("start etcd", 0.3, lambda: ["no quorum"]) == ["no quorum"]
    thread.join(60)
