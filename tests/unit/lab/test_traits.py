# Copyright: (c) 2026, Lifeboat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Traits of a lab: what may be asked for, and what each of them changes in what the lab writes."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import yaml

from tests.drill.demands import demands, overrides, warned
from tests.drill.members import member_names
from tests.drill.memory import node_names
from tests.drill.playbooks import Playbooks, settings
from tests.drill.steps import DrillFailure, wanted_from
from tests.lab import Lab, accounts, balancer, etcd_place, external_etcd, front, golden, hardening, inventory, kms, kubeadm, layered, machinefiles, pythons
from tests.lab.cache import Cache
from tests.lab.cli import parse
from tests.lab.disk import Disk
from tests.lab.errors import LabError
from tests.lab.machines import BareMachine
from tests.lab.network import Network
from tests.lab.progress import Progress
from tests.lab.state import LabRecord, LabStore
from tests.lab.topology import Topology, hosts_file, make_topology
from tests.lab.traits import PLAIN, PRESETS, TRAITS, Part, Traits

OUTPUT = Path("/repository/build/lab/one")
SOCKETS = Path("/tmp/lab-01234567")
SECRETS = kubeadm.Secrets("abcdef.0123456789abcdef", "00" * 32, "a2V5")


def _topology(*traits: str, kind: str = "ha") -> Topology:
    return make_topology(kind, 4, Traits.parse(traits))


# The model


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        ([], ()),
        ([""], ()),
        (["timezone"], ("timezone=Asia/Kolkata",)),
        (["timezone=Europe/Berlin", "forks"], ("timezone=Europe/Berlin", "forks=1")),
        (["hardened,names-only, timezone=UTC"], ("timezone=UTC", "names-only", "hardened")),
        (["five", "five"], ("five",)),
        (["timezone=America/Argentina/Ushuaia"], ("timezone=America/Argentina/Ushuaia",)),
        (["timezone=Etc/GMT+5"], ("timezone=Etc/GMT+5",)),
    ],
)
def test_words_are_read(texts: list[str], words: tuple[str, ...]) -> None:
    traits = Traits.parse(texts)
    assert traits.words == words
    assert Traits.parse(traits.words) == traits


@pytest.mark.parametrize("texts", [["real"], ["real", "names-only"], ["timezone=Asia/Kolkata,real"]])
def test_a_preset_is_its_traits(texts: list[str]) -> None:
    assert Traits.parse(texts) == Traits.parse(PRESETS["real"])


@pytest.mark.parametrize("texts", [["real", "timezone=Europe/Berlin"], ["timezone=Europe/Berlin,real"]])
def test_what_is_named_goes_before_a_preset(texts: list[str]) -> None:
    assert Traits.parse(texts).value("timezone") == "Europe/Berlin"


def test_the_order_of_words_does_not_matter() -> None:
    assert Traits.parse(["five", "forks=2"]) == Traits.parse(["forks=2", "five"])


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("shiny", "no such trait"),
        ("", "no such trait"),
        ("five=5", "takes no value"),
        ("five=", "takes no value"),
        ("timezone=Mars/Olympus", "is no value of timezone"),
        ("timezone=../../etc/hostname", "is no value of timezone"),
        ("timezone=Europe", "is no value of timezone"),
        ("timezone=", "is no value of timezone"),
        ("forks=0", "from 1 to 100"),
        ("forks=many", "from 1 to 100"),
        ("forks=²", "from 1 to 100"),
        ("python=2.7", "one of 3.8 3.13"),
        ("real=yes", "no such trait"),
        ("timezone=UTC,timezone=Europe/Berlin", "contradicts timezone=UTC"),
    ],
)
def test_what_cannot_be_is_refused(text: str, found: str) -> None:
    if not text:
        assert Traits.parse([text, ",", " "]) == PLAIN
        return
    with pytest.raises(LabError, match=found):
        Traits.parse([text])


def test_an_unknown_trait_is_refused_with_the_known_ones() -> None:
    with pytest.raises(LabError) as caught:
        Traits.parse(["shiny"])
    assert all(name in str(caught.value) for name in (*TRAITS, *PRESETS))


