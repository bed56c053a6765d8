# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""artifact_fetch and artifact_push in real playbooks: nothing plain stays, nothing secret is shown, and every failure is one of words."""

from __future__ import annotations

import io
import json
import os
import signal
import stat
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._storage import names
from tests.integration.recovery_point.playing import NOBODY, Stage, Task, sha256
from tests.unit.plugins.module_utils._recovery_point.making import CLUSTER, SECRETS, assert_no_secrets, flip, make_keys, make_pki_files, make_tar

ETCD = make_tar({"notes": os.urandom(3000)})


def test_there_and_back(stage: Stage) -> None:
    pki = make_tar(make_pki_files())
    sources = [stage.put("cp1", "etcd.tar", ETCD), stage.put("w1", "pki.tar", pki)]
    destination = stage.directory / "destination"
    destination.mkdir(mode=0o700)
    done = stage.play(
        ("localhost", [stage.opening()]),
        ("cp1", [stage.fetching(sources[0], "etcd"), stage.noting()]),
        ("w1", [stage.fetching(sources[1], "pki", inspect=True, sha256=sha256(pki), size_bytes=len(pki)), stage.noting()]),
        ("localhost", [stage.sealing(), stage.looking(), stage.telling("info", "info")]),
        ("cp1", [stage.pushing("pki/w1.tar.zst.age", destination), stage.telling("first", "pushed")]),
        ("cp1", [stage.pushing("pki/w1.tar.zst.age", destination), stage.telling("second", "pushed")]),
        arguments=("--diff", "-vvvv"),
    )
    assert done.returncode == 0, done.stdout
    assert_no_secrets(done.stdout)
    info = stage.told("info")
    assert info["passed"] is True
    artifacts = {artifact["name"]: artifact for artifact in info["manifest"]["artifacts"]}
    assert artifacts["etcd/cp1.tar.zst.age"]["plain_sha256"] == sha256(ETCD)
    assert artifacts["pki/w1.tar.zst.age"]["host"] == "w1"
    assert artifacts["pki/w1.tar.zst.age"]["contents"]["encryption"][0]["resources"][0]["providers"][0]["keys"] == ["key-2026"]
    first, second = stage.told("first"), stage.told("second")
    assert (first["changed"], second["changed"]) == (True, False)
    assert (first["sha256"], first["size_bytes"], first["path"]) == (sha256(pki), len(pki), str(destination / "w1.tar"))
    pushed = destination / "w1.tar"
    assert pushed.read_bytes() == pki
    assert stat.S_IMODE(pushed.stat().st_mode) == 0o600
    assert os.listdir(destination) == ["w1.tar"]
    assert [source.exists() for source in sources] == [False, False]
    assert stage.plain_files() == []
    for path in [*stage.files(), *(path for path in stage.runs.rglob("*") if path.is_file())]:
        assert_no_secrets(path.read_bytes().decode("latin-1"))


def test_a_host_may_be_called_by_an_address_or_in_any_alphabet(stage: Stage) -> None:
    """An inventory of IPv6 addresses was refused at the first artifact, with words about letters and digits."""
    called = {"six": "fd00::11", "other_alphabet": "knoten-süd"}
    inventory = json.loads((stage.directory / "hosts.yml").read_text())
    here = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    inventory["all"]["children"] = {group: {"hosts": {name: here}} for group, name in called.items()}
    (stage.directory / "hosts.yml").write_text(json.dumps(inventory))
    plays: list[tuple[str, list[Task]]] = [("localhost", [stage.opening()])]
    plays.append(("cp1", [stage.fetching(stage.put("cp1", "etcd.tar", ETCD), "etcd"), stage.noting()]))
    plays += [(group, [stage.fetching(stage.put("cp1", f"{group}.tar", make_tar({"of": group.encode()})), "pki"), stage.noting()]) for group in called]
    plays.append(("localhost", [stage.sealing(), stage.looking(), stage.telling("info", "info")]))
    name = "{{ inventory_hostname | lifeboat.cluster.artifact_name('pki', 'tar') }}"
    for group in called:
        (stage.directory / group).mkdir(mode=0o700)
        plays.append((group, [stage.pushing(name, stage.directory / group)]))
    done = stage.play(*plays)
    assert done.returncode == 0, done.stdout
    artifacts = {artifact["host"]: artifact["name"] for artifact in stage.told("info")["manifest"]["artifacts"]}
    assert artifacts.pop("cp1") == "etcd/cp1.tar.zst.age"
    assert artifacts == {"fd00::11": "pki/fd00=3A=3A11.tar.zst.age", "knoten-süd": "pki/knoten-s=C3=BCd.tar.zst.age"}
    assert (stage.directory / "six" / "fd00=3A=3A11.tar").read_bytes() == make_tar({"of": b"six"})
    assert (stage.directory / "other_alphabet" / "knoten-s=C3=BCd.tar").read_bytes() == make_tar({"of": b"other_alphabet"})


