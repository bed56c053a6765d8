# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules for files of a host as Ansible runs them: check mode, the run, the run again, and failures."""

from __future__ import annotations

import base64
import datetime
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests import environment, secrets_search

SECRET = secrets_search.planted_value()


class Play:
    """Runs tasks in one play on this host, at the highest verbosity, and keeps what was printed."""

    def __init__(self, directory: Path, prefix: Sequence[str] = ()) -> None:
        self.directory = directory
        self.printed = ""
        # What runs the command line, where that is not just this machine.
        self.prefix = prefix

    def __call__(self, **tasks: dict[str, Any]) -> dict[str, dict[str, Any]]:
        """The results of the tasks. Beside the module and its arguments a task may have check_mode."""
        steps: list[dict[str, Any]] = []
        for name, task in tasks.items():
            module = next(key for key in task if key != "check_mode")
            step = {"name": name, "lifeboat.cluster." + module: task[module], "register": name, "ignore_errors": True, "diff": True}
            steps.append({**step, "check_mode": bool(task.get("check_mode"))})
        results = self.directory / "results.json"
        collected = "{{ {" + ", ".join(f"'{name}': {name}" for name in tasks) + "} | to_json }}"
        steps.append({"ansible.builtin.copy": {"content": collected, "dest": str(results), "mode": "0600"}})
        book = self.directory / "play.json"
        book.write_text(json.dumps([{"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": steps}]))
        variables = dict(os.environ, ANSIBLE_COLLECTIONS_PATH=str(environment.collection_tree()), ANSIBLE_LOCALHOST_WARNING="false", ANSIBLE_NOCOLOR="1")
        command = [
            *self.prefix,
            str(Path(sys.executable).with_name("ansible-playbook")),
            "-vvv",
            "-i",
            "localhost,",
            "-e",
            f"ansible_python_interpreter={sys.executable}",
            str(book),
        ]
        run = subprocess.run(
            command, env=variables, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=300
        )
        assert run.returncode == 0, run.stdout
        self.printed += run.stdout
        found: dict[str, dict[str, Any]] = json.loads(results.read_text())
        return found


@pytest.fixture
def play(tmp_path: Path) -> Play:
    """A play in a directory of its own."""
    (tmp_path / "controller").mkdir()
    return Play(tmp_path / "controller")


def changed(results: dict[str, dict[str, Any]]) -> dict[str, bool | str]:
    """Which tasks changed something; for those that failed, the kind of error."""
    return {name: result["error"]["kind"] if result.get("failed") else result["changed"] for name, result in results.items()}


def test_files_there_and_back(tmp_path: Path, play: Play) -> None:
    source, out = tmp_path / "etc", tmp_path / "out"
    (source / "pki").mkdir(parents=True)
    out.mkdir(mode=0o700)
    (source / "pki" / "ca.key").write_text(SECRET)
    (source / "pki" / "ca.key").chmod(0o600)
    (source / "current").symlink_to("pki/ca.key")
    (source / "sshd_config").write_text("captured")
    os.setxattr(source / "pki" / "ca.key", "user.note", b"1")
    capture = {
        "path": str(out / "host.tar"),
        "owner": "nobody",
        "facts": {"a": 1},
        "paths": [{"path": str(source), "required": "yes"}, {"path": "/nonexistent*"}],
    }
    missing = {"path": str(out / "none.tar"), "paths": [{"path": "/nonexistent", "required": "true"}]}
    captured = play(
        foreseen={"host_archive": capture, "check_mode": True},
        done={"host_archive": capture},
        again={"host_archive": capture},
        again_foreseen={"host_archive": capture, "check_mode": True},
        missing={"host_archive": missing},
        missing_foreseen={"host_archive": missing, "check_mode": True},
    )
    assert changed(captured) == {
        "foreseen": True,
        "done": True,
        "again": False,
        "again_foreseen": False,
        "missing": "ArchiveError",
        "missing_foreseen": "ArchiveError",
    }
    assert os.listdir(out) == ["host.tar"]
    assert os.stat(out / "host.tar").st_uid == 65534
    record = captured["done"]["archive"]
    assert record["missing"] == ["/nonexistent*"]
    assert record == captured["again"]["archive"]
    assert [item["path"] for item in captured["foreseen"]["archive"]["entries"]] == [item["path"] for item in record["entries"]]
    assert "0600 root:root" in captured["done"]["diff"]["after"]
    (source / "pki" / "ca.key").write_text("live " + SECRET)
    (source / "sshd_config").write_text("live")
    (source / "pki" / "extra").write_text(SECRET)
    restore = {
        "archive": str(out / "host.tar"),
        "sha256": record["sha256"],
        "staging": str(tmp_path / "staging"),
        "restore_id": "r1",
        "aside": str(tmp_path / "aside"),
        "never": [str(source / "sshd*")],
        "extras": "aside",
        "exact": [str(source / "pki")],
    }
    restored = play(
        foreseen={"host_archive_restore": restore, "check_mode": True},
        unpacked={"host_archive_restore": {**restore, "state": "unpacked"}},
        planned={"host_archive_restore": {**restore, "state": "planned"}},
        foreseen_again={"host_archive_restore": restore, "check_mode": True},
        done={"host_archive_restore": restore},
        again={"host_archive_restore": restore},
        wrong={"host_archive_restore": {**restore, "sha256": "0" * 64}},
        absent={"host_archive_restore": {**restore, "archive": "/nonexistent", "staging": str(tmp_path / "other")}},
    )
    assert changed(restored) == {
        "foreseen": True,
        "unpacked": True,
        "planned": False,
        "foreseen_again": True,
        "done": True,
        "again": False,
        "wrong": "ArchiveError",
        "absent": "ArchiveError",
    }
    for name in ("foreseen", "planned", "foreseen_again", "done"):
        plan = restored[name]["plan"]
        assert plan["replace"] == [str(source / "pki" / "ca.key")]
        assert plan["refused"] == plan["would_cut_connection"] == [str(source / "sshd_config")]
        assert plan["extra"] == [str(source / "pki" / "extra")]
        assert restored[name]["diff"] == restored["done"]["diff"]
    assert restored["again"]["diff"] == {"before": "", "after": ""}
    assert (source / "pki" / "ca.key").read_text() == SECRET
    assert os.getxattr(source / "pki" / "ca.key", "user.note") == b"1"
    assert (source / "sshd_config").read_text() == "live"
    assert Path(str(tmp_path / "aside") + str(source / "pki" / "ca.key")).read_text() == "live " + SECRET
    assert {Path(item["path"]).name for item in restored["done"]["applied"]["moved_aside"]} == {"ca.key", "extra"}
    search = secrets_search.Search({"file": SECRET.encode()})
    assert search.in_bytes((play.printed + json.dumps([captured, restored])).encode(), "output") == []
    assert search.in_trees([play.directory])[0] == []