@pytest.mark.parametrize("kind", ["single", "ha", "caasp"])
def test_a_topology_has_only_the_traits_that_it_can_have(kind: str) -> None:
    for name, trait in TRAITS.items():
        traits = Traits.parse([name])
        if kind in trait.kinds:
            assert name in make_topology(kind, 0, traits).traits
        else:
            with pytest.raises(LabError, match=f"topology {kind} with {name}"):
                make_topology(kind, 0, traits)


def test_nothing_of_a_cluster_of_the_product_is_changed() -> None:
    assert {trait.part for trait in TRAITS.values() if "caasp" in trait.kinds} == {Part.CONTROLLER, Part.INVENTORY}


def test_the_presets_are_possible_everywhere_but_with_the_product() -> None:
    for name in PRESETS:
        for kind in ("single", "ha"):
            make_topology(kind, 0, Traits.parse([name]))


def test_only_traits_that_exist_can_be_asked_about() -> None:
    with pytest.raises(AssertionError):
        assert "node_names" not in PLAIN


# What is remembered


def test_a_record_keeps_traits_and_an_old_one_has_none(tmp_path: Path) -> None:
    store = LabStore(tmp_path)
    record = LabRecord("one", "ha", 3, {"golden": "/somewhere"}, Traits.parse(["real"]).words)
    store.write(record)
    assert store.read("one") == record
    file = store.directory("one") / "record.json"
    old = json.loads(file.read_text())
    del old["traits"]
    file.write_text(json.dumps(old))
    read = store.read("one")
    assert read is not None
    assert read.traits == ()


@pytest.mark.parametrize("name", list(TRAITS))
def test_a_golden_cluster_is_shared_by_all_labs_that_differ_in_nothing_of_it(name: str) -> None:
    kind = TRAITS[name].kinds[-1]
    key = golden.cluster_key(make_topology(kind, 4), "recipe", "bare")
    other = golden.cluster_key(make_topology(kind, 4, Traits.parse([name])), "recipe", "bare")
    assert (key == other) is (TRAITS[name].part is not Part.CLUSTER)


def test_a_cluster_is_formed_without_what_is_not_of_it() -> None:
    formed = _topology("real").formed
    assert set(formed.traits.words) == {"node-names", "hardened", "two-keys", "static-pods", "etcd-elsewhere"}
    assert formed == _topology("real", "nat", "forks", "silent", "capitals").formed
    assert formed.slot == 4


def test_a_golden_cluster_says_which_it_is(tmp_path: Path) -> None:
    topology = _topology("five", "hardened")
    golden.note_cluster(tmp_path, topology)
    assert golden.noted_cluster(tmp_path) == topology
    (tmp_path / "cluster.json").write_text(json.dumps({"kind": "ha", "slot": 4, "traits": ["of-the-past"]}))
    assert golden.noted_cluster(tmp_path) is None
    assert golden.noted_cluster(tmp_path / "absent") is None


def test_entries_of_one_kind_are_found(tmp_path: Path) -> None:
    for name in ("caasp-1", "caasp-software-2", ".partial-caasp-3", "golden-4"):
        (tmp_path / name).mkdir()
    assert [path.name for path in Cache(tmp_path).entries("caasp")] == ["caasp-1"]


# Machines and names


def test_five_control_planes_leave_all_others_as_they_are() -> None:
    plain, five = make_topology("ha", 4), _topology("five")
    assert [node.name for node in five.control_plane] == ["cp1", "cp2", "cp3", "cp4", "cp5"]
    for node in plain.nodes:
        assert (five.node(node.name).address, five.node(node.name).pod_subnet) == (node.address, node.pod_subnet)
    for values in ({node.address for node in five.nodes}, {node.pod_subnet for node in five.nodes}, {five.forwarded_port(node) for node in five.nodes}):
        assert len(values) == 6
    assert "server cp5 10.77.4.15:6443" in balancer.configuration(five)


def test_nodes_have_names_that_nothing_resolves() -> None:
    topology = _topology("node-names")
    node = topology.node("cp2")
    assert (node.name, node.host_name, node.node_name) == ("cp2", "cp2", "cp2.nodes.lab.internal")
    texts = [
        hosts_file(topology),
        inventory.render(topology, "one", inventory.variables(topology, "one", OUTPUT, SOCKETS)),
        inventory.ssh_configuration(topology, OUTPUT, SOCKETS),
    ]
    assert not any(".nodes.lab.internal" in text for text in texts)


