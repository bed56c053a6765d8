# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When the certificates of a machine in a recovery point end, as its manifest says it."""

from __future__ import annotations

import re
from typing import Any, Dict, List, Mapping, Sequence, Tuple

# A kubelet that rotates keeps its former certificates beside the one in use, to which a link leads; each has its date in its name.
_ROTATED = re.compile(r"(?P<kind>.*/kubelet-(?:client|server)-)(?:\d{4}-\d\d-\d\d-\d\d-\d\d-\d\d|current)\.pem\Z")

Ends = Dict[str, List[str]]


def _kind(path: str) -> str:
    """The certificate of a kubelet, whichever of its files it lies in; any other path as it is."""
    rotated = _ROTATED.match(path)
    return rotated.group("kind") if rotated else path


def _ends(artifacts: Sequence[Mapping[str, Any]], host: str) -> Tuple[Ends, Dict[str, Mapping[str, Any]]]:
    """By path the ends of a file's certificates in their order, of rotated ones the newest; and the kubeconfigs."""
    ends: Ends = {}
    kubeconfigs: Dict[str, Mapping[str, Any]] = {}
    for artifact in artifacts:
        contents = (artifact.get("contents") or {}) if artifact.get("host") == host else {}
        for certificate in sorted(contents.get("certificates") or (), key=lambda one: int(one.get("number") or 0)):
            path, end = "/" + str(certificate.get("path") or "").lstrip("/"), str(certificate.get("not_after") or "")
            if end and _kind(path) != path:
                ends[_kind(path)] = [max(end, *ends.get(_kind(path), [""]))]
            elif end:
                ends.setdefault(path, []).append(end)
        kubeconfigs.update({"/" + str(one.get("path") or "").lstrip("/"): one for one in contents.get("kubeconfigs") or ()})
    return ends, kubeconfigs


def _end_of(check: Mapping[str, Any], ends: Ends, kubeconfigs: Mapping[str, Mapping[str, Any]]) -> str:
    """When what a check is about ends, as far as the recovery point says it: of a bundle of authorities the last, else the first certificate of the file."""
    if check.get("type") == "kubeconfig":
        kubeconfig = kubeconfigs.get(str(check.get("kubeconfig"))) or {}
        embedded = str((kubeconfig.get("certificate") or {}).get("not_after") or "")
        return embedded or (ends.get(_kind(str(kubeconfig.get("client_certificate_path") or ""))) or [""])[0]
    found = ends.get(_kind(str(check.get("certificate") or ""))) or [""]
    return max(found) if check.get("type") == "authority" else found[0]


def ends(artifacts: Sequence[Mapping[str, Any]], host: str, checks: Sequence[Mapping[str, Any]]) -> Dict[str, str]:
    """By path the end (ISO 8601 in UTC, as in the manifest) of each certificate and kubeconfig that the platform's ``checks`` name and the point knows.

    Others lie about on machines without anybody who believes them: ``kubelet.crt`` of kubeadm ends after a year and is never used.
    """
    known, kubeconfigs = _ends(artifacts, host)
    found = {str(check.get("certificate") or check.get("kubeconfig") or ""): _end_of(check, known, kubeconfigs) for check in checks}
    return {path: end for path, end in sorted(found.items()) if end}
