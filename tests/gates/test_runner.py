# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The runner itself: what skips is a failure, what hangs is stopped, and the closing line has the numbers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests import run
from tests.gates.support import ROOT
from tests.integration.conftest import unit_of

SAMPLE = """
import pytest

def test_passes():
    pass

def test_fails():
    assert False

def test_{skips}():
    pytest.{skip}("no server")

@pytest.mark.{xfail}
def test_expected_failure():
    assert False

@pytest.mark.{xfail}
def test_unexpected_pass():
    pass

@pytest.fixture
def broken():
    raise OSError("no server")

def test_error(broken):
    pass
"""


SERVER = """
import os, time
import pytest

@pytest.fixture(scope="session")
def server(request):
    directory = request.config.rootpath
    worker = os.environ["PYTEST_XDIST_WORKER"]
    (directory / f"begun-{worker}").touch()
    yield
    time.sleep(6)
    (directory / f"cleaned-up-{worker}").touch()

def test_hangs(server):
    time.sleep(600)
"""


def pytest_on(directory: Path, *options: str) -> tuple[list[str], dict[str, str]]:
    """Command and environment of pytest for tests outside of the checkout, with what all suites share."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "tests.conftest",
        "-c",
        str(ROOT / "pyproject.toml"),
        "--rootdir",
        str(directory),
        *options,
        str(directory),
    ]
    return command, {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}


@pytest.mark.parametrize("workers", [(), ("--numprocesses=2", "--dist=loadfile")], ids=["one process", "two workers"])
def test_skipped_tests_count_as_failed(tmp_path: Path, workers: tuple[str, ...]) -> None:
    """A skip, an expected failure and an error are failures, also for a whole file, and pytest says so with its status."""
    words = {"skips": "sk" + "ips", "skip": "sk" + "ip", "xfail": "xf" + "ail"}
    (tmp_path / "test_sample.py").write_text(SAMPLE.format(**words))
    (tmp_path / "test_absent.py").write_text('import pytest\npytest.importor{skip}("no_such_package")\n'.format(**words))
    junit = tmp_path / "junit.xml"
    command, environment = pytest_on(tmp_path, "--continue-on-collection-errors", f"--junitxml={junit}", *workers)
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 1, result.stdout + result.stderr
    passed, failed = run.read_junit(junit)
    names = {name.rpartition("::")[2] for name in failed}
    assert (passed, names) == (1, {"test_fails", "test_skips", "test_expected_failure", "test_unexpected_pass", "test_error", "test_absent"}), result.stdout


def test_a_hanging_suite_is_stopped_and_may_clean_up(tmp_path: Path) -> None:
    """At the limit a suite gets an interrupt, as from a keyboard; its output so far is kept."""
    program = "import time\nprint('begun', flush=True)\ntry:\n    time.sleep(60)\nfinally:\n    print('cleaned up', flush=True)\n"
    log = tmp_path / "hanging.log"
    status, stopped = run.stream([sys.executable, "-c", program], dict(os.environ), log, 1)
    assert stopped
    assert status != 0
    assert log.read_text().splitlines()[:2] == ["begun", "cleaned up"]


MEETING = """
import sys, time
from pathlib import Path
mine, other = Path(sys.argv[1]), Path(sys.argv[2])
mine.touch()
print("waiting as", mine.name, flush=True)
try:
    while not other.exists():
        time.sleep(0.1)
finally:
    Path(f"{mine}-ended").touch()