def test_machines_in_capitals_are_nodes_in_small_letters() -> None:
    topology = _topology("capitals")
    node = topology.node("w1")
    assert (node.name, node.host_name, node.node_name) == ("w1", "W1", "w1")
    assert "10.77.4.21 W1" in hosts_file(topology).splitlines()
    assert "Host w1\n" in inventory.ssh_configuration(topology, OUTPUT, SOCKETS)


def test_the_data_of_etcd_lie_below_the_mount_point() -> None:
    node = _topology("etcd-elsewhere").node("cp1")
    assert (node.data_directory, node.etcd_directory) == ("/srv/etcd", "/srv/etcd/data")
    worker = _topology("etcd-elsewhere").node("w1")
    assert (worker.data_directory, worker.etcd_directory) == ("", "")
    plain = make_topology("ha", 4).node("cp1")
    assert (plain.data_directory, plain.etcd_directory) == ("/var/lib/etcd", "/var/lib/etcd")


def test_a_data_directory_that_is_a_link_keeps_its_name() -> None:
    node = _topology("etcd-symlink").node("cp1")
    assert (node.data_directory, node.etcd_directory, node.etcd_link_target) == ("/srv/etcd-data", "/var/lib/etcd", "/srv/etcd-data/etcd")
    both = _topology("etcd-symlink", "etcd-elsewhere").node("cp1")
    assert (both.data_directory, both.etcd_directory, both.etcd_link_target) == ("/srv/etcd-data", "/srv/etcd/data", "/srv/etcd-data/etcd")
    for node in (_topology("etcd-symlink").node("w1"), make_topology("ha", 4).node("cp1")):
        assert node.etcd_link_target == ""
    assert _documents(kubeadm.init_configuration(_topology("etcd-symlink"), SECRETS))[1]["etcd"]["local"]["dataDir"] == "/var/lib/etcd"


def test_the_log_directory_is_mounted_by_a_patch_of_kubeadm() -> None:
    topology = _topology("wal-elsewhere")
    first, cluster, _kubelet = _documents(kubeadm.init_configuration(topology, SECRETS))
    (join,) = _documents(kubeadm.join_configuration(topology, topology.node("cp2"), SECRETS, "ab"))
    log = _flags(cluster["etcd"]["local"]["extraArgs"])["wal-dir"]
    (path,) = (files := etcd_place.files(topology.node("cp2")))
    assert first["patches"] == join["patches"] == {"directory": path.rpartition("/")[0]}
    patch = json.loads(files[path])["spec"]
    (mount,) = patch["containers"][0]["volumeMounts"]
    (volume,) = patch["volumes"]
    assert mount["name"] == volume["name"]
    # etcd makes it anew, so it is not the mount point.
    assert log == f"{mount['mountPath']}/wal" == f"{volume['hostPath']['path']}/wal"
    (worker,) = _documents(kubeadm.join_configuration(topology, topology.node("w1"), SECRETS, "ab"))
    assert "patches" not in worker
    assert etcd_place.files(topology.node("w1")) == etcd_place.files(make_topology("ha", 4).node("cp1")) == {}


def test_a_member_on_a_machine_of_its_own_may_have_a_log_directory_too() -> None:
    topology = _topology("wal-elsewhere", "external-etcd")
    first, cluster = _documents(external_etcd.configuration(topology, topology.node("e1")))
    assert first["patches"] == {"directory": "/etc/kubernetes/patches"}
    assert _flags(cluster["etcd"]["local"]["extraArgs"])["wal-dir"] == "/var/lib/etcd-wal/wal"
    (join,) = _documents(kubeadm.join_configuration(topology, topology.node("cp2"), SECRETS, "ab"))
    assert "patches" not in join


def test_the_drill_calls_nodes_as_kubernetes_does() -> None:
    lab = cast(Lab, SimpleNamespace(topology=_topology("node-names")))
    assert node_names(lab, ["w1", "cp1"]) == {"w1.nodes.lab.internal", "cp1.nodes.lab.internal"}
    assert member_names(lab) == [f"cp{number}.nodes.lab.internal" for number in (1, 2, 3)]


