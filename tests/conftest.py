# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""For all suites: the collection is importable, where things lie, and a skipped test is a failed test."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Generator
from pathlib import Path

import pytest
from xdist.workermanage import NodeManager

from tests import environment

TREE = environment.collection_tree()
if str(TREE) not in sys.path:
    sys.path.insert(0, str(TREE))
os.environ["ANSIBLE_COLLECTIONS_PATH"] = str(TREE)

# An interrupted worker has 15 s to end its servers and take its lab down, then it ends itself; xdist would kill it before.
NodeManager.EXIT_TIMEOUT = 20


def pytest_keyboard_interrupt() -> None:
    """After 5 s a worker interrupts itself once more, in the middle of its cleaning up."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def _refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Nothing skips because a part is missing: a test that can't run fails, or isn't there."""
    expected_failure = getattr(report, "wasxfail", None)
    if report.outcome != "skipped" and expected_failure is None:
        return
    reason = expected_failure if expected_failure is not None else report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    if expected_failure is not None:
        del report.wasxfail
    report.outcome = "failed"
    report.longrepr = f"{report.nodeid} was skipped or marked as an expected failure: {reason}\nWhat to do: make it run, or take it out."


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skip inside a test into a failure."""
    report = yield
    _refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Turn a skip of a whole file into a failure."""
    report = yield
    _refuse_skip(report)
    return report


@pytest.fixture(scope="session")
def repository() -> Path:
    """The checkout: the collection's root."""
    return environment.ROOT


@pytest.fixture(scope="session")
def collections_path() -> Path:
    """A directory for ANSIBLE_COLLECTIONS_PATH in which this checkout is lifeboat.cluster."""
    return TREE


@pytest.fixture(scope="session")
def cache() -> Path:
    """Where expensive things are kept between runs."""
    return environment.cache_root()


@pytest.fixture(scope="session")
def binaries() -> Path:
    """The directory with the Kubernetes and etcd programs."""
    directory = os.environ.get("LIFEBOAT_BINARIES")
    assert directory, "LIFEBOAT_BINARIES is not set: run these tests through `make test`, or name a directory with etcd, kube-apiserver, ..."
    return Path(directory)