def test_a_program_arrives_executable(stage: Stage) -> None:
    """Also when it lies there already with the right bytes and the wrong mode."""
    opening = stage.open()
    artifacts = [
        stage.add(opening.id, "etcd", "cp1", ETCD),
        stage.add(opening.id, "pki", "cp1", make_tar({})),
        stage.add(opening.id, "tools", "etcdutl", b"\x7fELF" + bytes(5000), extension=""),
    ]
    stage.seal(opening.id, artifacts)
    push = stage.pushing("tools/etcdutl.zst.age", stage.hosts["other"], point=opening.id, executable=True)
    plain = stage.pushing("tools/etcdutl.zst.age", stage.hosts["other"], point=opening.id)
    done = stage.play(
        ("other", [plain, push, stage.telling("first", "pushed"), push, stage.telling("second", "pushed")]),
    )
    assert done.returncode == 0, done.stdout
    tool = stage.hosts["other"] / "etcdutl"
    assert (stat.S_IMODE(tool.stat().st_mode), tool.stat().st_uid) == (0o700, NOBODY)
    first, second = stage.told("first"), stage.told("second")
    assert (first["changed"], second["changed"], first["path"]) == (True, False, str(tool))


def test_as_another_user_and_whatever_become_says(stage: Stage) -> None:
    source = stage.put("other", "etcd.tar", ETCD)
    pki = stage.put("cp1", "pki.tar", make_tar(make_pki_files()))
    destination = stage.hosts["other"]
    become = {"become": True, "become_method": "ansible.builtin.sudo", "become_flags": "--no-such-option"}
    done = stage.play(
        ("localhost", [stage.opening()]),
        ("cp1", [stage.fetching(pki, "pki"), stage.noting()]),
        ("other", [{**stage.fetching(source, "etcd", sha256=sha256(ETCD), size_bytes=len(ETCD)), **become}, stage.noting()]),
        ("localhost", [stage.sealing()]),
        ("other", [stage.pushing("pki/cp1.tar.zst.age", destination), stage.telling("pushed", "pushed")]),
    )
    assert done.returncode == 0, done.stdout
    assert not source.exists()
    pushed = destination / "cp1.tar"
    assert (pushed.stat().st_uid, stat.S_IMODE(pushed.stat().st_mode)) == (NOBODY, 0o600)
    assert stage.plain_files() == []


def test_a_file_that_the_login_user_cannot_read_is_explained(stage: Stage) -> None:
    source = stage.put("other", "etcd.tar", ETCD)
    os.chown(source, 0, 0)
    done = stage.play(("localhost", [stage.opening()]), ("other", [stage.fetching(source, "etcd", sha256=sha256(ETCD), size_bytes=len(ETCD))]))
    assert done.returncode != 0
    assert "could not be fetched from other" in done.stdout
    assert "must belong to the login user" in done.stdout
    assert stage.plain_files() == []


def test_check_mode_writes_and_removes_nothing(stage: Stage) -> None:
    source = stage.put("cp1", "etcd.tar", ETCD)
    done = stage.play(
        ("localhost", [stage.opening(), stage.telling("opened", "opened")]),
        ("cp1", [stage.fetching(source, "etcd"), stage.telling("fetched", "fetched")]),
        ("localhost", [stage.sealing(artifacts=[])]),
        arguments=("--check", "--diff"),
    )
    assert done.returncode == 0, done.stdout
    assert stage.files() == []
    assert source.exists()
    fetched = stage.told("fetched")
    assert (fetched["changed"], fetched["artifact"], fetched["name"]) == (True, None, "etcd/cp1.tar.zst.age")