# Inventory and ssh


def _inventory(topology: Topology, password: str = "") -> tuple[dict[str, Any], dict[str, Any]]:
    """Hosts with their variables, and the variables of their group."""
    data = yaml.safe_load(inventory.render(topology, "one", inventory.variables(topology, "one", OUTPUT, SOCKETS, password)))
    cluster = data["all"]["children"]["cluster"]
    groups = cluster["children"]
    return {**groups["control_plane"]["hosts"], **groups["workers"]["hosts"]}, cluster["vars"]


def test_names_only_leaves_addresses_to_ssh() -> None:
    hosts, variables = _inventory(_topology("names-only", "silent"))
    assert hosts == {"cp1": {}, "cp2": {}, "cp3": {}, "w1": {}, "w9": {}}
    arguments = variables["ansible_ssh_common_args"]
    assert arguments.startswith("-F /repository/build/lab/one/ssh_config ")
    # Without it Ansible would use connections of its own, which nobody ends with ssh -F.
    assert "ControlPath=/tmp/lab-01234567/%C" in arguments


def test_behind_nat_each_machine_has_a_port() -> None:
    topology = _topology("nat")
    hosts, _variables = _inventory(topology)
    assert hosts["cp2"] == {"ansible_host": "10.77.4.1", "ansible_port": 22012}
    assert hosts["w1"] == {"ansible_host": "10.77.4.1", "ansible_port": 22021}
    assert "Host w1\n    HostName 10.77.4.1\n    Port 22021\n    HostKeyAlias 10.77.4.21\n" in inventory.ssh_configuration(topology, OUTPUT, SOCKETS)
    known = inventory.known_hosts(topology, {node.name: "ssh-ed25519 AAAA lab-one\n" for node in topology.nodes})
    assert "10.77.4.21,w1,[10.77.4.1]:22021 ssh-ed25519 AAAA\n" in known
    assert "bind 10.77.4.1:22021\n    server w1 10.77.4.21:22\n" in balancer.forwarding(topology)


def test_behind_nat_with_names_only_ssh_knows_the_ports() -> None:
    hosts, _variables = _inventory(_topology("nat", "names-only"))
    assert hosts["cp1"] == {}
    assert "    Port 22011\n" in inventory.ssh_configuration(_topology("nat", "names-only"), OUTPUT, SOCKETS)


def test_a_forwarder_is_only_where_it_is_needed() -> None:
    for traits, count in ((("nat",), 2), ((), 1)):
        assert len(balancer.proxies(OUTPUT, Network("one", _topology(*traits)))) == count


def test_a_silent_worker_is_in_the_inventory_and_nowhere_else() -> None:
    topology = _topology("silent")
    hosts, _variables = _inventory(topology)
    assert hosts["w9"] == {"ansible_host": "10.77.4.53"}
    assert [node.name for node in topology.workers] == ["w1"]
    assert "Host w9\n    HostName 10.77.4.53\n" in inventory.ssh_configuration(topology, OUTPUT, SOCKETS)
    assert "w9" not in hosts_file(topology)


def test_without_traits_the_inventory_is_plain() -> None:
    hosts, variables = _inventory(make_topology("ha", 4))
    assert hosts == {name: {"ansible_host": f"10.77.4.{octet}"} for name, octet in (("cp1", 11), ("cp2", 12), ("cp3", 13), ("w1", 21))}
    assert "ansible_become_password" not in variables


# The password of sudo


def test_a_lab_tells_what_its_controller_needs_and_what_is_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIFEBOAT_LAB_STATE", str(tmp_path))
    lab = Lab.open("one")
    LabStore(tmp_path).write(LabRecord("one", "single", 3, traits=Traits.parse(["forks=3", "become-password"]).words))
    (lab.directory / "keys").mkdir()
    accounts.make_password(lab.directory / "keys/password")
    assert lab.controller_environment == {"ANSIBLE_FORKS": "3"}
    assert lab.private_values == {"password of sudo": (lab.directory / "keys/password").read_bytes()}
    LabStore(tmp_path).write(LabRecord("two", "single", 4))
    assert Lab.open("two").controller_environment == {}
    assert Lab.open("two").private_values == {}


