# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which container runtime the kubelet of this machine uses: the platform's facts have the usual one and others that people have.

The kubelet takes its endpoint from a flag, else from its configuration (kubernetes/kubernetes pkg/kubelet/apis/config C(ContainerRuntimeEndpoint), 1.27
and newer). kubeadm writes it into C(kubeadm-flags.env), since 1.32 into C(instance-config.yaml).
"""

from __future__ import annotations

import os
import re
from typing import Any, Dict, List, Mapping, Optional

from ansible_collections.lifeboat.cluster.plugins.module_utils._system import probing

_SCHEME = "unix://"
_FLAG = re.compile(r"--container-runtime-endpoint[= ][\"']?([^\s\"']+)")
_SETTING = re.compile(r"""^["']?containerRuntimeEndpoint["']?:[ \t]*["']?([^"'#\s]+)""", re.M)


def socket_path(endpoint: str) -> str:
    """The socket of an endpoint, without links on the way; C(/var/run) is one."""
    path = endpoint[len(_SCHEME) :] if endpoint.startswith(_SCHEME) else endpoint
    return os.path.realpath(path) if path.startswith("/") else path


def _in_file(path: str) -> str:
    lines = probing.one_key_a_line(probing.text_or_none(path) or "").splitlines()
    text = "\n".join(line for line in lines if not line.lstrip().startswith("#"))
    found = _SETTING.search(text) or _FLAG.search(text)
    return found.group(1) if found else ""


def _configurations(flags: Mapping[str, str]) -> List[str]:
    """Configuration files of a kubelet, the one that counts most first: of its drop-ins the last by name."""
    drop_ins, config = flags.get("config-dir", ""), flags.get("config", "")
    names = [name for name in probing.names_in(drop_ins) if name.endswith(".conf")] if drop_ins.startswith("/") else []
    return [os.path.join(drop_ins, name) for name in sorted(names, reverse=True)] + ([config] if config.startswith("/") else [])


def _said(flags: Optional[Mapping[str, str]], facts: Mapping[str, Any]) -> str:
    """What a kubelet that runs was told (its flags), else what one would be told; empty where nothing says it."""
    flags = flags or {}
    files = _configurations(flags) + [str(path) for path in facts.get("kubelet_files") or ()]
    return flags.get("container-runtime-endpoint") or next((found for found in map(_in_file, files) if found), "")


def told(kubelet_flags: Optional[Mapping[str, str]], platform: Mapping[str, Any]) -> Dict[str, str]:
    """Endpoint and unit where they are not those of the platform's facts; empty where they are, or where the inventory names the endpoint.

    ``kubelet_flags`` are those of the kubelet that runs; None without one. A runtime that nobody knows has an empty unit: nothing starts it anew.
    """
    facts: Mapping[str, Any] = platform.get("runtime") or {}
    others: List[Mapping[str, Any]] = list(facts.get("others") or ())
    if not others or facts.get("endpoint_given"):
        return {}
    known = {socket_path(str(one.get("endpoint") or "")): one for one in [*others, facts]}
    said = _said(kubelet_flags, facts)
    if said:
        found = known.get(socket_path(said)) or {"endpoint": said if "://" in said else _SCHEME + said, "unit": ""}
    elif os.path.exists(socket_path(str(facts.get("endpoint") or ""))):
        return {}
    else:
        found = next((one for path, one in known.items() if os.path.exists(path)), facts)
    return {} if found is facts else {name: str(found.get(name) or "") for name in ("endpoint", "unit")}
