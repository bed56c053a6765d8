# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plants secrets, lets every module and action that takes one fail as they fail for people, and looks for the secrets in all that is left.

Newer ansible-cores print the message of a failed task in spite of ``no_log``.
"""

from __future__ import annotations

import base64
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.cores import running
from tests.secrets_search import SHORTEST, Hit, Search, planted_value
from tests.unit.plugins.module_utils._recovery_point.making import CLUSTER, Maker, make_keys

Arguments = dict[str, Any]
# Tasks whose arguments hold the secret itself, as it should be: for these Ansible's own no_log is the user's part, and what is ours is the message.
OWN_NO_LOG = ("database_row",)


class _Refusing(BaseHTTPRequestHandler):
    """An S3 server that says no to everything, and repeats what it was asked."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("do_"):
            return self._refuse
        raise AttributeError(name)

    def _refuse(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        told = "".join(f"{name}: {value}\n" for name, value in self.headers.items())
        body = f"<?xml version='1.0'?><Error><Code>SignatureDoesNotMatch</Code><Message>no</Message><StringToSign>{told}</StringToSign></Error>".encode()
        self.send_response(403)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing is written down."""


@contextmanager
def refusing_server() -> Iterator[str]:
    """Its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Refusing)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


class Planted:
    """Secrets in a directory, and tasks that fail over them."""

    def __init__(self, directory: Path, server: str) -> None:
        self.directory = directory
        self.keys = make_keys(directory / "keys")
        self.maker = Maker(directory, self.keys)
        self.point = self.maker.point().id
        self.server = server
        self.secret_key, self.password = planted_value(), planted_value()
        self.encryption_key = base64.b64encode(b"planted-encryption-key-of-32-byt").decode()
        self.identity = next(line for line in self.keys.identity_file.read_text().splitlines() if line.startswith("AGE-SECRET-KEY-"))
        self.signing_key = self.keys.signing_key.read_text()
        self.runs = directory / "runs"

    def search(self) -> Search:
        """Knows every secret; of a key in PEM each line that is the secret's own (the first says only what kind of key it is)."""
        lines = [line for line in self.signing_key.splitlines()[2:-1] if len(line) >= SHORTEST]
        values = {"secret key of the location": self.secret_key, "password": self.password, "encryption key": self.encryption_key}
        values |= {"age identity": self.identity, "age identity in small letters": self.identity.lower()}
        values |= {f"line {number} of the signing key": line for number, line in enumerate(lines, 3)}
        return Search({name: value.encode() for name, value in values.items()})

    def file(self, name: str, content: str, mode: int = 0o600) -> str:
        """A file that somebody named."""
        path = self.directory / "given" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
        path.chmod(mode)
        return str(path)

    # -- what fails ----------------------------------------------------------------------------------------------------------------------

    def where(self, **location: Any) -> Arguments:
        """Location and cluster, and who is trusted."""
        place: Arguments = location or {"path": str(self.maker.root)}
        return {"location": place, "cluster_name": CLUSTER}

    def trusting(self, **location: Any) -> Arguments:
        """The same with whom to trust."""
        return {**self.where(**location), "allowed_signers": str(self.keys.allowed_signers)}

    def identities(self) -> dict[str, str]:
        """What people give as the file of an age identity."""
        return {
            "the key": self.identity,
            "the key in small letters": self.identity.lower(),
            "a damaged file": self.file("damaged.key", f"# created\n{self.identity}x\n{self.password}\n"),
            "the signing key": self.signing_key,
            "no file": str(self.directory / "given" / "none.key"),
        }

    def opening(self) -> Iterator[tuple[str, Arguments]]:
        """Modules and actions that open artifacts."""
        for given in self.identities().values():
            files = [given]
            yield "recovery_point_info", {**self.trusting(), "id": "latest", "level": "opened", "identity_files": files}
            yield "recovery_point_escrow", {**self.trusting(), "identity_files": files, "signing_key": str(self.keys.signing_key)}
            pushing = {"point": self.point, "artifact": "artifacts/pki/cp1.tar.zst.age", "destination": str(self.directory / "pushed")}
            yield "artifact_push", {**self.trusting(), **pushing, "identity_files": files}
        in_use = {"exists": True, "known": True, "file": self.broken_encryption(), "real_file": self.broken_encryption()}
        yield "encryption_keys", {**self.trusting(), "point": self.point, "in_use": in_use, "staging": str(self.directory), "identity_files": [self.identity]}
        copying = {"signing_key": str(self.keys.signing_key), "recipients": [self.identity], "target_location": {"path": str(self.directory / "copy")}}
        yield "recovery_point_copy", {**self.trusting(), **copying, "identity_files": [self.identity]}

    def sealing(self) -> Iterator[tuple[str, Arguments]]:
        """Modules and actions that seal artifacts."""
        for recipient in (self.identity, self.identity.lower(), self.signing_key, f"x{self.identity}"):
            yield "artifact_fetch", {**self.where(), "component": "pki", "source": "/etc/hostname", "point": self.point, "recipients": [recipient]}
            yield "recovery_point_kit", {**self.where(), "point": self.point, "recipients": [recipient]}
            sealed = {"state": "sealed", "id": self.point, "artifacts": [], "recipients": [recipient], "signing_key": str(self.keys.signing_key)}
            yield "recovery_point", {**self.trusting(), **sealed}

    def signing(self) -> Iterator[tuple[str, Arguments]]:
        """Modules that sign, and those that read signatures."""
        garbage = self.file("garbage", f"{self.password}\n")
        broken = self.file("broken", self.signing_key.replace("\n", "\nAAAA", 3))
        public = self.file("open", self.signing_key, 0o644)
        for key in (self.signing_key, garbage, broken, public, str(self.directory / "given" / "none")):
            yield "recovery_point_tag", {**self.trusting(), "id": self.point, "state": "hold", "reason": "a test", "signing_key": key}
            yield "recovery_point_escrow", {**self.trusting(), "identity_files": [str(self.keys.identity_file)], "signing_key": key}
            yield "recovery_point", {**self.trusting(), "state": "result", "id": self.point, "signing_key": key, "result": {"kind": "drill", "level": "opened"}}
        for signers in (self.signing_key, broken, garbage):
            asking = {"identity_files": [str(self.keys.identity_file)], "allowed_signers": signers, "id": self.point, "level": "opened"}
            yield "recovery_point_info", {**self.where(), **asking}
        # With signers that signed nothing it keeps everything, and says why.
        pruning = {"allowed_signers": self.signing_key, "policy": {"last": 1}, "confirm_cluster_name": CLUSTER, "signing_key": str(self.keys.signing_key)}
        yield "recovery_point_prune", {**self.where(), **pruning}

    def locations(self) -> Iterator[tuple[str, Arguments]]:
        """Whatever meets a location whose credentials are wrong, or are where they do not belong."""
        host = self.server.partition("://")[2]
        places: list[Arguments] = [
            {"path": str(self.maker.root), "secret_access_key": self.secret_key},
            {"type": "s3", "bucket": "backups", "endpoint_url": self.server, "credentials": {"secret_key": self.secret_key}},
            {"type": "s3", "bucket": "backups", "endpoint_url": f"http://AKIDPLANTED:{base64.urlsafe_b64encode(self.secret_key.encode()).decode()}@{host}"},
            {"type": "s3", "bucket": "backups", "endpoint_url": self.server, "region": "us-east-1", "profile": "planted"},
            {"type": "s3", "bucket": "backups", "endpoint_url": "http://127.0.0.1:9", "region": "us-east-1", "profile": "planted"},
            {"type": "s3", "bucket": "backups", "endpoint_url": self.server, "region": "us-east-1", "profile": "nobody"},
        ]
        for place in places:
            yield "backup_location_info", self.where(**place)
            yield "recovery_point_info", {**self.trusting(**place), "id": "latest"}
            pushing = {"point": self.point, "artifact": "artifacts/pki/cp1.tar.zst.age", "destination": str(self.directory / "pushed")}
            yield "artifact_push", {**self.trusting(**place), **pushing, "identity_files": [str(self.keys.identity_file)]}

    def stores(self) -> Iterator[tuple[str, Arguments]]:
        """The database and the directory of an admin node."""
        password = self.file("password", f"{self.password}\n")
        for file in (password, self.directory, self.file("binary", "") + "-none"):
            database = {"socket": str(self.directory / "no.sock"), "schema": "velum", "root_password_file": str(file)}
            yield "database_dump", {**database, "state_tables": ["pillars"], "path": str(self.directory / "dump.sql")}
            row = {"table": "pillars", "state": "updated", "key": {"pillar": "password"}, "values": {"value": self.password}}
            yield "database_row", {**database, **row}
            ldap = {"config_dir": str(self.directory), "suffix": "dc=shop", "bind_dn": "cn=admin", "password_file": str(file)}
            yield "directory_info", ldap

    def broken_encryption(self) -> str:
        """A configuration that a person has broken."""
        provider = f"aescbc: {{keys: [{{name: a, secret: {self.encryption_key}"
        return self.file("encryption.yaml", f"kind: EncryptionConfiguration\nresources:\n  - resources: [secrets]\n    providers:\n      - {provider}\n")

    def encryption(self) -> Iterator[tuple[str, Arguments]]:
        """Keys of an API server."""
        for content in (Path(self.broken_encryption()).read_text(), f"kind: EncryptionConfiguration\nresources: [{self.encryption_key}]\n"):
            source = self.file("new.yaml", content)
            yield "encryption_config", {"path": self.broken_encryption(), "source": source, "sha256": "0" * 64}
        in_use = {"exists": True, "known": True, "file": self.broken_encryption(), "real_file": self.broken_encryption()}
        archive = {"path": self.broken_encryption(), "sha256": "0" * 64, "size_bytes": 10}
        snapshot = {"encryption": [{"provider": "aescbc", "version": "v1", "key_name": "a", "resources": ["secrets"]}]}
        yield "encryption_proof", {"archives": [archive], "in_use": in_use, "snapshot": snapshot}
        yield "environment_file", {"path": str(self.directory / "given" / "none.env"), "settings": {"NAME": "value"}}

    def checks(self) -> Iterator[tuple[str, Arguments]]:
        """Evidence that holds a secret."""
        for number, expect in enumerate(("secret_of_test is number", "secret_of_test.nowhere.more == 1", "(secret_of_test | from_json).a == 1")):
            texts = {"title": "A planted value", "expected": "another one", "found": "secret_of_test", "remedy": "none"}
            yield "check", {"checks": [{"id": f"try.planted_{number}", "expect": expect, **texts}]}

    def tasks(self) -> list[dict[str, Any]]:
        """Every one of them without no_log, which shows more; and with it, where arguments hold a secret, and once for each module."""
        found = []
        seen: set[str] = set()
        parts = (self.opening, self.sealing, self.signing, self.locations, self.stores, self.encryption)
        for module, arguments in (pair for part in parts for pair in part()):
            if module in OWN_NO_LOG or module not in seen:
                found.append(self._task(module, arguments, True))
            if module not in OWN_NO_LOG:
                found.append(self._task(module, arguments, False))
            seen.add(module)
        # A check shows what was found, unless it is told not to.
        found += [self._task(module, arguments, True) for module, arguments in self.checks()]
        return found

    def _task(self, module: str, arguments: Arguments, hidden: bool) -> dict[str, Any]:
        return {"name": f"Fail {module}", f"lifeboat.cluster.{module}": arguments, "no_log": hidden, "ignore_errors": True}

    # -- playing it ----------------------------------------------------------------------------------------------------------------------

    def environment(self) -> dict[str, str]:
        """Credentials where boto3 looks for them; the file of the second profile is broken off."""
        credentials = self.file("credentials", f"[planted]\naws_access_key_id = AKIDPLANTED\naws_secret_access_key = {self.secret_key.replace('%', '%%')}\n")
        return {"AWS_SHARED_CREDENTIALS_FILE": credentials, "AWS_CONFIG_FILE": self.file("config", "[default]\n"), "AWS_EC2_METADATA_DISABLED": "true"}

    def inventory(self, **more: Any) -> str:
        """This machine; the password is a variable of it."""
        fixed = {"lifeboat_cluster_name": CLUSTER, "lifeboat_runs_directory": str(self.runs), "ansible_python_interpreter": "{{ ansible_playbook_python }}"}
        given = {**fixed, "secret_of_test": self.password, **more}
        groups = {name: {} for name in ("control_plane", "etcd", "workers", "admin")}
        return self.file("hosts.yml", json.dumps({"all": {"vars": given, "children": groups}}))

    def play(self, virtual_environment: Path) -> str:
        """All tasks, in one run that has a journal; returns what was on the screen. Each of them has to fail."""
        tasks = self.tasks()
        beginning = {"ansible.builtin.include_role": {"name": "lifeboat.cluster.report", "tasks_from": "begin"}}
        begin = {**beginning, "vars": {"report_playbook": "try_it", "report_title": "A try"}}
        finishing = {"ansible.builtin.include_role": {"name": "lifeboat.cluster.report", "tasks_from": "finish"}}
        finish = {"block": [finishing], "rescue": [{"ansible.builtin.debug": {"msg": "a run without stages proves nothing"}}]}
        plays = [{"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": [begin, *tasks, finish]}]
        book = self.file("play.json", json.dumps(plays))
        done = running.playbook(virtual_environment, self.directory, "-vvv", "--inventory", self.inventory(), book, **self.environment())
        shown = done.stdout
        played = re.split(r"^TASK \[", shown, flags=re.MULTILINE)
        passed = [text for text in played if text.startswith("Fail ") and "...ignoring" not in text]
        assert not passed, f"{len(passed)} of {len(tasks)} tasks have not failed\n{''.join(text[:200] + text[-1200:] for text in passed)}"
        assert shown.count("...ignoring") == len(tasks), shown[-6000:]
        return shown

    def whole_playbooks(self, virtual_environment: Path) -> str:
        """The playbooks of the collection with a secret in each variable that people mistake; returns what was on the screen."""
        usual = {"lifeboat_location": {"path": str(self.maker.root)}, "lifeboat_allowed_signers": str(self.keys.allowed_signers)}
        wrong: list[tuple[str, Arguments]] = [
            ("verify_recovery_point", {"lifeboat_identity_files": [self.identity]}),
            ("list_recovery_points", {"lifeboat_location": {"path": str(self.maker.root), "secret_access_key": self.secret_key}}),
            ("list_recovery_points", {"lifeboat_location": f"{{secret_access_key: {self.secret_key}"}),
            ("prove_recipients", {"lifeboat_identity_files": self.identity.lower(), "lifeboat_signing_key": self.signing_key}),
        ]
        shown = ""
        for name, variables in wrong:
            inventory = self.inventory(**{**usual, **variables})
            done = running.playbook(virtual_environment, self.directory, "-vvv", "--inventory", inventory, f"lifeboat.cluster.{name}", **self.environment())
            assert done.returncode != 0, done.stdout[-6000:]
            shown += done.stdout
        return shown

    def leaks(self, shown: str) -> list[Hit]:
        """Where a secret is: on the screen, in the journal, in the report, or in whatever else a run has left."""
        search = self.search()
        hits = []
        for line in shown.splitlines():
            hits += search.in_bytes(line.encode(), line[:300])
        found, count = search.in_trees([self.runs])
        assert count > 0, f"nothing lies in {self.runs}"
        return [*hits, *found]