def plant(stage: Stage) -> tuple[str, ...]:
    """Secrets in an inventory, by name, encrypted, inside of others, and behind a template; returns the arguments that open the encrypted one."""
    password = stage.directory / "vault-password"
    password.write_text("open sesame")
    program = Path(sys.executable).with_name("ansible-vault")
    call = [program, "encrypt_string", "--vault-password-file", password, "--name", "lifeboat_hidden", SECRETS["option"]]
    encrypted = subprocess.run(call, check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL).stdout
    (stage.directory / "group_vars").mkdir()
    (stage.directory / "group_vars" / "all.yml").write_text(
        encrypted
        + encrypted.replace("lifeboat_hidden", "other_hidden")
        + f"""
lifeboat_short: {{note: "{{{{ other_hidden }}}}", path: /srv/x}}
lifeboat_indirect: "{{{{ other_hidden }}}} and more"
lifeboat_nowhere: "{{{{ this_is_undefined }}}}"
ansible_become_password: {SECRETS["password"]}
ansible_password: {SECRETS["password"]}
vault_token: {SECRETS["token"]}
lifeboat_url: "https://vault/?t={{{{ vault_token }}}}"
lifeboat_signing_key: /etc/lifeboat/signing_key
rto_target_seconds: 900
"""
    )
    return ("--vault-password-file", str(password))


def opened(stage: Stage, point: str, artifact: str) -> bytes:
    """An artifact, opened by hand."""
    sealed = stage.path(names.artifact_key(CLUSTER, point, artifact))
    packed = subprocess.run(["age", "--decrypt", "--identity", stage.keys.identity_file, sealed], check=True, capture_output=True).stdout
    return subprocess.run(["zstd", "--decompress", "--stdout"], input=packed, check=True, capture_output=True).stdout


def test_the_inventory_and_the_collection_are_added(stage: Stage) -> None:
    arguments = plant(stage)
    pki = stage.put("cp1", "pki.tar", make_tar(make_pki_files()))
    etcd = stage.put("w1", "etcd.tar", ETCD)
    aiding = {
        "lifeboat.cluster.recovery_point_kit": stage.options(point="{{ opened.id }}", recipients=[stage.keys.recipient]),
        "register": "aided",
    }
    joined: Task = {"ansible.builtin.set_fact": {"artifacts": "{{ aided.artifacts }}"}}
    sealing = stage.sealing()
    sealing["lifeboat.cluster.recovery_point"]["artifacts"] = (
        "{{ (['cp1', 'w1', 'localhost'] | map('extract', hostvars) | map(attribute='artifacts') | flatten) }}"
    )
    done = stage.play(
        ("localhost", [stage.opening()]),
        ("cp1", [stage.fetching(pki, "pki", inspect=True), stage.noting(), {"ansible.builtin.group_by": {"key": "lifeboat_reachable"}}]),
        ("w1", [stage.fetching(etcd, "etcd"), stage.noting()]),
        ("localhost", [aiding, stage.telling("first", "aided"), aiding, stage.telling("second", "aided"), joined, sealing]),
        ("localhost", [stage.looking(), stage.telling("info", "info")]),
        arguments=("--diff", "-vvvv", *arguments),
    )
    assert done.returncode == 0, done.stdout
    first, second, info = stage.told("first"), stage.told("second"), stage.told("info")
    assert (first["changed"], first["problems"], second["changed"]) == (True, [], False)
    assert first["artifacts"] == second["artifacts"]
    assert info["passed"] is True
    assert sorted({artifact["component"] for artifact in info["manifest"]["artifacts"]}) == ["collection", "etcd", "inventory", "pki"]
    point = info["id"]
    inventory = opened(stage, point, "inventory/inventory.json.zst.age").decode()
    assert_no_secrets(inventory)
    (stage.directory / "elsewhere").mkdir()
    kept = stage.directory / "elsewhere" / "inventory.json"
    kept.write_text(inventory)
    program = Path(sys.executable).with_name("ansible-inventory")
    seen = json.loads(subprocess.run([program, "-i", kept, "--list"], check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL).stdout)
    cp1 = seen["_meta"]["hostvars"]["cp1"]
    assert (cp1["ansible_connection"], cp1["rto_target_seconds"], cp1["lifeboat_signing_key"]) == ("local", 900, "/etc/lifeboat/signing_key")
    assert (cp1["lifeboat_hidden"], cp1["lifeboat_short"]) == ("[hidden]", {"note": "[hidden]", "path": "/srv/x"})
    assert "lifeboat_nowhere" not in cp1
    assert not [name for name in cp1 if "password" in name or name.startswith("vault")]
    assert set(seen) == {"_meta", "all", "ungrouped"}
    with tarfile.open(fileobj=io.BytesIO(opened(stage, point, "collection/collection.tar.zst.age"))) as archive:
        held = archive.getnames()
    assert {"playbooks/recover_cluster.yml", "plugins/modules/recovery_point_kit.py", "roles/etcd/tasks/restore.yml"} <= set(held)
    assert not [name for name in held if name.startswith("tests")]
    for path in [*stage.files(), *(path for path in stage.runs.rglob("*") if path.is_file())]:
        assert_no_secrets(path.read_bytes().decode("latin-1"))
    assert stage.plain_files() == []


