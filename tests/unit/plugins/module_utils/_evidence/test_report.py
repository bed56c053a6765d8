# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of a report: whole, valid, self-contained, and without a way for evidence to become markup."""

from __future__ import annotations

import json
import re
import stat
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._evidence import formats, render, runs, view
from ansible_collections.lifeboat.cluster.plugins.module_utils._evidence.journal import Journal
from tests.integration.evidence import sample

FILES = {"report.html", "report.md", "report.json", "junit.xml", "metrics.prom"}
EVIL = '</td><script>alert(\'&"\')</script>{{ 7 * 7 }} | `x` \x00\x1b[31m \ud800 \\ \n# not a heading\n"quoted"'
VOID = {"meta", "link", "br", "hr", "img", "input", "col", "use", "path"}


class Page(HTMLParser):
    """Checks that tags are balanced, and collects what is shown."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open, f"</{tag}> closes nothing"
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text.append(data)


def page(text: str) -> Page:
    """Parse a report."""
    parsed = Page()
    parsed.feed(text)
    parsed.close()
    assert not parsed.open, f"never closed: {parsed.open}"
    return parsed


def made(directory: Path, ending: str) -> tuple[dict[str, Any], Path]:
    """Report and directory of a made-up run."""
    path = sample.write(str(directory), ending)
    return render.render(path, sample.TEMPLATES), Path(path)


@pytest.fixture(scope="module", params=["passed", "failed", "interrupted"])
def rendered(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    """One made-up recovery of each kind."""
    return made(tmp_path_factory.mktemp(request.param), request.param)


def evil(directory: Path) -> Path:
    """A run whose evidence tries to be something else."""
    path = Path(runs.make_run_directory(str(directory), "evil", 0))
    common = {"stage": EVIL, "host": EVIL, "play": EVIL, "task": EVIL}
    checks = [
        {
            "kind": "check",
            "id": EVIL,
            "title": EVIL,
            "passed": passed,
            "found": EVIL,
            "expected": EVIL,
            "expression": EVIL,
            "remedy": EVIL,
            "severity": severity,
        }
        for passed, severity in ((True, "error"), (False, "error"), (False, "warning"), ("not_evaluated", "error"))
    ]
    Journal(str(path)).append(
        runs.begin_record("evil", playbook=EVIL, cluster_name=EVIL, title=EVIL, user=EVIL, groups={EVIL: 1}, hosts=1, awx={"job_id": EVIL}, targets={}),
        {"kind": "stage_start", "title": EVIL, **common},
        *[{**check, **common, "task": str(number)} for number, check in enumerate(checks)],
        {"kind": "measure", "name": EVIL, "value": EVIL, "unit": EVIL, **common},
        {"kind": "note", "topic": EVIL, "facts": {EVIL: EVIL}, **common},
        {"kind": "note", "text": EVIL, **common},
        {"kind": "note", "text": EVIL, "topic": "next_step", **common},
        {"kind": "stage_end", "status": "failed", "reason": EVIL, **common},
        {"kind": "run_end", "status": "failed", "reason": EVIL},
    )
    render.render(str(path), sample.TEMPLATES)
    return path


def test_all_files(rendered: tuple[dict[str, Any], Path]) -> None:
    """Five files, private, and nothing half-written beside them."""
    report, path = rendered
    assert {Path(name).name for name in report["paths"]} == FILES
    assert {stat.S_IMODE(Path(name).stat().st_mode) for name in report["paths"]} == {0o600}
    assert {child.name for child in path.iterdir()} == FILES | {"journal", "render.lock"}


def test_json(rendered: tuple[dict[str, Any], Path]) -> None:
    """What others build on."""
    report = json.loads((rendered[1] / "report.json").read_text())
    verdict = report["verdict"]
    assert verdict in ("passed", "failed", "interrupted")
    assert (report["achieved_rto_seconds"] is None) is (verdict != "passed")
    assert report["achieved_rpo_seconds"] == 2235
    assert report["targets"]["rpo_met"] is True
    assert all({"id", "title", "passed", "found", "expected", "stage", "host"} <= set(check) for check in report["checks"])
    assert all({"name", "title", "seconds", "status", "hosts"} <= set(stage) for stage in report["stages"])
    assert report["next_steps"]
    assert report["run"]["cluster_name"] == "prod-eu1"
    assert report["newest_verified_recovery_point"]["age_seconds"] > 2235


def test_page(rendered: tuple[dict[str, Any], Path]) -> None:
    """Balanced, self-contained, and with everything that a reader looks for."""
    report, path = rendered
    source = (path / "report.html").read_text()
    parsed = page(source)
    text = " ".join(" ".join(parsed.text).split())
    names = {tag for tag, _attributes in parsed.tags}
    assert not names & {"script", "link", "img", "iframe", "object"}
    assert not re.search(r"https?://(?!127\.0\.0\.1)", source.replace("http://www.w3.org/2000/svg", ""))
    assert "url(" not in source
    assert "@import" not in source
    assert all(attributes["href"] is not None and attributes["href"].startswith("#i-") for tag, attributes in parsed.tags if tag == "use")
    symbols = {attributes["id"] for tag, attributes in parsed.tags if tag == "symbol"}
    assert {f"i-{kind}" for kind in [*view.WORDS, "none"]} == symbols
    assert ("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}) in parsed.tags
    for check in report["checks"]:
        assert check["title"] in text
        assert check["id"] in text
    for stage in report["stages"]:
        assert stage["title"] in text
    for wanted in (report["headline"], "What to do next", "37 min 15 s", "Newest verified recovery point", "prod-eu1", "2.19.14", report["run"]["id"]):
        assert wanted in text
    # Status never by colour alone: a word stands beside each sign in a table.
    assert source.count('class="status passed"') <= text.count("Passed") + len(report["stages"])


def test_failed_first(tmp_path: Path) -> None:
    """What was not met stands at the top, errors before warnings, and first in its stage."""
    report, path = made(tmp_path, "failed")
    text = " ".join(page((path / "report.html").read_text()).text)
    assert text.index("Checks that were not met") < text.index("Timeline")
    top = text[text.index("Checks that were not met") : text.index("Timeline")]
    assert top.index("All members hold the same data") < top.index("The clock agrees")
    assert [row["outcome"] for row in view.view_of(report)["groups"][-1]["rows"]] == ["failed", "failed"]


def test_same_findings_are_one_line(tmp_path: Path) -> None:
    """Many hosts that found the same are named once."""
    report, _path = made(tmp_path, "passed")
    groups = {group["name"]: group for group in view.view_of(report)["groups"]}
    rows = {row["id"]: row for row in groups["preflight"]["rows"]}
    assert [item["hosts"] for item in rows["platform.runtime"]["found"]] == ["cp1, cp2, cp3, w1"]
    assert [(item["outcome"], item["hosts"]) for item in rows["platform.clock"]["found"]][0] == ("warning", "w1")
    assert groups["recovery_point"]["rows"][0]["found"][0]["hosts"] == ""
    many = [f"n{number:02}" for number in range(40)]
    assert view._host_list(many, many) == "all 40 hosts"
    assert view._host_list(many[:3], many) == "n00, n01, n02"


def test_timeline(tmp_path: Path) -> None:
    """Bars lie inside of the axis, which begins at the declaration, and the moment of service is marked."""
    report, _path = made(tmp_path, "passed")
    timeline = view.view_of(report)["timeline"]
    bars = [part for row in timeline["rows"] for part in row["bars"]]
    assert all(part["left"] >= 0 and part["left"] + part["width"] <= 100.5 for part in bars)
    assert timeline["run_left"] == pytest.approx(100 * 212 / (212 + report["run"]["seconds"]), rel=0.01)
    assert [mark["text"] for mark in timeline["marks"]] == ["service ready"]
    gate = next(row for row in timeline["rows"] if row["name"] == "gate")
    assert len(gate["bars"]) == 4


def test_evil_evidence(tmp_path: Path) -> None:
    """Evidence is shown as it is and never becomes markup, in any of the files."""
    path = evil(tmp_path)
    parsed = page((path / "report.html").read_text())
    assert "script" not in {tag for tag, _attributes in parsed.tags}
    assert "alert('&\"')</script>{{ 7 * 7 }}" in "".join(parsed.text)
    markdown = (path / "report.md").read_text()
    assert "\n# not a heading" not in markdown
    assert not re.search(r"(?<!\\)</td>", re.sub(r"(`+) .*? \1", "", markdown))
    for line in markdown.splitlines():
        if line.startswith("| Passed"):
            assert len(re.findall(r"(?<!\\)\|", line)) == 5
    root = ElementTree.parse(path / "junit.xml").getroot()
    assert len(list(root.iter("testcase"))) == 4
    assert metrics((path / "metrics.prom").read_text())
    assert json.loads((path / "report.json").read_text())["verdict"] == "failed"


def test_junit(rendered: tuple[dict[str, Any], Path]) -> None:
    """One case a check, names that don't repeat, failures with text, and nothing green that is not."""
    report, path = rendered
    root = ElementTree.parse(path / "junit.xml").getroot()
    cases = list(root.iter("testcase"))
    names = [(case.get("classname"), case.get("name")) for case in cases]
    assert len(set(names)) == len(names)
    assert int(root.get("tests", "")) == len(cases)
    of_checks = [case for case in cases if case.get("name") != "stage"]
    assert len(of_checks) == len(report["checks"])
    failures = [case.find("failure") for case in of_checks if case.find("failure") is not None]
    assert len(failures) == report["counts"]["failed"] == int(root.get("failures", ""))
    for failure in failures:
        assert failure is not None
        assert re.search(r"expected: .*\nfound: .*\nwhat to do: ", failure.text or "")
    broken = bool(failures) or any(case.find("error") is not None for case in cases)
    assert broken is (report["verdict"] != "passed")