def test_record_and_lock(tmp_path: Path, play: Play) -> None:
    directory = str(tmp_path / "lifeboat")

    def record(**options: Any) -> dict[str, Any]:
        return {"restore_record": {"directory": directory, **options}}

    begun = {"point": "p1", "cluster_name": "prod", "token": "t1", "bump_revision": "1000", "phase": "stopped"}
    one, other = {"run_id": "run-1", "controller": "c1", "controller_boot_id": "b1", "pid": "1"}, {"run_id": "run-2", "controller": "c2"}
    results = play(
        empty=record(),
        foreseen={**record(**begun), "check_mode": True},
        begun=record(**begun),
        again=record(**begun),
        refused=record(point="p2"),
        locked=record(state="locked", owner=one, purpose="recover"),
        renewed=record(state="locked", owner=one),
        held=record(state="locked", owner=other),
        not_mine=record(state="unlocked", owner=other),
        taken=record(state="locked", owner=other, take_over="run-1"),
        free=record(state="unlocked", owner=other),
        finished=record(phase="finished", revision_after=7),
        other=record(point="p2", phase="planned"),
        gone_foreseen={**record(state="absent"), "check_mode": True},
        gone=record(state="absent"),
    )
    assert changed(results) == {
        "empty": False,
        "foreseen": True,
        "begun": True,
        "again": False,
        "refused": "RecordError",
        "locked": True,
        "renewed": False,
        "held": "LockHeldError",
        "not_mine": "LockHeldError",
        "taken": True,
        "free": True,
        "finished": True,
        "other": True,
        "gone_foreseen": True,
        "gone": True,
    }
    assert results["foreseen"]["record"]["point"] == "p1"
    assert results["begun"]["record"]["bump_revision"] == 1000
    assert results["begun"]["diff"]["after"] == results["begun"]["record"]
    assert "recovery_point_id=p1" in results["refused"]["msg"]
    assert results["held"]["error"]["lock"]["owner"]["run_id"] == "run-1"
    assert results["locked"]["lock"]["owner"]["pid"] == 1
    assert results["taken"]["previous"]["owner"]["run_id"] == "run-1"
    assert results["taken"]["record"]["point"] == "p1"
    assert (results["begun"]["unfinished"], results["finished"]["unfinished"]) == (True, False)
    assert len((tmp_path / "lifeboat" / "restore-history.jsonl").read_text().splitlines()) == 2


def test_certificates(tmp_path: Path, play: Play) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kubernetes")])
    now = datetime.datetime.now(datetime.timezone.utc)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(7)
    builder = builder.not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=20))
    certificate = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True).sign(key, hashes.SHA256())
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (tmp_path / "ca.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (tmp_path / "ca.key").write_bytes(private)
    checks = [
        {"id": "ca", "type": "authority", "certificate": str(tmp_path / "ca.crt"), "key": str(tmp_path / "ca.key")},
        {"id": "soon", "type": "key_pair", "certificate": str(tmp_path / "ca.crt"), "key": str(tmp_path / "ca.key"), "days": "30"},
        {"id": "none", "type": "chain", "certificate": "/nonexistent", "ca": str(tmp_path / "ca.crt")},
        {"id": "same", "type": "same_key", "certificate": str(tmp_path / "ca.crt"), "key": str(tmp_path / "ca.key")},
        {"id": "conf", "type": "kubeconfig", "kubeconfig": str(tmp_path / "ca.key")},
    ]
    results = play(all={"certificate_info": {"checks": checks, "salt": "s"}}, foreseen={"certificate_info": {"checks": checks[:1]}, "check_mode": True})
    assert changed(results) == {"all": False, "foreseen": False}
    assert (results["all"]["ok"], results["foreseen"]["ok"]) == (False, True)
    found = {finding["id"]: finding for finding in results["all"]["certificates"]}
    assert {name: finding["reason"].split(":")[0] for name, finding in found.items()} == {
        "ca": "",
        "soon": "expires in 19 days",
        "none": "the certificate is missing",
        "same": "",
        "conf": "not understood",
    }
    assert found["ca"]["fingerprint_sha256"] == certificate.fingerprint(hashes.SHA256()).hex()
    assert found["same"]["matches"] is True
    body = b"".join(private.splitlines()[1:-1])
    search = secrets_search.Search({"pem": body[40:80], "der": base64.b64decode(body)[36:68]})
    assert search.in_bytes((play.printed + json.dumps(results)).encode(), "output") == []