def test_aids_that_cannot_be_added_cost_nothing_but_themselves(stage: Stage) -> None:
    """Another object under the inventory's name, and then a point that nobody opened; in check mode nothing is done at all."""
    opening = stage.open()
    stage.add(opening.id, "inventory", "inventory", b"{}", extension="json")
    task = {"lifeboat.cluster.recovery_point_kit": stage.options(point=opening.id, recipients=[stage.keys.recipient]), "register": "aided"}
    nowhere = {
        "lifeboat.cluster.recovery_point_kit": stage.options(point="20261120T133500Z-1a2b3c", recipients=[stage.keys.recipient]),
        "register": "aided",
    }
    checked = {**task, "check_mode": True}
    done = stage.play(
        ("localhost", [checked, stage.telling("checked", "aided"), task, stage.telling("first", "aided"), nowhere, stage.telling("second", "aided")])
    )
    assert done.returncode == 0, done.stdout
    checked_answer, first, second = stage.told("checked"), stage.told("first"), stage.told("second")
    assert (checked_answer["changed"], checked_answer["artifacts"], checked_answer["problems"]) == (True, [], [])
    assert [artifact["name"] for artifact in first["artifacts"]] == ["collection/collection.tar.zst.age"]
    assert ["inventory/inventory.json.zst.age exists already" in problem for problem in first["problems"]] == [True]
    assert (second["changed"], second["artifacts"], len(second["problems"])) == (False, [], 2)
    assert stage.plain_files() == []


def test_check_mode_of_a_push_asks_the_host_only(stage: Stage) -> None:
    destination = stage.directory / "destination"
    destination.mkdir(mode=0o700)
    point = stage.point().id
    done = stage.play(
        ("cp1", [stage.pushing("etcd/cp1.tar.zst.age", destination, point=point), stage.telling("pushed", "pushed")]),
        arguments=("--check",),
    )
    assert done.returncode == 0, done.stdout
    assert stage.told("pushed")["changed"] is True
    assert os.listdir(destination) == []


def test_a_second_fetch_in_the_same_run_is_no_change(stage: Stage) -> None:
    source = stage.put("cp1", "etcd.tar", ETCD)
    fetch = stage.fetching(source, "etcd", remove_source=False)
    done = stage.play(("localhost", [stage.opening()]), ("cp1", [fetch, stage.telling("first", "fetched"), fetch, stage.telling("second", "fetched")]))
    assert done.returncode == 0, done.stdout
    first, second = stage.told("first"), stage.told("second")
    assert (first["changed"], second["changed"]) == (True, False)
    assert first["artifact"] == second["artifact"]


def test_another_content_under_the_same_name_is_refused(stage: Stage) -> None:
    one, other = stage.put("cp1", "one.tar", ETCD), stage.put("w1", "other.tar", make_tar({"a": b"b"}))
    done = stage.play(
        ("localhost", [stage.opening()]), ("cp1", [stage.fetching(one, "etcd", name="same")]), ("w1", [stage.fetching(other, "etcd", name="same")])
    )
    assert done.returncode != 0
    assert "etcd/same.tar.zst.age exists already" in done.stdout
    assert other.exists()


def attempts(tasks: list[Task]) -> tuple[list[Task], str]:
    """Tasks of which each may fail, and the expression of all their results."""
    tried = [{**task, "register": f"attempt_{number}", "ignore_errors": True} for number, task in enumerate(tasks)]
    return tried, "[%s]" % ", ".join(task["register"] for task in tried)


REFUSED_FETCHES = [
    (ETCD, {"sha256": "0" * 64, "size_bytes": len(ETCD)}, "is not what lies there"),
    (ETCD, {"sha256": sha256(ETCD), "size_bytes": len(ETCD) + 1}, "came incompletely"),
    (ETCD[:1000], {}, "not a whole tar archive"),
    (None, {}, "no such file"),
    (ETCD, {"recipients": ["AGE-SECRET-KEY-1PLANTED"]}, "A recipient is a private key"),
    (ETCD, {"point": "20261120T133500Z-1a2b3c"}, "was not opened here"),
    (ETCD, {"location": {"path": "/nonexistent"}}, "is not there"),
    (ETCD, {"component": "../etcd"}, "cannot be the name of a component"),
]


