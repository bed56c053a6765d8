# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which certificates of a host in a recovery point are no longer valid."""

from __future__ import annotations

import re
from typing import Any, Callable, Dict, List, Mapping, Sequence, Tuple

from ansible.errors import AnsibleFilterError

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


def _end(check: Mapping[str, Any], ends: Ends, kubeconfigs: Mapping[str, Mapping[str, Any]]) -> str:
    """When what a check is about ends, as far as the recovery point says it: of a bundle of authorities the last, else the first certificate of the file."""
    if check.get("type") == "kubeconfig":
        kubeconfig = kubeconfigs.get(str(check.get("kubeconfig"))) or {}
        embedded = str((kubeconfig.get("certificate") or {}).get("not_after") or "")
        return embedded or (ends.get(_kind(str(kubeconfig.get("client_certificate_path") or ""))) or [""])[0]
    found = ends.get(_kind(str(check.get("certificate") or ""))) or [""]
    return max(found) if check.get("type") == "authority" else found[0]


def expired_certificates(artifacts: Sequence[Mapping[str, Any]], host: str, now: str, checks: Sequence[Mapping[str, Any]]) -> List[str]:
    """Path and end of each certificate that ended before ``now`` (ISO 8601 in UTC, as in the manifest), of those that the platform's ``checks`` name.

    Others lie about on machines without anybody who believes them: C(kubelet.crt) of kubeadm ends after a year and is never used.
    """
    if isinstance(artifacts, (str, Mapping)) or not isinstance(artifacts, Sequence):
        raise AnsibleFilterError("expired_certificates needs the artifacts of a manifest, not %s" % type(artifacts).__name__)
    ends, kubeconfigs = _ends(artifacts, host)
    found = {str(check.get("certificate") or check.get("kubeconfig") or ""): _end(check, ends, kubeconfigs) for check in checks}
    return ["%s ended %s" % item for item in sorted(found.items()) if item[1] and item[1] < now]


class FilterModule:
    """Filters of the collection."""

    def filters(self) -> Dict[str, Callable[..., Any]]:
        """By name."""
        return {"expired_certificates": expired_certificates}
