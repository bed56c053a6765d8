# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The inventory without its secrets, read by the real ansible-inventory; the collection's archive, installed and as a checkout."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point import kit
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.kit import Group, collection_names, inventory, without_secrets, write_collection
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.errors import KitError
from ansible_collections.lifeboat.cluster.plugins.module_utils.redact import HIDDEN, Redactor
from tests.unit.plugins.module_utils._recovery_point.making import SECRETS, assert_no_secrets

GROUPS = {
    "all": Group(["cp1", "w1"], ["control_plane", "workers", "ungrouped"]),
    "ungrouped": Group([], []),
    "control_plane": Group(["cp1"], []),
    "etcd": Group([], ["control_plane"]),
    "workers": Group(["w1"], []),
    "lifeboat_reachable": Group(["cp1", "w1"], []),
}
COMMON = {
    "lifeboat_cluster_name": "shop",
    "lifeboat_location": {"type": "directory", "path": "/srv/lifeboat", "access_key": "AKIA0123456789", "secret_key": SECRETS["option"]},
    "lifeboat_signing_key": "/etc/lifeboat/signing_key",
    "lifeboat_identity_files": ["/etc/lifeboat/age.key"],
    "lifeboat_run": {"id": "of this run"},
    "rpo_target_seconds": 3600,
    "unwanted": "x",
}
VARIABLES = {
    "cp1": {
        **COMMON,
        "ansible_host": "192.0.2.11",
        "ansible_port": 22,
        "ansible_become": True,
        "ansible_password": SECRETS["password"],
        "ansible_ssh_pass": SECRETS["password"],
        "ansible_become_pass": SECRETS["password"],
        "ansible_become_password": SECRETS["password"],
        "ansible_ssh_private_key_file": "/home/ops/.ssh/id",
        "lifeboat_node_name": "cp1.shop",
        "lifeboat_note": "the token is " + SECRETS["token"],
        "database_password": SECRETS["password"],
    },
    "w1": {**COMMON, "ansible_host": "192.0.2.21", "rpo_target_seconds": 60},
}


def listed(path: Path) -> dict[str, Any]:
    """What ansible-inventory makes of a file."""
    program = Path(sys.executable).with_name("ansible-inventory")
    done = subprocess.run([program, "--inventory", path, "--list"], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_ansible_reads_it_and_nothing_secret_is_in_it(tmp_path: Path) -> None:
    content, counts = inventory(GROUPS, COMMON, VARIABLES, Redactor(SECRETS.values()))
    assert counts == {"hosts": 2, "groups": 3}
    assert_no_secrets(content.decode())
    assert "AKIA0123456789" not in content.decode()
    assert inventory(GROUPS, COMMON, VARIABLES, Redactor(SECRETS.values()))[0] == content
    (tmp_path / "inventory.json").write_bytes(content)
    seen = listed(tmp_path / "inventory.json")
    assert seen["etcd"]["children"] == ["control_plane"]
    assert (seen["control_plane"]["hosts"], seen["workers"]["hosts"]) == (["cp1"], ["w1"])
    assert "lifeboat_reachable" not in seen
    variables = seen["_meta"]["hostvars"]
    assert variables["cp1"] == {
        "ansible_host": "192.0.2.11",
        "ansible_port": 22,
        "ansible_become": True,
        "lifeboat_cluster_name": "shop",
        "lifeboat_location": {"type": "directory", "path": "/srv/lifeboat", "access_key": HIDDEN, "secret_key": HIDDEN},
        "lifeboat_signing_key": "/etc/lifeboat/signing_key",
        "lifeboat_identity_files": ["/etc/lifeboat/age.key"],
        "lifeboat_node_name": "cp1.shop",
        "lifeboat_note": f"the token is {HIDDEN}",
        "rpo_target_seconds": 3600,
    }
    assert variables["w1"]["rpo_target_seconds"] == 60
    # What localhost knows is known to a localhost that stands in no inventory, too.
    assert json.loads(content)["all"]["vars"]["lifeboat_cluster_name"] == "shop"
    assert "lifeboat_cluster_name" not in json.loads(content)["all"]["hosts"]["cp1"]


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("lifeboat_password", "/etc/shadow", HIDDEN),
        ("lifeboat_password_file", "/etc/lifeboat/password", "/etc/lifeboat/password"),
        ("lifeboat_password_file", "hunter2", HIDDEN),
        ("lifeboat_vault_token", ["a", "b"], [HIDDEN, HIDDEN]),
        ("lifeboat_signing_key", "-----BEGIN OPENSSH PRIVATE KEY-----\nabc", HIDDEN),
        ("lifeboat_signing_key", "~/keys/signing", "~/keys/signing"),
        ("lifeboat_key_material", "abc", HIDDEN),
        ("lifeboat_x", {"encryptionKey": "abc", "monkey": "cheeta", "clientSecret": 7, "passphrase": None}, None),
        ("lifeboat_x", "AGE-SECRET-KEY-1QQQQQQQQQQQQ", "[hidden age key]"),
        ("lifeboat_url", "https://user:geheim@s3.example.com/", "https://user:[hidden]@s3.example.com/"),
        ("lifeboat_hosts", list(range(500)), list(range(500))),
        ("lifeboat_text", "x" * 9000, "x" * 9000),
    ],
)
def test_values(name: str, value: Any, expected: Any) -> None:
    """By name and by shape; places stay; nothing is cut short, because it is to be used again."""
    found = without_secrets(value, name, Redactor())
    assert found == ({"encryptionKey": HIDDEN, "monkey": "cheeta", "clientSecret": HIDDEN, "passphrase": None} if isinstance(value, dict) else expected)