def test_what_cannot_be_stored_is_refused_in_words(stage: Stage) -> None:
    fetches = []
    for number, (content, more, _words) in enumerate(REFUSED_FETCHES):
        source = stage.hosts["cp1"] / f"{number}.tar" if content is None else stage.put("cp1", f"{number}.tar", content)
        fetches.append(stage.fetching(source, **{"component": "etcd", **more}))
    tried, results = attempts(fetches)
    done = stage.play(("localhost", [stage.opening()]), ("cp1", [*tried, stage.telling("attempts", results)]), arguments=("-vvv",))
    assert done.returncode == 0, done.stdout
    for (_content, _more, words), attempt in zip(REFUSED_FETCHES, stage.told("attempts")):
        assert attempt["failed"] is True, words
        assert words in attempt["msg"]
        assert "What to do" in attempt["msg"]
        assert attempt["error"]["kind"]
    assert "Traceback" not in done.stdout
    assert len(os.listdir(stage.hosts["cp1"])) == len(REFUSED_FETCHES) - 1
    assert stage.plain_files() == []
    assert [path.name for path in stage.files()] == ["open.json"]


def test_without_a_run_it_says_what_is_missing(stage: Stage) -> None:
    source = stage.put("cp1", "etcd.tar", ETCD)
    point = stage.open().id
    done = stage.play(("cp1", [stage.fetching(source, "etcd", point=point)]), arguments=("--limit", "cp1"))
    assert done.returncode != 0
    assert "No run has begun" in done.stdout


REFUSED_PUSHES = {
    "key": "No identity matches",
    "artifact": "is damaged and cannot be opened",
    "manifest": "does not agree with its signature",
    "signature": "is not signed",
    "destination": "is not a directory that the login user can use",
    "name": "has no artifact",
}


def damaged_push(stage: Stage, damage: str, destination: Path) -> Task:
    """A push that has to fail."""
    artifact = "etcd/cp1.tar.zst.age"
    point = stage.point().id
    if damage == "key":
        return stage.pushing(artifact, destination, point=point, identity_files=[str(make_keys(stage.directory / "stranger").identity_file)])
    if damage == "destination":
        return stage.pushing(artifact, stage.directory / "nowhere", point=point)
    if damage == "name":
        return stage.pushing("etcd/cp9.tar.zst.age", destination, point=point)
    key = {
        "artifact": names.artifact_key(CLUSTER, point, artifact),
        "manifest": names.manifest_key(CLUSTER, point),
        "signature": names.signature_key(CLUSTER, point),
    }
    if damage == "signature":
        stage.path(key[damage]).unlink()
    else:
        flip(stage.path(key[damage]), 500)
    return stage.pushing(artifact, destination, point=point)


def test_what_cannot_be_pushed_is_refused_in_words(stage: Stage) -> None:
    destination = stage.directory / "destination"
    destination.mkdir(mode=0o700)
    tried, results = attempts([damaged_push(stage, damage, destination) for damage in REFUSED_PUSHES])
    done = stage.play(("cp1", [*tried, stage.telling("attempts", results)]), arguments=("-vvv",))
    assert done.returncode == 0, done.stdout
    for words, attempt in zip(REFUSED_PUSHES.values(), stage.told("attempts")):
        assert attempt["failed"] is True, words
        assert words in attempt["msg"]
        assert "What to do" in attempt["msg"]
    assert_no_secrets(done.stdout)
    assert "Traceback" not in done.stdout
    assert os.listdir(destination) == []
    assert stage.plain_files() == []


def test_several_hosts_share_one_plain_copy(stage: Stage) -> None:
    point = stage.point().id
    destinations = {host: path / "destination" for host, path in stage.hosts.items() if host != "other"}
    for path in destinations.values():
        path.mkdir(mode=0o700)
    push = stage.pushing("etcd/cp1.tar.zst.age", Path(str(stage.directory) + "/{{ inventory_hostname }}/destination"), point=point)
    done = stage.play(("cp1,w1", [push]), arguments=("--forks", "2"))
    assert done.returncode == 0, done.stdout
    assert [os.listdir(path) for path in destinations.values()] == [["cp1.tar"], ["cp1.tar"]]
    assert stage.plain_files() == []