def test_the_password_survives_yaml_and_is_of_the_lab_alone(tmp_path: Path) -> None:
    accounts.make_password(tmp_path / "one")
    accounts.make_password(tmp_path / "two")
    password = (tmp_path / "one").read_text()
    assert password != (tmp_path / "two").read_text()
    assert (tmp_path / "one").stat().st_mode & 0o077 == 0
    _hosts, variables = _inventory(_topology("become-password"), password)
    assert variables["ansible_become_password"] == password


def test_a_password_gets_into_shadow_as_it_is_hashed() -> None:
    shadow = "root:*:19000:0:99999:7:::\nops:!:19000:0:99999:7:::\nopsy:!:19000::::::\n"
    digest = accounts.hashed("correct horse")
    assert re.fullmatch(r"\$6\$[^:]+", digest)
    assert accounts.with_password(shadow, "ops", digest) == shadow.replace("ops:!:", f"ops:{digest}:", 1)
    with pytest.raises(LabError, match="0 lines"):
        accounts.with_password(shadow, "nobody", digest)


def test_sudo_asks_only_with_the_trait() -> None:
    assert machinefiles.files("pause")[machinefiles.SUDOERS_FILE][0] == machinefiles.SUDOERS
    assert "NOPASSWD" not in machinefiles.SUDOERS_WITH_PASSWORD


def test_a_file_of_a_layer_below_is_edited_above_it(tmp_path: Path) -> None:
    layer = tmp_path / "layer"
    (layer / "etc").mkdir(parents=True)
    (layer / "etc/shadow").write_text("ops:!:\n")
    (layer / "etc/shadow").chmod(0o640)
    store = tmp_path / "store"
    store.mkdir()
    disk = Disk(tmp_path / "disk")
    disk.create([layer], store, None)
    disk.edit("etc/shadow", lambda text: text.replace("!", "x"))
    edited = disk.upper / "etc/shadow"
    assert (edited.read_text(), edited.stat().st_mode & 0o777) == ("ops:x:\n", 0o640)
    assert (layer / "etc/shadow").read_text() == "ops:!:\n"
    with pytest.raises(LabError, match="no such file"):
        disk.edit("etc/gshadow", str)


# kubeadm


def _documents(text: str) -> list[Any]:
    return [json.loads(part) for part in text.split("\n---\n")]


def _flags(arguments: list[dict[str, str]]) -> dict[str, str]:
    return {one["name"]: one["value"] for one in arguments}


def test_kubeadm_is_told_the_name_of_the_node() -> None:
    topology = _topology("node-names")
    registration = _documents(kubeadm.init_configuration(topology, SECRETS))[0]["nodeRegistration"]
    assert registration["name"] == "cp1.nodes.lab.internal"
    (join,) = _documents(kubeadm.join_configuration(topology, topology.node("w1"), SECRETS, "ab"))
    assert join["nodeRegistration"]["name"] == "w1.nodes.lab.internal"


def test_kubeadm_is_told_where_etcd_has_its_data() -> None:
    for traits, directory in ((("etcd-elsewhere",), "/srv/etcd/data"), ((), "/var/lib/etcd")):
        assert _documents(kubeadm.init_configuration(_topology(*traits), SECRETS))[1]["etcd"]["local"]["dataDir"] == directory


def test_a_plain_api_server_is_as_it_always_was() -> None:
    server = _documents(kubeadm.init_configuration(make_topology("ha", 4), SECRETS))[1]["apiServer"]
    assert server["extraArgs"] == [{"name": "encryption-provider-config", "value": "/etc/kubernetes/enc/encryption.yaml"}]
    assert server["extraVolumes"] == [
        {"name": "encryption", "hostPath": "/etc/kubernetes/enc", "mountPath": "/etc/kubernetes/enc", "readOnly": True, "pathType": "DirectoryOrCreate"}
    ]
    assert "127.0.0.1" not in server["certSANs"]


