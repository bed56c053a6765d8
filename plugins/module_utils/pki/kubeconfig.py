# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read kubeconfigs as kubeadm and client-go write them; hosts have no YAML parser, so everything else is refused rather than guessed."""

from __future__ import annotations

import base64
import binascii
import contextlib
import re
from dataclasses import dataclass
from typing import Any, Dict, Iterator, List, Tuple

from ansible_collections.lifeboat.cluster.plugins.module_utils.pki.in_memory import as_file

_PLAIN = re.compile(r"[^\s&*!|>%@`{}\[\],\"'#?-](?:[^#\n]|(?<!\s)#)*\Z|-?[0-9.]+\Z")
_KEY = re.compile(r"([A-Za-z][A-Za-z0-9_./-]*):(?: +(.*))?\Z")


class NotUnderstoodError(Exception):
    """The text is not of the form that is read here. Never holds anything of the text."""


@dataclass
class Credential:
    """Something that a kubeconfig holds itself (``data``), or names a file of (``path``)."""

    data: bytes = b""
    path: str = ""

    @contextlib.contextmanager
    def file(self) -> Iterator[str]:
        """A file with it, as long as the context lasts."""
        if self.path:
            yield self.path
        else:
            with as_file(self.data) as path:
                yield path


@dataclass
class Kubeconfig:
    """What the current context of a kubeconfig connects with."""

    server: str
    server_name: str
    authority: Credential
    certificate: Credential
    key: Credential


# Number of leading spaces, and the text after them.
_Line = Tuple[int, str]


def _lines(text: str) -> List[_Line]:
    found: List[_Line] = []
    for line in text.split("\n"):
        stripped = line.strip()
        if not stripped or stripped.startswith("#") or (stripped == "---" and not found):
            continue
        if "\t" in line or not line.isprintable():
            raise NotUnderstoodError
        found.append((len(line) - len(line.lstrip(" ")), stripped))
    return found


def _scalar(text: str) -> Any:
    if text in ("{}", "[]"):
        return {} if text == "{}" else []
    if len(text) >= 2 and text[0] == text[-1] and text[0] in "\"'" and not set(text[1:-1]) & {"\\", text[0]}:
        return text[1:-1]
    if not _PLAIN.match(text) or ": " in text or text.endswith(":"):
        raise NotUnderstoodError
    return text


class _Parser:
    """Block mappings, block sequences and simple scalars."""

    def __init__(self, text: str) -> None:
        self._lines = _lines(text)
        self._next = 0

    def document(self) -> Any:
        """The one document."""
        value = self._block(0)
        if self._next < len(self._lines):
            raise NotUnderstoodError
        return value

    def _block(self, minimum: int) -> Any:
        if self._next >= len(self._lines) or self._lines[self._next][0] < minimum:
            return None
        indent, text = self._lines[self._next]
        return self._sequence(indent) if text == "-" or text.startswith("- ") else self._mapping(indent)

    def _sequence(self, indent: int) -> List[Any]:
        items: List[Any] = []
        while self._next < len(self._lines) and self._lines[self._next][0] == indent and self._lines[self._next][1].startswith("- "):
            rest = self._lines[self._next][1][1:]
            inner = indent + 1 + len(rest) - len(rest.lstrip(" "))
            rest = rest.strip()
            if _KEY.match(rest):
                self._lines[self._next] = (inner, rest)
                items.append(self._mapping(inner))
            else:
                self._next += 1
                items.append(_scalar(rest))
        return items

    def _mapping(self, indent: int) -> Dict[str, Any]:
        values: Dict[str, Any] = {}
        while self._next < len(self._lines) and self._lines[self._next][0] == indent:
            match = _KEY.match(self._lines[self._next][1])
            if match is None or match.group(1) in values:
                raise NotUnderstoodError
            self._next += 1
            name, rest = match.group(1), (match.group(2) or "").strip()
            if rest:
                values[name] = _scalar(rest)
                continue
            # A sequence may stand at the indentation of its key.
            following = self._lines[self._next] if self._next < len(self._lines) else (-1, "")
            values[name] = self._block(indent if following[0] == indent and following[1].startswith("- ") else indent + 1)
        if self._next < len(self._lines) and self._lines[self._next][0] > indent:
            raise NotUnderstoodError
        return values


def _named(document: Dict[str, Any], kind: str, name: str) -> Dict[str, Any]:
    """The one entry of a list that has this name."""
    items = document.get(kind + "s")
    found = [item for item in items if isinstance(item, dict) and item.get("name") == name] if isinstance(items, list) else []
    if len(found) != 1 or not isinstance(found[0].get(kind), dict):
        raise NotUnderstoodError
    value: Dict[str, Any] = found[0][kind]
    return value


def _credential(fields: Dict[str, Any], name: str) -> Credential:
    data, path = fields.get(name + "-data"), fields.get(name)
    # client-go prefers the data; a file that holds both is not what kubeadm writes.
    if bool(data) == bool(path) or not isinstance(data or path, str):
        raise NotUnderstoodError
    try:
        return Credential(data=base64.b64decode(data, validate=True)) if data else Credential(path=str(path))
    except (ValueError, binascii.Error) as error:
        raise NotUnderstoodError from error


def parse(text: str) -> Kubeconfig:
    """The credentials of the current context, when they are a CA and a client certificate with its key. Other fields (a proxy, extensions) are client-go's."""
    document = _Parser(text).document()
    if not isinstance(document, dict) or document.get("kind") != "Config" or not isinstance(document.get("current-context"), str):
        raise NotUnderstoodError
    context = _named(document, "context", document["current-context"])
    cluster = _named(document, "cluster", str(context.get("cluster")))
    user = _named(document, "user", str(context.get("user")))
    server = cluster.get("server")
    if not isinstance(server, str):
        raise NotUnderstoodError
    return Kubeconfig(
        server=server,
        server_name=str(cluster.get("tls-server-name") or ""),
        authority=_credential(cluster, "certificate-authority"),
        certificate=_credential(user, "client-certificate"),
        key=_credential(user, "client-key"),
    )