def metrics(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """A small parser of the text format, strict about what Prometheus is strict about."""
    samples: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
    types: set[str] = set()
    assert text.endswith("\n")
    for line in text[:-1].split("\n"):
        if line.startswith("# TYPE "):
            name = line.split()[2]
            assert name not in types, f"{name} has two types"
            assert line.split()[3] == "gauge"
            types.add(name)
            continue
        if line.startswith("# HELP "):
            assert len(line.split(" ", 3)) == 4
            continue
        found = re.fullmatch(r'([a-z_]+)\{((?:[a-z_]+="(?:[^"\\\n]|\\["\\n])*",?)*)\} (-?[0-9.e+-]+)', line)
        assert found, f"no sample: {line!r}"
        assert found[1] in types
        assert found[1] == re.findall(r"# TYPE (\S+)", text[: text.index(line)])[-1], "samples of a family stand together"
        labels = tuple(re.findall(r'([a-z_]+)="((?:[^"\\]|\\.)*)"', found[2]))
        assert (found[1], labels) not in samples, f"{line!r} is there twice"
        samples[(found[1], labels)] = float(found[3])
    return samples


def test_metrics(rendered: tuple[dict[str, Any], Path]) -> None:
    """They parse, say what the report says, and have the run id in one series only."""
    report, path = rendered
    samples = metrics((path / "metrics.prom").read_text())
    plain = {name: value for (name, labels), value in samples.items() if len(labels) == 2}
    assert plain.get("lifeboat_achieved_rto_seconds") == report["achieved_rto_seconds"]
    assert plain["lifeboat_achieved_rpo_seconds"] == 2235
    assert plain["lifeboat_target_rto_seconds"] == 1800
    verdicts = {dict(labels)["verdict"]: value for (name, labels), value in samples.items() if name == "lifeboat_run_verdict"}
    assert verdicts == {name: float(name == report["verdict"]) for name in ("passed", "failed", "interrupted")}
    checks = [value for (name, _labels), value in samples.items() if name == "lifeboat_check_passed"]
    assert checks.count(0.0) == report["counts"]["failed"] + report["counts"]["warning"]
    assert [name for (name, labels) in samples if report["run"]["id"] in dict(labels).values()] == ["lifeboat_run_info"]


def test_copy(tmp_path: Path) -> None:
    """A second directory is made, with the wanted mode, whole files only."""
    path = sample.write(str(tmp_path), "passed")
    report = render.render(path, sample.TEMPLATES, str(tmp_path / "www" / "latest"), 0o644)
    assert len(report["paths"]) == 10
    assert {child.name for child in (tmp_path / "www" / "latest").iterdir()} == FILES
    assert {stat.S_IMODE(child.stat().st_mode) for child in (tmp_path / "www" / "latest").iterdir()} == {0o644}


def test_render_once(tmp_path: Path) -> None:
    """Whoever comes after the last record was rendered has nothing to do."""
    path = sample.write(str(tmp_path), "interrupted")
    assert render.render_once(path, sample.TEMPLATES) is True
    assert render.render_once(path, sample.TEMPLATES) is False
    Journal(path).append({"kind": "note", "text": "later"})
    assert render.render_once(path, sample.TEMPLATES) is True
    assert "later" in (Path(path) / "report.html").read_text()


def test_finish(tmp_path: Path) -> None:
    """A run ends once, and can't be declared passed against its journal."""
    path = sample.write(str(tmp_path / "a"), "interrupted")
    assert render.finish(path, "passed") == "failed"
    assert render.finish(path, "passed") == "failed"
    assert sum(1 for record in Journal(path).read() if record["kind"] == "run_end") == 1
    good = Path(runs.make_run_directory(str(tmp_path / "b"), "good", 0))
    Journal(str(good)).append(runs.begin_record("good"), {"kind": "check", "stage": "s", "host": "h", "id": "c", "passed": True})
    assert render.finish(str(good), "failed", "a rescue") == "failed"
    assert "a rescue" in render.report_of(str(good))["reasons"]


def test_errors(tmp_path: Path) -> None:
    """What can't be rendered says why and what to do."""
    empty = Path(runs.make_run_directory(str(tmp_path), "empty", 0))
    with pytest.raises(render.RenderError, match="has no beginning"):
        render.render(str(empty), sample.TEMPLATES)
    path = sample.write(str(tmp_path / "x"), "passed")
    with pytest.raises(render.RenderError, match=r"report\.html\.j2(.|\n)*template_directory"):
        render.render(path, str(tmp_path))
    (tmp_path / "file").write_text("")
    with pytest.raises(render.RenderError, match=r"could not be written to (.|\n)*Check space and rights"):
        render.render(path, sample.TEMPLATES, str(tmp_path / "file"))


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    """Nothing is half-written, and no temporary file stays."""
    target = tmp_path / "report.json"
    target.write_text("old")
    (tmp_path / "directory").mkdir()
    with pytest.raises(OSError, match="directory"):
        render.write_whole(str(tmp_path / "directory"), b"new", 0o600)
    assert {child.name for child in tmp_path.iterdir()} == {"report.json", "directory"}
    render.write_whole(str(target), b"new", 0o640)
    assert target.read_text() == "new"
    assert stat.S_IMODE(target.stat().st_mode) == 0o640


def test_a_running_report(tmp_path: Path) -> None:
    """While the run goes on, the page says so and of when it is."""
    path = Path(runs.make_run_directory(str(tmp_path), "now", 0))
    mine = runs.this_process(1)
    facts = runs.process_fields(mine)
    common = {"stage": "etcd", "host": "cp1"}
    Journal(str(path)).append(runs.begin_record("now", cluster_name="prod-1", playbook="p", **facts), {"kind": "stage_start", **common})
    report = render.render(str(path), sample.TEMPLATES)
    assert (report["verdict"], report["headline"], report["run"]["state"]) == ("interrupted", "In progress", "running")
    text = " ".join(page((path / "report.html").read_text()).text)
    assert "this page does not refresh itself" in text
    assert "never ended" not in text.replace("Never ended on", "")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "none"),
        ([], "none"),
        ({}, "none"),
        (0, "0"),
        (False, "no"),
        (True, "yes"),
        ("", '"" (empty text)'),
        ("x", "x"),
        ({"a": 1}, '{"a": 1}'),
        (["\u00e4"], '["\u00e4"]'),
    ],
)
def test_found_text(value: Any, text: str) -> None:
    """Found values for people."""
    assert formats.found_text(value) == text


def test_sizes() -> None:
    """Bytes for people."""
    assert [view.size(number) for number in (0, 1023, 1024, 149422080, 1 << 42)] == ["0 B", "1023 B", "1.0 KiB", "142.5 MiB", "4.0 TiB"]