def test_the_certificate_is_good_for_the_local_port() -> None:
    assert "127.0.0.1" in _documents(kubeadm.init_configuration(_topology("static-pods"), SECRETS))[1]["apiServer"]["certSANs"]


def test_a_hardened_api_server_finds_every_file_that_it_is_told_of() -> None:
    topology = _topology("hardened")
    server = _documents(kubeadm.init_configuration(topology, SECRETS))[1]["apiServer"]
    flags = _flags(server["extraArgs"])
    # kubeadm would set it besides, and the API server takes only one of the two.
    assert "authorization-mode" not in flags
    files = {*hardening.server_files(), kubeadm.encryption_file(topology)}
    read = {value for name, value in flags.items() if value.startswith("/etc/")}
    assert read <= files
    assert kubeadm.encryption_file(topology) == "/etc/kubernetes/secrets/at-rest.yaml"
    mounted = [one["hostPath"] for one in server["extraVolumes"]]
    for path in (*files, hardening.AUDIT_LOG):
        assert any(path == one or path.startswith(f"{one}/") for one in mounted), path
    assert {one["pathType"] for one in server["extraVolumes"]} == {"File", "Directory", "DirectoryOrCreate"}
    assert len({one["name"] for one in server["extraVolumes"]}) == len(mounted)


def test_a_file_of_the_hardened_api_server_names_another() -> None:
    files = hardening.server_files()
    (plugin,) = json.loads(files[hardening.ADMISSION])["plugins"]
    assert plugin == {"name": "PodSecurity", "path": hardening.POD_SECURITY}
    assert json.loads(files[hardening.POD_SECURITY])["exemptions"]["namespaces"] == ["kube-system"]


def test_the_hardened_kubelet_has_a_directory_of_drop_ins() -> None:
    topology = _topology("hardened")
    for name in ("cp1", "w1"):
        (join,) = _documents(kubeadm.join_configuration(topology, topology.node(name), SECRETS, "ab"))
        assert _flags(join["nodeRegistration"]["kubeletExtraArgs"])["config-dir"] == "/etc/kubernetes/kubelet.conf.d"
    (path,) = hardening.node_files()
    assert path == "/etc/kubernetes/kubelet.conf.d/10-lab.conf"


def test_where_nobody_asks_anonymously_nodes_join_with_a_file() -> None:
    topology = _topology("hardened")
    (join,) = _documents(kubeadm.join_configuration(topology, topology.node("cp2"), SECRETS, "ab"))
    assert join["discovery"] == {"file": {"kubeConfigPath": kubeadm.DISCOVERY_FILE}}
    kubeconfig = json.loads(kubeadm.discovery_kubeconfig(topology, SECRETS, "authority"))
    assert kubeconfig["users"][0]["user"] == {"token": SECRETS.token}
    assert kubeconfig["clusters"][0]["cluster"]["certificate-authority-data"] == "YXV0aG9yaXR5"
    plain = make_topology("ha", 4)
    (join,) = _documents(kubeadm.join_configuration(plain, plain.node("cp2"), SECRETS, "ab"))
    assert join["discovery"]["bootstrapToken"]["caCertHashes"] == ["sha256:ab"]


def test_the_first_key_of_the_encryption_is_the_one_in_use() -> None:
    text = kubeadm.encryption_configuration({"key2": "Yg==", "key1": "YQ=="})
    (resources,) = json.loads(text)["resources"]
    assert [key["name"] for key in resources["providers"][0]["secretbox"]["keys"]] == ["key2", "key1"]


# The KMS


def test_the_api_server_reaches_the_plugin_by_its_socket() -> None:
    server = _documents(kubeadm.init_configuration(_topology("kms"), SECRETS))[1]["apiServer"]
    pod = json.loads(kms.manifest())["spec"]
    (container,) = pod["containers"]
    volumes = {volume["name"]: volume["hostPath"] for volume in pod["volumes"]}
    places = {mount["mountPath"]: volumes[mount["name"]] for mount in container["volumeMounts"]}
    assert all(path == volume["path"] for path, volume in places.items())
    assert kms.SOCKETS in places
    (own,) = [volume for volume in server["extraVolumes"] if volume["hostPath"] == kms.SOCKETS]
    assert own["readOnly"] is False
    # The plugin may start after the API server has asked for the directory, or before.
    assert own["pathType"] == places[kms.SOCKETS]["type"] == "DirectoryOrCreate"
    assert not any("kms" in volume["hostPath"] for volume in _documents(kubeadm.init_configuration(_topology(), SECRETS))[1]["apiServer"]["extraVolumes"])