"""


def meet(monkeypatch: pytest.MonkeyPatch, directory: Path, others: dict[str, str]) -> None:
    """Let a suite be a program that ends when the file that it waits for is there, and that leaves a file of its own."""
    monkeypatch.setattr(run, "RESULTS", directory)

    def run_suite(suite: run.Suite, variables: dict[str, str], _keyword: str, factor: float, live: bool = True) -> run.Outcome:
        command = [sys.executable, "-c", MEETING, str(directory / suite.name), str(directory / others[suite.name])]
        status, _stopped = run.stream(command, variables, directory / f"{suite.name}.log", 60 * factor, live)
        return run.Outcome(suite.name, suite.budget_seconds, passed=int(status == 0))

    monkeypatch.setattr(run, "run_suite", run_suite)


PAIR = [run.Suite("left", 60, with_next=True), run.Suite("right", 60)]


def test_suites_side_by_side(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """They run at the same time, and what the one said that was not seen comes in the end."""
    first, last = run.Suite("first", 60), run.Suite("last", 60)
    assert list(run.side_by_side([first, *PAIR, last])) == [[first], PAIR, [last]]
    assert list(run.side_by_side([PAIR[0]])) == [[PAIR[0]]]
    meet(monkeypatch, tmp_path, {"left": "right", "right": "left"})
    assert [(one.name, one.passed) for one in run.run_together(PAIR, dict(os.environ), "", 1)] == [("left", 1), ("right", 1)]
    said = [line for line in capfdbinary.readouterr().out.decode().splitlines() if line]
    assert said[2:] == ["waiting as right", "===== left said", "waiting as left"]
    assert not run.RUNNING


def test_an_interrupt_ends_all_that_run_side_by_side(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Also those that are not seen, and each may clean up."""
    meet(monkeypatch, tmp_path, {"left": "never", "right": "never"})

    def interrupt() -> None:
        while not all((tmp_path / suite.name).exists() for suite in PAIR):
            time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGINT)

    with ThreadPoolExecutor() as pool:
        pool.submit(interrupt)
        with pytest.raises(KeyboardInterrupt):
            run.run_together(PAIR, dict(os.environ), "", 1)
    assert all((tmp_path / f"{suite.name}-ended").exists() for suite in PAIR)


def test_interrupted_workers_clean_up(tmp_path: Path) -> None:
    """Each ends what it started, also when that takes longer than xdist and execnet like to wait."""
    for name in ("test_one.py", "test_other.py"):
        (tmp_path / name).write_text(SERVER)
    command, environment = pytest_on(tmp_path, "--numprocesses=2", "--dist=loadfile")
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, start_new_session=True) as process:
        deadline = time.monotonic() + 60
        while len(list(tmp_path.glob("begun-*"))) < 2:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
        run.end(process)
    assert sorted(path.name for path in tmp_path.glob("cleaned-up-*")) == ["cleaned-up-gw0", "cleaned-up-gw1"]


def test_what_goes_to_one_worker() -> None:
    """Files do as a whole, and so do directories that share a server; directories that nobody named are taken too."""
    for nodeid, unit in (
        ("tests/integration/salt/test_keys.py::test_a[b::c/d]", "salt"),
        ("tests/integration/salt/test_role.py::test_b", "salt"),
        ("tests/integration/etcd/test_health.py::test_c", "etcd/test_health.py"),
        ("tests/integration/new/test_new.py::test_d", "new/test_new.py"),
    ):
        assert unit_of(nodeid) == unit


def test_closing_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The last line has both numbers; nothing passed is no success."""
    monkeypatch.setattr(run, "RESULTS", tmp_path)
    assert run.report([run.Outcome("one", 1, passed=3), run.Outcome("two", 1, passed=2)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "5 passed, 0 failed"
    assert run.report([run.Outcome("one", 1, passed=3), run.Outcome("two", 1, failures=["it broke"])]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "3 passed, 1 failed"
    assert run.report([run.Outcome("one", 1)]) == 1
    assert (tmp_path / "summary.txt").read_text().splitlines()[-1] == "0 passed, 0 failed"


def test_a_suite_without_tests_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A suite whose directory is missing, or in which nothing is selected, is a failure."""
    monkeypatch.setattr(run, "RESULTS", tmp_path)
    assert run.run_suite(run.Suite("absent", 60), dict(os.environ), "", 1).failures
    outcome = run.run_suite(run.Suite("gates", 60), dict(os.environ), "no_test_has_this_name", 1)
    assert (outcome.passed, len(outcome.failures)) == (0, 1)
    assert "ran no test" in outcome.failures[0]
