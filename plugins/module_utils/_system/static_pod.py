# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A static pod manifest: read in the forms that block_yaml knows, and where it is written in others, as far as single lines say it.

Written is only what kubeadm writes: arguments one ``- --flag=value`` a line, block style. Everything else is refused.
Source: kubernetes/kubernetes cmd/kubeadm/app/phases/etcd/local.go (the command is a flat list of strings).
"""

from __future__ import annotations

import json
import os
import re
import shlex
from dataclasses import dataclass, field
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence, Set, Tuple

from ansible_collections.lifeboat.cluster.plugins.module_utils._system.block_yaml import read_mapping
from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import LifeboatError

_COMMAND = re.compile(r"^(\s*)- (?:command|args):\s*$|^(\s*)(?:command|args):\s*$")
_ARGUMENT = re.compile(r"""^(?P<indent>\s*)- (?P<quote>["']?)(?P<flag>--[a-z0-9-]+)(?:=(?P<value>.*?))?(?P=quote)\s*$""")
# A flag whose value is an item of its own.
_APART = re.compile(r"""^\s*- ["']?(--[a-z0-9-]+)["']?\s*(?:#.*)?$""")
_IMAGE = re.compile(r"""^\s*(?:-\s+)?image:\s*["']?([^\s"'#]+)""")
_KEY = re.compile(r"^(?P<indent>\s*(?:- +)?)(?P<key>[A-Za-z]+):\s*(?P<value>.*?)\s*$")
# Characters with which a plain YAML scalar stays a plain scalar in the middle of a flag.
_PLAIN = re.compile(r"^[A-Za-z0-9_.,:/=@%+-]*$")


_SHELLS = frozenset(("sh", "ash", "bash", "dash"))
_REFERENCE = re.compile(r"\$\(([A-Za-z_][A-Za-z0-9_.-]*)\)")


class ManifestNotUnderstood(LifeboatError):
    """The manifest is not in the form that kubeadm writes."""


def _line(indent: str, flag: str, value: str) -> str:
    text = "%s=%s" % (flag, value)
    # JSON strings are YAML strings.
    return "%s- %s" % (indent, text if _PLAIN.match(text) and not text.endswith(":") else json.dumps(text))


@dataclass(frozen=True)
class Mount:
    """Where a volume is in a container."""

    place: str
    volume: str
    below: str = ""


@dataclass(frozen=True)
class Container:
    """``words`` are those of command and arguments, of a script those of the script; what refers to the environment is replaced."""

    name: str = ""
    words: Tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    mounts: Tuple[Mount, ...] = ()

    def runs(self, program: str) -> bool:
        """Whether it starts a program."""
        return any(os.path.basename(word) == program for word in self.words if not word.startswith("-"))

    def options(self) -> Iterator[Tuple[str, str]]:
        """Names without dashes, and values; empty for an option without one. What still refers to something unknown is left out."""
        for index, word in enumerate(self.words):
            if not word.startswith("-") or word.strip("-") == "":
                continue
            name, equals, value = word.lstrip("-").partition("=")
            following = self.words[index + 1] if index + 1 < len(self.words) else ""
            said = value if equals else ("" if following.startswith("-") else following)
            if not _REFERENCE.search(said):
                yield name, said

    def value(self, option: str) -> Optional[str]:
        """The value of an option; of one that stands there twice the last, as programs in Go take it."""
        return dict(self.options()).get(option)


@dataclass(frozen=True)
class Pod:
    """``volumes`` are paths of the host by the names of volumes; ``demanded`` those that have to be directories before the pod starts."""

    name: str = ""
    namespace: str = "default"
    containers: Tuple[Container, ...] = ()
    volumes: Mapping[str, str] = field(default_factory=dict)
    images: Tuple[str, ...] = ()
    demanded: Tuple[str, ...] = ()

    def container(self, program: str) -> Optional[Container]:
        """The one that starts a program; the only one, where none says so."""
        found = [one for one in self.containers if one.runs(program)] or (list(self.containers) if len(self.containers) == 1 else [])
        return found[0] if found else None

    def on_host(self, container: Container, path: str) -> str:
        """Where a path of a container lies on the host; the path itself when it is not mounted from there."""
        for mount in sorted(container.mounts, key=lambda mount: len(mount.place), reverse=True):
            place, source = mount.place.rstrip("/"), self.volumes.get(mount.volume)
            if source and (path == place or path.startswith(place + "/")):
                below = "/" + mount.below.strip("/") if mount.below.strip("/") else ""
                return source.rstrip("/") + below + path[len(place) :]
        return path


def read_pod(text: str) -> Optional[Pod]:
    """The pod of a manifest; None when it could not be read as one with containers."""
    document = read_mapping(text)
    try:
        return _pod(document) if document and (document.get("spec") or {}).get("containers") else None
    except (AttributeError, TypeError, ValueError):
        # A text where a list or a mapping has to be: the kubelet does not take it either.
        return None


def _pod(document: Mapping[str, Any]) -> Pod:
    metadata, spec = document.get("metadata") or {}, document.get("spec") or {}
    containers = list(spec.get("containers") or ())
    everyone = containers + list(spec.get("initContainers") or ())
    mounted = {str(one["name"]): one.get("hostPath") or {} for one in spec.get("volumes") or () if one.get("name")}
    volumes = {name: str(source.get("path") or "") for name, source in mounted.items()}
    # Source: kubernetes/kubernetes pkg/volume/hostpath/host_path.go (the kubelet makes what is of type DirectoryOrCreate, and waits for a Directory).
    demanded = tuple(volumes[name] for name, source in mounted.items() if source.get("type") == "Directory" and volumes[name])
    images = tuple(str(one["image"]) for one in everyone if one.get("image"))
    namespace = str(metadata.get("namespace") or "default")
    return Pod(str(metadata.get("name") or ""), namespace, tuple(_container(one) for one in everyone), volumes, images, demanded)


def _container(entry: Mapping[str, Any]) -> Container:
    environment = {str(one["name"]): str(one["value"]) for one in entry.get("env") or () if one.get("name") and one.get("value") is not None}
    words = [str(word) for word in [*(entry.get("command") or ()), *(entry.get("args") or ())] if word is not None]
    known = tuple(_REFERENCE.sub(lambda match: environment.get(match.group(1), match.group(0)), word) for word in _script(words))
    mounts = tuple(
        Mount(str(one["mountPath"]), str(one.get("name") or ""), str(one.get("subPath") or ""))
        for one in entry.get("volumeMounts") or ()
        if one.get("mountPath")
    )
    return Container(str(entry.get("name") or ""), known, environment, mounts)


def _script(words: Sequence[str]) -> List[str]:
    """What a shell is told to run, word by word; other commands as they are."""
    if not words or os.path.basename(words[0]) not in _SHELLS or "-c" not in words[:-1]:
        return list(words)
    place = list(words).index("-c") + 1
    try:
        inside = shlex.split(words[place], comments=True)
    except ValueError:
        inside = words[place].split()
    return [word.rstrip(";&|") for word in inside] + list(words[place + 1 :])


def set_arguments(text: str, arguments: Mapping[str, str], path: str) -> str:
    """The manifest with these arguments set. ``arguments`` maps flags with their dashes to values; ``path`` is for errors.

    A flag that is there gets the value wherever it stands, one that is not comes at the end of the command. Raises ManifestNotUnderstood.
    """
    lines = text.splitlines()
    # Only one list: a second container's arguments are not ours. It is that which has most of the flags.
    items = max(_lists(lines), key=lambda found: len(_flags_in(lines, found) & set(arguments)), default=[])
    apart = {match.group(1) for match in (_APART.match(lines[number]) for number in items) if match} & set(arguments)
    if not items or not _flags_in(lines, items) or apart:
        raise _not_understood(arguments, path)
    indent = lines[items[0]][: len(lines[items[0]]) - len(lines[items[0]].lstrip())]
    missing = dict(arguments)
    for number in items:
        match = _ARGUMENT.match(lines[number])
        flag = match.group("flag") if match is not None else ""
        if match is not None and flag in arguments:
            missing.pop(flag, None)
            if match.group("value") != arguments[flag]:
                lines[number] = _line(indent, flag, arguments[flag])
    lines[items[-1] + 1 : items[-1] + 1] = [_line(indent, flag, value) for flag, value in sorted(missing.items())]
    after = "\n".join(lines) + "\n"
    pod = read_pod(after)
    said = [dict(one.options()) for one in pod.containers] if pod else []
    if pod and not any(all(one.get(flag.lstrip("-")) == value for flag, value in arguments.items()) for one in said):
        raise _not_understood(arguments, path)
    return after


def _not_understood(arguments: Mapping[str, str], path: str) -> ManifestNotUnderstood:
    return ManifestNotUnderstood(
        "The static pod manifest %s has no command in the form that kubeadm writes." % path,
        tried="looked for 'command:' followed by lines '- --flag=value'",
        remedy="Set these arguments by hand: %s" % " ".join("%s=%s" % item for item in sorted(arguments.items())),
    )


def _lists(lines: Sequence[str]) -> List[List[int]]:
    """Of every list of a command or of arguments in block style the numbers of its items' lines. Remarks and empty lines may stand between them."""
    found: List[List[int]] = []
    for start, line in enumerate(lines):
        if not _COMMAND.match(line):
            continue
        items: List[int] = []
        indent = -1
        for number in range(start + 1, len(lines)):
            stripped = lines[number].lstrip()
            depth = len(lines[number]) - len(stripped)
            if not stripped or stripped.startswith("#"):
                continue
            indent = depth if indent < 0 else indent
            if depth < indent or (depth == indent and not stripped.startswith("-")):
                break
            if depth == indent and stripped.startswith("- "):
                items.append(number)
        if items:
            found.append(items)
    return found


def _flags_in(lines: Sequence[str], items: Sequence[int]) -> Set[str]:
    return {match.group("flag") for match in (_ARGUMENT.match(lines[number]) for number in items) if match}


def flags(text: str, program: str) -> Dict[str, str]:
    """All arguments of a program by their names without dashes, in whatever form the command is written."""
    pod = read_pod(text)
    container = pod.container(program) if pod else None
    if container is not None:
        return dict(container.options())
    plain = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    return {name: value.rstrip(",") for name, value in re.findall(r"""--([a-z0-9-]+)=([^\s"'\]]*)""", plain)}


def _unquoted(value: str) -> str:
    plain = value.split(" #")[0].strip()
    return plain[1:-1] if len(plain) > 1 and plain[0] == plain[-1] and plain[0] in "\"'" else plain


def images(text: str) -> List[str]:
    """Image references of a manifest."""
    pod = read_pod(text)
    if pod is not None:
        return sorted(set(pod.images))
    return sorted({found.group(1) for found in (_IMAGE.match(line) for line in text.splitlines()) if found})


def pod_name(text: str) -> Tuple[str, str]:
    """Name and namespace of the pod; empty texts when they are not found."""
    pod = read_pod(text)
    if pod is not None:
        return pod.name, pod.namespace
    found: Dict[str, str] = {}
    inside: Optional[int] = None
    for line in text.splitlines():
        match = _KEY.match(line)
        if match is None:
            continue
        indent = len(match.group("indent"))
        if indent == 0:
            if inside is not None:
                break
            inside = 0 if match.group("key") == "metadata" else None
        elif inside is not None:
            inside = inside or indent
            if indent == inside:
                found[match.group("key")] = _unquoted(match.group("value"))
    return found.get("name", ""), found.get("namespace") or "default"


def _items(text: str, key: str) -> List[Dict[str, str]]:
    """The items of a list of mappings. Keys deeper than the item's own stand under a star."""
    items: List[Dict[str, str]] = []
    start: Optional[int] = None
    own = 0
    for line in text.splitlines():
        match = _KEY.match(line)
        if match is None:
            continue
        indent, dash = len(match.group("indent")), "-" in match.group("indent")
        outer = indent - (len(match.group("indent").lstrip()) if dash else 0)
        if start is not None and (outer < start or (outer == start and not dash)):
            start = None
        if start is None:
            start = outer if match.group("key") == key and not match.group("value") else None
            continue
        if dash and (not items or outer <= own):
            items.append({})
            own = indent
        if items:
            items[-1][match.group("key") if indent == own else "*" + match.group("key")] = _unquoted(match.group("value"))
    return items


def host_path(text: str, path: str, program: str) -> str:
    """Where a path of the container that starts a program lies on the host; the path itself when no mount is found, or none that leads to the host."""
    pod = read_pod(text)
    container = pod.container(program) if pod else None
    if pod is None or container is None:
        mounted = (item for item in _items(text, "volumeMounts") if item.get("mountPath"))
        mounts = tuple(Mount(item["mountPath"], item.get("name", ""), item.get("subPath", "")) for item in mounted)
        volumes = {item["name"]: item.get("*path", "") for item in _items(text, "volumes") if item.get("name")}
        pod, container = Pod(volumes=volumes), Container(mounts=mounts)
    return pod.on_host(container, path)


def host_paths(text: str) -> Tuple[List[str], bool]:
    """The paths of the host that the pod mounts, as its volumes name them; and whether all of them could be read."""
    pod = read_pod(text)
    if pod is not None:
        return [path for path in pod.volumes.values() if path], True
    plain = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    block = [item["*path"] for item in _items(plain, "volumes") if item.get("hostPath") == "" and item.get("*path", "").startswith("/")]
    inline = re.findall(r"""hostPath["']?:\s*\{[^{}]*?path["']?:\s*["']?(/[^\s"',}]*)""", plain)
    return block + inline, len(block + inline) == len(re.findall(r"""\bhostPath["']?:""", plain))
