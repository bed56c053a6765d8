# Copyright: (c) 2026, Lifeboat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Traits: what real clusters have and a plain lab has not. A lab gets any number of them by name; this says which there are."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from .errors import LabError

ZONES = Path("/usr/share/zoneinfo")
MOST_FORKS = 100
# The oldest and the newest that Ansible and the collection take on machines.
PYTHONS = ("3.8", "3.13")


class Part(Enum):
    """What a trait changes."""

    CLUSTER = "the formed cluster"
    MACHINE = "each machine, also a bare one"
    INVENTORY = "the inventory"
    CONTROLLER = "the controller's environment"


KUBEADM = ("single", "ha")
EVERYWHERE = (*KUBEADM, "caasp")


def _zone_problem(value: str) -> str:
    # The C library takes a zone that it does not know for UTC, without a word.
    known = re.fullmatch(r"[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*", value) and (ZONES / value).is_file()
    return "" if known else f"a time zone below {ZONES}, for example Europe/Berlin or UTC"


def _forks_problem(value: str) -> str:
    return "" if value.isascii() and value.isdecimal() and 1 <= int(value) <= MOST_FORKS else f"a number from 1 to {MOST_FORKS}"


def _python_problem(value: str) -> str:
    return "" if value in PYTHONS else f"one of {' '.join(PYTHONS)}"


def _no_problem(_value: str) -> str:
    return ""


@dataclass(frozen=True)
class Trait:
    """One way in which a lab is unlike the plain one."""

    name: str
    about: str
    part: Part
    kinds: tuple[str, ...] = KUBEADM
    # The value when none is given; a trait without it takes none.
    default: str = ""
    # The values that are right, in words, when a value is wrong; else nothing.
    problem: Callable[[str], str] = _no_problem

    @property
    def usage(self) -> str:
        """How it is written."""
        return f"{self.name}[={self.default}]" if self.default else self.name


_ALL = (
    Trait("timezone", "the controller's time zone (TZ)", Part.CONTROLLER, EVERYWHERE, "Asia/Kolkata", _zone_problem),
    Trait("forks", "how many hosts Ansible works on at once (ANSIBLE_FORKS)", Part.CONTROLLER, EVERYWHERE, "1", _forks_problem),
    Trait("names-only", "the inventory has no addresses; ssh finds them in a configuration file of its own", Part.INVENTORY, EVERYWHERE),
    Trait("nat", "machines are reached by an address that is not theirs, each at a port of its own", Part.INVENTORY, EVERYWHERE),
    Trait("silent", "the inventory has a worker w9 that swallows every packet and is no node", Part.INVENTORY, EVERYWHERE),
    Trait("node-names", "nodes are called NAME.nodes.lab.internal in Kubernetes, a name that nothing resolves", Part.CLUSTER),
    Trait("capitals", "machines call themselves CP1, not cp1", Part.MACHINE),
    Trait("hardened", "audit log, admission, authentication, authorization and encryption by files, drop-ins of the kubelet", Part.CLUSTER),
    Trait("two-keys", "the encryption key was changed: old values in etcd are under key1, new ones under key2", Part.CLUSTER),
    Trait("static-pods", "kubelets reach the API only through a static pod api-front of their own machine", Part.CLUSTER),
    Trait("etcd-elsewhere", "etcd has its data in /srv/etcd/data, below the mount point of its file system", Part.CLUSTER),
    Trait("etcd-symlink", "etcd's data directory is a link to /srv/etcd-data/etcd, which a person made", Part.CLUSTER),
    Trait("wal-elsewhere", "etcd has its write-ahead log in /var/lib/etcd-wal/wal (--wal-dir)", Part.CLUSTER),
    Trait("kms", "Secrets are encrypted by a KMS v2 plugin, a static pod, since some time; older ones are under key1", Part.CLUSTER),
    Trait("no-ca-key", "the key of the CA is kept elsewhere: nothing in the cluster signs certificates", Part.CLUSTER),
    Trait("ca-rotation", "ca.crt holds two CAs: the one in use, and the next", Part.CLUSTER),
    Trait("become-password", "sudo asks for a password, which the inventory has", Part.MACHINE),
    Trait("noexec-tmp", "nothing can be executed in /tmp and /var/tmp", Part.MACHINE),
    Trait("python", "the only Python of machines is this one", Part.MACHINE, KUBEADM, PYTHONS[0], _python_problem),
    Trait("containerd-2", "containerd 2 with a configuration of its own version, above the store of the older one", Part.MACHINE),
    Trait("cri-o", "CRI-O is the container runtime, and there is no containerd", Part.CLUSTER),
    Trait("external-etcd", "etcd on machines of its own, e1 e2 e3, that are no nodes of the cluster", Part.CLUSTER, ("ha",)),
    Trait("etcd-on-worker", "the third member of etcd is on w1; cp3 has an API server and no member", Part.CLUSTER, ("ha",)),
    Trait("five", "five control planes: cp4 and cp5 besides", Part.CLUSTER, ("ha",)),
    Trait("ipv6", "no IPv4: machines, pods and services have IPv6 addresses only", Part.CLUSTER),
    Trait("dual-stack", "machines, pods and services have IPv6 addresses besides", Part.CLUSTER),
)
TRAITS = {trait.name: trait for trait in _ALL}
_ORDER = tuple(TRAITS)
# A lab is one or the other.
_EXCLUDING = (("ipv6", "dual-stack"), ("external-etcd", "etcd-on-worker"), ("cri-o", "containerd-2"))