@pytest.mark.parametrize("name", ["ansible_password", "ansible_become_password", "ansible_become_pass", "ansible_ssh_pass", "ansible_ssh_private_key_file"])
def test_connection_passwords_are_not_wanted(name: str) -> None:
    assert not kit.wanted_on_host(name)


def checkout(directory: Path) -> Path:
    """A small checkout with everything that must stay out."""
    for name in (
        "galaxy.yml",
        "README.md",
        "plugins/modules/a.py",
        "plugins/modules/__pycache__/a.pyc",
        "roles/etcd/tasks/main.yml",
        "roles/etcd/.hidden",
        "docs/images/report.png",
        "tests/unit/test_a.py",
        ".git/HEAD",
        "build/secrets",
        "lifeboat-runs/x/salt",
    ):
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_bytes(name.encode())
    return directory


def packed(root: Path) -> dict[str, tarfile.TarInfo]:
    """The entries of the archive."""
    target = io.BytesIO()
    count = write_collection(str(root), target)
    target.seek(0)
    with tarfile.open(fileobj=target) as archive:
        entries = {entry.name: entry for entry in archive}
    assert count == len(entries)
    return entries


def test_a_checkout_without_what_is_not_run(tmp_path: Path) -> None:
    root = checkout(tmp_path / "checkout")
    files = [name for name, entry in packed(root).items() if entry.isfile()]
    assert sorted(files) == ["README.md", "docs/images/report.png", "galaxy.yml", "plugins/modules/a.py", "roles/etcd/tasks/main.yml"]


def test_the_same_files_give_the_same_bytes(tmp_path: Path) -> None:
    """So that a rerun finds its own artifact; no name of a person or machine is in it."""
    root = checkout(tmp_path / "checkout")
    (root / "plugins" / "modules" / "a.py").chmod(0o700)
    first, second = io.BytesIO(), io.BytesIO()
    write_collection(str(root), first)
    write_collection(str(root), second)
    assert first.getvalue() == second.getvalue()
    entries = packed(root)
    assert {(entry.uid, entry.gid, entry.uname, entry.gname) for entry in entries.values()} == {(0, 0, "", "")}
    assert (entries["plugins/modules/a.py"].mode, entries["README.md"].mode, entries["plugins"].mode) == (0o755, 0o644, 0o755)


