# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the suites below, each against its budget of time, and close with the line `N passed, N failed`.

Standard library only; the first suite makes the environment in which the others run. Output streams to the screen and to
build/test/<suite>.log; a skipped test counts as failed, and so does a suite without tests.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO
from xml.etree import ElementTree

from tests import environment

RESULTS = environment.BUILD / "test"
CHECKS_SEEN = RESULTS / "checks-seen.jsonl"
GRACE_SECONDS = 120
# Suites at work, to end them when this program is ended.
RUNNING: list[subprocess.Popen[bytes]] = []


@dataclass(frozen=True)
class Suite:
    """A directory of tests and what it may cost."""

    name: str
    budget_seconds: int
    options: tuple[str, ...] = ()
    needs_binaries: bool = False  # Kubernetes and etcd, named to it by LIFEBOAT_BINARIES
    needs_cores: str = ""  # environments of other ansible-cores: those that are usual, or all
    needs_lab: bool = False  # machines of the lab, which finds its binaries by itself
    when_named: bool = False  # runs only when it is asked for by name
    with_next: bool = False  # runs side by side with the one that follows, with a log of its own that is shown in the end

    @property
    def directory(self) -> Path:
        """Where its tests lie."""
        return environment.ROOT / "tests" / self.name


# Every directory named here has to exist and to have tests in it.
SUITES = (
    Suite("gates", 8 * 60, options=("--numprocesses=2", "--dist=worksteal"), needs_cores="usual"),
    Suite("unit", 8 * 60, options=("--numprocesses=2",)),
    Suite("cores", 90, options=("--numprocesses=2", "--dist=worksteal"), needs_cores="usual"),
    Suite("integration", 18 * 60, options=("--numprocesses=2", "--dist=loadfile"), needs_binaries=True),
    # Real S3 servers: their answers wait for locks that end.
    Suite("servers", 4 * 60, options=("--numprocesses=2", "--dist=loadscope")),
    # A lab waits half of its time, and two of them do not see each other.
    Suite("molecule", 25 * 60, needs_lab=True, with_next=True),
    Suite("traits", 15 * 60, needs_lab=True, with_next=True),
    Suite("e2e", 30 * 60, needs_lab=True),
    # Every ansible-core on every Python, each with all that they could change.
    Suite("all_cores", 120 * 60, needs_binaries=True, needs_cores="all", when_named=True),
    # Clusters that are unlike the plain one in other ways.
    Suite("all_traits", 30 * 60, needs_lab=True, when_named=True),
    # Releases of Kubernetes and etcd besides the usual one.
    Suite("releases", 45 * 60, needs_lab=True, when_named=True),
    # A server whose build takes more than five minutes.
    Suite("all_servers", 15 * 60, when_named=True),
    # Disasters that take longer to play than every change has time for.
    Suite("safety", 70 * 60, needs_lab=True, when_named=True),
    # With it, all suites together would take longer than the hour that they may: see docs/roadmap.md.
    Suite("caasp", 25 * 60, needs_lab=True, when_named=True),
)
ENVIRONMENT_BUDGET_SECONDS = 15 * 60


@dataclass
class Outcome:
    """What came of one suite."""

    name: str
    budget_seconds: int
    passed: int = 0
    failures: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def fail(self, text: str) -> None:
        """Count one failure and say it."""
        print(f"FAILED {self.name}: {text}", flush=True)
        self.failures.append(text)


def read_junit(path: Path) -> tuple[int, list[str]]:
    """Passed tests and the names of the others; whatever is not a plain pass is a failure."""
    passed = 0
    failed: list[str] = []
    for case in ElementTree.parse(path).getroot().iter("testcase"):
        if any(child.tag in ("failure", "error", "skipped") for child in case):
            failed.append(f"{case.get('classname', '')}::{case.get('name', '')}")
        else:
            passed += 1
    return passed, failed


def show(chunk: bytes) -> None:
    """Put what a program said on the screen."""
    sys.stdout.buffer.write(chunk)
    sys.stdout.buffer.flush()


def copy_stream(source: IO[bytes], log: Path, live: bool) -> None:
    """Copy a program's output to a file and, if wanted, to the screen."""
    with log.open("wb") as file:
        while chunk := os.read(source.fileno(), 65536):
            file.write(chunk)
            file.flush()
            if live:
                show(chunk)


def end(process: subprocess.Popen[bytes]) -> None:
    """Let a suite clean up after itself, as on an interrupt from a keyboard, and end it for good when it does not."""
    for number, patience in ((signal.SIGINT, GRACE_SECONDS), (signal.SIGTERM, 10), (signal.SIGKILL, 10)):
        try:
            os.killpg(process.pid, number)
            process.wait(patience)
            return
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue


def stream(command: list[str], variables: dict[str, str], log: Path, limit_seconds: float, live: bool = True) -> tuple[int, bool]:
    """Run a program; returns its status and whether it was stopped at the limit."""
    process = subprocess.Popen(
        command, cwd=environment.ROOT, env=variables, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    )
    assert process.stdout is not None
    RUNNING.append(process)
    reader = threading.Thread(target=copy_stream, args=(process.stdout, log, live), daemon=True)
    reader.start()
    stopped = False
    try:
        process.wait(limit_seconds)
    except subprocess.TimeoutExpired:
        stopped = True
        print(f"\n{log.stem}: stopped after {limit_seconds:.0f} s", flush=True)
        end(process)
    except BaseException:
        end(process)
        raise
    finally:
        RUNNING.remove(process)
    reader.join(5)  # a daemon left behind may keep the pipe open for ever
    return process.returncode, stopped


def run_suite(suite: Suite, variables: dict[str, str], keyword: str, factor: float, live: bool = True) -> Outcome:
    """Run one directory of tests with pytest."""
    outcome = Outcome(suite.name, suite.budget_seconds)
    if not suite.directory.is_dir():
        outcome.fail(f"{suite.directory.relative_to(environment.ROOT)} does not exist: write its tests, or take the suite out of SUITES in tests/run.py")
        return outcome
    junit = RESULTS / f"{suite.name}.xml"
    command = ["python", "-m", "pytest", f"tests/{suite.name}", f"--junitxml={junit}", *suite.options]
    if keyword:
        command += ["-k", keyword]
    limit = suite.budget_seconds * factor
    begin = time.monotonic()
    status, stopped = stream(command, variables, RESULTS / f"{suite.name}.log", limit, live)
    outcome.seconds = time.monotonic() - begin
    if junit.exists():
        outcome.passed, outcome.failures = read_junit(junit)
    total = outcome.passed + len(outcome.failures)
    if stopped or outcome.seconds > limit:
        outcome.fail(f"over budget: {outcome.seconds:.0f} s, allowed are {suite.budget_seconds} s x {factor:g} (LIFEBOAT_BUDGET_FACTOR)")
    elif not total:
        outcome.fail(f"ran no test (pytest ended with status {status})")
    elif status and not outcome.failures:
        outcome.fail(f"pytest ended with status {status}")
    return outcome


def build_binaries() -> Path:
    """Kubernetes and etcd programs and the S3 server, from the cache when they are there."""
    # Imported here: a defect in the lab must not keep the static gates from running.
    from tests import s3_server
    from tests.lab.binaries import binaries
    from tests.lab.cache import Cache
    from tests.lab.progress import Progress

    s3_server.versitygw()
    return binaries(Cache(), Progress())


def build_cores(everything: bool) -> None:
    """Virtual environments with other ansible-cores, from the cache when they are there."""
    from tests import core_environments

    core_environments.prepare(everything)


def build_lab() -> None:
    """Operating system and machine of the lab, from the cache when they are there."""
    from tests.lab import upkeep
    from tests.lab.progress import Progress

    upkeep.build(Progress())


def make_environment(suites: Iterable[Suite], factor: float) -> tuple[Outcome, dict[str, str]]:
    """Packages, virtual environment, tree and, where a suite needs them, binaries and machines; each step is one test."""
    suites = list(suites)
    outcome = Outcome("environment", ENVIRONMENT_BUDGET_SECONDS)
    variables: dict[str, str] = {}

    def make_variables() -> None:
        variables.update(environment.variables(environment.build_venv()))

    def make_binaries() -> None:
        variables.setdefault("LIFEBOAT_BINARIES", str(build_binaries()))

    steps: list[tuple[str, Callable[[], None]]] = [("Debian packages", environment.install_packages), ("virtual environment", make_variables)]
    cores = {suite.needs_cores for suite in suites}
    if cores & {"usual", "all"}:
        steps.append(("environments of other ansible-cores", lambda: build_cores("all" in cores)))
    if any(suite.needs_binaries for suite in suites):
        steps.append(("Kubernetes and etcd binaries", make_binaries))
    if any(suite.needs_lab for suite in suites):
        steps.append(("operating system and machine of the lab", build_lab))
    begin = time.monotonic()
    for title, step in steps:
        try:
            step()
            outcome.passed += 1
        except environment.EnvironmentFailure as error:
            outcome.fail(f"{title}: {error}")
            break
        except Exception as error:
            traceback.print_exc()
            outcome.fail(f"{title}: {error}")
            break
    outcome.seconds = time.monotonic() - begin
    if outcome.seconds > outcome.budget_seconds * factor:
        outcome.fail(f"over budget: {outcome.seconds:.0f} s, allowed are {outcome.budget_seconds} s x {factor:g} (LIFEBOAT_BUDGET_FACTOR)")
    return outcome, variables


