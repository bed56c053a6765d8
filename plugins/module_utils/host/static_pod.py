# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A static pod manifest as kubeadm writes it: arguments one ``- --flag=value`` a line, block style, or JSON.

Hosts have no YAML parser, so only this form is written to, and everything else is refused. To read, a little more is understood.
Source: kubernetes/kubernetes cmd/kubeadm/app/phases/etcd/local.go (the command is a flat list of strings).
"""

from __future__ import annotations

import json
import re
from typing import Any, Dict, List, Mapping, Optional, Tuple

from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import LifeboatError

_COMMAND = re.compile(r"^(\s*)- (?:command|args):\s*$|^(\s*)(?:command|args):\s*$")
_ARGUMENT = re.compile(r"""^(?P<indent>\s*)- (?P<quote>["']?)(?P<flag>--[a-z0-9-]+)(?:=(?P<value>.*?))?(?P=quote)\s*$""")
_IMAGE = re.compile(r"""^\s*(?:-\s+)?image:\s*["']?([^\s"'#]+)""")
_KEY = re.compile(r"^(?P<indent>\s*(?:- +)?)(?P<key>[A-Za-z]+):\s*(?P<value>.*?)\s*$")
# Characters with which a plain YAML scalar stays a plain scalar in the middle of a flag.
_PLAIN = re.compile(r"^[A-Za-z0-9_.,:/=@%+-]*$")


class ManifestNotUnderstood(LifeboatError):
    """The manifest is not in the form that kubeadm writes."""


def _line(indent: str, flag: str, value: str) -> str:
    text = "%s=%s" % (flag, value)
    # JSON strings are YAML strings.
    return "%s- %s" % (indent, text if _PLAIN.match(text) and not text.endswith(":") else json.dumps(text))


def set_arguments(text: str, arguments: Mapping[str, str], path: str) -> str:
    """The manifest with these arguments set. ``arguments`` maps flags with their dashes to values; ``path`` is for errors.

    A flag that is there gets the value, one that is not comes at the end of the command. Raises ManifestNotUnderstood.
    """
    lines = text.splitlines()
    start = next((number for number, line in enumerate(lines) if _COMMAND.match(line)), None)
    found = [number for number in range(start + 1, len(lines)) if _ARGUMENT.match(lines[number])] if start is not None else []
    if start is None or not found:
        raise ManifestNotUnderstood(
            "The static pod manifest %s has no command in the form that kubeadm writes." % path,
            tried="looked for 'command:' followed by lines '- --flag=value'",
            remedy="Set these arguments by hand: %s" % " ".join("%s=%s" % item for item in sorted(arguments.items())),
        )
    indent = lines[found[0]][: len(lines[found[0]]) - len(lines[found[0]].lstrip())]
    # Only the list that begins here: a second container's arguments are not ours.
    ours: List[int] = []
    for number in range(found[0], len(lines)):
        match = _ARGUMENT.match(lines[number])
        if match is None or match.group("indent") != indent:
            break
        ours.append(number)
    missing = dict(arguments)
    for number in ours:
        match = _ARGUMENT.match(lines[number])
        if match is not None and match.group("flag") in arguments:
            flag = match.group("flag")
            missing.pop(flag, None)
            if match.group("value") != arguments[flag]:
                lines[number] = _line(indent, flag, arguments[flag])
    lines[ours[-1] + 1 : ours[-1] + 1] = [_line(indent, flag, value) for flag, value in sorted(missing.items())]
    return "\n".join(lines) + "\n"


def flags(text: str) -> Dict[str, str]:
    """All arguments C(--flag=value) by their names without dashes, in whatever form the command is written."""
    plain = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    return {name: value.rstrip(",") for name, value in re.findall(r"""--([a-z0-9-]+)=([^\s"'\]]*)""", plain)}


def _unquoted(value: str) -> str:
    plain = value.split(" #")[0].strip()
    return plain[1:-1] if len(plain) > 1 and plain[0] == plain[-1] and plain[0] in "\"'" else plain


def _document(text: str) -> Dict[str, Any]:
    """The manifest, when it is JSON."""
    if not text.lstrip().startswith("{"):
        return {}
    try:
        document = json.loads(text)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def images(text: str) -> List[str]:
    """Image references of a manifest, line by line."""
    return sorted({found.group(1) for found in (_IMAGE.match(line) for line in text.splitlines()) if found})


def pod_name(text: str) -> Tuple[str, str]:
    """Name and namespace of the pod; empty texts when they are not found."""
    document = _document(text)
    if document:
        metadata = document.get("metadata") or {}
        return str(metadata.get("name") or ""), str(metadata.get("namespace") or "default")
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


def host_path(text: str, path: str) -> str:
    """Where a path of the pod lies on the host, by its mounts; the path itself when no mount is found, or what it leads to is no path of the host."""
    document = _document(text)
    if document:
        spec = document.get("spec") or {}
        containers = spec.get("containers") or [{}]
        mounts = {str(item.get("mountPath")): str(item.get("name")) for item in containers[0].get("volumeMounts") or []}
        volumes = {str(item.get("name")): str((item.get("hostPath") or {}).get("path") or "") for item in spec.get("volumes") or []}
    else:
        mounts = {item["mountPath"]: item.get("name", "") for item in _items(text, "volumeMounts") if item.get("mountPath")}
        volumes = {item["name"]: item.get("*path", "") for item in _items(text, "volumes") if item.get("name")}
    for mount in sorted(mounts, key=len, reverse=True):
        place = mount.rstrip("/")
        if volumes.get(mounts[mount]) and (path == place or path.startswith(place + "/")):
            return volumes[mounts[mount]].rstrip("/") + path[len(place) :]
    return path


def host_paths(text: str) -> Tuple[List[str], bool]:
    """The paths of the host that the pod mounts, as its volumes name them; and whether all of them could be read."""
    document = _document(text)
    if document:
        volumes = (document.get("spec") or {}).get("volumes") or []
        return [str((item.get("hostPath") or {}).get("path")) for item in volumes if (item.get("hostPath") or {}).get("path")], True
    plain = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    block = [item["*path"] for item in _items(plain, "volumes") if item.get("hostPath") == "" and item.get("*path", "").startswith("/")]
    inline = re.findall(r"""hostPath["']?:\s*\{[^{}]*?path["']?:\s*["']?(/[^\s"',}]*)""", plain)
    return block + inline, len(block + inline) == len(re.findall(r"""\bhostPath["']?:""", plain))