def test_what_was_encrypted_before_the_kms_can_still_be_read() -> None:
    (resources,) = json.loads(kubeadm.encryption_configuration({"key1": "YQ=="}, by_kms=True))["resources"]
    first, second, third = resources["providers"]
    assert first == {"kms": {"apiVersion": "v2", "name": kms.PROVIDER, "endpoint": f"unix://{kms.SOCKET}", "timeout": "3s"}}
    assert second["secretbox"]["keys"] == [{"name": "key1", "secret": "YQ=="}]
    assert third == {"identity": {}}


def test_only_machines_with_an_api_server_have_a_security_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    topology = _topology("kms")
    assert [node.name for node in topology.nodes if node.kms] == ["cp1", "cp2", "cp3"]
    assert kms.KEY_FILE.startswith(f"{kms.MODULE}/")
    monkeypatch.setenv("LIFEBOAT_LAB_STATE", str(tmp_path))
    LabStore(tmp_path).write(LabRecord("one", "single", 3, traits=("kms",)))
    assert Lab.open("one").private_values == {"key of the KMS": kms.KEY.encode()}


# Another Python


def test_the_inventory_names_the_python_of_the_machines() -> None:
    for traits, program in (((), "/usr/bin/python3"), (("python",), "/usr/local/bin/python3.8"), (("python=3.13",), "/usr/local/bin/python3.13")):
        _hosts, variables = _inventory(_topology(*traits))
        assert variables["ansible_python_interpreter"] == program


def _python(directory: Path) -> pythons.Installed:
    """One with a shared library, of which not everything is needed."""
    for name in ("lib/python3.8/os.py", "lib/python3.8/test/big.py", "lib/python3.8/json/__pycache__/x.pyc", "lib/python3.8/json/decoder.py"):
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).touch()
    for name in ("bin/python3.8", "lib/libpython3.8.so.1.0"):
        (directory / name).parent.mkdir(exist_ok=True)
        (directory / name).touch(0o755)
    return pythons.Installed("3.8", "3.8.18 of a test", directory / "bin/python3.8", directory / "lib/python3.8", directory / "lib/libpython3.8.so.1.0")


def test_a_layer_brings_one_python_and_hides_the_other(tmp_path: Path) -> None:
    layer = tmp_path / "layer"
    pythons.write_layer(_python(tmp_path / "own"), layer)
    files = {str(path.relative_to(layer)) for path in layer.rglob("*") if path.is_file()}
    assert files == {"usr/local/bin/python3.8", "usr/local/lib/python3.8/os.py", "usr/local/lib/python3.8/json/decoder.py", "usr/lib/libpython3.8.so.1.0"}
    assert {str(path.relative_to(layer)) for path in layer.rglob("*") if path.is_char_device()} == set(pythons.HIDDEN)


def test_the_layer_of_the_python_lies_above_all_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pythons, "installed", lambda _version: _python(tmp_path / "own"))
    plain = BareMachine(tmp_path / "bare", tmp_path / "debian", tmp_path / "binaries")
    cache = Cache(tmp_path / "cache")
    machine = pythons.with_python(plain, Traits.parse(["python"]), cache, Progress(quiet=True))
    assert machine.layers[1:] == plain.layers
    assert (machine.layers[0] / "usr/local/bin/python3.8").is_file()
    assert layered.read_machine(machine.to_record()) == machine
    assert layered.read_machine(plain.to_record()) == plain
    assert pythons.with_python(plain, PLAIN, cache, Progress(quiet=True)) == plain
    monkeypatch.setattr(pythons, "installed", lambda _version: None)
    with pytest.raises(LabError, match=r"pyenv install 3\.13"):
        pythons.with_python(plain, Traits.parse(["python=3.13"]), cache, Progress(quiet=True))


