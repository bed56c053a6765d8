# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Renders the report of a run: JSON, JUnit and Prometheus metrics here, HTML and Markdown from templates."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from typing import Any, Dict, List, Optional

from ansible_collections.lifeboat.cluster.plugins.module_utils._evidence import formats, view
from ansible_collections.lifeboat.cluster.plugins.module_utils._evidence.journal import Journal, Record, locked
from ansible_collections.lifeboat.cluster.plugins.module_utils._evidence.model import build
from ansible_collections.lifeboat.cluster.plugins.module_utils._evidence.runs import is_alive, process_of
from ansible_collections.lifeboat.cluster.plugins.module_utils._evidence.verdict import PASSED, assess
from ansible_collections.lifeboat.cluster.plugins.module_utils.clock import now, to_iso
from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import LifeboatError

_PRIVATE = 0o600


class RenderError(LifeboatError):
    """A report could not be made."""


def report_of(run_directory: str) -> Dict[str, Any]:
    """The report of a run as data, from its journal alone."""
    model = build(Journal(run_directory).read())
    if not model.begin:
        raise RenderError(
            "%s holds no run: its journal has no beginning." % run_directory,
            remedy="Give the directory of a run that lifeboat.cluster.run_begin made.",
        )
    moment = now()
    return formats.as_report(model, assess(model, moment, is_alive(process_of(model.begin))), moment)


def finish(run_directory: str, status: Optional[str] = None, reason: Optional[str] = None) -> str:
    """Record the end of a run, once; returns how it ended. The journal can turn ``passed`` into ``failed``, never the other way round."""
    journal = Journal(run_directory)
    records = journal.read()
    model = build(records)
    if model.end:
        return str(model.end.get("status"))
    end: Record = {"kind": "run_end", "host": "localhost", "time": to_iso(now()), "status": status or PASSED, "reason": reason}
    model = build([*records, end])
    end["status"] = assess(model, now(), None).verdict
    journal.append(end)
    return str(end["status"])


def render(run_directory: str, template_directory: str, copy_to: Optional[str] = None, copy_mode: int = 0o640) -> Dict[str, Any]:
    """Write all forms of the report, each at once or not at all; returns the report as data, with the ``paths``."""
    with locked(os.path.join(run_directory, "render.lock")) as lock:
        return _render(run_directory, template_directory, lock, copy_to, copy_mode)


def render_once(run_directory: str, template_directory: str) -> bool:
    """Bring the report up to date unless another process did so after the last record was written. Many hosts may call this at the same time."""
    with locked(os.path.join(run_directory, "render.lock")) as lock:
        if os.pread(lock, 64, 0) == _mark(run_directory):
            return False
        _render(run_directory, template_directory, lock, None, _PRIVATE)
        return True


def _mark(run_directory: str) -> bytes:
    return b"%020d" % Journal(run_directory).size()


def _render(run_directory: str, template_directory: str, lock: int, copy_to: Optional[str], copy_mode: int) -> Dict[str, Any]:
    mark = _mark(run_directory)
    report = report_of(run_directory)
    files = {
        "report.json": json.dumps(report, ensure_ascii=False, indent=2) + "\n",
        "junit.xml": formats.as_junit(report),
        "metrics.prom": formats.as_metrics(report),
    }
    files.update(_from_templates(report, template_directory))
    paths: List[str] = []
    for directory, mode in ((run_directory, _PRIVATE), (copy_to, copy_mode)):
        if not directory:
            continue
        try:
            os.makedirs(directory, exist_ok=True)
            for name, text in files.items():
                write_whole(os.path.join(directory, name), text.encode("utf-8", "replace"), mode)
                paths.append(os.path.join(directory, name))
        except OSError as error:
            raise RenderError(
                "The report could not be written to %s: %s" % (directory, error.strerror),
                remedy="Check space and rights; run lifeboat.cluster.run_report again afterwards.",
            ) from error
    os.pwrite(lock, mark, 0)
    return dict(report, paths=paths)


def _from_templates(report: Dict[str, Any], template_directory: str) -> Dict[str, str]:
    try:
        import jinja2
    except ImportError as error:
        raise RenderError(
            "Reports need Jinja2, which this Python doesn't have.",
            remedy="Run the task on the controller with ansible_python_interpreter set to ansible_playbook_python.",
        ) from error
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(template_directory),
        autoescape=lambda name: bool(name) and ".html" in str(name),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
    environment.filters.update(view.FILTERS)
    values = view.view_of(report)
    result = {}
    for name in ("report.html", "report.md"):
        try:
            result[name] = environment.get_template(name + ".j2").render(values)
        except jinja2.TemplateError as error:
            raise RenderError(
                "The template %s.j2 in %s can't be rendered: %s" % (name, template_directory, error),
                remedy="Give the directory roles/report/templates of the collection as template_directory.",
            ) from error
    return result


def write_whole(path: str, content: bytes, mode: int) -> None:
    """Replace a file in one step, so that a reader never sees half of it."""
    descriptor, temporary = tempfile.mkstemp(prefix=".", dir=os.path.dirname(path))
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(temporary, mode)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