def test_too_little_space_on_the_controller(stage: Stage) -> None:
    source = stage.put("cp1", "etcd.tar", ETCD)
    stage.runs.mkdir(mode=0o700)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m,mode=0700", "lifeboat-test", stage.runs], check=True)
    try:
        done = stage.play(("localhost", [stage.opening()]), ("cp1", [stage.fetching(source, "etcd")]))
        assert done.returncode != 0
        assert "too little space on the controller" in done.stdout
        assert stage.plain_files() == []
    finally:
        subprocess.run(["umount", "--lazy", stage.runs], check=True)


def test_a_full_location(stage: Stage) -> None:
    source = stage.put("cp1", "etcd.tar", make_tar({"noise": os.urandom(5 << 20)}))
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m,mode=0700", "lifeboat-test", stage.root], check=True)
    try:
        done = stage.play(("localhost", [stage.opening()]), ("cp1", [stage.fetching(source, "etcd")]))
        assert done.returncode != 0
        assert "No space is left in the backup location" in done.stdout
        assert stage.plain_files() == []
        assert source.exists()
        assert [path.name for path in stage.files()] == ["open.json"]
    finally:
        subprocess.run(["umount", "--lazy", stage.root], check=True)


def test_a_playbook_killed_in_the_middle_of_an_artifact_and_the_rerun(stage: Stage) -> None:
    source = stage.put("cp1", "etcd.tar", ETCD)
    noise = stage.hosts["cp1"] / "noise"
    subprocess.run(["sh", "-c", 'head -c 120000000 /dev/urandom > "$1"', "sh", noise], check=True)
    pki = stage.put("w1", "pki.tar", make_tar(make_pki_files()))
    plays = [
        ("localhost", [stage.opening()]),
        (
            "cp1",
            [
                stage.fetching(source, "etcd", remove_source=False),
                stage.noting(),
                stage.fetching(noise, "volumes", format="file", remove_source=False),
                stage.noting(),
            ],
        ),
        ("w1", [stage.fetching(pki, "pki", remove_source=False), stage.noting()]),
        ("localhost", [stage.sealing(), stage.looking()]),
    ]
    process = subprocess.Popen(
        stage.command(plays), cwd=stage.directory, env=stage.environment(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True
    )
    deadline = time.monotonic() + 120
    while not list(stage.root.rglob("*noise*.partial")) and not list(stage.root.rglob(".cp1.zst.age.*.partial")):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert len(stage.plain_files()) == 1
    (first,) = stage.points()
    assert not (stage.root / CLUSTER / "manifests").exists()
    done = stage.play(*plays)
    assert done.returncode == 0, done.stdout
    assert stage.plain_files() == []
    states = {point.id: point.state for point in stage.catalog().points}
    assert states.pop(first) == "open"
    assert list(states.values()) == ["complete"]


@pytest.mark.big
def test_two_gigabytes_in_little_memory(stage: Stage) -> None:
    source = stage.hosts["cp1"] / "volume.img"
    with source.open("wb") as stream:
        stream.truncate(2 << 30)
    pki = stage.put("w1", "pki.tar", make_tar(make_pki_files()))
    plays = [
        ("localhost", [stage.opening()]),
        ("cp1", [stage.fetching(source, "etcd", format="file"), stage.noting()]),
        ("w1", [stage.fetching(pki, "pki"), stage.noting()]),
        ("localhost", [stage.sealing(), stage.telling("sealed", "sealed.manifest.artifacts")]),
    ]
    process = subprocess.Popen(
        stage.command(plays), cwd=stage.directory, env=stage.environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    peak = 0
    while process.poll() is None:
        peak = max([peak, *map(resident_bytes, descendants(process.pid))])
        time.sleep(0.05)
    assert process.stdout is not None
    output = process.stdout.read().decode()
    process.stdout.close()
    assert process.returncode == 0, output
    assert stage.told("sealed")[0]["plain_size_bytes"] == 2 << 30
    assert stage.told("sealed")[0]["name"] == "etcd/cp1.img.zst.age"
    assert 0 < peak < 200 << 20, f"{peak >> 20} MiB resident"
    assert not source.exists()
    assert stage.plain_files() == []


def descendants(pid: int) -> list[int]:
    """A process and all below it."""
    found = [pid]
    for parent in found:
        try:
            found += [int(child) for task in Path(f"/proc/{parent}/task").iterdir() for child in (task / "children").read_text().split()]
        except OSError:
            continue
    return found


def resident_bytes(pid: int) -> int:
    """Resident memory of a process; 0 when it is gone."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):
        return 0