def side_by_side(suites: Iterable[Suite]) -> Iterator[list[Suite]]:
    """The suites in their order, those together that run at the same time."""
    together: list[Suite] = []
    for suite in suites:
        together.append(suite)
        if not suite.with_next:
            yield together
            together = []
    if together:
        yield together


def run_together(suites: list[Suite], variables: dict[str, str], keyword: str, factor: float) -> list[Outcome]:
    """Run suites at the same time. The last one is seen live, the others when all have ended."""
    for suite in suites:
        print(f"\n===== {suite.name}: budget {suite.budget_seconds} s" + (", beside the next" if suite is not suites[-1] else ""), flush=True)
    with ThreadPoolExecutor(max_workers=len(suites)) as pool:
        hidden = [pool.submit(run_suite, suite, variables, keyword, factor, False) for suite in suites[:-1]]
        try:
            last = run_suite(suites[-1], variables, keyword, factor)
            outcomes = [*(future.result() for future in hidden), last]
        except BaseException:
            for process in list(RUNNING):
                end(process)
            raise
    for log in (RESULTS / f"{suite.name}.log" for suite in suites[:-1]):
        if log.exists():
            print(f"\n===== {log.stem} said", flush=True)
            show(log.read_bytes())
    return outcomes


def run_checks_seen(variables: dict[str, str]) -> Outcome:
    """Every check of the collection must have failed in some test; tests/checks_seen.py knows."""
    outcome = Outcome("checks seen", 60)
    begin = time.monotonic()
    status, _stopped = stream(["python", "-m", "tests.checks_seen"], variables, RESULTS / "checks-seen.log", outcome.budget_seconds)
    outcome.seconds = time.monotonic() - begin
    if status:
        outcome.fail("see the lines above")
    else:
        outcome.passed = 1
    return outcome


def report(outcomes: Iterable[Outcome]) -> int:
    """The table of suites and the closing line; returns the exit status."""
    outcomes = list(outcomes)
    lines = ["", f"{'suite':<14}{'passed':>8}{'failed':>8}{'seconds':>10}{'budget':>8}"]
    lines += [f"{one.name:<14}{one.passed:>8}{len(one.failures):>8}{one.seconds:>10.0f}{one.budget_seconds:>8}" for one in outcomes]
    for one in outcomes:
        lines += [f"failed in {one.name}: {text.splitlines()[0]}" for text in one.failures]
    passed, failed = sum(one.passed for one in outcomes), sum(len(one.failures) for one in outcomes)
    closing = f"{passed} passed, {failed} failed"
    (RESULTS / "summary.txt").write_text("\n".join([*lines, "", closing, ""]))
    print("\n".join([*lines, "", closing]), flush=True)
    return 1 if failed or not passed else 0


def main() -> int:
    """Command line: `python3 -m tests.run --help`."""
    names = [suite.name for suite in SUITES]
    parser = argparse.ArgumentParser(prog="python3 -m tests.run", description=__doc__)
    parser.add_argument("--suite", action="append", choices=names, help="run only this suite; may be given several times")
    parser.add_argument("--all", action="store_true", help="run every suite, those that run only when they are named too")
    parser.add_argument("-k", dest="keyword", default="", metavar="EXPRESSION", help="run only the tests whose names match (pytest's -k)")
    arguments = parser.parse_args()
    usual = [suite for suite in SUITES if arguments.all or not suite.when_named]
    chosen = [suite for suite in SUITES if suite.name in arguments.suite] if arguments.suite else usual
    factor = float(os.environ.get("LIFEBOAT_BUDGET_FACTOR") or 2)

    signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background inherits that it is ignored, and so would the suites
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda received, _frame: sys.exit(128 + received))  # the running suite is ended on the way out
    shutil.rmtree(RESULTS, ignore_errors=True)
    RESULTS.mkdir(parents=True)
    given = os.environ.get("LIFEBOAT_BINARIES")
    made, variables = make_environment(chosen, factor)
    outcomes = [made]
    if not made.failures:
        variables["LIFEBOAT_CHECKS_SEEN"] = str(CHECKS_SEEN)
        for suites in side_by_side(chosen):
            own = dict(variables)
            if not any(suite.needs_binaries for suite in suites) and not given:
                own.pop("LIFEBOAT_BINARIES", None)
            outcomes += run_together(suites, own, arguments.keyword, factor)
        if chosen == usual and not arguments.keyword:
            outcomes.append(run_checks_seen(variables))
    return report(outcomes)


if __name__ == "__main__":
    sys.exit(main())
