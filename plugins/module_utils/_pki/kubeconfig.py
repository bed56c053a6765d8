# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a kubeconfig connects with, as kubeadm and client-go write it; everything else is refused rather than guessed."""

from __future__ import annotations

import base64
import binascii
import contextlib
from dataclasses import dataclass
from typing import Any, ContextManager, Dict

from ansible_collections.lifeboat.cluster.plugins.module_utils._pki.in_memory import as_file
from ansible_collections.lifeboat.cluster.plugins.module_utils._system.block_yaml import NotUnderstoodError, read

__all__ = ["Credential", "Kubeconfig", "NotUnderstoodError", "parse"]


@dataclass
class Credential:
    """Something that a kubeconfig holds itself (``data``), or names a file of (``path``)."""

    data: bytes = b""
    path: str = ""

    def file(self) -> ContextManager[str]:
        """A file with it, as long as the context lasts."""
        return contextlib.nullcontext(self.path) if self.path else as_file(self.data)


@dataclass
class Kubeconfig:
    """What the current context of a kubeconfig connects with."""

    server: str
    server_name: str
    authority: Credential
    certificate: Credential
    key: Credential


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
    document = read(text)
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