def installed(directory: Path) -> Path:
    """A small installed collection, with a file that does not belong to it."""
    root = checkout(directory)
    files = [{"name": ".", "ftype": "dir"}, {"name": "plugins", "ftype": "dir"}, {"name": "plugins/modules/a.py", "ftype": "file"}]
    (root / "FILES.json").write_text(json.dumps({"files": files, "format": 1}))
    (root / "MANIFEST.json").write_text("{}")
    return root


def test_an_installed_one_is_what_was_installed(tmp_path: Path) -> None:
    assert sorted(packed(installed(tmp_path))) == ["FILES.json", "MANIFEST.json", "plugins", "plugins/modules/a.py"]


def test_ansible_galaxy_installs_again_what_was_installed(tmp_path: Path) -> None:
    """The real ansible-galaxy builds and installs a small collection; its archive out of a point installs, and is the same again."""
    source, first, second = tmp_path / "source", tmp_path / "first", tmp_path / "second"
    (source / "plugins" / "modules").mkdir(parents=True)
    (source / "README.md").write_text("A try.")
    (source / "plugins" / "modules" / "a.py").write_text("DOCUMENTATION = 'x'")
    (source / "galaxy.yml").write_text("namespace: try\nname: it\nversion: 1.2.3\nreadme: README.md\nauthors: [A]\nlicense: [MIT]\nbuild_ignore: []\n")

    def galaxy(*arguments: str | Path) -> None:
        program = Path(sys.executable).with_name("ansible-galaxy")
        environment = {**os.environ, "HOME": str(tmp_path), "ANSIBLE_HOME": str(tmp_path)}
        subprocess.run([program, "collection", *arguments], cwd=tmp_path, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=True)

    galaxy("build", source, "--output-path", tmp_path)
    galaxy("install", "--offline", "--no-deps", "-p", first, tmp_path / "try-it-1.2.3.tar.gz")
    root = first / "ansible_collections" / "try" / "it"
    with (tmp_path / "collection.tar").open("wb") as target:
        write_collection(str(root), target)
    galaxy("install", "--offline", "--no-deps", "-p", second, tmp_path / "collection.tar")
    again = second / "ansible_collections" / "try" / "it"
    assert collection_names(str(again)) == collection_names(str(root)) != []
    assert (again / "plugins" / "modules" / "a.py").read_text() == "DOCUMENTATION = 'x'"


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ("{", "cannot be read"),
        ('{"files": [{"name": "gone.py"}]}', "not installed as a whole"),
        ('{"files": [{"name": "../outside"}]}', "not installed as a whole"),
        ('{"files": [{}]}', "cannot be read"),
    ],
)
def test_a_broken_installation_is_told(tmp_path: Path, files: str, message: str) -> None:
    root = installed(tmp_path)
    (root / "FILES.json").write_text(files)
    with pytest.raises(KitError, match=message):
        collection_names(str(root))


def test_no_collection_at_all(tmp_path: Path) -> None:
    with pytest.raises(KitError, match="is not a collection"):
        write_collection(str(tmp_path), io.BytesIO())


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    root = checkout(tmp_path)
    (root / "docs" / "loop").symlink_to("loop")
    with pytest.raises(KitError, match="could not be packed"):
        write_collection(str(root), io.BytesIO())


def test_the_real_one(repository: Path) -> None:
    """Of this very checkout: every role, playbook and plugin, and none of the tests."""
    names = collection_names(str(repository))
    assert {"galaxy.yml", "meta/runtime.yml", "playbooks/recover_cluster.yml", "plugins/modules/recovery_point.py", "docs/break-glass.md"} <= set(names)
    assert not [name for name in names if name.startswith(("tests", ".", "build")) or "__pycache__" in name]
