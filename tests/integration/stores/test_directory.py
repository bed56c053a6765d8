# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Dumps of a real OpenLDAP server, and their way back: what goes wrong is refused, and no entry is lost."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._files import replacement
from ansible_collections.lifeboat.cluster.plugins.module_utils._ldap import dump, restore
from ansible_collections.lifeboat.cluster.plugins.module_utils._ldap.dump import CONFIG, RECORD, TREE, DumpError
from ansible_collections.lifeboat.cluster.plugins.module_utils._ldap.restore import RestoreError
from ansible_collections.lifeboat.cluster.plugins.module_utils._ldap.server import Bind, Directory
from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import LifeboatError
from tests.integration.stores.ldap import ADMIN, OWNER, SUFFIX, Ldap
from tests.integration.stores.velum import mounted


def files_of(path: Path) -> dict[str, bytes]:
    """The files in a dump."""
    found = {}
    with tarfile.open(path) as archive:
        for name in archive.getnames():
            member = archive.extractfile(name)
            assert member is not None
            found[name] = member.read()
    return found


def forged(path: Path, **changed: bytes) -> Path:
    """A dump with other files, whose record fits them."""
    files = {**files_of(path), **{f"{name}.ldif": content for name, content in changed.items()}}
    record = json.loads(files[RECORD])
    for name, key in ((CONFIG, "config"), (TREE, "tree")):
        content = files[name]
        record[key] = {"entries": content.count(b"\ndn:") + 1, "size_bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    return packed(path.with_name("forged.tar"), {**files, RECORD: json.dumps(record).encode()})


def packed(path: Path, files: Mapping[str, bytes]) -> Path:
    """A tar archive."""
    with tarfile.open(path, "w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def kept(ldap: Ldap) -> Directory:
    """What a restore moved aside, as a directory of its own."""
    return Directory(ldap.inside, str(ldap.config / ".lifeboat-aside-r1"), SUFFIX, 60)


def test_there_and_back(ldap: Ldap, tmp_path: Path) -> None:
    """From a serving directory onto one that changed, and onto an empty machine: every entry with all its attributes, owned by the server's user."""
    before = ldap.tree()
    path = tmp_path / "directory.tar"
    held = ldap.take(path)
    assert (held.record.tree.entries, held.record.suffix, held.record.schemas) == (5, SUFFIX, ["core", "cosine", "inetorgperson"])
    assert held.record.version.startswith("2.")
    assert len(held.record.context_csn) == 1
    assert (path.stat().st_mode & 0o777, os.listdir(ldap.scratch)) == (0o600, [])
    dump.checked(ldap.live, held, ldap.bind, ldap.scratch)
    assert ldap.bring_back(path).action == "nothing"

    ldap.modify("dn: uid=root@example.org,ou=People,{suffix}\nchangetype: delete\n")
    ldap.add_user("younger")
    ldap.stop()
    other = ldap.tree()
    plan = ldap.bring_back(path)
    assert plan.action == "stage"
    assert ldap.tree() == before
    for place in (ldap.config / "cn=config.ldif", ldap.config / "cn=config" / "cn=schema", ldap.data / "data.mdb"):
        assert place.owner() == OWNER
    ldap.start()
    assert ldap.live.served_entries(ldap.url, ldap.bind) == 5
    assert not ldap.bring_back(path).changed
    ldap.stop()

    # What stood there before the first run is whole: with its own configuration and data it is a directory again.
    aside = ldap.data / ".lifeboat-aside-r1"
    config = (aside.parent.parent / "again").resolve()
    shutil.copytree(ldap.config / ".lifeboat-aside-r1", config)
    shutil.rmtree(ldap.data / "x", ignore_errors=True)
    for name in ("data.mdb", "lock.mdb"):
        (ldap.data / name).unlink()
        shutil.copy(aside / name, ldap.data / name)
    assert ldap.inside.run(["slapcat", "-F", str(config), "-b", SUFFIX, "-o", "ldif-wrap=no"]).output == other

    shutil.rmtree(ldap.config)
    shutil.rmtree(ldap.data)
    assert ldap.bring_back(path, restore_id="r2").present is None
    assert ldap.data.owner() == OWNER
    ldap.start()
    assert ldap.tree() == before


def test_the_same_restore_after_the_directory_was_used(ldap: Ldap, tmp_path: Path) -> None:
    """It brings everything back once more, and keeps what stood there both times."""
    before = ldap.tree()
    path = tmp_path / "directory.tar"
    ldap.take(path)
    for name in ("one", "two"):
        ldap.add_user(name)
        ldap.stop()
        ldap.bring_back(path)
        assert ldap.tree() == before
        ldap.start()
    assert sorted(os.listdir(ldap.data / ".lifeboat-aside-r1")) == ["data.mdb", "data.mdb.1", "lock.mdb", "lock.mdb.1"]


def test_damaged_dumps_are_refused(ldap: Ldap, tmp_path: Path) -> None:
    """Cut off, altered, of something else; also when the record was made to fit."""
    path = tmp_path / "directory.tar"
    ldap.take(path)
    before = ldap.tree()
    ldap.add_user("live")
    ldap.stop()
    live = ldap.tree()
    whole, files = path.read_bytes(), files_of(path)
    damaged = tmp_path / "damaged.tar"
    for length in (0, 100, 600, len(whole) // 2, whole.index(b"dn: " + SUFFIX.encode()) + 700):
        damaged.write_bytes(whole[:length])
        with pytest.raises(DumpError, match="not a whole, unaltered dump"):
            ldap.bring_back(damaged)
    for position in (whole.index(b"olcSuffix"), whole.index(b"ou: People") + 5, whole.index(b'"entries"') + 1, whole.index(b'"sha256": "') + 12):
        damaged.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        with pytest.raises(DumpError, match="not a whole, unaltered dump"):
            ldap.bring_back(damaged)
    for change in ({RECORD: b"{}"}, {RECORD: files[RECORD].replace(b'"format": 1', b'"format": 2')}, {TREE: files[TREE][:900]}):
        with pytest.raises(DumpError, match="not a whole, unaltered dump"):
            ldap.bring_back(packed(damaged, {**files, **change}))
    with pytest.raises(DumpError, match="SHA-256"):
        dump.examine(str(path), "0" * 64)
    with pytest.raises(DumpError, match="cannot be read"):
        dump.examine(str(tmp_path / "nothing"))

    # The cut is in the middle of an entry, and the record says so: the entry can't be loaded.
    cut = files[TREE][: files[TREE].index(b"\nsn: ") + 1]
    with pytest.raises(RestoreError, match="can't be loaded") as caught:
        ldap.bring_back(forged(path, tree=cut))
    assert "attribute 'sn'" in caught.value.found
    # Each is whole, but the schema of an entry is missing.
    at = files[CONFIG].index(b"dn: cn={2}inetorgperson")
    config = files[CONFIG][:at] + files[CONFIG][files[CONFIG].index(b"\ndn: ", at) + 1 :]
    with pytest.raises(RestoreError, match="A schema that its entries need may be missing") as caught:
        ldap.bring_back(forged(path, config=config))
    assert "inetOrgPerson" in caught.value.found
    with pytest.raises(LifeboatError, match="slapadd failed"):
        dump.checked(ldap.live, dump.examine(str(tmp_path / "forged.tar")), ldap.bind, ldap.scratch)
    # A value is written as a database does not give it back.
    with pytest.raises(DumpError, match="not the one of the dump"):
        ldap.bring_back(forged(path, tree=files[TREE].replace(b"\no: SUSE", b"\no:: U1VTRQ==")))
    with pytest.raises(RestoreError, match="keeps dc=infra"):
        ldap.bring_back(forged(path, config=files[CONFIG].replace(str(ldap.data).encode(), b"/var/lib/elsewhere")))
    assert ldap.tree() == live != before
    assert sorted(os.listdir(ldap.data)) == ["data.mdb", "lock.mdb"]
    assert sorted(os.listdir(ldap.config)) == ["cn=config", "cn=config.ldif"]


def test_a_running_server_is_not_swapped_away(ldap: Ldap, tmp_path: Path) -> None:
    """Its data are staged beside it while it serves; putting them in place has to wait until it is stopped."""
    path = tmp_path / "directory.tar"
    before = ldap.tree()
    ldap.take(path)
    ldap.add_user("live")
    with pytest.raises(RestoreError, match="A server uses the directory's data"):
        ldap.bring_back(path)
    assert ldap.live.served_entries(ldap.url, ldap.bind) == 6
    held, request = dump.examine(str(path)), ldap.request()
    planned = restore.plan(held, request)
    assert (planned.action, planned.names) == ("swap", [["cn=config", "cn=config.ldif"], ["data.mdb", "lock.mdb"]])
    ldap.stop()
    # As roles/fence does it.
    replacement.apply(replacement.plan(restore.replacements(request, planned.names), request.ledger), request.ledger)
    assert ldap.tree() == before


def test_wrong_passwords(ldap: Ldap, tmp_path: Path) -> None:
    """A dump is not proven with a password that does not let anybody in; newlines at the end of the file are no part of it."""
    path = tmp_path / "directory.tar"
    wrong = Bind(ADMIN, "wrong")
    with pytest.raises(DumpError, match="does not let cn=admin") as caught:
        dump.take(ldap.live, str(path), bind=wrong, owner="", scratch_directory=ldap.scratch)
    assert "Invalid credentials" in caught.value.found
    assert list(tmp_path.iterdir()) == []
    assert os.listdir(ldap.scratch) == []
    assert "Invalid credentials" in ldap.live.bind_problem(ldap.url, wrong)
    for end in ("", "\n", "\r\n", "\n\n"):
        ldap.password_file.write_text(ldap.password + end)
        assert ldap.live.bind_problem(ldap.url, ldap.bind) == ""
    ldap.stop()
    assert "Can't contact LDAP server" in ldap.live.bind_problem(ldap.url, ldap.bind)
    with pytest.raises(DumpError, match="no database for dc=other"):
        dump.take(Directory(ldap.inside, str(ldap.config), "dc=other", 60), str(path), bind=ldap.bind, owner="", scratch_directory=ldap.scratch)


@pytest.mark.parametrize("renames", range(1, 8))
def test_a_swap_that_is_interrupted_is_finished(ldap: Ldap, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, renames: int) -> None:
    """After any rename: nothing is lost, and the same call again brings the rest."""
    before = ldap.tree()
    path = tmp_path / "directory.tar"
    ldap.take(path)
    ldap.add_user("live")
    ldap.stop()
    child = os.fork()
    if child == 0:
        count = iter(range(renames))
        real = replacement._rename

        def dying(source: str, target: str) -> None:
            real(source, target)
            if next(count, None) == renames - 1:
                os.kill(os.getpid(), 9)

        monkeypatch.setattr(replacement, "_rename", dying)
        try:
            ldap.bring_back(path)
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 9
    ldap.bring_back(path)
    assert ldap.tree() == before
    assert os.path.getsize(ldap.data / ".lifeboat-aside-r1" / "data.mdb") > 0
    assert (ldap.config / ".lifeboat-aside-r1" / "cn=config.ldif").exists()
    assert not ldap.bring_back(path).changed


def test_staging_that_is_interrupted_begins_anew(ldap: Ldap, tmp_path: Path) -> None:
    """A database that is half loaded is never put in place, nor added to."""
    before = ldap.tree()
    path = tmp_path / "directory.tar"
    held = ldap.take(path)
    ldap.add_user("live")
    ldap.stop()
    request = ldap.request()
    restore.stage(held, request)
    os.unlink(request.marker)
    half = ldap.data / ".lifeboat-restore-r1" / "new" / "data.mdb"
    os.truncate(half, os.path.getsize(half) // 2)
    assert ldap.bring_back(path).action == "stage"
    assert ldap.tree() == before


def test_a_full_disk(ldap: Ldap, tmp_path: Path) -> None:
    """Of the dump, of the scratch server, and of the data: refused, nothing left behind, and the directory as it was."""
    path = tmp_path / "directory.tar"
    before = ldap.tree()
    ldap.take(path)
    with mounted(tmp_path / "small", "8k") as small:
        with pytest.raises(LifeboatError):
            ldap.take(small / "directory.tar")
        with pytest.raises(LifeboatError):
            dump.take(ldap.live, str(tmp_path / "b.tar"), bind=ldap.bind, owner="", scratch_directory=str(small))
        assert list(small.iterdir()) == []
    ldap.add_user("live")
    live = ldap.tree()
    filler = ldap.directory / "filler"
    with filler.open("wb") as file:
        state = os.statvfs(ldap.directory)
        os.posix_fallocate(file.fileno(), 0, state.f_bavail * state.f_frsize - 100_000)
    with pytest.raises(RestoreError, match="too little room"):
        ldap.bring_back(path)
    assert ldap.tree() == live
    filler.unlink()
    ldap.stop()
    ldap.bring_back(path)
    assert ldap.tree() == before
    assert os.listdir(tmp_path) == ["directory.tar"]


def test_secrets_stay_where_they_are(ldap: Ldap, tmp_path: Path) -> None:
    """In the dump, and neither in what is told of it nor in what a login says."""
    held = ldap.take(tmp_path / "directory.tar")
    assert ldap.password not in json.dumps(held.as_result()) + repr(ldap.bind) + ldap.live.bind_problem(ldap.url, Bind(ADMIN, "x" + ldap.password))