def test_a_python_is_asked_where_its_files_are() -> None:
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    found = pythons.installed(version)
    assert found is not None
    assert (found.version, (found.standard / "os.py").is_file(), found.program.name) == (version, True, f"python{version}")
    assert pythons.installed("3.99") is None


# The static pod before the kubelet


def test_the_front_forwards_to_every_api_server() -> None:
    assert front.targets(_topology("static-pods", "five")).splitlines() == [f"10.77.4.{octet}:6443" for octet in (11, 12, 13, 14, 15)]


def test_the_front_is_a_static_pod_as_people_write_them() -> None:
    pod = json.loads(front.manifest())
    (container,) = pod["spec"]["containers"]
    assert container["image"] == "api-front:1"
    assert (pod["spec"]["hostNetwork"], pod["spec"]["priorityClassName"]) == (True, "system-node-critical")
    assert pod["spec"]["volumes"] == [{"name": "targets", "hostPath": {"path": "/etc/kubernetes/api-front/targets", "type": "File"}}]


def test_a_kubeconfig_leads_to_the_front() -> None:
    text = "clusters:\n- cluster:\n    certificate-authority-data: eA==\n    server: https://10.77.4.11:6443\n  name: lab\n"
    assert front.through_front(text) == text.replace("10.77.4.11:6443", "127.0.0.1:7443")


# What the product asks of somebody with such a cluster


def test_the_drill_knows_what_a_trait_demands() -> None:
    assert demands(Traits.parse(["real"])) == []
    wanted = demands(Traits.parse(["wal-elsewhere", "kms"]))
    assert [demand.warning for demand in wanted] == ["platform.etcd_log", "recovery_point.kms_not_needed"]
    assert overrides(wanted) == {"etcd": {"wal_into_data_dir": True}}
    assert overrides(demands(Traits.parse(["kms"]))) == {}
    report = {"checks": [{"id": "a", "outcome": "passed"}, {"id": "b", "outcome": "passed"}, {"id": "b", "outcome": "warning"}]}
    assert [warned(report, name) for name in ("a", "b", "c")] == [False, True, False]


# Command lines, and what Ansible finds


def test_the_lab_takes_traits() -> None:
    options = parse(["up", "ha", "--trait", "timezone=Asia/Kolkata", "--trait", "names-only"])
    assert options.trait == ["timezone=Asia/Kolkata", "names-only"]
    assert parse(["up", "ha"]).trait == []


def test_help_names_every_trait_and_preset(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(["--help"])
    text = capsys.readouterr().out
    assert all(f"\n  {name}" in text for name in (*TRAITS, *PRESETS))


def test_the_readme_names_every_trait_and_preset() -> None:
    text = (Path(inventory.__file__).parent / "README.md").read_text()
    assert all(f"| `{TRAITS[name].usage}` |" in text for name in TRAITS)
    assert all(f"`{name}`" in text for name in PRESETS)


def test_the_drill_takes_traits() -> None:
    wanted = wanted_from("bomb", "directory", "ha", "drill", False, "", "real,five")
    assert "five" in wanted.traits
    assert wanted.traits.value("timezone") == "Asia/Kolkata"
    assert wanted_from("bomb", "directory", "ha", "drill", False, "").traits == PLAIN
    with pytest.raises(LabError, match="topology caasp with hardened"):
        wanted_from("bomb", "directory", "caasp", "drill", False, "", "hardened")
    with pytest.raises(DrillFailure, match="no topology"):
        wanted_from("bomb", "directory", "huge", "drill", False, "", "real")


def test_the_controller_has_the_environment_of_its_lab(tmp_path: Path) -> None:
    environment = Traits.parse(["timezone=Europe/Berlin", "forks", "five"]).controller_environment()
    assert environment == {"TZ": "Europe/Berlin", "ANSIBLE_FORKS": "1"}
    assert PLAIN.controller_environment() == {}
    assert settings(environment)["ANSIBLE_FORKS"] == "1"
    playbooks = Playbooks(tmp_path / "hosts.yml", tmp_path / "logs", tmp_path / "runs", {}, controller_environment=environment)
    assert playbooks.process_environment({"TZ": "UTC"})["TZ"] == "UTC"
    assert playbooks.process_environment()["TZ"] == "Europe/Berlin"