PRESETS = {
    # What one finds in most clusters that somebody has run for some years.
    "real": ("timezone", "names-only", "node-names", "static-pods", "hardened", "two-keys", "etcd-elsewhere", "become-password", "noexec-tmp"),
}


def _read(word: str) -> tuple[str, str]:
    """Name and value of one word."""
    name, equals, value = word.partition("=")
    if name not in TRAITS:
        raise LabError(f"use the trait {word}", "no such trait", f"use one of: {' '.join(TRAITS)}; or a preset: {' '.join(PRESETS)}")
    trait = TRAITS[name]
    if not trait.default:
        if equals:
            raise LabError(f"use the trait {word}", f"{name} takes no value", f"write {name}")
        return name, ""
    value = value if equals else trait.default
    wanted = trait.problem(value)
    if wanted:
        raise LabError(f"use the trait {word}", f"{value!r} is no value of {name}", f"use {wanted}")
    return name, value


@dataclass(frozen=True)
class Traits:
    """The traits of one lab: names with values, in the order of the list of all, so that two equal sets are equal."""

    values: tuple[tuple[str, str], ...] = ()

    @classmethod
    def parse(cls, texts: Iterable[str]) -> Traits:
        """Out of words such as `timezone=Europe/Berlin`, `five`, `real`, or several of them with commas. What is named by itself goes before a preset's."""
        words = [word.strip() for text in texts for word in text.split(",") if word.strip()]
        found = dict(_read(each) for word in words if word in PRESETS for each in PRESETS[word])
        named: dict[str, str] = {}
        for word in words:
            if word in PRESETS:
                continue
            name, value = _read(word)
            if named.setdefault(name, value) != value:
                raise LabError(f"use the trait {word}", f"it contradicts {name}={named[name]}", f"give one value for {name}")
        found.update(named)
        return cls(tuple(sorted(found.items(), key=lambda item: _ORDER.index(item[0]))))

    @property
    def words(self) -> tuple[str, ...]:
        """The same as text, which `parse` reads."""
        return tuple(f"{name}={value}" if value else name for name, value in self.values)

    def __contains__(self, name: str) -> bool:
        assert name in TRAITS, name
        return any(name == own for own, _value in self.values)

    def value(self, name: str) -> str:
        """The value of a trait; empty without it."""
        return dict(self.values).get(name, "")

    def of(self, part: Part) -> Traits:
        """Those that change one part."""
        return Traits(tuple((name, value) for name, value in self.values if TRAITS[name].part is part))

    def check(self, kind: str) -> None:
        """Refuse what a topology cannot have."""
        wrong = [name for name, _value in self.values if kind not in TRAITS[name].kinds]
        if wrong:
            possible = " ".join(name for name, trait in TRAITS.items() if kind in trait.kinds)
            raise LabError(f"make a lab of topology {kind} with {' '.join(wrong)}", "that topology cannot have it", f"use traits out of: {possible}")
        for one, other in _EXCLUDING:
            if one in self and other in self:
                raise LabError(f"make a lab with {one} and {other}", "no lab can be both", f"leave {one} or {other} out")

    def controller_environment(self) -> dict[str, str]:
        """Variables for the programs of Ansible."""
        names = {"timezone": "TZ", "forks": "ANSIBLE_FORKS"}
        return {names[name]: value for name, value in self.of(Part.CONTROLLER).values}


PLAIN = Traits()
